//! The thread that writes: one batch, one transaction, one sync; and checkpoints in between.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use chat_core::store::{Batch, Outcome, StoreError, StoreErrorKind};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::commit::Work;
use super::commit::heads::Heads;
use super::error::Failure;
use super::queue::Queued;

/// A batch on its way to the writer, and where the answer goes.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) batch: Batch,
    pub(super) answer: oneshot::Sender<Result<Vec<Outcome>, StoreError>>,
}

/// Owns the connection that writes.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    heads: Heads,
}

impl Writer {
    /// Heads kept between batches: at about 150 bytes each, 10 MiB.
    const HEADS: usize = 1 << 16;
    /// Without a batch for this long the queue counts as idle.
    const IDLE: Duration = Duration::from_millis(5);
    /// Pages in the write-ahead log from which a checkpoint is worth an idle moment: 4 MiB.
    const WORTHWHILE_PAGES: i64 = 1024;
    /// Pages from which a checkpoint is made though batches wait: 128 MiB. The later it is, the more
    /// writes of one page become one, and the longer the recovery after a crash takes.
    const FORCING_PAGES: i64 = 32 * 1024;

    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, heads: Heads::new(Self::HEADS) }
    }

    /// Writes batches until the queue is closed and empty.
    pub(super) fn run(mut self, batches: &Receiver<Queued<Commit>>) {
        let mut idle = Duration::MAX;
        loop {
            match batches.recv_timeout(idle) {
                Ok(queued) => {
                    let Commit { batch, answer } = queued.take();
                    // Whoever asked may have gone; the batch is written all the same.
                    let _ = answer.send(self.commit(&batch));
                    let pages = self.pages();
                    if pages >= Self::FORCING_PAGES {
                        self.checkpoint("PASSIVE");
                    }
                    idle = if pages >= Self::WORTHWHILE_PAGES { Self::IDLE } else { Duration::MAX };
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.checkpoint("PASSIVE");
                    // Once per idle moment, whether or not a reader or the disk was in its way.
                    idle = Duration::MAX;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.checkpoint("TRUNCATE");
    }

    fn commit(&mut self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        batch.check()?;
        let written = self.transaction(batch);
        if written.is_err() {
            self.roll_back();
        }
        written
    }

    fn transaction(&mut self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        self.execute("BEGIN IMMEDIATE").map_err(|failure| failure.during("beginning a batch"))?;
        let outcomes = Work::evaluate(&self.connection, &mut self.heads, batch)
            .map_err(|failure| failure.during("writing a batch"))?;
        self.execute("COMMIT").map_err(Failure::during_commit)?;
        Ok(outcomes)
    }

    /// After this nothing of a failed batch is seen, and nothing of it is remembered.
    fn roll_back(&mut self) {
        self.heads.forget();
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "a batch could not be rolled back");
        }
    }

    fn execute(&self, statement: &str) -> Result<(), Failure> {
        self.connection.prepare_cached(statement)?.execute([])?;
        Ok(())
    }

    /// How many pages wait in the write-ahead log; 0 where that cannot be told.
    fn pages(&self) -> i64 {
        self.wal("PRAGMA wal_checkpoint(NOOP)").map_or(0, |(written, done)| written - done)
    }

    fn checkpoint(&self, mode: &str) {
        if let Err(error) = self.wal(&format!("PRAGMA wal_checkpoint({mode})")) {
            // Nothing is lost: the log grows, and the next checkpoint takes it all.
            tracing::warn!(%error, "a checkpoint failed");
        }
    }

    /// The pages that the write-ahead log has, and those of them that are checkpointed.
    fn wal(&self, pragma: &str) -> rusqlite::Result<(i64, i64)> {
        self.connection.prepare_cached(pragma)?.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
    }
}

/// The answer when the writer is gone before it gave one.
pub(super) fn unanswered() -> StoreError {
    StoreError::new(StoreErrorKind::Ambiguous, "waiting for a batch")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chat_core::store::{Append, Digest, Item, Once, WriterId};
    use chat_core::{ClientId, ConversationId, Kind, Timestamp, UserId};
    use tempfile::TempDir;

    use super::super::SqliteOptions;
    use super::super::open::Opened;
    use super::super::read;
    use super::*;

    fn writer() -> (Writer, TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let opened = Opened::folder(folder.path(), &SqliteOptions::default()).expect("a new store");
        (Writer::new(opened.writer), folder)
    }

    fn inbox() -> ConversationId {
        ConversationId::Inbox(sender())
    }

    fn sender() -> UserId {
        UserId::new(1).expect("within bounds")
    }

    fn batch(number: u64, content_bytes: usize) -> Batch {
        let once = Once {
            client_id: ClientId(u128::from(number).to_be_bytes()),
            sender: sender(),
            conversation: inbox(),
        };
        let append = Append {
            conversation: inbox(),
            sender: sender(),
            kind: Kind::new(500).expect("within bounds"),
            countable: true,
            target: None,
            content: Bytes::from(vec![7; content_bytes]),
            changes_rules: false,
        };
        let item = Item { once: Some((once, Digest([0; 16]))), append: vec![append], ..Item::default() };
        Batch { writer: WriterId(1), number, now: Timestamp(number), items: vec![item] }
    }

    fn seq_of(outcomes: &[Outcome]) -> u64 {
        match &outcomes[0] {
            Outcome::Committed(placed) => placed[0].seq,
            other => panic!("committed expected, found {other:?}"),
        }
    }

    #[test]
    fn batch_that_does_not_fit_on_the_disk_changes_nothing_and_later_ones_go_on() {
        let (mut writer, _folder) = writer();
        assert_eq!(seq_of(&writer.commit(&batch(1, 10)).expect("there is room")), 1);
        let pages: i64 = writer
            .connection
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .expect("it is a database");
        writer.connection.pragma_update(None, "max_page_count", pages + 8).expect("it is a limit");
        let error = writer.commit(&batch(2, 1 << 20)).expect_err("there is no room");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let head = read::heads::heads(&writer.connection, &[inbox()]).expect("it reads").remove(0);
        assert_eq!((head.seq, head.ordinal), (1, 1));
        assert_eq!(seq_of(&writer.commit(&batch(3, 10)).expect("for this there is room")), 2);
        writer.connection.pragma_update(None, "max_page_count", 1 << 20).expect("it is a limit");
        assert_eq!(seq_of(&writer.commit(&batch(2, 1 << 20)).expect("there is room again")), 3);
    }

    #[test]
    fn store_that_cannot_be_written_says_that_it_is_read_only() {
        let (mut writer, _folder) = writer();
        writer.commit(&batch(1, 10)).expect("it is writable");
        writer.connection.pragma_update(None, "query_only", true).expect("it is a switch");
        let error = writer.commit(&batch(2, 10)).expect_err("it is not writable");
        assert_eq!(error.kind(), StoreErrorKind::ReadOnly);
        writer.connection.pragma_update(None, "query_only", false).expect("it is a switch");
        assert_eq!(seq_of(&writer.commit(&batch(2, 10)).expect("it is writable again")), 2);
    }

    #[test]
    fn checkpoint_takes_in_what_the_write_ahead_log_holds() {
        let (mut writer, _folder) = writer();
        writer.commit(&batch(1, 100_000)).expect("there is room");
        assert!(writer.pages() > 20, "{}", writer.pages());
        writer.checkpoint("PASSIVE");
        assert_eq!(writer.pages(), 0);
        writer.commit(&batch(2, 10)).expect("there is room");
        assert!((1..20).contains(&writer.pages()), "{}", writer.pages());
    }
}
