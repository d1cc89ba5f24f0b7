//! What waits for one session: a queue of events, bounded in bytes, that never makes anyone wait.
//!
//! ```text
//! room ──full──▶ ephemeral events dropped ──still full──▶ queued entries become marks
//!                                                          "behind in c up to n"
//!                                                          ──too many marks──▶ "behind everywhere"
//! ```
//! A mark ends in the moment in which its receiver takes it: what a gate releases before that is
//! covered by the mark, what it releases after it is queued again. Both happen under the lock, so
//! that nothing can fall in between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use super::figures::OutboxCounts;
use super::planted::{Defect, Planted};
use super::sync::{AtomicUsize, Mutex, MutexGuard};
use crate::{Chunk, ConversationId, DeviceId, EndReason, Ephemeral, Event, Seq, UserId};

/// What an ephemeral event is reckoned at, in bytes.
const EPHEMERAL_BYTES: usize = 64;

/// The bounds that all outboxes of an engine share.
#[derive(Debug)]
pub(crate) struct OutboxLimits {
    pub(crate) session_bytes: usize,
    pub(crate) behind_marks: usize,
    pub(crate) total_bytes: usize,
    /// What waits in all sessions.
    pub(crate) used_bytes: AtomicUsize,
    pub(crate) counts: OutboxCounts,
    pub(crate) planted: Planted,
}

/// The queue of one session. Gates push, the session's one receiver takes.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    pub(crate) session: u64,
    limits: Arc<OutboxLimits>,
    state: Mutex<State>,
    waker: AtomicWaker,
    attached: Mutex<Attached>,
}

#[derive(Debug)]
struct Attached {
    /// The gates that know this outbox, for leaving them at the end.
    gates: BTreeSet<ConversationId>,
    /// The gates of which this outbox has yet to say where they begin, as long as it begins to listen.
    opened: Option<BTreeSet<ConversationId>>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Queued>,
    bytes: usize,
    behind: BTreeMap<ConversationId, Seq>,
    /// Conversations of which nothing is told before it is certain that the user is a member, and
    /// the last entry that came meanwhile.
    held: BTreeMap<ConversationId, Seq>,
    everywhere: bool,
    ended: Option<EndReason>,
    end_told: bool,
}

#[derive(Debug)]
enum Queued {
    Chunk(Arc<Chunk>),
    Ephemeral(Ephemeral),
}

impl Queued {
    fn size_bytes(&self) -> usize {
        match self {
            Self::Chunk(chunk) => chunk.size_bytes(),
            Self::Ephemeral(_) => EPHEMERAL_BYTES,
        }
    }
}

impl Outbox {
    pub(crate) fn new(user: UserId, device: DeviceId, session: u64, limits: Arc<OutboxLimits>) -> Self {
        let attached = Attached { gates: BTreeSet::new(), opened: Some(BTreeSet::new()) };
        let (state, waker, attached) = (Mutex::default(), AtomicWaker::new(), Mutex::new(attached));
        Self { user, device, session, limits, state, waker, attached }
    }

    /// Queues entries, or marks their conversation as behind; whether they were queued.
    pub(crate) fn push(&self, chunk: &Arc<Chunk>) -> bool {
        let mut state = self.lock();
        if state.ended.is_some() || state.hold(chunk.conversation(), chunk.last()) || state.everywhere {
            return false;
        }
        if let Some(upto) = state.behind.get_mut(&chunk.conversation()) {
            *upto = chunk.last().max(*upto);
            return false;
        }
        if self.is_full(&state, chunk.size_bytes()) {
            self.drop_ephemerals(&mut state);
        }
        let fits = !self.is_full(&state, chunk.size_bytes());
        if !fits && self.limits.planted.is(Defect::SlowReaderDropped) {
            return false;
        }
        if fits {
            self.enqueue(&mut state, Queued::Chunk(Arc::clone(chunk)));
            if self.limits.planted.is(Defect::DeliveredTwice) {
                self.enqueue(&mut state, Queued::Chunk(Arc::clone(chunk)));
            }
        } else {
            self.collapse(&mut state);
            self.mark(&mut state, chunk.conversation(), chunk.last());
        }
        drop(state);
        self.waker.wake();
        fits
    }

