//! The embedded store: one SQLite file in one folder, used by one process.
//!
//! The file can be inspected with `sqlite3 -readonly chat.db` while the store runs; what its tables
//! mean is written in `sqlite/migrations`.
//!
//! # Threads
//! One thread writes: it takes whole batches, and each is one transaction and one sync. A few threads
//! read, on connections of their own, and see what was committed when they begin. Both have bounded
//! queues: who finds one full waits. Nothing blocks the runtime, which may be of any kind.
//!
//! # Durability
//! Write-ahead log with `synchronous=FULL`: when a commit is acknowledged, it is synced.

mod commit;
mod error;
mod import;
mod lock;
mod open;
mod queue;
mod read;
mod readers;
mod schema;
mod writer;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use async_trait::async_trait;
use chat_core::store::archive::{Export, PageLimits, Position, Record};
use chat_core::store::{Batch, JournalPage, JournalPosition, Once, Outcome, Store, StoreError, Stored};
use chat_core::{
    Account, AccountName, ConversationId, Device, Entry, Epoch, GroupId, Handle, Head, History, Member,
    Range, Seq, Standing, TokenHash, UserId,
};
use tokio::sync::oneshot;

pub use import::SqliteImport;
pub use open::OpenError;

use error::closed;
use open::Opened;
use queue::Queue;
use readers::{Job, read};
use writer::{Commit, Writer, unanswered};

/// How a [`SqliteStore`] is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// The threads that read; at least 1. By default one per core, from 2 to 4.
    pub readers: usize,
    /// The page cache of each connection, in bytes. By default 16 MiB.
    pub cache_bytes: usize,
    /// The batches that may wait for the writer. By default 16.
    pub queued_batches: usize,
    /// The queries that may wait for a reader. By default 1,024.
    pub queued_queries: usize,
    /// The epoch of a store that is created; by default it is drawn. An existing store keeps its own.
    pub epoch: Option<Epoch>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            readers: cores.clamp(2, 4),
            cache_bytes: 16 << 20,
            queued_batches: 16,
            queued_queries: 1024,
            epoch: None,
        }
    }
}

/// A [`Store`] in a folder of its own.
///
/// Dropping it without [`close`](Store::close) finishes what is queued, too, and blocks meanwhile.
#[derive(Debug)]
pub struct SqliteStore {
    epoch: Epoch,
    batches: Queue<Commit>,
    queries: Queue<Job>,
    /// The threads until the store is closed. Held by whoever closes it, across the wait for their
    /// end, so that everyone who closes waits for it.
    threads: tokio::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Whether there is a store in a folder, whatever its state. Changes nothing.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(open::NAME).exists()
    }

    /// Opens the store in a folder, and creates both where they do not exist.
    ///
    /// This blocks on the file system, and after a crash on the recovery of the write-ahead log.
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way; a file that is not ours, or newer, is left as it is.
    pub fn open(folder: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        let Opened { lock, epoch, writer, readers } = Opened::folder(folder, options)?;
        let (batches, incoming) = Queue::new(options.queued_batches);
        let (queries, jobs) = Queue::new(options.queued_queries);
        let jobs = Arc::new(Mutex::new(jobs));
        let mut threads = Vec::with_capacity(1 + readers.len());
        let writer = Writer::new(writer);
        let writing = thread("chat-store-write", move || {
            writer.run(&incoming);
            // The folder is ours for as long as anything may be written.
            drop(lock);
        });
        threads.push(writing.map_err(OpenError::Thread)?);
        for reader in readers {
            let jobs = Arc::clone(&jobs);
            let reading = thread("chat-store-read", move || readers::run(&reader, &jobs));
            threads.push(reading.map_err(OpenError::Thread)?);
        }
        Ok(Self { epoch, batches, queries, threads: tokio::sync::Mutex::new(threads) })
    }
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.into()).spawn(body)
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread of the store panicked");
        }
    }
}

