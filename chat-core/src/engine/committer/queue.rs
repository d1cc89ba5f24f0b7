//! What waits for a committer: bounded in rows and bytes, refused when full, withdrawn when late.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::SendWork;
use crate::engine::figures::CommitCounts;
use crate::engine::sync::{Mutex, MutexGuard};
use crate::store::{Item, Outcome};
use crate::{Error, ErrorKind};

/// One change on its way to the store, and who waits for it.
pub(crate) struct Submission {
    pub(crate) work: Work,
    pub(crate) deadline: Instant,
    pub(crate) reply: Reply,
}

/// Who waits for the outcome of a submission.
pub(crate) struct Reply {
    waiting: oneshot::Sender<Result<Outcome, Error>>,
    /// The outcome of a send is what its session is told; that of an item may lead to another one.
    of_send: bool,
}

impl Reply {
    /// Of whoever waits for this work.
    pub(crate) fn to(waiting: oneshot::Sender<Result<Outcome, Error>>, work: &Work) -> Self {
        Self { waiting, of_send: matches!(work, Work::Send(_)) }
    }

    /// Tells the outcome and counts it.
    pub(crate) fn send(self, outcome: Result<Outcome, Error>, counts: &CommitCounts) {
        if self.of_send {
            counts.answer(&outcome);
        }
        // Nobody need wait any more.
        let _ = self.waiting.send(outcome);
    }
}

/// What is submitted.
pub(crate) enum Work {
    /// An item that is decided already; `Stale` goes back to whoever decided it.
    Item(Box<Item>),
    /// A send, decided when its turn comes, and again when it was stale: so the sends of a
    /// conversation keep their order.
    Send(Box<SendWork>),
}

impl Work {
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            Self::Item(item) => 128 + item.append.iter().map(|append| append.content.len()).sum::<usize>(),
            Self::Send(send) => 128 + send.append.content.len(),
        }
    }
}

/// The queue of one committer.
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Notify,
    rows: usize,
    bytes: usize,
    pub(crate) counts: CommitCounts,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Submission>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(rows: usize, bytes: usize) -> Self {
        Self { state: Mutex::default(), wake: Notify::new(), rows, bytes, counts: CommitCounts::new() }
    }

    /// Adds a submission to the end.
    ///
    /// # Errors
    /// The queue is full, or the engine is shutting down.
    pub(crate) fn push(&self, submission: Submission) -> Result<(), Error> {
        let size = submission.work.size_bytes();
        let mut state = self.lock();
        if state.closed {
            return Err(Error::new(ErrorKind::Ended, "shutting down"));
        }
        if state.waiting.len() >= self.rows || state.bytes + size > self.bytes {
            return Err(overloaded());
        }
        if submission.reply.of_send {
            self.counts.accepted.one();
        }
        state.bytes += size;
        state.waiting.push_back(submission);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Takes from the front, up to a number of rows and bytes, and at least one; waits for one.
    /// `None` once closed and empty.
    ///
    /// # Cancel safety
    /// A dropped future has taken nothing.
    pub(crate) async fn gather(&self, rows: usize, bytes: usize) -> Option<Vec<Submission>> {
        loop {
            {
                let mut state = self.lock();
                if !state.waiting.is_empty() {
                    return Some(state.take(rows, bytes));
                }
                if state.closed {
                    return None;
                }
            }
            self.wake.notified().await;
        }
    }

    /// Takes what is there, as [`Queue::gather`], without waiting.
    pub(crate) fn take(&self, rows: usize, bytes: usize) -> Vec<Submission> {
        self.lock().take(rows, bytes)
    }

    /// Withdraws what is past its deadline; nothing of it was written.
    pub(crate) fn withdraw(&self, now: Instant) {
        let mut state = self.lock();
        let mut late = Vec::new();
        for _ in 0..state.waiting.len() {
            let Some(submission) = state.waiting.pop_front() else { break };
            if submission.deadline <= now {
                state.bytes -= submission.work.size_bytes();
                late.push(submission.reply);
            } else {
                state.waiting.push_back(submission);
            }
        }
        drop(state);
        for reply in late {
            reply.send(Err(overloaded()), &self.counts);
        }
    }

    /// The earliest deadline of what waits.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        // Deadlines are given in the order of arrival.
        self.lock().waiting.front().map(|submission| submission.deadline)
    }

    /// How many rows and bytes wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.waiting.len(), state.bytes)
    }

    /// Takes no more; what waits is still written.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, rows: usize, bytes: usize) -> Vec<Submission> {
        let mut taken = Vec::with_capacity(self.waiting.len().min(rows));
        let mut taken_bytes = 0;
        while let Some(next) = self.waiting.front() {
            let size = next.work.size_bytes();
            if taken.len() >= rows.max(1) || (!taken.is_empty() && taken_bytes + size > bytes) {
                break;
            }
            taken_bytes += size;
            self.bytes -= size;
            taken.extend(self.waiting.pop_front());
        }
        taken
    }
}

pub(super) fn overloaded() -> Error {
    Error::new(ErrorKind::Overloaded, "too much waits to be stored").retry_after(Duration::from_secs(1))
}
