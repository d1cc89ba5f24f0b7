//! How far each conversation has been delivered, and what is known to be missing.
//!
//! A position moves over consecutive entries only. What arrives beyond a hole is not kept: it is
//! remembered as the conversation's known head, up to which the log is then read. So whatever is
//! pushed, repeated, left out or reordered, each entry passes once and in order, and a conversation
//! costs the same however much of it is missing.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use chat_core::{ConversationId, ConversationState, Entry, Seq, Standing};

/// After so many reads in a row that bring nothing although something is missing, the server
/// contradicts itself.
const FRUITLESS_LIMIT: u8 = 3;

/// The positions of all conversations.
#[derive(Debug, Default)]
pub(super) struct Positions {
    places: BTreeMap<ConversationId, Place>,
    /// Conversations with something to ask, each once.
    repairs: VecDeque<ConversationId>,
    /// Whether a sync is under way that will say where unknown conversations start.
    syncing: bool,
    /// How many places owe something.
    owing: usize,
}

/// What is to be asked to close a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repair {
    /// Read this part of the log.
    Read { conversation: ConversationId, from: Seq, to: Seq },
    /// Ask how the conversation stands.
    Settle { conversation: ConversationId },
}

/// How a position moves.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Advance {
    /// Entries up to this one are passed over: nothing is delivered for them.
    pub(super) passed: Option<Seq>,
    /// What is to be delivered, after that.
    pub(super) entries: Vec<Entry>,
}

/// What the server says cannot all be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contradiction(pub(super) &'static str);

impl Positions {
    pub(super) fn new(cursors: impl IntoIterator<Item = (ConversationId, Seq)>) -> Self {
        let place = |seq| Place { have: Some(seq), head: seq, ..Place::default() };
        let places = cursors.into_iter().map(|(conversation, seq)| (conversation, place(seq))).collect();
        Self { places, ..Self::default() }
    }

    /// Takes entries that were pushed, consecutive ones.
    pub(super) fn pushed(&mut self, conversation: ConversationId, entries: Vec<Entry>) -> Advance {
        let Some((first, last)) = ends(&entries) else { return Advance::default() };
        let entries = self.change(conversation, |place| {
            place.hear_of(Some(first), last);
            if place.have.is_none() && first == 1 {
                place.have = Some(0);
            }
            match place.have {
                Some(have) if first <= have + 1 => place.take(entries),
                _ => Vec::new(),
            }
        });
        Advance { passed: None, entries }
    }

    /// Remembers that there are entries up to `upto`, from `first` on if that is known.
    pub(super) fn hear_of(&mut self, conversation: ConversationId, first: Option<Seq>, upto: Seq) {
        self.change(conversation, |place| place.hear_of(first, upto));
    }

    /// A sync begins: it will say where unknown conversations start.
    pub(super) fn sync_began(&mut self) {
        self.syncing = true;
    }

    /// Takes what a sync says of one conversation.
    pub(super) fn synced(
        &mut self,
        state: &ConversationState,
        entries: Vec<Entry>,
    ) -> Result<Advance, Contradiction> {
        if !readable(state) {
            return Ok(Advance::default());
        }
        self.change(state.conversation, |place| {
            let mut advance = Advance::default();
            place.begin(state, &mut advance);
            place.hear_of(None, state.head);
            place.owed = state.head;
            place.arrived(entries, &mut advance)?;
            Ok(advance)
        })
    }

    /// The sync is complete: conversations that it did not speak of are asked about one by one.
    pub(super) fn sync_ended(&mut self) {
        self.syncing = false;
        for (conversation, place) in &mut self.places {
            place.queue(*conversation, false, &mut self.repairs);
        }
    }

    /// Whether everything has been delivered that the last sync spoke of.
    pub(super) fn is_caught_up(&self) -> bool {
        !self.syncing && self.owing == 0
    }

    /// The cursors of the conversations after `after`, at most so many, and the last conversation that
    /// they speak about, `None` when that is the end.
    pub(super) fn cursors(
        &self,
        after: Option<ConversationId>,
        limit: usize,
    ) -> (Vec<(ConversationId, Seq)>, Option<ConversationId>) {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let known = self.places.range((start, Bound::Unbounded));
        let mut known = known.filter_map(|(conversation, place)| Some((*conversation, place.have?)));
        let cursors: Vec<_> = known.by_ref().take(limit).collect();
        let until = known.next().and(cursors.last()).map(|(conversation, _)| *conversation);
        (cursors, until)
    }

    /// What to ask next. It stays asked until it is answered by one of the next three.
    pub(super) fn next_repair(&mut self) -> Option<Repair> {
        while let Some(conversation) = self.repairs.pop_front() {
            let Some(place) = self.places.get_mut(&conversation) else { continue };
            place.stage = Stage::Idle;
            if place.is_whole() {
                continue;
            }
            place.stage = Stage::Asked;
            place.head_when_asked = place.head;
            return Some(match place.have {
                Some(have) if !place.unsettled => {
                    Repair::Read { conversation, from: have + 1, to: place.head }
                }
                _ => Repair::Settle { conversation },
            });
        }
        None
    }

    /// Takes the answer to [`Repair::Read`]: nothing when that part of the log cannot be read.
    pub(super) fn read(
        &mut self,
        conversation: ConversationId,
        entries: Vec<Entry>,
    ) -> Result<Advance, Contradiction> {
        self.change(conversation, |place| {
            let mut advance = Advance::default();
            place.stage = Stage::Idle;
            if entries.is_empty() && !place.is_whole() {
                place.unsettled = true;
                place.fruitless += 1;
                if place.fruitless > FRUITLESS_LIMIT {
                    return Err(Contradiction("a part of a log is there and cannot be read"));
                }
            }
            place.arrived(entries, &mut advance)?;
            Ok(advance)
        })
    }

