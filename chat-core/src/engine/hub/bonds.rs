//! Between whom presence and what is ephemeral passes: contacts and blocks of the users on this node.

use std::collections::BTreeSet;

use super::Hub;
use crate::{ConversationId, UserId};

impl Hub {
    /// Adds to a user's contacts, for presence, and to those whom the user has blocked. What notices
    /// have added meanwhile stays.
    pub(crate) fn add_bonds(&self, user: UserId, contacts: BTreeSet<UserId>, blocked: BTreeSet<UserId>) {
        if let Some(local) = self.user_shard(user).get_mut(&user) {
            for contact in contacts {
                if !local.parted.contains(&contact) && local.contacts.insert(contact) {
                    self.watch(contact, user);
                }
            }
            local.blocked.extend(blocked);
        }
    }

    /// Those with sessions here who are to be told of a user's presence. Where the user is connected
    /// here, too, both must count the other as a contact at this moment.
    pub(crate) fn watchers(&self, of: UserId) -> BTreeSet<UserId> {
        let mut watchers = self.watcher_shard(of).get(&of).cloned().unwrap_or_default();
        if let Some(local) = self.user_shard(of).get(&of) {
            watchers.retain(|watcher| local.contacts.contains(watcher));
        }
        watchers
    }

    /// Whether a user with sessions here has blocked another.
    pub(crate) fn has_blocked(&self, user: UserId, other: UserId) -> bool {
        self.user_shard(user).get(&user).is_some_and(|local| local.blocked.contains(&other))
    }

    /// Whether nothing ephemeral passes between the two of a direct conversation: known to a node
    /// that has sessions of the one who blocked.
    pub(super) fn is_cut(&self, conversation: &ConversationId) -> bool {
        match conversation {
            ConversationId::Direct(pair) => {
                self.has_blocked(pair.low(), pair.high()) || self.has_blocked(pair.high(), pair.low())
            }
            _ => false,
        }
    }

    /// Called under the lock of the watcher's shard, so that it agrees with the watcher's contacts.
    pub(super) fn watch(&self, user: UserId, watcher: UserId) {
        self.watcher_shard(user).entry(user).or_default().insert(watcher);
    }

    /// As [`Hub::watch`].
    pub(super) fn unwatch(&self, user: UserId, watcher: UserId) {
        let mut shard = self.watcher_shard(user);
        if let Some(watchers) = shard.get_mut(&user) {
            watchers.remove(&watcher);
            if watchers.is_empty() {
                shard.remove(&user);
            }
        }
    }
}
