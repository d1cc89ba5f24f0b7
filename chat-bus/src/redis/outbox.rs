//! What is to be published, within a bound, and the task that publishes it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chat_core::bus::Published;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Notify;

use super::counts::Counters;
use super::link::Publisher;

/// How many messages are on their way at once: twice what a round trip on a local network holds at
/// the rate that one connection reaches, and well below the client's own command buffer.
const WINDOW: usize = 512;

/// The queue of messages to publish. What does not fit is dropped.
#[derive(Debug)]
pub(super) struct Outbox {
    limit_bytes: usize,
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: usize,
    messages: VecDeque<(String, Bytes)>,
}

impl Outbox {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, waiting: Mutex::default(), wake: Notify::new() }
    }

    /// Queues a message, or drops it when the bound would be passed. One that alone exceeds the bound
    /// is taken when nothing else waits.
    pub(super) fn push(&self, channel: String, payload: Bytes) -> Published {
        let mut waiting = self.lock();
        let size = channel.len() + payload.len();
        if waiting.bytes > 0 && waiting.bytes + size > self.limit_bytes {
            return Published::Dropped;
        }
        waiting.bytes += size;
        waiting.messages.push_back((channel, payload));
        drop(waiting);
        self.wake.notify_one();
        Published::Taken
    }

    /// Drops everything that waits, and says how much that was.
    pub(super) fn clear(&self) -> u64 {
        let dropped = std::mem::take(&mut *self.lock());
        dropped.messages.len() as u64
    }

    /// Publishes what comes, many at a time, until the future is dropped.
    pub(super) async fn pump(&self, publisher: &Publisher, counters: &Counters) {
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < WINDOW
                && let Some((channel, payload)) = self.pop()
            {
                under_way.push(publisher.publish(channel, payload));
            }
            tokio::select! {
                biased;
                // Cancel-safe: a completed future stays in the set until it is taken.
                Some(published) = under_way.next() => if published.is_err() {
                    counters.failed.add(1);
                },
                // Cancel-safe: the queue is looked at again in any case.
                () = self.wake.notified() => {}
            }
        }
    }

    fn pop(&self) -> Option<(String, Bytes)> {
        let mut waiting = self.lock();
        let (channel, payload) = waiting.messages.pop_front()?;
        waiting.bytes -= channel.len() + payload.len();
        Some((channel, payload))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
