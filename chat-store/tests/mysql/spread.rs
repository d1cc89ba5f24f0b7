//! One store over several: each call goes to the next of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chat_core::store::{Batch, JournalPage, JournalPosition, Once, Outcome, Store, StoreError, Stored};
use chat_core::{
    Account, AccountName, ConversationId, Device, Entry, Epoch, GroupId, Handle, Head, History, Member,
    Range, Seq, Standing, TokenHash, UserId,
};

/// What a load balancer would do to nodes that share a cluster of databases, and worse: a read does
/// not follow a commit to the same server.
pub(crate) struct Spread<S> {
    stores: Vec<S>,
    calls: AtomicUsize,
}

impl<S: Store> Spread<S> {
    pub(crate) fn over(stores: Vec<S>) -> Self {
        Self { stores, calls: AtomicUsize::new(0) }
    }

    fn next(&self) -> &S {
        &self.stores[self.calls.fetch_add(1, Ordering::Relaxed) % self.stores.len()]
    }
}

#[async_trait]
impl<S: Store> Store for Spread<S> {
    fn shard(&self, conversation: &ConversationId) -> u32 {
        self.stores[0].shard(conversation)
    }

    fn writers(&self) -> usize {
        self.stores[0].writers()
    }

    fn is_shared(&self) -> bool {
        self.stores[0].is_shared()
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.next().epoch().await
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        self.next().commit(batch).await
    }

    async fn recorded(&self, keys: &[Once]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.next().recorded(keys).await
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError> {
        self.next().accounts(users).await
    }

    async fn account_named(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        self.next().account_named(name).await
    }

    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        self.next().devices(user).await
    }

    async fn device_with_token(&self, token: &TokenHash) -> Result<Option<Device>, StoreError> {
        self.next().device_with_token(token).await
    }

    async fn group_with_handle(&self, handle: &Handle) -> Result<Option<GroupId>, StoreError> {
        self.next().group_with_handle(handle).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        self.next().heads(conversations).await
    }

    async fn members(&self, of: &[(ConversationId, UserId)]) -> Result<Vec<Option<Member>>, StoreError> {
        self.next().members(of).await
    }

    async fn roster(
        &self,
        conversation: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        self.next().roster(conversation, standing, after, limit).await
    }

    async fn memberships(
        &self,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<(Head, Member)>, StoreError> {
        self.next().memberships(user, after, limit).await
    }

    async fn entries(&self, of: ConversationId, range: &Range) -> Result<Vec<Entry>, StoreError> {
        self.next().entries(of, range).await
    }

    async fn history(&self, of: ConversationId, range: &Range) -> Result<History, StoreError> {
        self.next().history(of, range).await
    }

    async fn journal(&self, after: &JournalPosition, limit: usize) -> Result<JournalPage, StoreError> {
        self.next().journal(after, limit).await
    }

    async fn journal_end(&self) -> Result<JournalPosition, StoreError> {
        self.next().journal_end().await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.next().probe().await
    }

    async fn close(&self) {
        for store in &self.stores {
            store.close().await;
        }
    }
}