    /// Takes the answer to [`Repair::Settle`].
    pub(super) fn settled(&mut self, state: &ConversationState) -> Advance {
        if !readable(state) {
            self.out_of_reach(state.conversation);
            return Advance::default();
        }
        self.change(state.conversation, |place| {
            let mut advance = Advance::default();
            place.stage = Stage::Idle;
            place.unsettled = false;
            place.begin(state, &mut advance);
            // What was heard of meanwhile may be newer than the answer.
            if place.head == place.head_when_asked {
                place.head = state.head;
                place.owed = place.owed.min(state.head);
            }
            advance
        })
    }

    /// Takes the answer to a repair that there is nothing to be had.
    pub(super) fn out_of_reach(&mut self, conversation: ConversationId) {
        self.change(conversation, |place| {
            let have = place.have;
            *place = Place { have, head: have.unwrap_or(0), ..Place::default() };
        });
        if self.places.get(&conversation).is_some_and(|place| place.have.is_none()) {
            self.places.remove(&conversation);
        }
    }

    /// The connection is gone: what is missing is found out anew by the next sync.
    pub(super) fn disconnected(&mut self) {
        self.places.retain(|_, place| {
            let have = place.have;
            *place = Place { have, head: have.unwrap_or(0), ..Place::default() };
            have.is_some()
        });
        self.repairs.clear();
        self.syncing = false;
        self.owing = 0;
    }

    /// Changes a place, and sees to it that what it owes is counted and what it lacks is asked for.
    fn change<T>(&mut self, conversation: ConversationId, change: impl FnOnce(&mut Place) -> T) -> T {
        let place = self.places.entry(conversation).or_default();
        let owed = place.owes();
        let result = change(place);
        match (owed, place.owes()) {
            (false, true) => self.owing += 1,
            (true, false) => self.owing -= 1,
            _ => {}
        }
        place.queue(conversation, self.syncing, &mut self.repairs);
        result
    }
}

/// The position in one conversation.
#[derive(Debug, Default)]
struct Place {
    /// The last entry delivered; `None` while it is not known where delivery starts.
    have: Option<Seq>,
    /// The last entry known to exist.
    head: Seq,
    /// The first entry that was heard of while `have` is `None`.
    first_heard: Option<Seq>,
    /// Up to where the last sync said that entries are to be delivered.
    owed: Seq,
    stage: Stage,
    /// `head` when the repair was asked for.
    head_when_asked: Seq,
    /// Whether a read brought nothing: the server is asked how the conversation stands.
    unsettled: bool,
    /// How many reads in a row brought nothing.
    fruitless: u8,
}

/// Where the repair of a place stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    Waiting,
    Asked,
}

impl Place {
    fn hear_of(&mut self, first: Option<Seq>, upto: Seq) {
        self.head = self.head.max(upto);
        if self.have.is_none()
            && let Some(first) = first
        {
            self.first_heard = Some(self.first_heard.map_or(first, |heard| heard.min(first)));
        }
    }

    /// Finds the start, and passes over what is kept no more.
    fn begin(&mut self, state: &ConversationState, advance: &mut Advance) {
        let floor = state.first_seq.saturating_sub(1);
        let have = match (self.have, self.first_heard) {
            (Some(have), _) => have.max(floor),
            // What was pushed is new to the user even when the cursor is beyond it: the entry by which
            // they joined.
            (None, Some(heard)) => state.read.min(heard.saturating_sub(1)).max(floor),
            (None, None) => state.read.max(floor),
        };
        if self.have != Some(have) {
            self.have = Some(have);
            advance.passed = Some(have);
        }
        self.head = self.head.max(have);
    }

    /// Takes entries that the log was asked for: what is missing before the first is not there for
    /// this user.
    fn arrived(&mut self, entries: Vec<Entry>, advance: &mut Advance) -> Result<(), Contradiction> {
        let Some((first, last)) = ends(&entries) else { return Ok(()) };
        if !entries.is_sorted_by(|before, after| before.seq + 1 == after.seq) {
            return Err(Contradiction("a part of a log has holes"));
        }
        let have = self.have.unwrap_or(0);
        if first > have + 1 {
            self.have = Some(first - 1);
            advance.passed = Some(first - 1);
        }
        self.head = self.head.max(last);
        advance.entries = self.take(entries);
        Ok(())
    }

    /// Moves over entries that begin at most one beyond the position; returns the new ones.
    fn take(&mut self, mut entries: Vec<Entry>) -> Vec<Entry> {
        let have = self.have.unwrap_or(0);
        let known = entries.partition_point(|entry| entry.seq <= have);
        entries.drain(..known);
        if let Some((_, last)) = ends(&entries) {
            self.have = Some(last);
            self.fruitless = 0;
            self.unsettled = false;
        }
        entries
    }

    fn is_whole(&self) -> bool {
        self.have.is_some_and(|have| have >= self.head)
    }

    fn owes(&self) -> bool {
        self.have.is_some_and(|have| have < self.owed)
    }

    fn queue(&mut self, conversation: ConversationId, syncing: bool, repairs: &mut VecDeque<ConversationId>) {
        let awaits_sync = syncing && self.have.is_none();
        if self.stage == Stage::Idle && !self.is_whole() && !awaits_sync && self.head > 0 {
            self.stage = Stage::Waiting;
            repairs.push_back(conversation);
        }
    }
}

/// Whether entries can be read, as they cannot by somebody who was only invited.
fn readable(state: &ConversationState) -> bool {
    state.standing.is_member() || state.standing == Standing::Former
}

fn ends(entries: &[Entry]) -> Option<(Seq, Seq)> {
    Some((entries.first()?.seq, entries.last()?.seq))
}

#[cfg(test)]
mod tests;
