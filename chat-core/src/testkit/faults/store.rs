//! A store that is slow, frozen or away, and whose commits may end in doubt.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::store::{
    Batch, JournalPage, JournalPosition, Once, Outcome, Store, StoreError, StoreErrorKind, Stored,
};
use crate::{
    Account, AccountName, ConversationId, Device, Entry, Epoch, GroupId, Handle, Head, History, Member,
    Range, Seq, Standing, TokenHash, UserId,
};

/// How a store answers for the time being.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreWeather {
    /// At once.
    #[default]
    Fair,
    /// After this time, with what is true then.
    Slow(Duration),
    /// After this time, with what was true before it.
    Late(Duration),
    /// Not at all, until the weather changes; then it goes on.
    Frozen,
    /// With [`StoreErrorKind::Unavailable`], having done nothing.
    Away,
    /// With [`StoreErrorKind::ReadOnly`], having done nothing; for commits.
    ReadOnly,
}

/// What happens to one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// It is carried out, and answered [`StoreErrorKind::Ambiguous`].
    DoneButAmbiguous,
    /// It is not carried out, and answered [`StoreErrorKind::Ambiguous`].
    NotDoneAndAmbiguous,
    /// It is not carried out, and answered [`StoreErrorKind::Unavailable`].
    Unavailable,
    /// It is answered [`StoreErrorKind::Ambiguous`] at once, and carried out so much later.
    AmbiguousThenDone(Duration),
    /// It is carried out, and answered so much later: others see it before its writer knows.
    DoneButLate(Duration),
}

/// Says how a [`FaultyStore`] fails. Cheap to clone: clones steer the same store.
#[derive(Clone, Debug)]
pub struct StoreFaults {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    commits: watch::Sender<StoreWeather>,
    reads: watch::Sender<StoreWeather>,
    faults: Mutex<VecDeque<CommitFault>>,
    /// Commits that are still to be carried out; they end with the store.
    late: Mutex<JoinSet<()>>,
    committed: AtomicU64,
    epoch: AtomicU64,
    shards: AtomicU32,
    spanning: AtomicU64,
}

impl StoreFaults {
    /// How commits are answered from now on, those that hang in [`StoreWeather::Frozen`] included.
    pub fn commits(&self, weather: StoreWeather) {
        self.shared.commits.send_replace(weather);
    }

    /// How reads are answered from now on, likewise.
    pub fn reads(&self, weather: StoreWeather) {
        self.shared.reads.send_replace(weather);
    }

    /// What happens to the next commits, one after the other, after the weather let them pass.
    pub fn on_next_commits(&self, faults: impl IntoIterator<Item = CommitFault>) {
        self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// Fair weather, and no faults of coming commits any more.
    pub fn cease(&self) {
        self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.commits(StoreWeather::Fair);
        self.reads(StoreWeather::Fair);
    }

    /// Spreads conversations over so many shards from now on; 0 for those of the store itself.
    pub fn shards(&self, number: u32) {
        self.shared.shards.store(number, Ordering::Relaxed);
    }

    /// How many batches named conversations of several shards in different items.
    pub fn spanning_batches(&self) -> u64 {
        self.shared.spanning.load(Ordering::Relaxed)
    }

    /// Says another epoch from now on, as after an operator has restored a backup; 0 for the store's
    /// own.
    pub fn says_epoch(&self, epoch: Epoch) {
        self.shared.epoch.store(epoch.0, Ordering::Relaxed);
    }

    /// How many commits were begun so far.
    pub fn commits_begun(&self) -> u64 {
        self.shared.committed.load(Ordering::Relaxed)
    }
}

/// A store that fails as its [`StoreFaults`] say.
#[derive(Clone)]
pub struct FaultyStore {
    store: Arc<dyn Store>,
    faults: StoreFaults,
    is_shared: bool,
}

impl std::fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("FaultyStore").field(&self.faults).finish()
    }
}

impl FaultyStore {
    /// Decorates a store, in fair weather, and gives the handle that spoils it.
    pub fn new(store: Arc<dyn Store>) -> (Self, StoreFaults) {
        let shared = Shared {
            commits: watch::Sender::new(StoreWeather::Fair),
            reads: watch::Sender::new(StoreWeather::Fair),
            faults: Mutex::default(),
            late: Mutex::default(),
            committed: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            shards: AtomicU32::new(0),
            spanning: AtomicU64::new(0),
        };
        let faults = StoreFaults { shared: Arc::new(shared) };
        let is_shared = store.is_shared();
        (Self { store, faults: faults.clone(), is_shared }, faults)
    }

    /// The same, as a store that no other node writes to: nothing follows its journal.
    #[must_use]
    pub fn of_one_node(mut self) -> Self {
        self.is_shared = false;
        self
    }

