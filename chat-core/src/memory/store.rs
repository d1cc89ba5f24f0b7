//! The store that the contract is read against: plain maps under one lock, in key order throughout.

mod archive;
mod commit;
mod state;

use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;

use crate::store::{Batch, JournalPage, JournalPosition, Once, Outcome, Store, StoreError, Stored};
use crate::{
    Account, AccountName, ConversationId, Device, Entry, Epoch, GroupId, Handle, Head, History, Member,
    Range, Seq, Standing, TokenHash, UserId,
};
use state::State;

pub use archive::MemoryImport;

/// A [`Store`] in memory: deterministic, complete, and durable for as long as it exists.
///
/// It is for tests, simulations and applications that want chat without history. Several engines may
/// share one, as nodes share a database.
#[derive(Debug)]
pub struct MemoryStore {
    epoch: Epoch,
    /// Everything that is stored. Held for one call of the trait at a time, never across an await.
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store with this history.
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state")
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn epoch(&self) -> Result<Epoch, StoreError> {
        Ok(self.epoch)
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        batch.check()?;
        Ok(self.state().commit(batch))
    }

    async fn recorded(&self, keys: &[Once]) -> Result<Vec<Option<Stored>>, StoreError> {
        let state = self.state();
        Ok(keys.iter().map(|key| state.recorded(key)).collect())
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError> {
        let state = self.state();
        Ok(users.iter().map(|user| state.accounts.get(user).cloned()).collect())
    }

    async fn account_named(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        let state = self.state();
        Ok(state.names.get(name).and_then(|user| state.accounts.get(user)).cloned())
    }

    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        Ok(self.state().devices_of(user))
    }

    async fn device_with_token(&self, token: &TokenHash) -> Result<Option<Device>, StoreError> {
        let state = self.state();
        Ok(state.tokens.get(token).and_then(|device| state.devices.get(device)).cloned())
    }

    async fn group_with_handle(&self, handle: &Handle) -> Result<Option<GroupId>, StoreError> {
        Ok(self.state().handles.get(handle).copied())
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        let state = self.state();
        Ok(conversations.iter().map(|id| state.head(*id)).collect())
    }

    async fn members(&self, of: &[(ConversationId, UserId)]) -> Result<Vec<Option<Member>>, StoreError> {
        let state = self.state();
        let member = |conversation, user| state.conversations.get(conversation)?.members.get(user).cloned();
        Ok(of.iter().map(|(conversation, user)| member(conversation, user)).collect())
    }

    async fn roster(
        &self,
        conversation: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        let state = self.state();
        let found = state.conversations.get(&conversation);
        Ok(found.map_or_else(Vec::new, |found| found.roster(standing, after, limit)))
    }

    async fn memberships(
        &self,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<(Head, Member)>, StoreError> {
        Ok(self.state().memberships(user, after, limit))
    }

    async fn entries(&self, of: ConversationId, range: &Range) -> Result<Vec<Entry>, StoreError> {
        let state = self.state();
        state.conversations.get(&of).map_or_else(|| Ok(Vec::new()), |found| found.entries(range))
    }

    async fn history(&self, of: ConversationId, range: &Range) -> Result<History, StoreError> {
        let state = self.state();
        state.conversations.get(&of).map_or_else(|| Ok(History::default()), |found| found.history(range))
    }

    async fn journal(&self, after: &JournalPosition, limit: usize) -> Result<JournalPage, StoreError> {
        Ok(self.state().journal(after, limit))
    }

    async fn journal_end(&self) -> Result<JournalPosition, StoreError> {
        Ok(self.state().journal_end())
    }

    async fn close(&self) {}
}
