//! The row of the journal that a batch writes.

use std::collections::BTreeMap;

use bytes::BufMut;
use chat_core::store::{Batch, WriterId};
use chat_core::{ConversationId, Seq, Timestamp};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::super::error::Failure;

/// What the server says of a row whose key is in use.
const DUPLICATE: u16 = 1062;

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
    /// A number used before is moved up: whoever has followed past it must find this row. Numbers are
    /// moved up one by one, so that one below the last is always in use.
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
        match self.insert(conn, self.number, &bytes).await {
            Err(mysql_async::Error::Server(error)) if error.code == DUPLICATE => {
                let last = "SELECT MAX(number) FROM journal WHERE writer = ?";
                let last: Option<Option<u64>> = conn.exec_first(last, (self.writer.0,)).await?;
                let next = last.flatten().map_or(self.number, |last| last + 1);
                Ok(self.insert(conn, next, &bytes).await?)
            }
            inserted => Ok(inserted?),
        }
    }

    async fn insert(self, conn: &mut Conn, number: u64, moved: &[u8]) -> mysql_async::Result<()> {
        let insert = "INSERT INTO journal (writer, number, time, moved) VALUES (?, ?, ?, ?)";
        conn.exec_drop(insert, (self.writer.0, number, self.now.0, moved)).await
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
