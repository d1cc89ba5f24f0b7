//! The row of the journal that a batch writes.

use std::collections::BTreeMap;

use bytes::BufMut;
use chat_core::store::{Batch, WriterId};
use chat_core::{ConversationId, Seq, Timestamp};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

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
    /// Writes the row, if anything moved.
    ///
    /// A number used before is moved up: whoever has followed past it must find this row.
    pub(super) async fn write(
        self,
        conn: &mut Conn,
        moved: &BTreeMap<ConversationId, Seq>,
    ) -> Result<(), Failure> {
        if moved.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(moved.len() * 26);
        for (conversation, seq) in moved {
            let key = conversation.key();
            bytes.put_u8(key.len() as u8);
            bytes.put_slice(&key);
            bytes.put_u64(*seq);
        }
        let insert = "INSERT INTO journal (writer, number, time, moved)
                      SELECT ?, GREATEST(?, COALESCE(MAX(number) + 1, 0)), ?, ?
                      FROM journal WHERE writer = ?";
        let parameters = (self.writer.0, self.number, self.now.0, bytes, self.writer.0);
        Ok(conn.exec_drop(insert, parameters).await?)
    }
}

/// Deletes rows of batches before a time, and says how many.
pub(in crate::mysql) async fn prune(
    conn: &mut Conn,
    before: Timestamp,
    limit: usize,
) -> Result<u64, Failure> {
    conn.exec_drop("DELETE FROM journal WHERE time < ? LIMIT ?", (before.0, limit as u64)).await?;
    let pruned = conn.affected_rows();
    conn.query_drop("COMMIT").await?;
    Ok(pruned)
}
