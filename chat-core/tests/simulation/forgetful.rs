//! A store that loses every twentieth message and says that it has written it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use chat_core::store::{
    Batch, JournalPage, JournalPosition, Once, Outcome, Placed, Store, StoreError, Stored,
};
use chat_core::{
    Account, AccountName, ConversationId, Device, Entry, Epoch, GroupId, Handle, Head, History, Member,
    Range, Seq, Standing, TokenHash, UserId,
};

pub(crate) struct Forgetful {
    store: Arc<dyn Store>,
    messages: AtomicU64,
}

impl Forgetful {
    pub(crate) fn over(store: Arc<dyn Store>) -> Self {
        Self { store, messages: AtomicU64::new(0) }
    }

    fn forgets(&self, batch: &Batch) -> bool {
        let is_message = batch.items.len() == 1 && batch.items[0].append.iter().any(|entry| entry.countable);
        is_message && self.messages.fetch_add(1, Ordering::Relaxed) % 20 == 19
    }
}

#[async_trait]
impl Store for Forgetful {
    fn shard(&self, conversation: &ConversationId) -> u32 {
        self.store.shard(conversation)
    }

    fn writers(&self) -> usize {
        self.store.writers()
    }

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.store.epoch().await
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        if !self.forgets(batch) {
            return self.store.commit(batch).await;
        }
        let conversation = batch.items[0].append[0].conversation;
        let head = self.store.heads(&[conversation]).await?.remove(0);
        let placed = Placed { seq: head.seq + 1, ordinal: head.ordinal + 1, time: batch.now.max(head.time) };
        Ok(vec![Outcome::Committed(vec![placed])])
    }

    async fn recorded(&self, keys: &[Once]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.store.recorded(keys).await
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError> {
        self.store.accounts(users).await
    }

    async fn account_named(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        self.store.account_named(name).await
    }

    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        self.store.devices(user).await
    }

    async fn device_with_token(&self, token: &TokenHash) -> Result<Option<Device>, StoreError> {
        self.store.device_with_token(token).await
    }

    async fn group_with_handle(&self, handle: &Handle) -> Result<Option<GroupId>, StoreError> {
        self.store.group_with_handle(handle).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        self.store.heads(conversations).await
    }

    async fn members(&self, of: &[(ConversationId, UserId)]) -> Result<Vec<Option<Member>>, StoreError> {
        self.store.members(of).await
    }

    async fn roster(
        &self,
        conversation: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        self.store.roster(conversation, standing, after, limit).await
    }

    async fn memberships(
        &self,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<(Head, Member)>, StoreError> {
        self.store.memberships(user, after, limit).await
    }

    async fn entries(&self, of: ConversationId, range: &Range) -> Result<Vec<Entry>, StoreError> {
        self.store.entries(of, range).await
    }

    async fn history(&self, of: ConversationId, range: &Range) -> Result<History, StoreError> {
        self.store.history(of, range).await
    }

    async fn journal(&self, after: &JournalPosition, limit: usize) -> Result<JournalPage, StoreError> {
        self.store.journal(after, limit).await
    }

    async fn journal_end(&self) -> Result<JournalPosition, StoreError> {
        self.store.journal_end().await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.store.probe().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