    /// Queues an ephemeral event if there is room.
    pub(crate) fn push_ephemeral(&self, ephemeral: Ephemeral) {
        let mut state = self.lock();
        if state.ended.is_some() {
            return;
        }
        if state.everywhere || self.is_full(&state, EPHEMERAL_BYTES) {
            self.limits.counts.ephemerals_dropped.one();
            return;
        }
        self.enqueue(&mut state, Queued::Ephemeral(ephemeral));
        drop(state);
        self.waker.wake();
    }

    /// Marks a conversation as behind up to a seq. What of it is queued is covered by the mark.
    pub(crate) fn push_behind(&self, conversation: ConversationId, upto: Seq) {
        let mut state = self.lock();
        if state.ended.is_none() && !state.hold(conversation, upto) && !state.everywhere {
            self.mark(&mut state, conversation, upto);
            drop(state);
            self.waker.wake();
        }
    }

    /// Holds back what comes of a conversation from now on.
    pub(crate) fn hold(&self, conversation: ConversationId) {
        self.lock().held.entry(conversation).or_insert(0);
    }

    /// Whether a conversation is held back.
    pub(crate) fn is_held(&self, conversation: &ConversationId) -> bool {
        self.lock().held.contains_key(conversation)
    }

    /// Goes on with a conversation, once it is certain that the user is a member: what was held back,
    /// and what came before this entry, is to be read.
    pub(crate) fn release_held(&self, conversation: ConversationId, upto: Seq) {
        let held = self.lock().held.remove(&conversation).unwrap_or(0);
        if held.max(upto) > 0 {
            self.push_behind(conversation, held.max(upto));
        }
    }

    /// Drops what was held back of a conversation that is not the user's.
    pub(crate) fn drop_held(&self, conversation: &ConversationId) {
        self.lock().held.remove(conversation);
    }

    /// Ends the stream: what waits is dropped, the reason is the last event. The first reason stays.
    pub(crate) fn end(&self, reason: EndReason) {
        let mut state = self.lock();
        if state.ended.is_none() {
            state.ended = Some(reason);
            self.clear(&mut state);
            drop(state);
            self.waker.wake();
        }
    }

    /// Remembers a gate that knows this outbox.
    pub(crate) fn remember(&self, conversation: ConversationId) {
        self.attached().gates.insert(conversation);
    }

    /// Forgets a gate.
    pub(crate) fn forget(&self, conversation: &ConversationId) {
        self.attached().gates.remove(conversation);
    }

    /// Whether a gate knows this outbox.
    pub(crate) fn is_attached(&self, conversation: &ConversationId) -> bool {
        self.attached().gates.contains(conversation)
    }

    /// Takes the account of all gates that know this outbox.
    pub(crate) fn take_attached(&self) -> BTreeSet<ConversationId> {
        std::mem::take(&mut self.attached().gates)
    }

    /// Whether this outbox still begins to listen. Then it is to say where this gate begins.
    pub(crate) fn opens(&self, conversation: ConversationId) -> bool {
        let mut attached = self.attached();
        attached.opened.as_mut().map(|opened| opened.insert(conversation)).is_some()
    }

    /// That it listens to everything that was there when it began; the gates that were opened meanwhile
    /// and of which it has yet to say where they begin.
    pub(crate) fn take_opened(&self) -> BTreeSet<ConversationId> {
        self.attached().opened.take().unwrap_or_default()
    }

    /// What waits in all sessions with these limits, in bytes.
    #[cfg(all(test, interleavings))]
    pub(crate) fn used_bytes(&self) -> usize {
        self.limits.used_bytes.load(Ordering::Relaxed)
    }

    /// Whether the session has ended, and why.
    pub(crate) fn ended(&self) -> Option<EndReason> {
        self.lock().ended
    }

