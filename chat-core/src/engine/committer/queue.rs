//! What waits to be stored: bounded in rows and bytes, refused when full, withdrawn when late.
//!
//! Conversations fall into lanes. A lane is with one committer at a time, from gathering until its batch
//! is settled, so that what one node does to a conversation happens one after the other; and committers
//! share all lanes, so that what is little goes into one batch, whoever takes it.
//!
//! A batch costs a store about the same whether it holds one item or fifty. So while one is in flight,
//! another begins only when enough waits to be worth a batch of its own. A batch that takes longer than
//! [`PATIENCE`] is waited for no more: one that is stuck holds up nobody else.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::SendWork;
use crate::engine::figures::CommitCounts;
use crate::engine::hub::stable_hash;
use crate::engine::sync::{Mutex, MutexGuard};
use crate::store::{Item, Outcome};
use crate::{ConversationId, Error, ErrorKind};

/// So many lanes that two batches at the same time rarely want the same.
const LANES: usize = 256;

/// While a batch is in flight, so many rows are worth another.
const WORTH_A_BATCH: usize = 128;

/// How long a batch takes at most that is not stuck: few are to be in flight also where the store is busy.
/// Models have no clock.
const PATIENCE: Duration = Duration::from_millis(if cfg!(interleavings) { u32::MAX as u64 } else { 50 });

/// One change on its way to the store, and who waits for it.
pub(crate) struct Submission {
    pub(crate) work: Work,
    pub(crate) deadline: Instant,
    pub(crate) reply: Reply,
    lane: usize,
}

impl Submission {
    /// Of work that is about a conversation.
    pub(crate) fn new(about: &ConversationId, work: Work, deadline: Instant, reply: Reply) -> Self {
        let lane = (stable_hash(&about.key()) % LANES as u64) as usize;
        Self { work, deadline, reply, lane }
    }
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

/// The bounds of what waits, and of what is made of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Of everything that waits.
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    /// Of one batch.
    pub(crate) batch_rows: usize,
    pub(crate) batch_bytes: usize,
    /// How many batches may be in flight: so many committers there are.
    pub(crate) batches: usize,
}

/// The queue of an engine's committers.
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Notify,
    bounds: Bounds,
    pub(crate) counts: CommitCounts,
}

/// What was gathered for one batch. Nobody else gets anything of its lanes until they are
/// [released](Queue::release).
pub(crate) struct Gathered {
    pub(crate) submissions: Vec<Submission>,
    pub(crate) lanes: Lanes,
}

/// Lanes that are with a committer.
pub(crate) struct Lanes {
    lanes: Vec<usize>,
    since: Instant,
}

struct State {
    lanes: Vec<Lane>,
    /// Lanes in which something waits and that are with nobody, in the order in which that came about.
    ready: VecDeque<usize>,
    /// What waits in them.
    ready_rows: usize,
    /// Since when batches are in flight: gathered, and not settled.
    in_flight: Vec<Instant>,
    /// What waits in all lanes.
    rows: usize,
    bytes: usize,
    closed: bool,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Submission>,
    is_taken: bool,
}

/// What a committer is to do that looks for work.
enum Look {
    Gather,
    /// Wait to be woken, or until this moment.
    Wait(Option<Instant>),
    End,
}

