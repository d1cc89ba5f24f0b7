//! Putting a store together from the records of an archive, before it is one that can be served.

use std::collections::HashMap;
use std::path::Path;
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use chat_core::store::archive::{
    ArchiveId, Import, ImportRefused, ImportState, LoggedEntry, Position, Record, TrimmedCommand, remaining,
};
use chat_core::store::{StoreError, StoreErrorKind};
use chat_core::{ConversationId, Epoch, Head};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::commit::{heads, log, members, registry};
use super::error::{Failure, closed};
use super::open::Ours;
use super::queue::Queue;
use super::readers::{self, Job};
use super::{OpenError, SqliteOptions, join, read, schema, thread};

const ATTEMPTED: &str = "importing";

/// The index of commands, as the schema has it. Entries come in the order of conversations, in which
/// client ids are scattered: kept up to date meanwhile, it takes more and more of the time, while in the
/// end it is sorted once.
const INDEX_COMMANDS: &str = "CREATE UNIQUE INDEX IF NOT EXISTS log_once
    ON log (client_id, sender, conversation) WHERE client_id IS NOT NULL";

/// An import into the store of a folder. Nobody else can open the folder meanwhile.
///
/// Dropping it without [`close`](Import::close) finishes what is queued, too, and blocks meanwhile.
#[derive(Debug)]
pub struct SqliteImport {
    epoch: Option<Epoch>,
    jobs: Queue<Job>,
    /// The thread until the import is closed. Held by whoever closes it, across the wait for its end.
    writing: tokio::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl SqliteImport {
    /// Pages in the write-ahead log from which a commit also makes a checkpoint: 32 MiB.
    const CHECKPOINT_PAGES: i64 = 8 * 1024;

    /// Opens the store in a folder, and creates both where they do not exist. What is in it does not
    /// matter yet. The epoch of the options is the one that the store is given in the end.
    ///
    /// This blocks like [`SqliteStore::open`](super::SqliteStore::open).
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way; a file that is not ours, or newer, is left as it is.
    pub fn open(folder: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        let Ours { lock, writer, .. } = Ours::in_folder(folder, options)?;
        // Nobody waits for single commits here, so that checkpoints need no moment of their own.
        let failed = |source: rusqlite::Error| OpenError::Database {
            file: folder.join(super::open::NAME),
            source: Box::new(source),
        };
        writer.pragma_update(None, "wal_autocheckpoint", Self::CHECKPOINT_PAGES).map_err(failed)?;
        let (jobs, incoming) = Queue::new(1);
        let incoming = std::sync::Arc::new(std::sync::Mutex::new(incoming));
        let writing = thread("chat-store-import", move || {
            readers::run(&writer, &incoming);
            drop(writer);
            // The folder is ours for as long as anything may be written.
            drop(lock);
        });
        let writing = tokio::sync::Mutex::new(vec![writing.map_err(OpenError::Thread)?]);
        Ok(Self { epoch: options.epoch, jobs, writing })
    }

    /// Does something in one transaction, on the thread that writes.
    async fn transact<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |db| {
            // Whoever asked may have gone; it is done all the same.
            let _ = answer.send(transaction(db, work));
        });
        self.jobs.send(job).await.map_err(|_| closed(ATTEMPTED))?;
        answered.await.map_err(|_| StoreError::new(StoreErrorKind::Ambiguous, ATTEMPTED))?
    }
}

fn transaction<T>(
    db: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, StoreError> {
    let execute = |statement: &str| -> Result<(), Failure> { Ok(db.execute_batch(statement)?) };
    let done = execute("BEGIN IMMEDIATE")
        .and_then(|()| work(db))
        .map_err(|failure| failure.during(ATTEMPTED))
        .and_then(|done| execute("COMMIT").map(|()| done).map_err(Failure::during_commit));
    if done.is_err()
        && !db.is_autocommit()
        && let Err(error) = execute("ROLLBACK")
    {
        tracing::error!(%error, "a page could not be rolled back");
    }
    done
}

#[async_trait]
impl Import for SqliteImport {
    async fn state(&self) -> Result<ImportState, StoreError> {
        self.transact(state).await
    }

    async fn write(&self, archive: ArchiveId, records: &[Record]) -> Result<(), StoreError> {
        let records = records.to_vec();
        self.transact(move |db| write(db, archive, &records)).await
    }

    async fn finish(&self, archive: ArchiveId) -> Result<Epoch, StoreError> {
        let epoch = self.epoch.map(|epoch| epoch.0.cast_signed());
        self.transact(move |db| {
            state(db)?.reached(archive)?;
            db.execute_batch(INDEX_COMMANDS)?;
            // SQLite seeds its generator from the operating system.
            db.execute("UPDATE store SET epoch = coalesce(?1, random())", [epoch])?;
            if db.execute("UPDATE archive_import SET finished = TRUE", [])? == 0 {
                begin(db, archive, true)?;
            }
            Ok(schema::epoch(db)?)
        })
        .await
    }

    async fn close(&self) {
        self.jobs.close();
        let mut writing = self.writing.lock().await;
        let last = std::mem::take(&mut *writing);
        super::ended(last).await;
    }
}

impl Drop for SqliteImport {
    fn drop(&mut self) {
        self.jobs.close();
        join(std::mem::take(self.writing.get_mut()));
    }
}

fn state(db: &Connection) -> Result<ImportState, Failure> {
    let mut row = db.prepare_cached("SELECT archive, reached, finished FROM archive_import")?;
    let found = row
        .query_row([], |row| Ok((row.get(0)?, row.get::<_, Option<Vec<u8>>>(1)?, row.get::<_, bool>(2)?)))
        .optional()?;
    let Some((archive, reached, finished)) = found else {
        let is_empty = db.query_row(
            "SELECT NOT (EXISTS (SELECT 1 FROM account) OR EXISTS (SELECT 1 FROM device)
                 OR EXISTS (SELECT 1 FROM chat_group) OR EXISTS (SELECT 1 FROM conversation)
                 OR EXISTS (SELECT 1 FROM log))",
            [],
            |row| row.get(0),
        )?;
        return Ok(if is_empty { ImportState::Empty } else { ImportState::InUse });
    };
    let archive = ArchiveId(archive);
    if finished {
        return Ok(ImportState::Finished(archive));
    }
    let reached = reached.map(|bytes| Position::decode(Bytes::from(bytes))).transpose()?;
    Ok(ImportState::Unfinished { archive, reached })
}

