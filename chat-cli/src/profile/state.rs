//! How far each conversation was shown, and what its users and groups are called.

use std::collections::BTreeMap;

use chat_core::{ConversationId, Epoch, Seq};
use serde::{Deserialize, Serialize};

use crate::names::Names;

/// What is known of a user's conversations. Conversations are kept under their keys in hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    epoch: Option<u64>,
    shown: BTreeMap<String, Seq>,
    /// What users and groups are called.
    pub(crate) names: Names,
}

impl State {
    /// From now on the store's history is this one; positions in another one are worth nothing.
    pub(crate) fn enter(&mut self, epoch: Epoch) {
        if self.epoch != Some(epoch.0) {
            self.shown.clear();
            self.epoch = Some(epoch.0);
        }
    }

    /// Entries of a conversation up to this one were shown; positions only grow.
    pub(crate) fn show(&mut self, conversation: ConversationId, seq: Seq) {
        let shown = self.shown.entry(files_key(conversation)).or_default();
        *shown = seq.max(*shown);
    }

    /// The epoch of the positions.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        self.epoch.map(Epoch)
    }

    /// How far each conversation was shown, in the order of conversations.
    pub(crate) fn cursors(&self) -> Vec<(ConversationId, Seq)> {
        let known = self.shown.iter().filter_map(|(key, seq)| Some((conversation_of(key)?, *seq)));
        let mut cursors: Vec<_> = known.collect();
        cursors.sort_unstable();
        cursors
    }
}

fn files_key(conversation: ConversationId) -> String {
    conversation.key().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `None` for a key that this version does not know: it is asked for again.
fn conversation_of(key: &str) -> Option<ConversationId> {
    ConversationId::from_key(&super::files::from_hex(key)?).ok()
}

#[cfg(test)]
mod tests {
    use chat_core::{GroupId, UserId};

    use super::*;

    #[test]
    fn positions_read_back_in_the_order_of_conversations() {
        let user = |number| UserId::new(number).expect("valid");
        let direct = ConversationId::direct(user(2), user(1)).expect("two users");
        let group = ConversationId::Group(GroupId::new(1).expect("valid"));
        let mut state = State::default();
        state.show(group, 9);
        state.show(direct, 3);
        state.show(direct, 2);
        assert_eq!(state.cursors(), [(direct, 3), (group, 9)]);
        let text = serde_json::to_string(&state).expect("serialises");
        assert_eq!(serde_json::from_str::<State>(&text).expect("reads back"), state);
    }

    #[test]
    fn another_epoch_starts_over() {
        let mut state = State::default();
        state.enter(Epoch(1));
        state.show(ConversationId::Inbox(UserId::new(1).expect("valid")), 4);
        state.enter(Epoch(1));
        assert_eq!(state.cursors().len(), 1);
        state.enter(Epoch(2));
        assert!(state.cursors().is_empty());
    }
}
