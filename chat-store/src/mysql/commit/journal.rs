//! The row of the journal that a batch writes.

use std::collections::BTreeMap;

use bytes::BufMut;
use chat_core::store::{Batch, WriterId};
use chat_core::{ConversationId, Seq, Timestamp};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value};

use super::super::error::Failure;

/// Which row it is to be, and when.
#[derive(Clone, Copy, Debug)]
pub(in crate::mysql) struct Numbered {
    pub(super) writer: WriterId,
    pub(super) number: u64,
    pub(super) now: Timestamp,
}

impl From<&Batch> for Numbered {
    fn from(batch: &Batch) -> Self {
        Self { writer: batch.writer, number: batch.number, now: batch.now }
    }
}

impl Numbered {
    /// The statement that writes the row, and its values, if anything moved.
    ///
    /// A number that is not past the writer's last is moved up: whoever has followed past it must find
    /// this row. The server does so by itself. Trying and being refused would cost more than a round
    /// trip: on Galera that refusal can hide that the transaction was rolled back for another server's,
    /// and what follows would be committed without what came before.
    pub(super) fn row(self, moved: &BTreeMap<ConversationId, Seq>) -> Option<(&'static str, Vec<Value>)> {
        if moved.is_empty() {
            return None;
        }
        let mut bytes = Vec::with_capacity(moved.len() * 26);
        for (conversation, seq) in moved {
            let key = conversation.key();
            bytes.put_u8(key.len() as u8);
            bytes.put_slice(&key);
            bytes.put_u64(*seq);
        }
        let insert = "INSERT INTO journal (writer, number, time, moved)
                      SELECT ?, GREATEST(?, COALESCE(MAX(number) + 1, 0)), ?, ? FROM journal WHERE writer = ?";
        let writer = self.writer.0;
        let (number, now) = (self.number, self.now.0);
        Some((insert, vec![writer.into(), number.into(), now.into(), bytes.into(), writer.into()]))
    }
}

/// Deletes rows of batches before a time, and says how many.
pub(in crate::mysql) async fn prune(
    conn: &mut Conn,
    before: Timestamp,
    limit: usize,
) -> Result<u64, Failure> {
    conn.exec_drop(
        "DELETE FROM journal WHERE time < ? ORDER BY time, writer, number LIMIT ?",
        (before.0, limit as u64),
    )
    .await?;
    let pruned = conn.affected_rows();
    // Those of writers that are gone; they say nothing any more, and are few.
    conn.query_drop("DELETE FROM claim WHERE since < UNIX_TIMESTAMP(NOW(3)) * 1000 - 3600000").await?;
    conn.query_drop("COMMIT").await?;
    Ok(pruned)
}