fn begin(db: &Connection, archive: ArchiveId, finished: bool) -> Result<(), Failure> {
    let insert = "INSERT INTO archive_import (archive, reached, finished) VALUES (?1, NULL, ?2)";
    db.execute(insert, params![archive.0, finished])?;
    Ok(())
}

fn write(db: &Connection, archive: ArchiveId, records: &[Record]) -> Result<(), Failure> {
    let found = state(db)?;
    let reached = found.reached(archive)?;
    if found == ImportState::Empty {
        begin(db, archive, false)?;
        db.execute_batch("DROP INDEX log_once")?;
    }
    let records = remaining(reached.as_ref(), records)?;
    let mut rows = Rows::default();
    for record in records {
        put(db, &mut rows, record)?;
    }
    if let Some(last) = records.last() {
        let reached = last.position().encode();
        db.prepare_cached("UPDATE archive_import SET reached = ?1")?.execute([&reached[..]])?;
    }
    Ok(())
}

/// The numbers of the conversations' rows that a page has to do with.
#[derive(Debug, Default)]
struct Rows(HashMap<ConversationId, i64>);

impl Rows {
    /// The row of a conversation, if it has one.
    fn find(&mut self, db: &Connection, of: ConversationId) -> Result<Option<i64>, Failure> {
        if let Some(row) = self.0.get(&of) {
            return Ok(Some(*row));
        }
        let found = read::heads::bare(db, of)?.map(|(row, _)| row);
        if let Some(row) = found {
            self.0.insert(of, row);
        }
        Ok(found)
    }
}

fn put(db: &Connection, rows: &mut Rows, record: &Record) -> Result<(), Failure> {
    match record {
        Record::Account(account) => registry::put_account(db, account),
        Record::Device(device) => registry::put_device(db, device),
        Record::Group(group) => registry::put_group(db, group),
        Record::Head(head) => put_head(db, head),
        Record::Member(member) => {
            let row = match rows.find(db, member.conversation)? {
                Some(row) => row,
                // A conversation that has members, and into which nothing was written.
                None => heads::insert(db, member.conversation)?,
            };
            members::put(db, row, member)
        }
        Record::TrimmedCommand(command) => {
            let row = rows.find(db, command.once.conversation)?.ok_or(ImportRefused::OutOfOrder)?;
            put_command(db, row, command)
        }
        Record::Entry(logged) => {
            let row = rows.find(db, logged.conversation)?.ok_or(ImportRefused::OutOfOrder)?;
            put_entry(db, row, logged)
        }
    }
}

fn put_head(db: &Connection, head: &Head) -> Result<(), Failure> {
    db.prepare_cached(
        "INSERT INTO conversation (key, seq, ordinal, time, first_seq, rules_seq)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        &head.conversation.key()[..],
        head.seq.cast_signed(),
        head.ordinal.cast_signed(),
        head.time.0.cast_signed(),
        head.first_seq.cast_signed(),
        head.rules_seq.cast_signed(),
    ])?;
    Ok(())
}

fn put_command(db: &Connection, row: i64, command: &TrimmedCommand) -> Result<(), Failure> {
    let TrimmedCommand { once, seq, time, digest } = command;
    db.prepare_cached(
        "INSERT INTO trimmed_command (client_id, sender, conversation, seq, time, digest)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        once.client_id.0,
        once.sender.number().cast_signed(),
        row,
        seq.cast_signed(),
        time.0.cast_signed(),
        digest.0,
    ])?;
    Ok(())
}

fn put_entry(db: &Connection, row: i64, logged: &LoggedEntry) -> Result<(), Failure> {
    let entry = &logged.entry;
    db.prepare_cached(log::INSERT)?.execute(params![
        row,
        entry.seq.cast_signed(),
        entry.time.0.cast_signed(),
        entry.sender.number().cast_signed(),
        entry.kind.number(),
        entry.countable,
        entry.ordinal.cast_signed(),
        entry.target.map(u64::cast_signed),
        entry.client_id.map(|id| id.0),
        logged.digest.map(|digest| digest.0),
        entry.content.as_deref(),
    ])?;
    Ok(())
}
