//! The bare limit of the embedded store: batched inserts into the schema's own shape, and nothing
//! else. Figures of the server are read beside it.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::Failure;

/// Rows per second that one connection writes in transactions of `batch` rows.
///
/// # Errors
/// The folder cannot be used.
pub fn rows_per_second(folder: &Path, batch: usize, span: Duration) -> Result<f64, Failure> {
    let mut connection = Connection::open(folder.join(format!("bare-{batch}.db")))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(
        "CREATE TABLE log(id INTEGER PRIMARY KEY, conversation INTEGER, seq INTEGER, sender INTEGER,
           client_id BLOB, time INTEGER, kind INTEGER, content BLOB);
         CREATE INDEX by_seq ON log(conversation, seq);
         CREATE UNIQUE INDEX by_client_id ON log(client_id, sender, conversation);",
    )?;
    let (started, mut rows) = (Instant::now(), 0i64);
    while started.elapsed() < span {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO log(conversation, seq, sender, client_id, time, kind, content)
                 VALUES (?1, ?2, ?3, ?4, ?5, 16, ?6)",
            )?;
            for _ in 0..batch {
                rows += 1;
                let mut client_id = [0u8; 16];
                client_id[..8].copy_from_slice(&rows.to_be_bytes());
                insert.execute(params![
                    rows % 10_000,
                    rows / 10_000,
                    rows % 7,
                    client_id,
                    rows,
                    [b'x'; 102]
                ])?;
            }
        }
        transaction.commit()?;
    }
    Ok(rows as f64 / started.elapsed().as_secs_f64())
}
