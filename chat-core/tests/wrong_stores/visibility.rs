//! Faults of what a read sees.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chat_core::memory::MemoryStore;
use chat_core::store::{Batch, JournalPage, JournalPosition, Once, Outcome, Store, Stored};
use chat_core::{
    Account, AccountName, ConversationId, Device, Entry, Epoch, GroupId, Handle, Head, History, Member,
    Range, Seq, Standing, TokenHash, UserId,
};

use crate::store::{Answer, Fault, WrongStore, with};

const READS: &str = "racing_reads_of_every_kind_see_acknowledged_commits";

pub(crate) const FAULTS: &[WrongStore] = &[
    WrongStore {
        fault: "acknowledges commits before they are visible",
        case: "racing_readers_see_only_whole_items_and_every_acknowledged_commit",
        fresh: || with(Lags::behind(|_| true)),
    },
    stale("reads heads from a stale replica", || with(Lags::behind(|read| read == Read::Heads))),
    stale("reads records from a stale replica", || with(Lags::behind(|read| read == Read::Recorded))),
    stale("reads accounts from a stale replica", || with(Lags::behind(|read| read == Read::Accounts))),
    stale("reads names from a stale replica", || with(Lags::behind(|read| read == Read::Names))),
    stale("reads devices from a stale replica", || with(Lags::behind(|read| read == Read::Devices))),
    stale("reads tokens from a stale replica", || with(Lags::behind(|read| read == Read::Tokens))),
    stale("reads handles from a stale replica", || with(Lags::behind(|read| read == Read::Handles))),
    stale("reads members from a stale replica", || with(Lags::behind(|read| read == Read::Members))),
    stale("reads rosters from a stale replica", || with(Lags::behind(|read| read == Read::Rosters))),
    stale("reads memberships from a stale replica", || with(Lags::behind(|read| read == Read::Memberships))),
    stale("reads entries from a stale replica", || with(Lags::behind(|read| read == Read::Entries))),
    stale("reads history from a stale replica", || with(Lags::behind(|read| read == Read::History))),
    stale("reads the journal from a stale replica", || with(Lags::behind(|read| read == Read::Journal))),
];

const fn stale(fault: &'static str, fresh: fn() -> std::sync::Arc<dyn Store>) -> WrongStore {
    WrongStore { fault, case: READS, fresh }
}

#[derive(Clone, Copy, PartialEq)]
enum Read {
    Heads,
    Recorded,
    Accounts,
    Names,
    Devices,
    Tokens,
    Handles,
    Members,
    Rosters,
    Memberships,
    Entries,
    History,
    Journal,
}

/// Some reads go to a replica that, while several commit, is one batch behind.
struct Lags {
    which: fn(Read) -> bool,
    replica: MemoryStore,
    committing: AtomicUsize,
    /// What the replica lacks.
    lacking: Mutex<Option<Batch>>,
}

impl Lags {
    fn behind(which: fn(Read) -> bool) -> Self {
        Self {
            which,
            replica: MemoryStore::new(Epoch(7)),
            committing: AtomicUsize::new(0),
            lacking: Mutex::default(),
        }
    }

    fn of<'a>(&'a self, right: &'a MemoryStore, read: Read) -> &'a MemoryStore {
        if (self.which)(read) { &self.replica } else { right }
    }

    /// Brings the replica up to a batch, or to the one before it.
    async fn replicate(&self, batch: &Batch) -> Answer<()> {
        let lacking = self.lacking.lock().expect("no panic").take();
        if let Some(earlier) = lacking {
            self.replica.commit(&earlier).await?;
        }
        if self.committing.load(Ordering::Relaxed) > 1 {
            *self.lacking.lock().expect("no panic") = Some(batch.clone());
        } else {
            self.replica.commit(batch).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Fault for Lags {
    async fn commit(&self, right: &MemoryStore, batch: &Batch) -> Answer<Vec<Outcome>> {
        self.committing.fetch_add(1, Ordering::Relaxed);
        // Nothing below waits: on one thread both stores commit in the same order.
        tokio::task::yield_now().await;
        let outcomes = right.commit(batch).await?;
        self.replicate(batch).await?;
        self.committing.fetch_sub(1, Ordering::Relaxed);
        Ok(outcomes)
    }

    async fn recorded(&self, right: &MemoryStore, keys: &[Once]) -> Answer<Vec<Option<Stored>>> {
        self.of(right, Read::Recorded).recorded(keys).await
    }

    async fn accounts(&self, right: &MemoryStore, users: &[UserId]) -> Answer<Vec<Option<Account>>> {
        self.of(right, Read::Accounts).accounts(users).await
    }

    async fn account_named(&self, right: &MemoryStore, name: &AccountName) -> Answer<Option<Account>> {
        self.of(right, Read::Names).account_named(name).await
    }

    async fn devices(&self, right: &MemoryStore, user: UserId) -> Answer<Vec<Device>> {
        self.of(right, Read::Devices).devices(user).await
    }

    async fn device_with_token(&self, right: &MemoryStore, token: &TokenHash) -> Answer<Option<Device>> {
        self.of(right, Read::Tokens).device_with_token(token).await
    }

    async fn group_with_handle(&self, right: &MemoryStore, handle: &Handle) -> Answer<Option<GroupId>> {
        self.of(right, Read::Handles).group_with_handle(handle).await
    }

    async fn heads(&self, right: &MemoryStore, of: &[ConversationId]) -> Answer<Vec<Head>> {
        self.of(right, Read::Heads).heads(of).await
    }

    async fn members(
        &self,
        right: &MemoryStore,
        of: &[(ConversationId, UserId)],
    ) -> Answer<Vec<Option<Member>>> {
        self.of(right, Read::Members).members(of).await
    }

    async fn roster(
        &self,
        right: &MemoryStore,
        of: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Answer<Vec<Member>> {
        self.of(right, Read::Rosters).roster(of, standing, after, limit).await
    }

    async fn memberships(
        &self,
        right: &MemoryStore,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Answer<Vec<(Head, Member)>> {
        self.of(right, Read::Memberships).memberships(user, after, limit).await
    }

    async fn entries(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<Vec<Entry>> {
        self.of(right, Read::Entries).entries(of, range).await
    }

    async fn history(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<History> {
        self.of(right, Read::History).history(of, range).await
    }

    async fn journal(
        &self,
        right: &MemoryStore,
        after: &JournalPosition,
        limit: usize,
    ) -> Answer<JournalPage> {
        self.of(right, Read::Journal).journal(after, limit).await
    }
}
