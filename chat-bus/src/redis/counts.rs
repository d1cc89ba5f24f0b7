//! What the bus counts about itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of messages since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Taken for publishing.
    pub taken: u64,
    /// Dropped instead: too much waited, or the bus was away.
    pub dropped: u64,
    /// Taken, and lost on the way to Redis.
    pub failed: u64,
    /// Received.
    pub received: u64,
    /// Received and passed over: of a newer version.
    pub newer: u64,
    /// Received and passed over: no message at all.
    pub malformed: u64,
    /// Times that arriving messages were too many to be taken in.
    pub overrun: u64,
    /// Times that all subscriptions were made again.
    pub resubscribed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) taken: Counter,
    pub(super) dropped: Counter,
    pub(super) failed: Counter,
    pub(super) received: Counter,
    pub(super) newer: Counter,
    pub(super) malformed: Counter,
    pub(super) overrun: Counter,
    pub(super) resubscribed: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counters {
    pub(super) fn counts(&self) -> Counts {
        Counts {
            taken: self.taken.read(),
            dropped: self.dropped.read(),
            failed: self.failed.read(),
            received: self.received.read(),
            newer: self.newer.read(),
            malformed: self.malformed.read(),
            overrun: self.overrun.read(),
            resubscribed: self.resubscribed.read(),
        }
    }
}

impl Counter {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