    /// The next event, for the one receiver.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(event) = self.take() {
            return Poll::Ready(event);
        }
        self.waker.register(cx.waker());
        // Whoever pushed between the look and the registration woke nobody.
        self.take().map_or(Poll::Pending, Poll::Ready)
    }

    /// The next event if there is one; `Some(None)` after the last.
    pub(crate) fn take(&self) -> Option<Option<Event>> {
        let mut state = self.lock();
        if let Some(reason) = state.ended {
            let told = std::mem::replace(&mut state.end_told, true);
            return Some((!told).then_some(Event::Ended(reason)));
        }
        if std::mem::take(&mut state.everywhere) {
            return Some(Some(Event::BehindEverywhere));
        }
        if let Some((conversation, upto)) = state.behind.pop_first() {
            return Some(Some(Event::Behind { conversation, upto }));
        }
        let queued = state.queue.pop_front()?;
        self.release(&mut state, queued.size_bytes());
        Some(Some(match queued {
            Queued::Chunk(chunk) => Event::Entries(chunk),
            Queued::Ephemeral(ephemeral) => Event::Ephemeral(ephemeral),
        }))
    }

    fn is_full(&self, state: &State, more: usize) -> bool {
        if self.limits.planted.is(Defect::OutboxWithoutBound) {
            return false;
        }
        let total = self.limits.used_bytes.load(Ordering::Relaxed);
        state.bytes + more > self.limits.session_bytes || total + more > self.limits.total_bytes
    }

    fn enqueue(&self, state: &mut State, queued: Queued) {
        let size = queued.size_bytes();
        state.bytes += size;
        self.limits.used_bytes.fetch_add(size, Ordering::Relaxed);
        state.queue.push_back(queued);
    }

    fn release(&self, state: &mut State, size: usize) {
        state.bytes -= size;
        self.limits.used_bytes.fetch_sub(size, Ordering::Relaxed);
        if state.queue.is_empty() {
            // An idle session holds no buffer.
            state.queue = VecDeque::new();
        }
    }

    fn drop_ephemerals(&self, state: &mut State) {
        let before = state.queue.len();
        state.queue.retain(|queued| matches!(queued, Queued::Chunk(_)));
        let dropped = before - state.queue.len();
        self.limits.counts.ephemerals_dropped.add(dropped);
        self.release(state, dropped * EPHEMERAL_BYTES);
    }

    fn collapse(&self, state: &mut State) {
        self.limits.counts.collapses.one();
        let queue = std::mem::take(&mut state.queue);
        let bytes = state.bytes;
        self.release(state, bytes);
        for queued in queue {
            if let Queued::Chunk(chunk) = queued
                && !self.limits.planted.is(Defect::CollapseForgetsOthers)
            {
                self.mark(state, chunk.conversation(), chunk.last());
            }
        }
    }

    fn mark(&self, state: &mut State, conversation: ConversationId, upto: Seq) {
        if state.everywhere {
            return;
        }
        let mark = state.behind.entry(conversation).or_insert(upto);
        *mark = upto.max(*mark);
        if state.behind.len() > self.limits.behind_marks {
            self.clear(state);
            state.everywhere = state.ended.is_none();
        }
    }

    fn clear(&self, state: &mut State) {
        let bytes = state.bytes;
        state.queue.clear();
        state.behind.clear();
        self.release(state, bytes);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attached(&self) -> MutexGuard<'_, Attached> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes an entry of a conversation that is held back; whether it is.
    fn hold(&mut self, conversation: ConversationId, seq: Seq) -> bool {
        let Some(last) = self.held.get_mut(&conversation) else { return false };
        *last = seq.max(*last);
        true
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let bytes = self.lock().bytes;
        self.limits.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Entry, GroupId, Kind, Timestamp};

    fn conversation(number: u64) -> ConversationId {
        ConversationId::Group(GroupId::new(number).expect("valid"))
    }

    fn outbox(session_bytes: usize, behind_marks: usize) -> Outbox {
        let limits = OutboxLimits {
            session_bytes,
            behind_marks,
            total_bytes: usize::MAX,
            used_bytes: AtomicUsize::new(0),
            counts: OutboxCounts::default(),
            planted: Planted::default(),
        };
        let user = UserId::new(1).expect("valid");
        Outbox::new(user, DeviceId::new(1).expect("valid"), 1, Arc::new(limits))
    }

    /// A chunk of one entry of 100 bytes.
    fn chunk(group: u64, seq: Seq) -> Arc<Chunk> {
        let entry = Entry {
            seq,
            time: Timestamp(0),
            sender: UserId::new(2).expect("valid"),
            client_id: None,
            countable: true,
            ordinal: seq,
            target: None,
            kind: Kind::new(16).expect("valid"),
            content: Some(Bytes::from(vec![0; 36])),
        };
        Arc::new(Chunk::new(conversation(group), vec![entry]).expect("one entry"))
    }

    fn drain(outbox: &Outbox) -> Vec<String> {
        std::iter::from_fn(|| outbox.take().flatten())
            .map(|event| match event {
                Event::Entries(chunk) => format!("{:?} {}", chunk.conversation(), chunk.last()),
                other => format!("{other:?}"),
            })
            .collect()
    }

    fn typing() -> Ephemeral {
        Ephemeral::Typing { conversation: conversation(1), user: UserId::new(2).expect("valid") }
    }

    #[test]
    fn ephemeral_events_are_dropped_first() {
        let outbox = outbox(250, 8);
        outbox.push(&chunk(1, 1));
        outbox.push_ephemeral(typing());
        outbox.push_ephemeral(typing());
        outbox.push(&chunk(1, 2));
        assert_eq!(drain(&outbox), ["Group(GroupId(1)) 1", "Group(GroupId(1)) 2"]);
    }

    #[test]
    fn a_full_queue_collapses_into_marks_that_cover_what_it_held() {
        let outbox = outbox(250, 8);
        outbox.push(&chunk(1, 1));
        outbox.push(&chunk(2, 5));
        outbox.push(&chunk(1, 2));
        outbox.push(&chunk(1, 3));
        outbox.push(&chunk(3, 9));
        assert_eq!(
            drain(&outbox),
            [
                "Behind { conversation: Group(GroupId(1)), upto: 3 }",
                "Behind { conversation: Group(GroupId(2)), upto: 5 }",
                "Group(GroupId(3)) 9",
            ]
        );
        outbox.push(&chunk(1, 4));
        assert_eq!(drain(&outbox), ["Group(GroupId(1)) 4"], "a mark that was taken has ended");
    }

    #[test]
    fn too_many_marks_become_one() {
        let outbox = outbox(0, 2);
        for group in 1..=3 {
            outbox.push(&chunk(group, 1));
        }
        outbox.push(&chunk(4, 1));
        assert_eq!(drain(&outbox), ["BehindEverywhere"]);
    }

    #[test]
    fn what_is_held_back_is_to_be_read_once_it_is_released_and_never_told_when_it_is_dropped() {
        let outbox = outbox(250, 8);
        outbox.hold(conversation(1));
        outbox.hold(conversation(2));
        for seq in 1..=3 {
            outbox.push(&chunk(1, seq));
        }
        outbox.push(&chunk(2, 7));
        assert!(drain(&outbox).is_empty());
        outbox.release_held(conversation(1), 2);
        outbox.drop_held(&conversation(2));
        assert_eq!(drain(&outbox), ["Behind { conversation: Group(GroupId(1)), upto: 3 }"]);
        outbox.push(&chunk(1, 4));
        assert_eq!(drain(&outbox), ["Group(GroupId(1)) 4"]);
    }

    #[test]
    fn bytes_are_given_back_however_they_leave() {
        let outbox = outbox(250, 8);
        let used = |outbox: &Outbox| outbox.limits.used_bytes.load(Ordering::Relaxed);
        for seq in 1..=3 {
            outbox.push(&chunk(1, seq));
        }
        assert_eq!(used(&outbox), 0, "collapsed");
        drain(&outbox);
        outbox.push(&chunk(1, 4));
        outbox.push_ephemeral(typing());
        assert_eq!(used(&outbox), 164);
        outbox.end(EndReason::LoggedOut);
        assert_eq!(used(&outbox), 0);
        assert_eq!(drain(&outbox), ["Ended(LoggedOut)"]);
    }
}
