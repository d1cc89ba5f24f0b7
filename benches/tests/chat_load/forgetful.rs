//! A store that has forgotten something when it is asked.

use std::ops::RangeInclusive;

use async_trait::async_trait;
use chat_core::store::{Batch, JournalPage, JournalPosition, Once, Outcome, Store, StoreError, Stored};
use chat_core::{
    Account, AccountName, ConversationId, Device, Entry, Epoch, GroupId, Handle, Head, History, Member,
    Range, Seq, Standing, TokenHash, UserId,
};

/// As the store within, but for these entries of direct conversations, which cannot be read.
pub(crate) struct Forgetful<S> {
    within: S,
    forgotten: RangeInclusive<Seq>,
}

impl<S: Store> Forgetful<S> {
    pub(crate) fn new(within: S, forgotten: RangeInclusive<Seq>) -> Self {
        Self { within, forgotten }
    }
}

#[async_trait]
impl<S: Store> Store for Forgetful<S> {
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
            entries.retain(|entry| !self.forgotten.contains(&entry.seq));
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
