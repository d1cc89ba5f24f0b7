//! Whom the user has blocked. The server keeps them out of direct conversations; a group's log is the
//! same for all its members, so that leaving them out there is the client's part.

use std::collections::BTreeSet;

use chat_core::{ContactEvent, Content, ConversationId, Entry, UserId};

use crate::chat::Chat;
use crate::failure::Failure;

/// The users whose words are not shown.
#[derive(Debug, Default)]
pub(super) struct Blocked(BTreeSet<UserId>);

impl Blocked {
    /// Asks the server who they are.
    pub(super) async fn of(chat: &Chat) -> Result<Self, Failure> {
        let contacts = chat.contacts().await?;
        Ok(Self(
            contacts.iter().filter(|contact| contact.blocked).map(|contact| contact.profile.user).collect(),
        ))
    }

    /// Follows what the own inbox tells.
    pub(super) fn follow(&mut self, conversation: ConversationId, entry: &Entry) {
        if !matches!(conversation, ConversationId::Inbox(_)) {
            return;
        }
        match entry.decode_content() {
            Ok(Content::Contact { event: ContactEvent::Blocked, peer, .. }) => {
                self.0.insert(peer);
            }
            Ok(Content::Contact { event: ContactEvent::Unblocked, peer, .. }) => {
                self.0.remove(&peer);
            }
            _ => {}
        }
    }

    /// Whether an entry is not to be shown: what a blocked user wrote, not what became of members.
    pub(super) fn hides(&self, entry: &Entry) -> bool {
        self.0.contains(&entry.sender)
            && matches!(
                entry.decode_content(),
                Ok(Content::Message(_) | Content::Edit(_) | Content::Reaction { .. })
            )
    }
}

#[cfg(test)]
mod tests {
    use chat_core::{Body, Timestamp};

    use super::*;

    fn user(number: u64) -> UserId {
        UserId::new(number).expect("valid")
    }

    fn entry(sender: u64, content: &Content) -> Entry {
        Entry {
            seq: 1,
            time: Timestamp(0),
            sender: user(sender),
            client_id: None,
            countable: content.is_countable(),
            ordinal: 1,
            target: None,
            kind: content.kind().expect("not redacted"),
            content: Some(content.encode()),
        }
    }

    #[test]
    fn words_of_the_blocked_are_hidden_and_their_coming_and_going_is_not() {
        let mut blocked = Blocked::default();
        let inbox = ConversationId::Inbox(user(1));
        let told = |event| Content::Contact { event, peer: user(2), note: String::new() };
        let words = Content::Message(Body::Text("hi".into()));
        blocked.follow(inbox, &entry(1, &told(ContactEvent::Blocked)));
        assert!(blocked.hides(&entry(2, &words)));
        assert!(!blocked.hides(&entry(3, &words)));
        assert!(!blocked.hides(&entry(2, &Content::Left)));
        blocked.follow(inbox, &entry(1, &told(ContactEvent::Unblocked)));
        assert!(!blocked.hides(&entry(2, &words)));
    }
}
