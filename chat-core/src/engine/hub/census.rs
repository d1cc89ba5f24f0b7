//! How many listen on this node.

use super::{Hub, lock};

impl Hub {
    /// How many users have sessions here, and how many sessions.
    pub(crate) fn census(&self) -> (usize, usize) {
        self.users.iter().fold((0, 0), |(users, sessions), shard| {
            let shard = lock(shard);
            let here: usize = shard.values().map(|user| user.sessions.len()).sum();
            (users + shard.len(), sessions + here)
        })
    }
}
