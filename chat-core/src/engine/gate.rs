//! The gate of a conversation: every entry, committed here or heard of from elsewhere, passes it, in
//! order and once.
//!
//! It releases only what follows the last entry that it released. What comes too early waits; a hole
//! that stays open is read from the store ([`repair`](super::repair)); one too large to be worth it
//! is told to the listeners as "behind". A gate exists only while somebody on this node listens.
//!
//! Releasing is a turn: one task at a time takes the next chunk and the listeners of that moment and
//! delivers outside the lock. Who listens changes only under the lock, between chunks.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use super::outbox::Outbox;
use super::sync::{Mutex, MutexGuard};
use crate::{Chunk, ConversationId, Seq, UserId};

/// The gate of one conversation on this node.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) conversation: ConversationId,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The last entry released; `None` until it is known where to begin.
    last: Option<Seq>,
    /// Where the gate began: whoever listened then was delivered everything after it.
    began: Seq,
    listeners: Arc<Vec<Arc<Outbox>>>,
    /// Chunks not yet released, by their first seq.
    waiting: BTreeMap<Seq, Arc<Chunk>>,
    waiting_bytes: usize,
    /// The last entry known to exist.
    known: Seq,
    /// Up to where listeners must be told that they are behind, in the gate's next turn.
    skip_to: Option<Seq>,
    /// Who listens since others began to, and is told where the gate begins.
    bystanders: Vec<Arc<Outbox>>,
    /// Whether some task has the turn.
    turn: bool,
}

/// What one step of a turn delivers.
pub(crate) enum Step {
    /// These entries.
    Chunk(Arc<Chunk>),
    /// That entries up to this one were passed over.
    Behind(Seq),
}

/// What is to be done after something was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// Nothing: passed over, or whoever has the turn does it.
    Settled,
    /// The caller has the turn now and must [`Gate::step`] until it ends.
    Turn,
    /// Entries are missing before what waits.
    Hole,
}

impl Gate {
    /// A gate that released everything up to `last`, or does not know yet where it begins.
    pub(crate) fn new(conversation: ConversationId, last: Option<Seq>) -> Self {
        let state = State {
            last,
            began: last.unwrap_or(0),
            listeners: Arc::default(),
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            known: last.unwrap_or(0),
            skip_to: None,
            bystanders: Vec::new(),
            turn: false,
        };
        Self { conversation, state: Mutex::new(state) }
    }

    /// Offers entries. What waits is bounded by `limit_bytes`: beyond it the gate stops keeping and
    /// tells its listeners that they are behind.
    pub(crate) fn offer(&self, chunk: Arc<Chunk>, limit_bytes: usize) -> Offered {
        let mut state = self.lock();
        if state.last.is_some_and(|last| chunk.last() <= last) {
            return Offered::Settled;
        }
        state.known = state.known.max(chunk.last());
        let size = chunk.size_bytes();
        if let Some(replaced) = state.waiting.insert(chunk.first(), chunk) {
            state.waiting_bytes -= replaced.size_bytes();
        }
        state.waiting_bytes += size;
        if state.waiting_bytes > limit_bytes && state.last.is_some() {
            state.give_up();
        }
        state.claim_turn()
    }

    /// Tells that entries up to this one exist.
    pub(crate) fn note(&self, head: Seq) -> Offered {
        let mut state = self.lock();
        state.known = state.known.max(head);
        state.claim_turn()
    }

    /// The range that is missing between what was released and what waits or is known.
    pub(crate) fn missing(&self) -> Option<(Seq, Seq)> {
        let state = self.lock();
        let from = state.last? + 1;
        let to = state.waiting.values().next().map_or(state.known, |chunk| chunk.first() - 1);
        (from <= to && state.skip_to.is_none()).then_some((from, to))
    }

    /// [`Defect::OwnEntryOvertakes`](super::planted::Defect::OwnEntryOvertakes): takes everything up to
    /// this entry for released.
    #[cfg(feature = "planted-defects")]
    pub(super) fn pass_over(&self, upto: Seq) {
        let mut state = self.lock();
        state.last = state.last.map(|last| last.max(upto));
    }

