//! What an item does to heads, members and positions: the arithmetic that every backend shares.

use super::{Append, Placed, SeqRef, StandingChange};
use crate::{ClientId, Entry, Head, Member, Seq, Timestamp};

impl Head {
    /// Moves on by one entry and says where that entry stands.
    pub fn place(&mut self, entry: &Append, now: Timestamp) -> Placed {
        self.seq += 1;
        self.ordinal += u64::from(entry.countable);
        self.time = self.time.max(now);
        if entry.changes_rules {
            // One more also where raises without entries got to this seq before it: a change that does
            // not show would let pass what was decided before it.
            self.rules_seq = self.seq.max(self.rules_seq + 1);
        }
        Placed { seq: self.seq, ordinal: self.ordinal, time: self.time }
    }

    /// What [`Write::RaiseRules`](super::Write::RaiseRules) does.
    pub fn raise_rules(&mut self) {
        self.rules_seq = self.seq.max(self.rules_seq + 1);
    }

    /// What [`Write::Trim`](super::Write::Trim) does; whether it changed anything.
    pub fn trim(&mut self, first_seq: Seq) -> bool {
        let raised = first_seq.min(self.seq + 1);
        let changes = raised > self.first_seq;
        if changes {
            self.first_seq = raised;
        }
        changes
    }

    /// Where a position that stands at `at` comes to stand when it is moved forward to `to`: never
    /// past the head, never before what was trimmed. `None` when it stays.
    pub fn advance(&self, at: Seq, to: Seq) -> Option<Seq> {
        let reached = to.clamp(self.first_seq - 1, self.seq);
        (to > at && reached > at).then_some(reached)
    }
}

impl Append {
    /// The entry that it becomes where it was placed.
    pub fn entry(&self, placed: &Placed, client_id: Option<ClientId>) -> Entry {
        Entry {
            seq: placed.seq,
            time: placed.time,
            sender: self.sender,
            client_id,
            countable: self.countable,
            ordinal: placed.ordinal,
            target: self.target,
            kind: self.kind,
            content: Some(self.content.clone()),
        }
    }
}

impl SeqRef {
    /// The seq that it stands for, given where the entries of its item were placed.
    ///
    /// 0 where the item has no such entry, which [`Batch::check`](super::Batch::check) rules out.
    pub fn resolve(self, placed: &[Placed]) -> Seq {
        match self {
            Self::At(seq) => seq,
            Self::Appended(index) => placed.get(index).map_or(0, |placed| placed.seq),
        }
    }
}

impl StandingChange {
    /// Sets the fields of a member. Returns the entry to which the read cursor and the delivered
    /// position are still to be moved, which takes the log.
    pub fn apply(&self, member: &mut Member, placed: &[Placed]) -> Option<Seq> {
        let resolve = |seq: SeqRef| seq.resolve(placed);
        member.standing = self.standing.unwrap_or(member.standing);
        member.relation = self.relation.unwrap_or(member.relation);
        member.blocked = self.blocked.unwrap_or(member.blocked);
        member.muted_until = self.muted_until.unwrap_or(member.muted_until);
        member.visible_from = self.visible_from.map_or(member.visible_from, resolve);
        let joined = self.joined.map(resolve);
        if let Some(joined) = joined {
            member.joined_seq = joined;
            member.left_seq = None;
        }
        member.left_seq = self.left.map(resolve).or(member.left_seq);
        joined
    }
}
