//! What is to be published, within a bound, and the task that publishes it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chat_core::bus::Published;
use fred::error::{Error, ErrorKind};
use futures_util::FutureExt;
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
    /// Nothing waits and nothing is under way.
    idle: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    closed: bool,
    messages: VecDeque<Outgoing>,
    /// Handed to the client, and not answered yet.
    under_way: usize,
    /// Of those that wait and those under way.
    bytes: usize,
}

#[derive(Debug)]
struct Outgoing {
    channel: String,
    payload: Bytes,
}

impl Outbox {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, waiting: Mutex::default(), wake: Notify::new(), idle: Notify::new() }
    }

    /// Queues a message, or drops it when the bound would be passed. One that alone exceeds the bound
    /// is taken when there is nothing else.
    pub(super) fn push(&self, channel: String, payload: Bytes) -> Published {
        let message = Outgoing { channel, payload };
        let mut waiting = self.lock();
        let size = message.size_bytes();
        if waiting.closed || (waiting.bytes > 0 && waiting.bytes + size > self.limit_bytes) {
            return Published::Dropped;
        }
        waiting.bytes += size;
        waiting.messages.push_back(message);
        // Whoever takes messages takes all of them, or is busy and looks again.
        let first = waiting.messages.len() == 1;
        drop(waiting);
        if first {
            self.wake.notify_one();
        }
        Published::Taken
    }

    /// How many bytes wait or are under way.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    /// Waits until everything that was taken has been answered, or given up.
    pub(super) async fn drained(&self) {
        loop {
            // Made first: it is woken from here on.
            let idle = self.idle.notified();
            if self.lock().is_idle() {
                return;
            }
            idle.await;
        }
    }

    /// Gives up everything that waits or is under way, and says how much that was.
    pub(super) fn clear(&self) -> u64 {
        let mut waiting = self.lock();
        let lost = waiting.messages.len() + waiting.under_way;
        *waiting = Waiting { closed: waiting.closed, ..Waiting::default() };
        drop(waiting);
        self.idle.notify_waiters();
        lost as u64
    }

    /// Publishes what comes, many at a time, until the future is dropped.
    ///
    /// What the client does not get rid of in time stays in its memory for a while. So after the first
    /// of these it is given one message at a time, until one gets through.
    pub(super) async fn pump(&self, publisher: &Publisher, counters: &Counters) {
        let (mut under_way, mut batch) = (FuturesUnordered::new(), Vec::new());
        let mut window = WINDOW;
        loop {
            self.take(window.saturating_sub(under_way.len()), &mut batch);
            for message in batch.drain(..) {
                let size = message.size_bytes();
                let publishing = publisher.publish(message.channel, message.payload);
                under_way.push(publishing.map(move |published| (size, published)));
            }
            let first = tokio::select! {
                biased;
                // Cancel-safe: a completed future stays in the set until it is taken.
                Some(answer) = under_way.next() => answer,
                // Cancel-safe: the queue is looked at again in any case.
                () = self.wake.notified() => continue,
            };
            let mut answers = Answers::default();
            answers.add(first);
            while let Some(Some(answer)) = under_way.next().now_or_never() {
                answers.add(answer);
            }
            window = answers.window.unwrap_or(window);
            counters.failed.add(answers.failed);
            self.answered(&answers);
        }
    }

    /// Moves so many messages to where they are published from.
    fn take(&self, most: usize, batch: &mut Vec<Outgoing>) {
        let mut waiting = self.lock();
        let taken = most.min(waiting.messages.len());
        waiting.under_way += taken;
        batch.extend(waiting.messages.drain(..taken));
    }

    fn answered(&self, answers: &Answers) {
        let mut waiting = self.lock();
        waiting.under_way -= answers.count;
        waiting.bytes -= answers.bytes;
        let idle = waiting.is_idle();
        drop(waiting);
        if idle {
            self.idle.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_idle(&self) -> bool {
        self.messages.is_empty() && self.under_way == 0
    }
}

impl Outgoing {
    fn size_bytes(&self) -> usize {
        self.channel.len() + self.payload.len()
    }
}

/// What became of several messages.
#[derive(Debug, Default)]
struct Answers {
    count: usize,
    bytes: usize,
    failed: u64,
    /// How many may be under way from now on, if they say anything about it.
    window: Option<usize>,
}

impl Answers {
    fn add(&mut self, (size, published): (usize, Result<(), Error>)) {
        self.count += 1;
        self.bytes += size;
        self.failed += u64::from(published.is_err());
        match published {
            Ok(()) => self.window = Some(WINDOW),
            Err(error) if *error.kind() == ErrorKind::Timeout => self.window = Some(1),
            Err(_) => {}
        }
    }
}