    async fn weather(&self, of: &watch::Sender<StoreWeather>) -> Result<(), StoreError> {
        let mut weather = of.subscribe();
        loop {
            let now = *weather.borrow_and_update();
            match now {
                StoreWeather::Fair | StoreWeather::Late(_) => return Ok(()),
                StoreWeather::Slow(delay) => {
                    tokio::time::sleep(delay).await;
                    return Ok(());
                }
                StoreWeather::Away => {
                    return Err(StoreError::new(StoreErrorKind::Unavailable, "being away"));
                }
                StoreWeather::ReadOnly => {
                    return Err(StoreError::new(StoreErrorKind::ReadOnly, "being read-only"));
                }
                // The sender lives as long as `self`.
                StoreWeather::Frozen => drop(weather.changed().await),
            }
        }
    }

    /// Reads, in the weather of reads.
    async fn reading<T>(
        &self,
        read: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let reads = &self.faults.shared.reads;
        self.weather(reads).await?;
        let answer = read.await;
        late(reads).await;
        answer
    }
}

/// Keeps an answer back, in weather that does.
async fn late(weather: &watch::Sender<StoreWeather>) {
    let now = *weather.borrow();
    if let StoreWeather::Late(delay) = now {
        tokio::time::sleep(delay).await;
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn shard(&self, conversation: &ConversationId) -> u32 {
        match self.faults.shared.shards.load(Ordering::Relaxed) {
            0 => self.store.shard(conversation),
            shards => conversation.key().iter().map(|byte| u32::from(*byte)).sum::<u32>() % shards,
        }
    }

    fn writers(&self) -> usize {
        self.store.writers()
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        let epoch = self.reading(self.store.epoch()).await?;
        Ok(match self.faults.shared.epoch.load(Ordering::Relaxed) {
            0 => epoch,
            said => Epoch(said),
        })
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        let shared = &self.faults.shared;
        shared.committed.fetch_add(1, Ordering::Relaxed);
        let appended = batch.items.iter().filter_map(|item| item.append.first());
        let shards: BTreeSet<_> = appended.map(|entry| self.shard(&entry.conversation)).collect();
        shared.spanning.fetch_add(u64::from(shards.len() > 1), Ordering::Relaxed);
        self.weather(&shared.commits).await?;
        let fault = shared.faults.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let ambiguous = || StoreError::new(StoreErrorKind::Ambiguous, "losing the answer");
        match fault {
            None => {
                let outcomes = self.store.commit(batch).await;
                late(&shared.commits).await;
                outcomes
            }
            Some(CommitFault::DoneButAmbiguous) => {
                self.store.commit(batch).await?;
                Err(ambiguous())
            }
            Some(CommitFault::NotDoneAndAmbiguous) => Err(ambiguous()),
            Some(CommitFault::Unavailable) => {
                Err(StoreError::new(StoreErrorKind::Unavailable, "refusing a commit"))
            }
            Some(CommitFault::AmbiguousThenDone(delay)) => {
                let (store, batch) = (Arc::clone(&self.store), batch.clone());
                let mut late = shared.late.lock().unwrap_or_else(PoisonError::into_inner);
                late.spawn(async move {
                    tokio::time::sleep(delay).await;
                    // Nobody waits for what becomes of it.
                    let _outcomes = store.commit(&batch).await;
                });
                Err(ambiguous())
            }
            Some(CommitFault::DoneButLate(delay)) => {
                let outcomes = self.store.commit(batch).await;
                tokio::time::sleep(delay).await;
                outcomes
            }
        }
    }

    async fn recorded(&self, keys: &[Once]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.reading(self.store.recorded(keys)).await
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError> {
        self.reading(self.store.accounts(users)).await
    }

    async fn account_named(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        self.reading(self.store.account_named(name)).await
    }

    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        self.reading(self.store.devices(user)).await
    }

    async fn device_with_token(&self, token: &TokenHash) -> Result<Option<Device>, StoreError> {
        self.reading(self.store.device_with_token(token)).await
    }

    async fn group_with_handle(&self, handle: &Handle) -> Result<Option<GroupId>, StoreError> {
        self.reading(self.store.group_with_handle(handle)).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        self.reading(self.store.heads(conversations)).await
    }

    async fn members(&self, of: &[(ConversationId, UserId)]) -> Result<Vec<Option<Member>>, StoreError> {
        self.reading(self.store.members(of)).await
    }

    async fn roster(
        &self,
        conversation: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        self.reading(self.store.roster(conversation, standing, after, limit)).await
    }

    async fn memberships(
        &self,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<(Head, Member)>, StoreError> {
        self.reading(self.store.memberships(user, after, limit)).await
    }

    async fn entries(&self, of: ConversationId, range: &Range) -> Result<Vec<Entry>, StoreError> {
        self.reading(self.store.entries(of, range)).await
    }

    async fn history(&self, of: ConversationId, range: &Range) -> Result<History, StoreError> {
        self.reading(self.store.history(of, range)).await
    }

    async fn journal(&self, after: &JournalPosition, limit: usize) -> Result<JournalPage, StoreError> {
        self.reading(self.store.journal(after, limit)).await
    }

    async fn journal_end(&self) -> Result<JournalPosition, StoreError> {
        self.reading(self.store.journal_end()).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.weather(&self.faults.shared.commits).await?;
        self.reading(self.store.probe()).await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
