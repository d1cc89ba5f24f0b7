//! How far the application has each conversation, and what of that the server was not told yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chat_core::{ConversationId, Entry, Epoch, Seq, UserId};
use tokio::sync::Notify;

/// Shared by the application's half, which hands entries over, and the connection task, which tells
/// the server.
#[derive(Debug)]
pub(super) struct Acknowledged {
    /// Guards the cursors and what of them is untold; held for a few map operations.
    state: Mutex<State>,
    /// Wakes the connection task when there is something to tell.
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    user: Option<UserId>,
    epoch: Option<Epoch>,
    cursors: BTreeMap<ConversationId, Seq>,
    untold: BTreeSet<ConversationId>,
}

impl Acknowledged {
    pub(super) fn new(
        cursors: impl IntoIterator<Item = (ConversationId, Seq)>,
        epoch: Option<Epoch>,
    ) -> Self {
        let state = State { epoch, cursors: cursors.into_iter().collect(), ..State::default() };
        Self { state: Mutex::new(state), news: Notify::new() }
    }

    /// Whose entries need no acknowledgement by themselves.
    pub(super) fn acts_for(&self, user: UserId) {
        self.state().user = Some(user);
    }

    /// Names the epoch of the cursors, unless they have one.
    pub(super) fn belongs_to(&self, epoch: Epoch) {
        self.state().epoch.get_or_insert(epoch);
    }

    pub(super) fn handed_over(&self, conversation: ConversationId, entry: &Entry) {
        let mut state = self.state();
        state.cursors.insert(conversation, entry.seq);
        if state.user == Some(entry.sender) {
            return;
        }
        if state.untold.is_empty() {
            self.news.notify_one();
        }
        state.untold.insert(conversation);
    }

    pub(super) fn passed(&self, conversation: ConversationId, upto: Seq) {
        self.state().cursors.insert(conversation, upto);
    }

    pub(super) fn start_over(&self, epoch: Epoch) {
        let mut state = self.state();
        *state = State { user: state.user, epoch: Some(epoch), ..State::default() };
    }

    pub(super) fn cursors(&self) -> Vec<(ConversationId, Seq)> {
        self.state().cursors.iter().map(|(conversation, seq)| (*conversation, *seq)).collect()
    }

    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.state().epoch
    }

    /// Waits until there is something to tell that was not there before.
    ///
    /// # Cancel safety
    /// A wake-up that nobody took stays for the next call.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Takes up to so many positions that the server was not told yet.
    pub(super) fn take_untold(&self, limit: usize) -> Vec<(ConversationId, Seq)> {
        let mut state = self.state();
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(conversation) = state.untold.pop_first()
        {
            if let Some(seq) = state.cursors.get(&conversation) {
                taken.push((conversation, *seq));
            }
        }
        taken
    }

    /// Puts back what was taken and did not reach the server.
    pub(super) fn untold(&self, positions: &[(ConversationId, Seq)]) {
        let mut state = self.state();
        state.untold.extend(positions.iter().map(|(conversation, _)| *conversation));
        self.news.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
