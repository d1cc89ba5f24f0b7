//! Stores that are wrong in one thing: the right one, but for what a defect does differently.

mod journal;
mod members;
mod once;
mod writing;

use std::sync::Arc;

use async_trait::async_trait;

use super::Defect;
use crate::store::{Batch, Item, JournalPage, JournalPosition, Once, Outcome, Store, StoreError, Stored};
use crate::{
    Account, AccountName, ConversationId, Device, Entry, Epoch, GroupId, Handle, Head, History, Member,
    Range, Seq, Standing, TokenHash, UserId,
};

type Answer<T> = Result<T, StoreError>;

/// What a wrong store does otherwise than the right one. What a defect leaves out is right.
#[async_trait]
trait Wrong: Send + Sync + 'static {
    async fn commit(&self, right: &dyn Store, batch: &Batch) -> Answer<Vec<Outcome>> {
        right.commit(batch).await
    }

    async fn recorded(&self, right: &dyn Store, keys: &[Once]) -> Answer<Vec<Option<Stored>>> {
        right.recorded(keys).await
    }

    async fn journal(&self, right: &dyn Store, after: &JournalPosition, limit: usize) -> Answer<JournalPage> {
        right.journal(after, limit).await
    }

    async fn journal_end(&self, right: &dyn Store) -> Answer<JournalPosition> {
        right.journal_end().await
    }

    fn is_shared(&self, right: &dyn Store) -> bool {
        right.is_shared()
    }

    /// Spoils rows of members that were read.
    async fn spoil_members(&self, right: &dyn Store, rows: &mut [&mut Member]) -> Answer<()> {
        let _ = (right, rows);
        Ok(())
    }

    /// Rows of members that need no reading.
    fn member(&self, of: ConversationId, user: UserId) -> Option<Member> {
        let _ = (of, user);
        None
    }

    /// Spoils entries that were read.
    fn spoil_entries(&self, of: ConversationId, entries: &mut [Entry]) {
        let _ = (of, entries);
    }
}

/// What the stores of all nodes of a cluster share, where a defect of theirs shares anything.
pub(super) struct Shared {
    defect: Defect,
    wrong: Option<Arc<dyn Wrong>>,
    renewals: Arc<once::Renewals>,
}

impl Shared {
    pub(super) fn of(defect: Defect) -> Self {
        let renewals = Arc::new(once::Renewals::default());
        let wrong: Option<Arc<dyn Wrong>> = match defect {
            Defect::DecisionNotComparedUnderLock => Some(Arc::new(writing::NotCompared)),
            Defect::SendingMarksAsRead => Some(Arc::new(writing::MarksOwn)),
            Defect::TokenOutlivesItsDevice => Some(Arc::new(writing::KeepsDevices)),
            Defect::ChangeInSteps => Some(Arc::new(writing::InSteps)),
            Defect::DuplicateCheckOutsideTransaction => {
                Some(Arc::new(once::ChecksBefore { renewals: Arc::clone(&renewals) }))
            }
            Defect::JournalSkipsWhatIsVisibleLate => Some(Arc::new(journal::OneNumber::default())),
            Defect::LastMessageLostWithTheBus => Some(Arc::new(journal::Unfollowed)),
            Defect::UnreadAsCounter => Some(Arc::new(members::Counter::default())),
            Defect::CursorMovesBack => Some(Arc::new(members::LastWritten::default())),
            Defect::PagesNotCutToMembership => Some(Arc::new(members::Uncut)),
            _ => None,
        };
        Self { defect, wrong, renewals }
    }

    /// The store under all nodes.
    pub(super) fn ground(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        let wrong: Arc<dyn Wrong> = match self.defect {
            Defect::TimeRunsBack => Arc::new(writing::OwnTime::default()),
            Defect::DuplicateCheckOutsideTransaction | Defect::DuplicatesRememberedInMemory => {
                Arc::clone(&self.renewals) as Arc<dyn Wrong>
            }
            _ => return store,
        };
        Arc::new(WrongStore { store, wrong })
    }

    /// A node's store, as from one start on.
    pub(super) fn store(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        let wrong: Arc<dyn Wrong> = match (&self.wrong, self.defect) {
            (Some(wrong), _) => Arc::clone(wrong),
            (None, Defect::SequenceFromMemory) => Arc::new(writing::Remembers::default()),
            (None, Defect::DuplicatesRememberedInMemory) => {
                Arc::new(once::Remembers::new(Arc::clone(&self.renewals)))
            }
            (None, Defect::JournalResumesAtItsEnd) => Arc::new(journal::Resumes::default()),
            (None, Defect::MembershipCached) => Arc::new(members::Cached::default()),
            _ => return store,
        };
        Arc::new(WrongStore { store, wrong })
    }
}

