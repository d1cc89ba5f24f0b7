//! A store that does not keep its promises, or not in time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chat_core::store::{Batch, JournalPage, JournalPosition, Once, Outcome, Store, StoreError, Stored};
use chat_core::{
    Account, AccountName, ConversationId, Device, Entry, Epoch, GroupId, Handle, Head, History, Member,
    Range, Seq, Standing, TokenHash, UserId,
};

/// What becomes of the entries of a direct conversation when they are read.
type Change = Box<dyn Fn(&mut Vec<Entry>) + Send + Sync>;

/// As the store within, but for its flaw.
pub(crate) struct Flawed<S> {
    within: S,
    change: Change,
    stall: Duration,
    /// Commits to direct conversations so far.
    commits: AtomicUsize,
}

impl<S: Store> Flawed<S> {
    /// What it reads of direct conversations is changed so.
    pub(crate) fn reading(within: S, change: impl Fn(&mut Vec<Entry>) + Send + Sync + 'static) -> Self {
        Self { within, change: Box::new(change), stall: Duration::ZERO, commits: AtomicUsize::new(0) }
    }

    /// The second commit to a direct conversation takes so long: the first of a run, since one comes before.
    pub(crate) fn stalling(within: S, stall: Duration) -> Self {
        Self { within, change: Box::new(|_| {}), stall, commits: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl<S: Store> Store for Flawed<S> {
    fn shard(&self, conversation: &ConversationId) -> u32 {
        self.within.shard(conversation)
    }

    fn writers(&self) -> usize {
        self.within.writers()
    }

    fn is_shared(&self) -> bool {
        self.within.is_shared()
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.within.epoch().await
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        let mut appended = batch.items.iter().flat_map(|item| &item.append);
        if appended.any(|entry| matches!(entry.conversation, ConversationId::Direct(_)))
            && self.commits.fetch_add(1, Ordering::Relaxed) == 1
        {
            tokio::time::sleep(self.stall).await;
        }
        self.within.commit(batch).await
    }

    async fn recorded(&self, keys: &[Once]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.within.recorded(keys).await
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError> {
        self.within.accounts(users).await
    }

    async fn account_named(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        self.within.account_named(name).await
    }

    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        self.within.devices(user).await
    }

    async fn device_with_token(&self, token: &TokenHash) -> Result<Option<Device>, StoreError> {
        self.within.device_with_token(token).await
    }

    async fn group_with_handle(&self, handle: &Handle) -> Result<Option<GroupId>, StoreError> {
        self.within.group_with_handle(handle).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        self.within.heads(conversations).await
    }

    async fn members(&self, of: &[(ConversationId, UserId)]) -> Result<Vec<Option<Member>>, StoreError> {
        self.within.members(of).await
    }

    async fn roster(
        &self,
        conversation: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        self.within.roster(conversation, standing, after, limit).await
    }

    async fn memberships(
        &self,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<(Head, Member)>, StoreError> {
        self.within.memberships(user, after, limit).await
    }

    async fn entries(&self, of: ConversationId, range: &Range) -> Result<Vec<Entry>, StoreError> {
        let mut entries = self.within.entries(of, range).await?;
        if matches!(of, ConversationId::Direct(_)) {
            (self.change)(&mut entries);
        }
        Ok(entries)
    }

    async fn history(&self, of: ConversationId, range: &Range) -> Result<History, StoreError> {
        self.within.history(of, range).await
    }

    async fn journal(&self, after: &JournalPosition, limit: usize) -> Result<JournalPage, StoreError> {
        self.within.journal(after, limit).await
    }

    async fn journal_end(&self) -> Result<JournalPosition, StoreError> {
        self.within.journal_end().await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.within.probe().await
    }

    async fn close(&self) {
        self.within.close().await;
    }
}