    /// Stops waiting for what is missing: listeners are told that they are behind.
    pub(crate) fn skip(&self) -> Offered {
        let mut state = self.lock();
        state.give_up();
        state.claim_turn()
    }

    /// Adds a listener. Whether the gate knows its position already: then everything after it is
    /// delivered; else the listener must [`Gate::begin`] with the head that it reads after this.
    pub(crate) fn attach(&self, outbox: &Arc<Outbox>) -> bool {
        let mut state = self.lock();
        if !state.listeners.iter().any(|listener| listener.session == outbox.session) {
            Arc::make_mut(&mut state.listeners).push(Arc::clone(outbox));
        }
        state.last.is_some()
    }

    /// Adds a listener that will not say where it begins: it has heard nothing of this conversation,
    /// and is told that it is behind once the gate's position is known.
    pub(crate) fn attach_bystander(&self, outbox: &Arc<Outbox>) {
        if !self.attach(outbox) {
            self.lock().bystanders.push(Arc::clone(outbox));
        }
    }

    /// Says where a listener begins that was attached before the position was known. The first sets
    /// the gate's position; a later one that read an earlier head is told what it missed.
    pub(crate) fn begin(&self, outbox: &Outbox, head: Seq) -> Offered {
        let mut state = self.lock();
        match state.last {
            None => {
                // What waits already is delivered rather than taken as read: another listener may
                // have read its head before it was committed.
                let first = state.waiting.keys().next().copied();
                state.began = first.map_or(head, |first| head.min(first - 1));
                state.last = Some(state.began);
                state.known = state.known.max(head);
                let began = state.began;
                for bystander in std::mem::take(&mut state.bystanders) {
                    if began > 0 && bystander.session != outbox.session {
                        bystander.push_behind(self.conversation, began);
                    }
                }
            }
            Some(_) if head < state.began => outbox.push_behind(self.conversation, state.began),
            Some(_) => {}
        }
        state.claim_turn()
    }

    /// Removes a listener; whether it was the last.
    pub(crate) fn detach(&self, session: u64) -> bool {
        let mut state = self.lock();
        if state.listeners.iter().any(|listener| listener.session == session) {
            Arc::make_mut(&mut state.listeners).retain(|listener| listener.session != session);
        }
        state.listeners.is_empty()
    }

    /// Begins with the first entry where none is left of those who would say where: they had begun to
    /// listen, and left before they did. Bystanders have heard nothing of this conversation.
    pub(crate) fn begin_abandoned(&self) -> Offered {
        let mut state = self.lock();
        let State { listeners, bystanders, .. } = &mut *state;
        let stays = |session| listeners.iter().any(|listener| listener.session == session);
        bystanders.retain(|bystander| stays(bystander.session));
        if state.last.is_none()
            && !state.bystanders.is_empty()
            && state.bystanders.len() == state.listeners.len()
        {
            state.bystanders.clear();
            state.last = Some(0);
        }
        state.claim_turn()
    }

    /// Removes all sessions of a user, or all there are, and returns them.
    pub(crate) fn detach_user(&self, user: Option<UserId>) -> Vec<Arc<Outbox>> {
        let mut state = self.lock();
        let leaves = |listener: &Arc<Outbox>| user.is_none_or(|user| listener.user == user);
        if !state.listeners.iter().any(leaves) {
            return Vec::new();
        }
        let listeners = std::mem::take(Arc::make_mut(&mut state.listeners));
        let (removed, remaining) = listeners.into_iter().partition(leaves);
        state.listeners = Arc::new(remaining);
        removed
    }

    /// Whether nobody listens.
    pub(crate) fn is_deserted(&self) -> bool {
        self.lock().listeners.is_empty()
    }

    /// Who listens at present.
    pub(crate) fn listeners(&self) -> Arc<Vec<Arc<Outbox>>> {
        Arc::clone(&self.lock().listeners)
    }