/// Waits for the end of threads that were told to end.
async fn ended(threads: Vec<JoinHandle<()>>) {
    let (ended, end) = oneshot::channel();
    // A thread of its own waits for the others, since joining blocks.
    let joining = thread("chat-store-close", move || {
        join(threads);
        let _ = ended.send(());
    });
    if joining.is_ok() {
        let _ = end.await;
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.batches.close();
        self.queries.close();
        join(std::mem::take(self.threads.get_mut()));
    }
}

#[async_trait]
impl Store for SqliteStore {
    /// The lock on the folder keeps every other process out.
    fn is_shared(&self) -> bool {
        false
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        Ok(self.epoch)
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let commit = Commit { batch: batch.clone(), answer };
        self.batches.send(commit).await.map_err(|_| closed("queueing a batch"))?;
        answered.await.map_err(|_| unanswered())?
    }

    async fn recorded(&self, keys: &[Once]) -> Result<Vec<Option<Stored>>, StoreError> {
        let keys = keys.to_vec();
        read(&self.queries, "reading records", move |db| read::log::recorded(db, &keys)).await
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError> {
        let users = users.to_vec();
        read(&self.queries, "reading accounts", move |db| read::accounts::accounts(db, &users)).await
    }

    async fn account_named(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        let name = name.clone();
        read(&self.queries, "finding an account", move |db| read::accounts::named(db, &name)).await
    }

    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        read(&self.queries, "reading devices", move |db| read::accounts::devices(db, user)).await
    }

    async fn device_with_token(&self, token: &TokenHash) -> Result<Option<Device>, StoreError> {
        let token = *token;
        read(&self.queries, "finding a device", move |db| read::accounts::with_token(db, &token)).await
    }

    async fn group_with_handle(&self, handle: &Handle) -> Result<Option<GroupId>, StoreError> {
        let handle = handle.clone();
        read(&self.queries, "finding a group", move |db| read::heads::with_handle(db, &handle)).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        let conversations = conversations.to_vec();
        read(&self.queries, "reading heads", move |db| read::heads::heads(db, &conversations)).await
    }

    async fn members(&self, of: &[(ConversationId, UserId)]) -> Result<Vec<Option<Member>>, StoreError> {
        let of = of.to_vec();
        read(&self.queries, "reading members", move |db| read::members::members(db, &of)).await
    }

    async fn roster(
        &self,
        conversation: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        let query = move |db: &_| read::members::roster(db, conversation, standing, after, limit);
        read(&self.queries, "reading a roster", query).await
    }

    async fn memberships(
        &self,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<(Head, Member)>, StoreError> {
        let query = move |db: &_| read::members::memberships(db, user, after, limit);
        read(&self.queries, "reading memberships", query).await
    }

    async fn entries(&self, of: ConversationId, range: &Range) -> Result<Vec<Entry>, StoreError> {
        let range = *range;
        read(&self.queries, "reading entries", move |db| read::log::entries(db, of, &range)).await
    }

    async fn history(&self, of: ConversationId, range: &Range) -> Result<History, StoreError> {
        let range = *range;
        read(&self.queries, "reading history", move |db| read::log::history(db, of, &range)).await
    }

    async fn journal(&self, after: &JournalPosition, limit: usize) -> Result<JournalPage, StoreError> {
        let after = after.clone();
        read(&self.queries, "reading the journal", move |db| read::journal::journal(db, &after, limit)).await
    }

    async fn journal_end(&self) -> Result<JournalPosition, StoreError> {
        read(&self.queries, "finding the end of the journal", read::journal::end).await
    }

    async fn close(&self) {
        self.batches.close();
        self.queries.close();
        let mut threads = self.threads.lock().await;
        let last = std::mem::take(&mut *threads);
        ended(last).await;
    }
}

#[async_trait]
impl Export for SqliteStore {
    async fn export(&self, after: Option<&Position>, limits: &PageLimits) -> Result<Vec<Record>, StoreError> {
        let (after, limits) = (after.copied(), *limits);
        let query = move |db: &_| read::archive::export(db, after.as_ref(), &limits);
        read(&self.queries, "exporting", query).await
    }
}
