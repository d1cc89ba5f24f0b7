//! The shared store: one database of MariaDB, MySQL or what speaks their protocol, used by all nodes.
//!
//! What the tables mean is written in `mysql/migrations`; how many round trips a batch takes, in
//! `mysql/commit.rs`.
//!
//! # Concurrency
//! Every head that a batch names is locked for its transaction, and with a head its log and its
//! members. Transactions are `READ COMMITTED`: a statement after the lock sees what the lock's last
//! holder committed. Deadlocks, lock waits beyond two seconds and failed certifications (Galera) are
//! run again, with pauses that grow; a batch that keeps meeting others goes on in halves, one after the
//! other, until what is contended is alone: what stands before it in the batch is committed then, and what
//! stands behind it waits, since items see what earlier ones wrote. An item is never divided.
//!
//! A node that stands still inside a transaction loses it, and with it its locks, within some two
//! seconds: the server ends it (`idle_transaction_timeout` of MariaDB, `wait_timeout` elsewhere). A head that
//! somebody else holds, such as an operator's session, holds its own conversation and the batches that
//! name it; these are answered unavailable at their deadline.
//!
//! On Galera a batch that met one of another server begins again; nobody queues. Who has lost a few
//! times leaves a claim, and others let it go first (`mysql/claims.rs`). So writers of one hot
//! conversation on several servers all get on, but at a fraction of the rate: let the nodes write to
//! one server, and the others take over.
//!
//! # Shards
//! For an engine that shards by conversation, [`MysqlOptions::shards`] has batches keep to one shard:
//! `CRC32(conversation) MOD shards`, which the server can compute as well. It groups what is written
//! and nothing else, so nodes with different numbers get on with each other; more shards than there are
//! mean smaller batches. This was tested on MariaDB, which is one shard, and on no sharding engine.
//!
//! | tables | belong to |
//! |---|---|
//! | `head`, `log`, `referring`, `member`, `trimmed_command` | the conversation, which is part of every unique key of theirs |
//! | `journal`, `claim` | the writer, a committer of a node; followers read all of the journal |
//! | `account`, `device`, `chat_group` | a user or a group; names, handles and tokens are looked up, and the first two unique, among all |
//! | `store`, `schema_version`, `archive_import` | nobody: at most one row each |
//!
//! What that asks of the engine:
//! - The tables of conversations are distributed by `conversation`; the others can stay on one shard.
//! - A batch that appends writes its row of the journal in the same transaction. Unless that row is on
//!   the same shard, a transaction has two parties, however many shards there are, and needs an atomic
//!   commit of both: a batch that is there without its row is not found by other nodes.
//! - An item is never divided. One that by its nature concerns several conversations is committed with
//!   the shard of the first that it appends to, and its transaction writes to theirs too: contacts (the direct
//!   conversation and both inboxes), the creation of a group (the group, the creator's and the members' inboxes),
//!   whatever leaves a notice in somebody's inbox; and what writes to the registry beside a log. Texts, edits,
//!   reactions, recalls and positions concern one. Heads that an item only compares are locked, and made where there
//!   are none: those of the direct conversations with the members that a group begins with.
//! - The conversations of a user (`member_by_user`) are looked for on every shard.
//!
//! # Durability
//! That of the server: a commit is acknowledged when the server has committed.
//!
//! # Throughput
//! Rows per second as a share of the bare limit: transactions of one multi-row insert into the log and
//! one multi-row upsert of heads, which read nothing and keep no totals and no journal. Messages of 100
//! bytes in 10,000 conversations, a buffer pool of 2 GiB and a redo log of 1 GiB. The middle of three
//! runs and all of them; server and clients shared two virtual cores and a disk with much other work,
//! which makes some shares too good: with one writer both mostly waited for the disk.
//!
//! | batch | statements | 1 writer | 4 writers |
//! |---|---|---|---|
//! | 1 | 6 | 0.90 (0.53–0.92) | 0.55 (0.54–0.58) |
//! | 10 | 6 | 0.57 (0.41–0.95) | 0.55 (0.52–0.55) |
//! | 100 | 7 | 0.87 (0.57–0.93) | 0.56 (0.51–0.58) |
//! | 1,000 | 8 | 0.56 (0.51–0.60) | 0.65 (0.45–0.70) |
//!
//! Since then all but the first of a small batch's statements travel in one packet (`mysql/script.rs`; not on
//! Galera), which the shares do not show. `benches/README.md` of the repository has what that was worth to nodes.
//!
//! What a batch costs beyond the bare limit is the locking read of its heads, the upsert of its senders'
//! totals and its row of the journal.
//!
//! A log in the order of arrival, with small indexes, took 1.2 times the rows per second in batches of
//! 1,000, but gave 0.55 times the pages of the last fifty, all of it in memory; where it is not, each
//! page is fifty places of the disk. So the log is clustered by conversation.
//! `cargo bench -p chat-store --features server-tests --bench mysql` measures both.
//!
//! # Settings of the server
//! | setting | why |
//! |---|---|
//! | `innodb_flush_log_at_trx_commit = 1` | the default; anything else loses acknowledged messages |
//! | `innodb_buffer_pool_size` | what is in daily use should fit; see below for what the default of 128 MiB costs |
//! | `innodb_log_file_size = 1G` (MySQL: `innodb_redo_log_capacity`) | fewer and larger checkpoints |
//! | `max_allowed_packet` of at least 16 MiB | the default of MariaDB; statements keep to about 4 MiB |
//! | `max_connections` | per node the readers and writers of [`MysqlOptions`] |
//! | `max_prepared_stmt_count` | a hundred and some for each writer and reader of all nodes |
//! | `sync_binlog = 1` | where the binary log is on and a replica may be promoted |
//!
//! What pool and log are worth, in one run of `cargo bench … --bench mysql -- settings` on a busy machine: bare
//! inserts of four writers in batches of 1,000, in spans of ten seconds one after another, went at 36,300, 8,900,
//! 8,200, 8,000 and 7,300 rows per second with MariaDB's defaults (128 MiB and 96 MiB), and at 41,000, 42,300,
//! 39,600, 45,900 and 51,300 with a pool of 2 GiB and a log of 1 GiB: five to seven times as many, once the log
//! has outgrown the defaults.
//!
//! Read from the server that is written to: a replica that lags shows less than was acknowledged. On
//! Galera sessions wait by themselves for what other servers committed (`wsrep_sync_wait`).
//!
//! TLS is asked for in the address, `mysql://…/chat?require_ssl=true`, or by [`MysqlOptions::tls_ca`].