impl Queue {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let state = State {
            lanes: std::iter::repeat_with(Lane::default).take(LANES).collect(),
            ready: VecDeque::new(),
            ready_rows: 0,
            in_flight: Vec::new(),
            rows: 0,
            bytes: 0,
            closed: false,
        };
        Self { state: Mutex::new(state), wake: Notify::new(), bounds, counts: CommitCounts::new() }
    }

    /// Adds a submission behind what is about the same conversation.
    ///
    /// # Errors
    /// The queue is full, or the engine is shutting down.
    pub(crate) fn push(&self, submission: Submission) -> Result<(), Error> {
        let size = submission.work.size_bytes();
        let mut state = self.lock();
        if state.closed {
            return Err(Error::new(ErrorKind::Ended, "shutting down"));
        }
        if state.rows >= self.bounds.rows || state.bytes + size > self.bounds.bytes {
            return Err(overloaded());
        }
        if submission.reply.of_send {
            self.counts.accepted.one();
        }
        let before = state.ready_rows;
        state.add(submission, VecDeque::push_back);
        let after = state.ready_rows;
        drop(state);
        // Whoever is free begins, or sees how long to be patient. In between nothing changes for it.
        let enough = self.bounds.worth_a_batch();
        if before < after && (before == 0 || after == enough) {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Takes what makes a batch, at least one submission; waits for it. `None` once closed and empty.
    ///
    /// # Cancel safety
    /// A dropped future has taken nothing.
    pub(crate) async fn gather(&self) -> Option<Gathered> {
        loop {
            let until = {
                let mut state = self.lock();
                let now = Instant::now();
                match state.look(&self.bounds, now) {
                    Look::Gather => {
                        let gathered = state.gather(&self.bounds, now);
                        let is_more = state.ready_rows > 0;
                        drop(state);
                        if is_more {
                            self.wake.notify_one();
                        }
                        return Some(gathered);
                    }
                    Look::End => {
                        // One committer was woken for all of them.
                        self.wake.notify_one();
                        return None;
                    }
                    Look::Wait(until) => until,
                }
            };
            self.wait(until).await;
        }
    }

    /// Ends a batch: its lanes are everybody's again. What is to be decided again goes ahead of what
    /// waits in them, in this order.
    pub(crate) fn release(&self, lanes: Lanes, again: Vec<Submission>) {
        let mut state = self.lock();
        for submission in again.into_iter().rev() {
            state.add(submission, VecDeque::push_front);
        }
        for lane in lanes.lanes {
            state.lanes[lane].is_taken = false;
            state.offer(lane);
        }
        if let Some(ended) = state.in_flight.iter().position(|since| *since == lanes.since) {
            state.in_flight.swap_remove(ended);
        }
    }

    /// Withdraws what is past its deadline; nothing of it was written.
    pub(crate) fn withdraw(&self, now: Instant) {
        let mut late = Vec::new();
        self.lock().withdraw(now, &mut late);
        for reply in late {
            reply.send(Err(overloaded()), &self.counts);
        }
    }

    /// The earliest deadline of what waits.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let state = self.lock();
        if state.rows == 0 {
            return None;
        }
        // In each lane deadlines are in the order of arrival.
        state.lanes.iter().filter_map(|lane| lane.waiting.front()).map(|first| first.deadline).min()
    }

    /// How many rows and bytes wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.rows, state.bytes)
    }

    /// Takes no more; what waits is still written.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits to be woken, and no longer than until a moment.
    async fn wait(&self, until: Option<Instant>) {
        match until {
            // Cancel-safe: whoever was woken looks, and so does whom the clock has woken.
            Some(until) if cfg!(not(interleavings)) => {
                let _ = tokio::time::timeout_at(until, self.wake.notified()).await;
            }
            // Who ends a batch looks for another itself.
            _ => self.wake.notified().await,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bounds {
    fn worth_a_batch(&self) -> usize {
        WORTH_A_BATCH.min(self.batch_rows).max(1)
    }
}

impl State {
    fn look(&self, bounds: &Bounds, now: Instant) -> Look {
        if self.ready_rows == 0 {
            // What is with another committer, that one looks at when it comes back.
            return if self.closed { Look::End } else { Look::Wait(None) };
        }
        let patient_until = self.in_flight.iter().max().map(|since| *since + PATIENCE);
        let waits = patient_until.is_some_and(|until| until > now)
            && self.ready_rows < bounds.worth_a_batch()
            && !self.closed;
        if waits { Look::Wait(patient_until) } else { Look::Gather }
    }

    /// Takes whole lanes as far as a batch has room for them. Where much waits, others get their share.
    fn gather(&mut self, bounds: &Bounds, now: Instant) -> Gathered {
        let free = bounds.batches.saturating_sub(self.in_flight.len()).max(1);
        let share = self.ready_rows.div_ceil(free).max(bounds.worth_a_batch());
        let most = share.min(bounds.batch_rows).max(1);
        let (mut submissions, mut lanes, mut bytes) =
            (Vec::with_capacity(most.min(self.ready_rows)), Vec::new(), 0);
        while submissions.len() < most
            && let Some(lane) = self.ready.pop_front()
        {
            let Lane { waiting, is_taken } = &mut self.lanes[lane];
            self.ready_rows -= waiting.len();
            while let Some(next) = waiting.front() {
                let size = next.work.size_bytes();
                let fits = submissions.is_empty()
                    || (submissions.len() < most && bytes + size <= bounds.batch_bytes);
                if !fits {
                    break;
                }
                bytes += size;
                self.rows -= 1;
                self.bytes -= size;
                submissions.extend(waiting.pop_front());
                *is_taken = true;
            }
            if !*is_taken {
                // Too large for the rest of the room.
                self.ready_rows += waiting.len();
                self.ready.push_front(lane);
                break;
            }
            lanes.push(lane);
        }
        self.in_flight.push(now);
        Gathered { submissions, lanes: Lanes { lanes, since: now } }
    }

    fn add(&mut self, submission: Submission, to: impl FnOnce(&mut VecDeque<Submission>, Submission)) {
        let index = submission.lane;
        self.rows += 1;
        self.bytes += submission.work.size_bytes();
        let lane = &mut self.lanes[index];
        to(&mut lane.waiting, submission);
        if lane.is_taken {
            return;
        }
        if lane.waiting.len() == 1 {
            self.offer(index);
        } else {
            self.ready_rows += 1;
        }
    }

    /// A lane that is with nobody is ready if something waits in it.
    fn offer(&mut self, lane: usize) {
        let rows = self.lanes[lane].waiting.len();
        if rows > 0 {
            self.ready_rows += rows;
            self.ready.push_back(lane);
        }
    }

    fn withdraw(&mut self, now: Instant, late: &mut Vec<Reply>) {
        for lane in &mut self.lanes {
            for _ in 0..lane.waiting.len() {
                let Some(submission) = lane.waiting.pop_front() else { break };
                if submission.deadline <= now {
                    self.rows -= 1;
                    self.bytes -= submission.work.size_bytes();
                    self.ready_rows -= usize::from(!lane.is_taken);
                    late.push(submission.reply);
                } else {
                    lane.waiting.push_back(submission);
                }
            }
        }
        let lanes = &self.lanes;
        self.ready.retain(|lane| !lanes[*lane].waiting.is_empty());
    }
}

pub(super) fn overloaded() -> Error {
    Error::new(ErrorKind::Overloaded, "too much waits to be stored").retry_after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests;
