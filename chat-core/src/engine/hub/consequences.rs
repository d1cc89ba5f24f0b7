//! What delivered entries change about who listens, and about sessions.

use std::sync::Arc;

use super::Hub;
use crate::engine::gate::{Gate, Step};
use crate::engine::outbox::Outbox;
use crate::engine::planted::Defect;
use crate::{
    ContactEvent, Content, ConversationId, DeviceEvent, EndReason, Entry, GroupEvent, GroupId, Seq, UserId,
};

impl Hub {
    /// What delivered entries change about who listens, still within the gate's turn.
    pub(super) fn after(&self, gate: &Gate, step: &Step) {
        let chunk = match step {
            Step::Chunk(chunk) => chunk,
            Step::Behind(upto) => return self.after_skip(gate, *upto),
        };
        match gate.conversation {
            ConversationId::Direct(_) => {}
            ConversationId::Group(group) => {
                // Chunks are cut so that such an entry is the last of its chunk.
                let leaver = chunk.entries().last().and_then(leaver);
                if let Some(leaver) = leaver.filter(|_| !self.planted.is(Defect::RemovedGoOnListening)) {
                    let removed = self.remove_listeners(gate, leaver);
                    // The notice that a leaver came back may have been here before this entry. Nobody
                    // comes back to a group that was dissolved.
                    if leaver != Leaver::Everyone {
                        self.look_again(group, &removed, chunk.last());
                    }
                }
            }
            ConversationId::Inbox(user) => {
                for entry in chunk.entries() {
                    self.after_notice(user, entry);
                }
            }
        }
    }

    /// What was passed over may have ended a membership or revoked a device: nobody goes on listening
    /// on the strength of what was true before it.
    fn after_skip(&self, gate: &Gate, upto: Seq) {
        match gate.conversation {
            ConversationId::Direct(_) => {}
            ConversationId::Group(group) => {
                let removed = self.remove_listeners(gate, Leaver::Everyone);
                self.look_again(group, &removed, upto);
            }
            ConversationId::Inbox(user) => {
                self.sessions(user).iter().for_each(|session| session.end(EndReason::Reset));
            }
        }
    }

    fn remove_listeners(&self, gate: &Gate, leaver: Leaver) -> Vec<Arc<Outbox>> {
        let user = match leaver {
            Leaver::Everyone => None,
            Leaver::User(user) => Some(user),
        };
        let mut removed = Vec::new();
        self.close_if(&gate.conversation, |gate| {
            removed = gate.detach_user(user);
            removed.iter().for_each(|listener| listener.forget(&gate.conversation));
            gate.is_deserted()
        });
        removed
    }

    /// Has those who listen no more, and were told of everything up to an entry, listen again where they
    /// are members all the same.
    fn look_again(&self, group: GroupId, removed: &[Arc<Outbox>], told: Seq) {
        for listener in removed {
            self.enter(listener.user, group, told);
        }
    }

    /// What a notice in a user's inbox means to the user's sessions here. Whatever node wrote it and
    /// whether or not the bus brought it, this is where it takes effect.
    fn after_notice(&self, user: UserId, entry: &Entry) {
        match entry.decode_content() {
            Ok(Content::Device { event: DeviceEvent::Added, .. }) => self.suspect(user),
            Ok(Content::Device { event: DeviceEvent::LoggedOut, device, .. }) => {
                for session in self.sessions(user).iter().filter(|session| session.device == device) {
                    session.end(EndReason::LoggedOut);
                }
            }
            Ok(Content::Device { event, device, .. }) => {
                for session in self.sessions(user).iter().filter(|session| session.device == device) {
                    session.end(EndReason::Device(event));
                }
            }
            Ok(Content::AccountDeleted) => {
                self.sessions(user).iter().for_each(|session| session.end(EndReason::AccountDeleted));
            }
            Ok(Content::Contact { event, peer, .. }) => {
                if let Some(local) = self.user_shard(user).get_mut(&user) {
                    match event {
                        ContactEvent::Accepted => {
                            local.parted.remove(&peer);
                            local.contacts.insert(peer);
                            self.watch(peer, user);
                        }
                        ContactEvent::Removed | ContactEvent::Blocked => {
                            local.parted.insert(peer);
                            local.contacts.remove(&peer);
                            self.unwatch(peer, user);
                            if event == ContactEvent::Blocked {
                                local.blocked.insert(peer);
                            }
                        }
                        ContactEvent::Unblocked => drop(local.blocked.remove(&peer)),
                        _ => {}
                    }
                }
                // Who was online before they became contacts is told of now.
                if event == ContactEvent::Accepted {
                    self.presence.introduce(user, peer);
                }
            }
            // Who was a member before they were invited, or asked, may read on to where they left.
            Ok(Content::Group {
                event: GroupEvent::Entered | GroupEvent::InvitationEnded | GroupEvent::RequestEnded,
                group,
                user: whom,
                ..
            }) if whom == user => {
                self.enter(user, group, 0);
            }
            _ => {}
        }
    }
}

/// Who is no longer a member after an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaver {
    User(UserId),
    Everyone,
}

/// Whose last entry this is. Chunks end with it.
pub(super) fn leaver(entry: &Entry) -> Option<Leaver> {
    match entry.decode_content() {
        Ok(Content::Left) => Some(Leaver::User(entry.sender)),
        Ok(Content::MemberRemoved(user)) => Some(Leaver::User(user)),
        Ok(Content::Dissolved) => Some(Leaver::Everyone),
        _ => None,
    }
}