    /// The next delivery of the turn, and to whom; `None` ends the turn.
    pub(crate) fn step(&self) -> Option<(Step, Arc<Vec<Arc<Outbox>>>)> {
        let mut state = self.lock();
        let step = state.next_step();
        match step {
            Some(step) => Some((step, Arc::clone(&state.listeners))),
            None => {
                state.turn = false;
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn claim_turn(&mut self) -> Offered {
        let Some(last) = self.last else { return Offered::Settled };
        let ready = self.skip_to.is_some()
            || self.waiting.values().next().is_some_and(|chunk| chunk.first() <= last + 1);
        if ready {
            if std::mem::replace(&mut self.turn, true) { Offered::Settled } else { Offered::Turn }
        } else if self.known > last {
            Offered::Hole
        } else {
            Offered::Settled
        }
    }

    fn next_step(&mut self) -> Option<Step> {
        if let Some(upto) = self.skip_to.take() {
            self.last = self.last.max(Some(upto));
            return Some(Step::Behind(upto));
        }
        let last = self.last?;
        while let Some(first) = self.waiting.keys().next().copied().filter(|first| *first <= last + 1) {
            let chunk = self.waiting.remove(&first).expect("the key was just read");
            self.waiting_bytes -= chunk.size_bytes();
            if chunk.last() > last {
                self.last = Some(chunk.last());
                return Some(Step::Chunk(chunk));
            }
        }
        None
    }

    fn give_up(&mut self) {
        self.skip_to = Some(self.known);
        self.waiting.clear();
        self.waiting_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::figures::OutboxCounts;
    use super::super::outbox::OutboxLimits;
    use super::super::planted::Planted;
    use super::super::sync::AtomicUsize;
    use super::*;
    use crate::{DeviceId, Entry, Event, GroupId, Kind, Timestamp};

    const LIMIT: usize = 10_000;

    fn conversation() -> ConversationId {
        ConversationId::Group(GroupId::new(1).expect("valid"))
    }

    fn outbox(session: u64) -> Arc<Outbox> {
        let limits = OutboxLimits {
            session_bytes: 1 << 20,
            behind_marks: 8,
            total_bytes: usize::MAX,
            used_bytes: AtomicUsize::new(0),
            counts: OutboxCounts::default(),
            planted: Planted::default(),
        };
        let (user, device) = (UserId::new(session).expect("valid"), DeviceId::new(session).expect("valid"));
        Arc::new(Outbox::new(user, device, session, Arc::new(limits)))
    }

    fn chunk(seqs: std::ops::RangeInclusive<Seq>) -> Arc<Chunk> {
        let entries = seqs.map(|seq| Entry {
            seq,
            time: Timestamp(0),
            sender: UserId::new(2).expect("valid"),
            client_id: None,
            countable: true,
            ordinal: seq,
            target: None,
            kind: Kind::new(16).expect("valid"),
            content: Some(Bytes::new()),
        });
        Arc::new(Chunk::new(conversation(), entries.collect()).expect("entries that follow each other"))
    }

    fn run(gate: &Gate, offered: Offered) {
        if offered == Offered::Turn {
            while let Some((step, listeners)) = gate.step() {
                for listener in listeners.iter() {
                    match &step {
                        Step::Chunk(chunk) => {
                            listener.push(chunk);
                        }
                        Step::Behind(upto) => listener.push_behind(conversation(), *upto),
                    }
                }
            }
        }
    }

    fn received(outbox: &Outbox) -> Vec<Seq> {
        std::iter::from_fn(|| outbox.take().flatten())
            .flat_map(|event| match event {
                Event::Entries(chunk) => chunk.entries().iter().map(|entry| entry.seq).collect(),
                Event::Behind { upto, .. } => vec![upto + 1000],
                other => panic!("unexpected {other:?}"),
            })
            .collect()
    }

    #[test]
    fn entries_are_released_in_order_and_once_however_they_arrive() {
        let gate = Gate::new(conversation(), Some(3));
        let listener = outbox(1);
        gate.attach(&listener);
        for seqs in [6..=6, 2..=3, 5..=5, 4..=4, 5..=6, 4..=7] {
            let offered = gate.offer(chunk(seqs), LIMIT);
            run(&gate, offered);
        }
        assert_eq!(received(&listener), [4, 5, 6, 4, 5, 6, 7], "the overlap is for the receiver to drop");
        assert_eq!(gate.missing(), None);
    }

    #[test]
    fn a_hole_is_known_until_it_is_filled() {
        let gate = Gate::new(conversation(), Some(0));
        assert_eq!(gate.offer(chunk(3..=3), LIMIT), Offered::Hole);
        assert_eq!(gate.missing(), Some((1, 2)));
        assert_eq!(gate.offer(chunk(1..=2), LIMIT), Offered::Turn);
        run(&gate, Offered::Turn);
        assert_eq!(gate.note(5), Offered::Hole);
        assert_eq!(gate.missing(), Some((4, 5)));
    }

    #[test]
    fn an_acknowledgement_of_what_others_wrote_never_overtakes_them() {
        let gate = Gate::new(conversation(), Some(0));
        let listener = outbox(1);
        gate.attach(&listener);
        run(&gate, gate.offer(chunk(2..=2), LIMIT));
        assert!(received(&listener).is_empty());
    }

    #[test]
    fn who_begins_before_the_gate_misses_nothing() {
        let gate = Gate::new(conversation(), None);
        let (early, late) = (outbox(1), outbox(2));
        assert!(!gate.attach(&early));
        assert!(!gate.attach(&late));
        // `late` has read head 5; 6 is committed; then `early` reads head 6.
        assert_eq!(gate.offer(chunk(6..=6), LIMIT), Offered::Settled);
        run(&gate, gate.begin(&early, 6));
        run(&gate, gate.begin(&late, 5));
        assert_eq!(received(&late), [6]);
        assert_eq!(received(&early), [6]);
    }

    #[test]
    fn who_read_an_earlier_head_than_the_gate_began_with_is_told() {
        let gate = Gate::new(conversation(), None);
        let (first, second) = (outbox(1), outbox(2));
        gate.attach(&first);
        gate.attach(&second);
        run(&gate, gate.begin(&first, 6));
        run(&gate, gate.begin(&second, 5));
        assert_eq!(received(&second), [1006]);
        assert!(received(&first).is_empty());
    }

    #[test]
    fn a_bystander_is_told_where_the_gate_begins_and_hears_what_follows() {
        let gate = Gate::new(conversation(), None);
        let (first, bystander) = (outbox(1), outbox(2));
        gate.attach(&first);
        gate.attach_bystander(&bystander);
        run(&gate, gate.begin(&first, 6));
        assert_eq!(received(&bystander), [1006]);
        run(&gate, gate.offer(chunk(7..=7), LIMIT));
        assert_eq!(received(&bystander), [7]);
        assert_eq!(received(&first), [7]);
    }

    #[test]
    fn a_gate_that_would_keep_too_much_tells_its_listeners_instead() {
        let gate = Gate::new(conversation(), Some(0));
        let listener = outbox(1);
        gate.attach(&listener);
        for seq in 2..=9 {
            run(&gate, gate.offer(chunk(seq..=seq), 200));
        }
        assert_eq!(
            received(&listener),
            [1009],
            "told once it was too much; what followed is under that mark"
        );
        run(&gate, gate.offer(chunk(10..=10), 200));
        assert_eq!(received(&listener), [10]);
    }

    #[test]
    fn bystanders_hear_everything_though_who_would_have_begun_has_left() {
        let gate = Gate::new(conversation(), None);
        let (bystander, opener) = (outbox(1), outbox(2));
        gate.attach(&opener);
        gate.attach_bystander(&bystander);
        assert_eq!(gate.offer(chunk(1..=1), LIMIT), Offered::Settled);
        assert_eq!(gate.begin_abandoned(), Offered::Settled, "the opener is there still");
        assert!(!gate.detach(2));
        run(&gate, gate.begin_abandoned());
        assert_eq!(received(&bystander), [1]);
    }

    #[test]
    fn the_last_to_leave_closes() {
        let gate = Gate::new(conversation(), Some(0));
        gate.attach(&outbox(1));
        gate.attach(&outbox(2));
        assert!(!gate.detach(1));
        assert_eq!(gate.detach_user(UserId::new(2).ok()).len(), 1);
        assert!(gate.is_deserted());
    }
}
