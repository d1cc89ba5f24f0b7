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
    /// Pages from which a checkpoint is made though batches wait: 64 MiB.
    const FORCING_PAGES: i64 = 16 * 1024;

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
