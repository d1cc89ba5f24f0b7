//! Members under a batch: loaded when they are looked at, written once when the batch is complete.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chat_core::store::{Placed, StandingChange};
use chat_core::{ConversationId, Cursor, Head, Member, Seq, UserId};
use rusqlite::{Connection, params};

use super::super::error::Failure;
use super::super::read;

/// The members that a batch has to do with.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Those whom nothing but their totals concerns: where, and how many countable entries more.
    counted: BTreeMap<Key, (ConversationId, u64)>,
    /// Those who were looked at; a key is in one of the two.
    loaded: BTreeMap<Key, Loaded>,
}

/// The number of the conversation's row, and the user: the order in which the table holds members.
type Key = (i64, UserId);

#[derive(Debug)]
struct Loaded {
    /// The row as the batch has it so far, `None` where there is none.
    member: Option<Member>,
    change: Change,
}

/// How much of a row is to be written. Positions and totals are in no index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Nothing,
    Positions,
    Everything,
}

impl Members {
    /// Adds a countable entry to a member's total.
    pub(super) fn count(&mut self, row: i64, conversation: ConversationId, user: UserId) {
        match self.loaded.get_mut(&(row, user)) {
            Some(loaded) => loaded.add(conversation, user, 1),
            None => self.counted.entry((row, user)).or_insert((conversation, 0)).1 += 1,
        }
    }

    /// Changes what a user is, and makes the row where there is none.
    pub(super) fn change_standing(
        &mut self,
        db: &Connection,
        row: i64,
        head: &Head,
        standing: &StandingChange,
        placed: &[Placed],
    ) -> Result<(), Failure> {
        let Loaded { member, change } = self.load(db, row, head, standing.user)?;
        let member = member.get_or_insert_with(|| Member::blank(head.conversation, standing.user));
        *change = Change::Everything;
        if let Some(joined) = standing.apply(member, placed) {
            read_to(db, row, head, member, joined)?;
            deliver_to(head, member, joined);
        }
        Ok(())
    }

    /// Moves a read cursor forward.
    pub(super) fn read(
        &mut self,
        db: &Connection,
        row: i64,
        head: &Head,
        user: UserId,
        to: Seq,
    ) -> Result<(), Failure> {
        if let Loaded { member: Some(member), change } = self.load(db, row, head, user)?
            && read_to(db, row, head, member, to)?
        {
            *change = Change::Positions.max(*change);
        }
        Ok(())
    }

    /// Moves a delivered position forward.
    pub(super) fn deliver(
        &mut self,
        db: &Connection,
        row: i64,
        head: &Head,
        user: UserId,
        to: Seq,
    ) -> Result<(), Failure> {
        if let Loaded { member: Some(member), change } = self.load(db, row, head, user)?
            && deliver_to(head, member, to)
        {
            *change = Change::Positions.max(*change);
        }
        Ok(())
    }

    /// Writes what the batch has changed.
    pub(super) fn flush(&self, db: &Connection) -> Result<(), Failure> {
        for ((row, user), (conversation, more)) in &self.counted {
            if add_to_total(db, *row, *user, *more)? == 0 {
                put(db, *row, &Member { own: *more, ..Member::blank(*conversation, *user) })?;
            }
        }
        for ((row, _), loaded) in &self.loaded {
            match (&loaded.member, loaded.change) {
                (None, _) | (_, Change::Nothing) => {}
                (Some(member), Change::Positions) => put_positions(db, *row, member)?,
                (Some(member), Change::Everything) => put(db, *row, member)?,
            }
        }
        Ok(())
    }

    fn load(&mut self, db: &Connection, row: i64, head: &Head, user: UserId) -> Result<&mut Loaded, Failure> {
        match self.loaded.entry((row, user)) {
            Entry::Occupied(loaded) => Ok(loaded.into_mut()),
            Entry::Vacant(place) => {
                let member = read::members::in_row(db, row, head.conversation, user)?;
                let mut loaded = Loaded { member, change: Change::Nothing };
                if let Some((conversation, more)) = self.counted.remove(&(row, user)) {
                    loaded.add(conversation, user, more);
                }
                Ok(place.insert(loaded))
            }
        }
    }
}

