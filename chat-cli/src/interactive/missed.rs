//! What arrived while one was away: the last of it per conversation, the rest as a number.

use std::collections::{BTreeMap, VecDeque};

use chat_core::{ConversationId, ConversationState, Entry};

/// Entries kept per conversation; the others can be read with `/history`.
const KEPT: usize = 20;

/// Entries that arrive before one has caught up.
#[derive(Debug, Default)]
pub(super) struct Missed {
    conversations: BTreeMap<ConversationId, Bundle>,
    unread: BTreeMap<ConversationId, u64>,
}

/// What was missed in one conversation.
#[derive(Debug, Default)]
pub(super) struct Bundle {
    /// The last entries.
    pub(super) entries: VecDeque<Entry>,
    /// How many came before those.
    pub(super) earlier: usize,
}

impl Missed {
    /// An entry was missed.
    pub(super) fn add(&mut self, conversation: ConversationId, entry: Entry) {
        let bundle = self.conversations.entry(conversation).or_default();
        bundle.entries.push_back(entry);
        if bundle.entries.len() > KEPT {
            bundle.entries.pop_front();
            bundle.earlier += 1;
        }
    }

    /// How a conversation stands.
    pub(super) fn note(&mut self, state: &ConversationState) {
        self.unread.insert(state.conversation, state.unread);
    }

    /// What was missed, and where messages are unread; empties it.
    pub(super) fn take(&mut self) -> (BTreeMap<ConversationId, Bundle>, BTreeMap<ConversationId, u64>) {
        let mut unread = std::mem::take(&mut self.unread);
        unread.retain(|conversation, count| *count > 0 && !matches!(conversation, ConversationId::Inbox(_)));
        (std::mem::take(&mut self.conversations), unread)
    }
}

#[cfg(test)]
mod tests {
    use chat_core::{Body, Content, Timestamp, UserId};

    use super::*;

    #[test]
    fn only_the_last_of_a_long_absence_is_kept() {
        let user = UserId::new(1).expect("valid");
        let content = Content::Message(Body::Text("hi".into()));
        let conversation = ConversationId::Inbox(user);
        let mut missed = Missed::default();
        for seq in 1..=50 {
            missed.add(
                conversation,
                Entry {
                    seq,
                    time: Timestamp(0),
                    sender: user,
                    client_id: None,
                    countable: true,
                    ordinal: seq,
                    target: None,
                    kind: content.kind().expect("not redacted"),
                    content: Some(content.encode()),
                },
            );
        }
        let (conversations, _) = missed.take();
        let bundle = &conversations[&conversation];
        assert_eq!(bundle.earlier, 30);
        assert_eq!(
            bundle.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
            (31..=50).collect::<Vec<_>>()
        );
        assert!(missed.take().0.is_empty());
    }
}
