//! A store with one fault: the right one, but for what the fault does differently.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use chat_core::memory::MemoryStore;
use chat_core::store::{
    Batch, Item, JournalPage, JournalPosition, Once, Outcome, Placed, Store, StoreError, Stored,
};
use chat_core::{
    Account, AccountName, ConversationId, Device, Entry, Epoch, GroupId, Handle, Head, History, Member,
    Range, Seq, Standing, TokenHash, UserId,
};

/// The most calls that a case has use for: one that turns in circles on a wrong store ends here.
const CALLS_LIMIT: u64 = 100_000;

pub(crate) type Answer<T> = Result<T, StoreError>;

/// A line of the table: a fault, the case that has to find it, and a fresh store that has it.
pub(crate) struct WrongStore {
    pub(crate) fault: &'static str,
    pub(crate) case: &'static str,
    pub(crate) fresh: fn() -> Arc<dyn Store>,
}

/// What a wrong store does otherwise than the right one. What a fault leaves out is right.
#[async_trait]
pub(crate) trait Fault: Send + Sync + 'static {
    /// Whether a batch is evaluated at all.
    fn accepts(&self, batch: &Batch) -> Answer<()> {
        batch.check()
    }

    /// Commits a batch, item by item: the contract lets nobody tell that from one transaction.
    async fn commit(&self, right: &MemoryStore, batch: &Batch) -> Answer<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(batch.items.len());
        for item in &batch.items {
            outcomes.push(self.item(right, batch, item).await?);
        }
        Ok(outcomes)
    }

    /// Commits one item of a batch.
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        alone(right, batch, item.clone()).await
    }

    /// Spoils where an entry is said to stand.
    fn spoil_placed(&self, of: ConversationId, placed: &mut Placed) {
        let _ = (of, placed);
    }

    /// Spoils an entry that is read.
    fn spoil_entry(&self, of: ConversationId, entry: &mut Entry) {
        let _ = (of, entry);
    }

    /// Spoils a head that is read.
    fn spoil_head(&self, head: &mut Head) {
        let _ = head;
    }

    /// Spoils a member's row that is read.
    fn spoil_member(&self, member: &mut Member) {
        let _ = member;
    }

    async fn epoch(&self, right: &MemoryStore) -> Answer<Epoch> {
        right.epoch().await
    }

    async fn probe(&self, right: &MemoryStore) -> Answer<()> {
        right.probe().await
    }

    async fn recorded(&self, right: &MemoryStore, keys: &[Once]) -> Answer<Vec<Option<Stored>>> {
        right.recorded(keys).await
    }

    async fn accounts(&self, right: &MemoryStore, users: &[UserId]) -> Answer<Vec<Option<Account>>> {
        right.accounts(users).await
    }

    async fn account_named(&self, right: &MemoryStore, name: &AccountName) -> Answer<Option<Account>> {
        right.account_named(name).await
    }

    async fn devices(&self, right: &MemoryStore, user: UserId) -> Answer<Vec<Device>> {
        right.devices(user).await
    }

    async fn device_with_token(&self, right: &MemoryStore, token: &TokenHash) -> Answer<Option<Device>> {
        right.device_with_token(token).await
    }

    async fn group_with_handle(&self, right: &MemoryStore, handle: &Handle) -> Answer<Option<GroupId>> {
        right.group_with_handle(handle).await
    }

    async fn heads(&self, right: &MemoryStore, of: &[ConversationId]) -> Answer<Vec<Head>> {
        right.heads(of).await
    }

    async fn members(
        &self,
        right: &MemoryStore,
        of: &[(ConversationId, UserId)],
    ) -> Answer<Vec<Option<Member>>> {
        right.members(of).await
    }

    async fn roster(
        &self,
        right: &MemoryStore,
        of: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Answer<Vec<Member>> {
        right.roster(of, standing, after, limit).await
    }

    async fn memberships(
        &self,
        right: &MemoryStore,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Answer<Vec<(Head, Member)>> {
        right.memberships(user, after, limit).await
    }

    async fn entries(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<Vec<Entry>> {
        right.entries(of, range).await
    }

    async fn history(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<History> {
        right.history(of, range).await
    }

    async fn journal(
        &self,
        right: &MemoryStore,
        after: &JournalPosition,
        limit: usize,
    ) -> Answer<JournalPage> {
        right.journal(after, limit).await
    }

    async fn journal_end(&self, right: &MemoryStore) -> Answer<JournalPosition> {
        right.journal_end().await
    }
}

/// No fault: what makes a store wrong is the fault alone.
pub(crate) struct Nothing;

impl Fault for Nothing {}

/// Every item is rewritten before it is committed.
pub(crate) struct Rewrites(pub(crate) fn(&mut Item));

#[async_trait]
impl Fault for Rewrites {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let mut rewritten = item.clone();
        self.0(&mut rewritten);
        alone(right, batch, rewritten).await
    }
}

/// An item in a transaction of its own.
pub(crate) async fn alone(right: &MemoryStore, batch: &Batch, item: Item) -> Answer<Outcome> {
    let outcomes = right.commit(&Batch { items: vec![item], ..batch.clone() }).await?;
    Ok(outcomes.into_iter().next().expect("one outcome per item"))
}

/// What an item's preconditions say at this moment; `None` when they hold.
pub(crate) async fn refused(right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Option<Outcome>> {
    let asking = Item { require: item.require.clone(), ..Item::default() };
    let outcome = alone(right, batch, asking).await?;
    Ok((outcome != Outcome::Committed(Vec::new())).then_some(outcome))
}

pub(crate) fn with(fault: impl Fault) -> Arc<dyn Store> {
    Arc::new(Faulty { right: MemoryStore::new(Epoch(7)), fault, calls: AtomicU64::new(0) })
}

struct Faulty<F> {
    right: MemoryStore,
    fault: F,
    calls: AtomicU64,
}

impl<F: Fault> Faulty<F> {
    fn right(&self) -> &MemoryStore {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        assert!(calls < CALLS_LIMIT, "the case goes on for ever");
        &self.right
    }
}

#[async_trait]
impl<F: Fault> Store for Faulty<F> {
    async fn epoch(&self) -> Answer<Epoch> {
        self.fault.epoch(self.right()).await
    }

    async fn probe(&self) -> Answer<()> {
        self.fault.probe(self.right()).await
    }

    async fn commit(&self, batch: &Batch) -> Answer<Vec<Outcome>> {
        self.fault.accepts(batch)?;
        let mut outcomes = self.fault.commit(self.right(), batch).await?;
        for (outcome, item) in outcomes.iter_mut().zip(&batch.items) {
            if let Outcome::Committed(placed) = outcome {
                for (placed, append) in placed.iter_mut().zip(&item.append) {
                    self.fault.spoil_placed(append.conversation, placed);
                }
            }
        }
        Ok(outcomes)
    }

    async fn recorded(&self, keys: &[Once]) -> Answer<Vec<Option<Stored>>> {
        self.fault.recorded(self.right(), keys).await
    }

    async fn accounts(&self, users: &[UserId]) -> Answer<Vec<Option<Account>>> {
        self.fault.accounts(self.right(), users).await
    }

    async fn account_named(&self, name: &AccountName) -> Answer<Option<Account>> {
        self.fault.account_named(self.right(), name).await
    }

    async fn devices(&self, user: UserId) -> Answer<Vec<Device>> {
        self.fault.devices(self.right(), user).await
    }

    async fn device_with_token(&self, token: &TokenHash) -> Answer<Option<Device>> {
        self.fault.device_with_token(self.right(), token).await
    }

    async fn group_with_handle(&self, handle: &Handle) -> Answer<Option<GroupId>> {
        self.fault.group_with_handle(self.right(), handle).await
    }

    async fn heads(&self, of: &[ConversationId]) -> Answer<Vec<Head>> {
        let mut heads = self.fault.heads(self.right(), of).await?;
        heads.iter_mut().for_each(|head| self.fault.spoil_head(head));
        Ok(heads)
    }

    async fn members(&self, of: &[(ConversationId, UserId)]) -> Answer<Vec<Option<Member>>> {
        let mut members = self.fault.members(self.right(), of).await?;
        members.iter_mut().flatten().for_each(|member| self.fault.spoil_member(member));
        Ok(members)
    }

    async fn roster(
        &self,
        of: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Answer<Vec<Member>> {
        let mut members = self.fault.roster(self.right(), of, standing, after, limit).await?;
        members.iter_mut().for_each(|member| self.fault.spoil_member(member));
        Ok(members)
    }

    async fn memberships(
        &self,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Answer<Vec<(Head, Member)>> {
        let mut found = self.fault.memberships(self.right(), user, after, limit).await?;
        for (head, member) in &mut found {
            self.fault.spoil_head(head);
            self.fault.spoil_member(member);
        }
        Ok(found)
    }

    async fn entries(&self, of: ConversationId, range: &Range) -> Answer<Vec<Entry>> {
        let mut entries = self.fault.entries(self.right(), of, range).await?;
        entries.iter_mut().for_each(|entry| self.fault.spoil_entry(of, entry));
        Ok(entries)
    }

    async fn history(&self, of: ConversationId, range: &Range) -> Answer<History> {
        let mut page = self.fault.history(self.right(), of, range).await?;
        for entry in page.entries.iter_mut().chain(&mut page.referring) {
            self.fault.spoil_entry(of, entry);
        }
        Ok(page)
    }

    async fn journal(&self, after: &JournalPosition, limit: usize) -> Answer<JournalPage> {
        self.fault.journal(self.right(), after, limit).await
    }

    async fn journal_end(&self) -> Answer<JournalPosition> {
        self.fault.journal_end(self.right()).await
    }

    async fn close(&self) {}
}
