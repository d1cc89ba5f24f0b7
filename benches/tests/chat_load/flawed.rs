//! A store that does not keep its promises, or not in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chat_core::store::{
    Batch, Item, JournalPage, JournalPosition, Once, Outcome, Store, StoreError, StoreErrorKind, Stored,
};
use chat_core::{
    Account, AccountName, ConversationId, Device, Entry, Epoch, GroupId, Handle, Head, History, Member,
    Range, Seq, Standing, TokenHash, UserId,
};

/// What becomes of the entries of a direct conversation when they are read.
type Change = Box<dyn Fn(&mut Vec<Entry>) + Send + Sync>;

/// What becomes of commits to direct conversations after the first, which comes before a run of one pair.
enum Commits {
    Kept,
    /// The first of them takes so long.
    Late(Duration),
    /// They are refused, as if their ids had been used for something else.
    Refused,
    /// They cannot be made at present, for ever.
    Unavailable,
}

/// As the store within, which others may share, but for its flaw.
pub(crate) struct Flawed<S> {
    within: Arc<S>,
    change: Change,
    later: Commits,
    /// Commits to direct conversations so far.
    commits: AtomicUsize,
}

impl<S: Store> Flawed<S> {
    /// What it reads of direct conversations is changed so.
    pub(crate) fn reading(within: S, change: impl Fn(&mut Vec<Entry>) + Send + Sync + 'static) -> Self {
        Self { change: Box::new(change), ..Self::sharing(Arc::new(within)) }
    }

    /// The first commit of a run to a direct conversation takes so long.
    pub(crate) fn stalling(within: S, stall: Duration) -> Self {
        Self { later: Commits::Late(stall), ..Self::sharing(Arc::new(within)) }
    }

    /// What a run sends to a direct conversation is refused for good.
    pub(crate) fn refusing(within: S) -> Self {
        Self { later: Commits::Refused, ..Self::sharing(Arc::new(within)) }
    }

    /// What a run sends to a direct conversation is refused for the moment, and the moment never ends.
    pub(crate) fn unavailable(within: S) -> Self {
        Self { later: Commits::Unavailable, ..Self::sharing(Arc::new(within)) }
    }

    /// It has no flaw, and is one of several over what is within.
    pub(crate) fn sharing(within: Arc<S>) -> Self {
        Self { within, change: Box::new(|_| {}), later: Commits::Kept, commits: AtomicUsize::new(0) }
    }

    /// Refuses what is appended to direct conversations, and commits the rest.
    async fn refuse(&self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        let mut rest = batch.clone();
        rest.items.retain(|item| !is_direct(item));
        let mut outcomes = self.within.commit(&rest).await?.into_iter();
        let outcomes = batch.items.iter().map(|item| match is_direct(item) {
            true => Outcome::Conflict,
            false => outcomes.next().expect("there is one for each item"),
        });
        Ok(outcomes.collect())
    }
}

fn is_direct(item: &Item) -> bool {
    item.append.iter().any(|entry| matches!(entry.conversation, ConversationId::Direct(_)))
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
        let earlier = match batch.items.iter().any(is_direct) {
            true => self.commits.fetch_add(1, Ordering::Relaxed),
            false => 0,
        };
        match self.later {
            Commits::Late(stall) if earlier == 1 => tokio::time::sleep(stall).await,
            Commits::Refused if earlier > 0 => return self.refuse(batch).await,
            Commits::Unavailable if earlier > 0 => {
                return Err(StoreError::new(StoreErrorKind::Unavailable, "committing"));
            }
            _ => {}
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
