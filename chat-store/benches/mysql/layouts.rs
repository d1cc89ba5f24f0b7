//! Two layouts of the log, as bare SQL: clustered by (conversation, seq), as the store has it, and in
//! the order of arrival with small indexes. Each with the upsert of heads; written, then read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value};

use super::Failure;
use super::bare::{key, tuples};
use super::load::{CONTENT, CONVERSATIONS, Load, Message, median};
use super::server::Server;

const SPAN: Duration = Duration::from_secs(3);
const RUNS: usize = 3;
/// Rows before anything is measured, so that conversations have a past of fifty messages.
const PAST: usize = 60;
const BATCH: usize = 1_000;

const COLUMNS: &str = "conversation VARBINARY(17) NOT NULL, seq BIGINT UNSIGNED NOT NULL,
     time BIGINT UNSIGNED NOT NULL, sender BIGINT UNSIGNED NOT NULL, kind SMALLINT UNSIGNED NOT NULL,
     countable TINYINT UNSIGNED NOT NULL, ordinal BIGINT UNSIGNED NOT NULL, target BIGINT UNSIGNED NULL,
     client_id BINARY(16) NULL, digest BINARY(16) NULL, content LONGBLOB NULL,
     UNIQUE KEY log_once (client_id, sender, conversation)";

const LAYOUTS: [(&str, &str); 2] = [
    ("clustered by (conversation, seq)", "PRIMARY KEY (conversation, seq)"),
    (
        "in the order of arrival",
        "id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, UNIQUE KEY by_seq (conversation, seq)",
    ),
];

/// Prints a line for each layout.
pub(crate) async fn measure(server: &Server) -> Result<(), Failure> {
    println!("layout | rows/s written in batches of {BATCH} | last 50 read/s | MiB");
    let mut tables = Vec::new();
    for (name, keys) in LAYOUTS {
        let url = server.database().await;
        let mut conn = Conn::from_url(format!("{url}?prefer_socket=false")).await?;
        conn.query_drop(format!("CREATE TABLE log ({COLUMNS}, {keys})")).await?;
        conn.query_drop(
            "CREATE TABLE head (conversation VARBINARY(17) NOT NULL PRIMARY KEY, seq BIGINT UNSIGNED NOT NULL)",
        )
        .await?;
        conn.query_drop("SET NAMES binary, SESSION autocommit = 0").await?;
        let mut table = Table { conn, load: Load::of(0, 1), seqs: BTreeMap::new() };
        for _ in 0..PAST {
            for some in table.load.each().chunks(BATCH) {
                table.write(some).await?;
            }
        }
        tables.push((name, table, [vec![], vec![]]));
    }
    for _ in 0..RUNS {
        for (_, table, rates) in &mut tables {
            let until = Instant::now() + SPAN;
            let (started, mut rows) = (Instant::now(), 0);
            while Instant::now() < until {
                let messages = table.load.draw(BATCH);
                table.write(&messages).await?;
                rows += BATCH;
            }
            rates[0].push(rows as f64 / started.elapsed().as_secs_f64());
        }
        for (_, table, rates) in &mut tables {
            let (started, mut pages) = (Instant::now(), 0);
            while started.elapsed() < SPAN {
                for message in table.load.draw(100) {
                    table.read(message.conversation).await?;
                    pages += 1;
                }
            }
            rates[1].push(f64::from(pages) / started.elapsed().as_secs_f64());
        }
    }
    for (name, mut table, rates) in tables {
        let [written, read] = rates.map(median);
        let size = "SELECT (data_length + index_length) DIV 1048576 FROM information_schema.tables
                    WHERE table_schema = DATABASE() AND table_name = 'log'";
        table.conn.query_drop("ANALYZE TABLE log").await?;
        let size: Option<u64> = table.conn.query_first(size).await?;
        println!("{name} | {written:.0} | {read:.0} | {}", size.unwrap_or_default());
    }
    Ok(())
}

/// One layout of the log, and a table of heads.
struct Table {
    conn: Conn,
    load: Load,
    seqs: BTreeMap<u64, u64>,
}

impl Table {
    async fn write(&mut self, messages: &[Message]) -> Result<(), Failure> {
        let mut rows = Vec::with_capacity(messages.len() * 11);
        let mut moved = BTreeMap::new();
        for message in messages {
            let seq = self.seqs.entry(message.conversation).or_default();
            *seq += 1;
            moved.insert(message.conversation, *seq);
            rows.extend([key(message.conversation), (*seq).into(), 1u64.into(), message.sender.into()]);
            rows.extend([500u16.into(), 1u8.into(), (*seq).into(), Value::NULL]);
            rows.extend([&message.client_id[..], &[7; 16], &CONTENT].map(Value::from));
        }
        let insert = "INSERT INTO log (conversation, seq, time, sender, kind, countable, ordinal, target,
                                       client_id, digest, content) VALUES ";
        self.conn
            .exec_drop(insert.to_owned() + &tuples(11, messages.len()), Params::Positional(rows))
            .await?;
        // Filled up with the last, so that it is prepared once.
        let last = moved.last_key_value().map(|(id, seq)| (*id, *seq));
        let heads = moved.into_iter().chain(std::iter::repeat_with(|| last).flatten()).take(messages.len());
        let heads = heads.flat_map(|(id, seq)| [key(id), seq.into()]).collect();
        let upsert = format!(
            "INSERT INTO head (conversation, seq) VALUES {} ON DUPLICATE KEY UPDATE seq = VALUES(seq)",
            tuples(2, messages.len())
        );
        self.conn.exec_drop(upsert, Params::Positional(heads)).await?;
        Ok(self.conn.query_drop("COMMIT").await?)
    }

    async fn read(&mut self, conversation: u64) -> Result<(), Failure> {
        let query = "SELECT seq, time, sender, client_id, countable, ordinal, target, kind, content
                     FROM log WHERE conversation = ? ORDER BY seq DESC LIMIT 50";
        let page: Vec<Row> = self.conn.exec(query, (key(conversation),)).await?;
        self.conn.query_drop("COMMIT").await?;
        assert_eq!(page.len(), 50, "one of {CONVERSATIONS} with a past");
        Ok(())
    }
}
