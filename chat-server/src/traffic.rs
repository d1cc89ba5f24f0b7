//! How many connections there are, and were.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What the acceptor counts.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    open: AtomicUsize,
    accepted: AtomicU64,
    refused: AtomicU64,
}

impl Traffic {
    /// A connection has its place, for as long as what this returns.
    pub(crate) fn accepted(self: &Arc<Self>) -> Open {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    /// One had none.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Those at present, all that were accepted, and all that were refused.
    pub(crate) fn read(&self) -> (usize, u64, u64) {
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (self.open.load(Ordering::Relaxed), number(&self.accepted), number(&self.refused))
    }
}

/// A connection that is open.
#[derive(Debug)]
pub(crate) struct Open(Arc<Traffic>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