mod claims;
mod commit;
mod connections;
mod error;
mod import;
mod open;
mod read;
mod schema;
mod script;
mod settle;
mod statement;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use chat_core::store::archive::{Export, PageLimits, Position, Record};
use chat_core::store::{Batch, JournalPage, JournalPosition, Once, Outcome, Store, StoreError, Stored};
use chat_core::{
    Account, AccountName, ConversationId, Device, Entry, Epoch, GroupId, Handle, Head, History, Member,
    Range, Seq, Standing, Timestamp, TokenHash, UserId,
};
use tokio::time::{Instant, timeout_at};

pub use import::MysqlImport;
pub use open::{OpenError, SchemaState, check, migrate};

use claims::{Claims, Turns};
use connections::Connections;
use error::{Failure, Remedy};
use open::Opened;

/// How a [`MysqlStore`] uses its database.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MysqlOptions {
    /// The connections that read; at least 1. By default 8.
    pub readers: usize,
    /// The connections that write, each one batch at a time; at least 1. By default 4.
    pub writers: usize,
    /// Into how many shards conversations fall; at least 1. By default 1, which is right for a database
    /// that is not sharded. See the [module](self#shards) for what follows from more.
    pub shards: u32,
    /// How long a call may take, the wait for a connection included. By default 5 seconds.
    pub deadline: Duration,
    /// A file with the certificates, in PEM, that the server's own is checked against; with it,
    /// connections use TLS, and no other authority counts. By default the address decides, and the
    /// usual authorities count.
    pub tls_ca: Option<PathBuf>,
    /// The epoch of a store that is created; by default it is drawn. An existing store keeps its own.
    pub epoch: Option<Epoch>,
}

impl Default for MysqlOptions {
    fn default() -> Self {
        Self {
            readers: 8,
            writers: 4,
            shards: 1,
            deadline: Duration::from_secs(5),
            tls_ca: None,
            epoch: None,
        }
    }
}

/// A [`Store`] in a database that other nodes use too.
#[derive(Debug)]
pub struct MysqlStore {
    readers: Connections,
    writers: Connections,
    /// Where several servers take writes.
    claims: Option<Claims>,
    options: MysqlOptions,
}

/// Runs a query on a connection for reading, and once more on another one if the first turns out to
/// have been closed since its last use. A macro, since a closure cannot lend out its connection.
macro_rules! read {
    ($store:ident, $attempted:literal, |$conn:ident| $query:expr) => {{
        let deadline = $store.deadline();
        loop {
            let lease = $store.readers.take(deadline).await;
            let mut lease = lease.map_err(|failure| failure.during($attempted))?;
            let $conn = lease.conn();
            match timeout_at(deadline, $query).await.unwrap_or(Err(Failure::Late)) {
                Ok(found) => {
                    lease.give_back();
                    break Ok(found);
                }
                Err(failure) if failure.remedy() == Remedy::Reconnect && lease.is_reused() => {
                    $store.readers.forget_idle();
                }
                Err(failure) => {
                    if failure.spares_connection() {
                        lease.give_back();
                    }
                    break Err(failure.during($attempted));
                }
            }
        }
    }};
}