/// Commits one item of a batch by itself.
async fn alone(right: &dyn Store, batch: &Batch, item: Item) -> Answer<Outcome> {
    let outcomes = right.commit(&Batch { items: vec![item], ..batch.clone() }).await?;
    Ok(outcomes.into_iter().next().expect("one outcome per item"))
}

/// What a batch has committed, and what follows from it.
fn committed<'a>(
    batch: &'a Batch,
    outcomes: &'a [Outcome],
) -> impl Iterator<Item = (&'a Item, &'a [crate::store::Placed])> {
    batch.items.iter().zip(outcomes).filter_map(|(item, outcome)| match outcome {
        Outcome::Committed(placed) => Some((item, placed.as_slice())),
        _ => None,
    })
}

struct WrongStore {
    store: Arc<dyn Store>,
    wrong: Arc<dyn Wrong>,
}

#[async_trait]
impl Store for WrongStore {
    fn shard(&self, conversation: &ConversationId) -> u32 {
        self.store.shard(conversation)
    }

    fn writers(&self) -> usize {
        self.store.writers()
    }

    fn is_shared(&self) -> bool {
        self.wrong.is_shared(&*self.store)
    }

    async fn epoch(&self) -> Answer<Epoch> {
        self.store.epoch().await
    }

    async fn commit(&self, batch: &Batch) -> Answer<Vec<Outcome>> {
        self.wrong.commit(&*self.store, batch).await
    }

    async fn recorded(&self, keys: &[Once]) -> Answer<Vec<Option<Stored>>> {
        self.wrong.recorded(&*self.store, keys).await
    }

    async fn accounts(&self, users: &[UserId]) -> Answer<Vec<Option<Account>>> {
        self.store.accounts(users).await
    }

    async fn account_named(&self, name: &AccountName) -> Answer<Option<Account>> {
        self.store.account_named(name).await
    }

    async fn devices(&self, user: UserId) -> Answer<Vec<Device>> {
        self.store.devices(user).await
    }

    async fn device_with_token(&self, token: &TokenHash) -> Answer<Option<Device>> {
        self.store.device_with_token(token).await
    }

    async fn group_with_handle(&self, handle: &Handle) -> Answer<Option<GroupId>> {
        self.store.group_with_handle(handle).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Answer<Vec<Head>> {
        self.store.heads(conversations).await
    }

    async fn members(&self, of: &[(ConversationId, UserId)]) -> Answer<Vec<Option<Member>>> {
        let mut rows = self.store.members(of).await?;
        for ((conversation, user), row) in of.iter().zip(&mut rows) {
            if let Some(known) = self.wrong.member(*conversation, *user) {
                *row = Some(known);
            }
        }
        let mut found: Vec<_> = rows.iter_mut().flatten().collect();
        self.wrong.spoil_members(&*self.store, &mut found).await?;
        Ok(rows)
    }

    async fn roster(
        &self,
        conversation: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Answer<Vec<Member>> {
        self.store.roster(conversation, standing, after, limit).await
    }

    async fn memberships(
        &self,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Answer<Vec<(Head, Member)>> {
        let mut rows = self.store.memberships(user, after, limit).await?;
        let mut found: Vec<_> = rows.iter_mut().map(|(_, member)| member).collect();
        self.wrong.spoil_members(&*self.store, &mut found).await?;
        Ok(rows)
    }

    async fn entries(&self, of: ConversationId, range: &Range) -> Answer<Vec<Entry>> {
        let mut entries = self.store.entries(of, range).await?;
        self.wrong.spoil_entries(of, &mut entries);
        Ok(entries)
    }

    async fn history(&self, of: ConversationId, range: &Range) -> Answer<History> {
        let mut page = self.store.history(of, range).await?;
        self.wrong.spoil_entries(of, &mut page.entries);
        self.wrong.spoil_entries(of, &mut page.referring);
        Ok(page)
    }

    async fn journal(&self, after: &JournalPosition, limit: usize) -> Answer<JournalPage> {
        self.wrong.journal(&*self.store, after, limit).await
    }

    async fn journal_end(&self) -> Answer<JournalPosition> {
        self.wrong.journal_end(&*self.store).await
    }

    async fn probe(&self) -> Answer<()> {
        self.store.probe().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