impl Loaded {
    /// Adds to the total, in a row that is made where there is none.
    fn add(&mut self, conversation: ConversationId, user: UserId, more: u64) {
        let change = if self.member.is_some() { Change::Positions } else { Change::Everything };
        self.member.get_or_insert_with(|| Member::blank(conversation, user)).own += more;
        self.change = change.max(self.change);
    }
}

/// Whether the read cursor moved.
fn read_to(db: &Connection, row: i64, head: &Head, member: &mut Member, to: Seq) -> Result<bool, Failure> {
    let Some(seq) = head.advance(member.read.seq, to) else { return Ok(false) };
    let ordinal = read::log::ordinal_at(db, row, head, seq)?;
    let own = own_at(db, row, head, member, seq)?;
    member.read = Cursor { seq, ordinal, own };
    Ok(true)
}

/// How many of the countable entries up to a seq, which is past the cursor, the member wrote.
///
/// Most moves go to the head, or are made by somebody who wrote nothing since the cursor. Else the
/// shorter side is counted; what is below `first_seq` cannot be.
fn own_at(db: &Connection, row: i64, head: &Head, member: &Member, seq: Seq) -> Result<u64, Failure> {
    let Cursor { seq: cursor, own, .. } = member.read;
    if seq == head.seq || member.own == own {
        return Ok(member.own);
    }
    if cursor + 1 >= head.first_seq && seq - cursor <= head.seq - seq {
        Ok(own + read::log::sent_between(db, row, member.user, cursor, seq)?)
    } else {
        Ok(member.own.saturating_sub(read::log::sent_between(db, row, member.user, seq, head.seq)?))
    }
}

fn deliver_to(head: &Head, member: &mut Member, to: Seq) -> bool {
    let moved = head.advance(member.delivered, to);
    member.delivered = moved.unwrap_or(member.delivered);
    moved.is_some()
}

fn add_to_total(db: &Connection, row: i64, user: UserId, more: u64) -> Result<usize, Failure> {
    let mut statement =
        db.prepare_cached("UPDATE member SET own = own + ?3 WHERE conversation = ?1 AND user = ?2")?;
    Ok(statement.execute([row, user.number().cast_signed(), more.cast_signed()])?)
}

fn put_positions(db: &Connection, row: i64, member: &Member) -> Result<(), Failure> {
    db.prepare_cached(
        "UPDATE member SET read_seq = ?3, read_ordinal = ?4, read_own = ?5, delivered = ?6, own = ?7
         WHERE conversation = ?1 AND user = ?2",
    )?
    .execute([
        row,
        member.user.number().cast_signed(),
        member.read.seq.cast_signed(),
        member.read.ordinal.cast_signed(),
        member.read.own.cast_signed(),
        member.delivered.cast_signed(),
        member.own.cast_signed(),
    ])?;
    Ok(())
}

/// Writes a row.
pub(in crate::sqlite) fn put(db: &Connection, row: i64, member: &Member) -> Result<(), Failure> {
    db.prepare_cached(
        "INSERT INTO member (conversation, user, key, standing, relation, blocked, muted_until, joined_seq,
                             visible_from, left_seq, read_seq, read_ordinal, read_own, delivered, own)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
         ON CONFLICT (conversation, user) DO UPDATE SET
             standing = excluded.standing, relation = excluded.relation, blocked = excluded.blocked,
             muted_until = excluded.muted_until, joined_seq = excluded.joined_seq,
             visible_from = excluded.visible_from, left_seq = excluded.left_seq,
             read_seq = excluded.read_seq, read_ordinal = excluded.read_ordinal,
             read_own = excluded.read_own, delivered = excluded.delivered, own = excluded.own",
    )?
    .execute(params![
        row,
        member.user.number().cast_signed(),
        &member.conversation.key()[..],
        member.standing.number().cast_signed(),
        member.relation.number().cast_signed(),
        member.blocked,
        member.muted_until.map(|until| until.0.cast_signed()),
        member.joined_seq.cast_signed(),
        member.visible_from.cast_signed(),
        member.left_seq.map(u64::cast_signed),
        member.read.seq.cast_signed(),
        member.read.ordinal.cast_signed(),
        member.read.own.cast_signed(),
        member.delivered.cast_signed(),
        member.own.cast_signed(),
    ])?;
    Ok(())
}