impl MysqlStore {
    /// Connects to a database, which must exist, and makes or migrates its tables.
    ///
    /// The address has the form `mysql://user:password@host:3306/name`.
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way; tables that are newer are left as they are.
    pub async fn connect(url: &str, options: &MysqlOptions) -> Result<Self, OpenError> {
        let Opened { readers, writers, is_cluster } = Opened::database(url, options).await?;
        let claims = is_cluster.then(Claims::default);
        Ok(Self { readers, writers, claims, options: options.clone() })
    }

    /// Deletes up to `limit` rows of the journal of batches before a time, and says how many. Nodes
    /// and other followers that have not read them by then miss what they tell.
    ///
    /// # Errors
    /// Those of the trait's writes.
    pub async fn prune_journal(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        const ATTEMPTED: &str = "pruning the journal";
        let deadline = self.deadline();
        let lease = self.writers.take(deadline).await;
        let mut lease = lease.map_err(|failure| failure.during(ATTEMPTED))?;
        let pruning = commit::prune(lease.conn(), before, limit);
        let pruned = timeout_at(deadline, pruning).await.unwrap_or(Err(Failure::Late));
        if pruned.is_ok() {
            lease.give_back();
        }
        pruned.map_err(|failure| failure.during(ATTEMPTED))
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.options.deadline
    }
}

#[async_trait]
impl Store for MysqlStore {
    /// The same for each node, and for the server: `CRC32(conversation) MOD shards`.
    fn shard(&self, conversation: &ConversationId) -> u32 {
        crc32fast::hash(&conversation.key()) % self.options.shards.max(1)
    }

    fn writers(&self) -> usize {
        self.options.writers.max(1)
    }

    /// Read each time: an operator may change it while nodes run.
    async fn epoch(&self) -> Result<Epoch, StoreError> {
        read!(self, "reading the epoch", |conn| schema::epoch(conn))
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        batch.check()?;
        if batch.items.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = self.deadline();
        let turns = self.claims.as_ref().map(|claims| Turns {
            claims,
            connections: &self.readers,
            writer: batch.writer,
            deadline,
        });
        settle::commit(&self.writers, batch, deadline, turns).await
    }

    async fn recorded(&self, keys: &[Once]) -> Result<Vec<Option<Stored>>, StoreError> {
        read!(self, "reading records", |conn| read::log::recorded(conn, keys))
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError> {
        read!(self, "reading accounts", |conn| read::accounts::accounts(conn, users))
    }

    async fn account_named(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        read!(self, "finding an account", |conn| read::accounts::named(conn, name))
    }

    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        read!(self, "reading devices", |conn| read::accounts::devices(conn, user))
    }

    async fn device_with_token(&self, token: &TokenHash) -> Result<Option<Device>, StoreError> {
        read!(self, "finding a device", |conn| read::accounts::with_token(conn, token))
    }

    async fn group_with_handle(&self, handle: &Handle) -> Result<Option<GroupId>, StoreError> {
        read!(self, "finding a group", |conn| read::heads::with_handle(conn, handle))
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        read!(self, "reading heads", |conn| read::heads::heads(conn, conversations))
    }

    async fn members(&self, of: &[(ConversationId, UserId)]) -> Result<Vec<Option<Member>>, StoreError> {
        read!(self, "reading members", |conn| read::members::members(conn, of))
    }

    async fn roster(
        &self,
        conversation: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        read!(self, "reading a roster", |conn| {
            read::members::roster(conn, conversation, standing, after, limit)
        })
    }

    async fn memberships(
        &self,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<(Head, Member)>, StoreError> {
        read!(self, "reading memberships", |conn| read::members::memberships(conn, user, after, limit))
    }

    async fn entries(&self, of: ConversationId, range: &Range) -> Result<Vec<Entry>, StoreError> {
        read!(self, "reading entries", |conn| read::log::entries(conn, of, range))
    }

    async fn history(&self, of: ConversationId, range: &Range) -> Result<History, StoreError> {
        read!(self, "reading history", |conn| read::log::history(conn, of, range))
    }

    async fn journal(&self, after: &JournalPosition, limit: usize) -> Result<JournalPage, StoreError> {
        read!(self, "reading the journal", |conn| read::journal::journal(conn, after, limit))
    }

    async fn journal_end(&self) -> Result<JournalPosition, StoreError> {
        read!(self, "finding the end of the journal", |conn| read::journal::end(conn))
    }

    async fn probe(&self) -> Result<(), StoreError> {
        read!(self, "probing", |conn| schema::probe(conn))
    }

    async fn close(&self) {
        let patience = self.options.deadline;
        self.writers.close(patience).await;
        self.readers.close(patience).await;
    }
}

#[async_trait]
impl Export for MysqlStore {
    async fn export(&self, after: Option<&Position>, limits: &PageLimits) -> Result<Vec<Record>, StoreError> {
        read!(self, "exporting", |conn| read::archive::export(conn, after, limits))
    }
}
