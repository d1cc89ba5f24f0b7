//! A value that tasks wait to change. It wakes them in the order in which they began to wait, where
//! tokio's `watch` draws the order from a source that no seed reaches.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Debug)]
pub(super) struct Signal<T> {
    /// Held for one look at a time.
    value: Mutex<T>,
    changed: Notify,
}

impl<T: Clone> Signal<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Notify::new() }
    }

    pub(super) fn set(&self, value: T) {
        *self.lock() = value;
        self.changed.notify_waiters();
    }

    pub(super) fn now(&self) -> T {
        self.lock().clone()
    }

    /// Waits until something holds of it.
    pub(super) async fn until(&self, holds: impl Fn(&T) -> bool) {
        loop {
            // Made before the look: what changes after it is noticed.
            let changed = self.changed.notified();
            if holds(&self.lock()) {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
