//! What has arrived and was not received yet, within a bound.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chat_core::bus::{BusEvent, Message};
use tokio::sync::Notify;

/// What a message occupies beside its payload, roughly.
const OVERHEAD_BYTES: usize = 256;

/// The queue of arrived messages. When its bound is passed it is emptied, and the receiver told.
#[derive(Debug)]
pub(super) struct Inbox {
    limit_bytes: usize,
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    open: bool,
    ended: bool,
    lagged: bool,
    bytes: usize,
    messages: VecDeque<(Message, usize)>,
}

impl Inbox {
    /// An empty inbox that is not open yet.
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, waiting: Mutex::default(), wake: Notify::new() }
    }

    /// Takes nothing more until it is opened again: subscriptions are gone or incomplete, and what
    /// is published now must not arrive before the receiver knows that earlier messages are missing.
    pub(super) fn close(&self) {
        self.lock().open = false;
    }

    /// Subscriptions are complete: tells that messages may have been lost, and takes what comes.
    pub(super) fn open_after_loss(&self) {
        let mut waiting = self.lock();
        waiting.open = !waiting.ended;
        waiting.lagged = true;
        drop(waiting);
        self.wake.notify_one();
    }

    /// Gives nothing more, what waits neither, and never opens again.
    pub(super) fn end(&self) {
        *self.lock() = Waiting { ended: true, ..Waiting::default() };
        self.wake.notify_one();
    }

    /// Tells that messages were lost.
    pub(super) fn lag(&self) {
        self.lock().lagged = true;
        self.wake.notify_one();
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Queues a message whose payload had this size.
    pub(super) fn push(&self, message: Message, payload_bytes: usize) {
        let size = payload_bytes + OVERHEAD_BYTES;
        let mut waiting = self.lock();
        if !waiting.open {
            return;
        }
        if waiting.bytes + size > self.limit_bytes {
            waiting.messages.clear();
            waiting.bytes = 0;
            waiting.lagged = true;
        } else {
            waiting.bytes += size;
            waiting.messages.push_back((message, size));
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// The next event, a loss ahead of everything that waits; `None` once it has ended.
    ///
    /// # Cancel safety
    /// An event is taken only when the future completes.
    pub(super) async fn receive(&self) -> Option<BusEvent> {
        loop {
            if let Some(event) = self.take() {
                return event;
            }
            self.wake.notified().await;
        }
    }

    /// What there is to answer, `None` while that is nothing.
    fn take(&self) -> Option<Option<BusEvent>> {
        let mut waiting = self.lock();
        if waiting.ended {
            return Some(None);
        }
        if std::mem::take(&mut waiting.lagged) {
            return Some(Some(BusEvent::Lagged));
        }
        let (message, size) = waiting.messages.pop_front()?;
        waiting.bytes -= size;
        Some(Some(BusEvent::Message(message)))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
