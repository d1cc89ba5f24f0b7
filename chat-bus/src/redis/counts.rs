//! What the bus counts about itself.

use std::sync::atomic::{AtomicU64, Ordering};

use chat_core::bus::BusCounts;

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
    /// What was counted; what waits is for others to say.
    pub(super) fn counts(&self) -> BusCounts {
        let mut counts = BusCounts::default();
        counts.taken = self.taken.read();
        counts.dropped = self.dropped.read();
        counts.failed = self.failed.read();
        counts.received = self.received.read();
        counts.newer = self.newer.read();
        counts.malformed = self.malformed.read();
        counts.overrun = self.overrun.read();
        counts.resubscribed = self.resubscribed.read();
        counts
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
