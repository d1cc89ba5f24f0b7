//! Members under a batch: read beforehand where their rows matter, written once.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::store::{Item, Placed, StandingChange, Write};
use chat_core::{ConversationId, Cursor, Head, Member, Seq, UserId};
use mysql_async::Conn;

use super::super::error::Failure;
use super::super::read;
use super::super::statement::{Filling, Insert, Rows};
use super::log::Log;

/// The order in which the table holds members.
type Key = (ConversationId, UserId);

/// The members that a batch has to do with.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Those whom nothing but their totals concerns: how many countable entries more.
    counted: BTreeMap<Key, u64>,
    /// The others; a key is in one of the two.
    loaded: BTreeMap<Key, Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    /// The row as the batch has it so far, `None` where there is none.
    member: Option<Member>,
    is_changed: bool,
}

impl Members {
    /// Reads those that the items change otherwise than by counting. Their heads are locked.
    pub(super) async fn find(conn: &mut Conn, items: &[Item]) -> Result<Self, Failure> {
        let keys = items.iter().flat_map(|item| &item.write).filter_map(|write| match write {
            Write::Standing(change) => Some((change.conversation, change.user)),
            Write::Read { conversation, user, .. } | Write::Delivered { conversation, user, .. } => {
                Some((*conversation, *user))
            }
            _ => None,
        });
        let keys: BTreeSet<Key> = keys.collect();
        let mut found = read::members::found(conn, &keys).await?;
        let load = |key| (key, Loaded { member: found.remove(&key), is_changed: false });
        Ok(Self { counted: BTreeMap::new(), loaded: keys.into_iter().map(load).collect() })
    }

    /// Adds a countable entry to a member's total.
    pub(super) fn count(&mut self, conversation: ConversationId, user: UserId) {
        match self.loaded.get_mut(&(conversation, user)) {
            Some(Loaded { member, is_changed }) => {
                member.get_or_insert_with(|| Member::blank(conversation, user)).own += 1;
                *is_changed = true;
            }
            None => *self.counted.entry((conversation, user)).or_default() += 1,
        }
    }

    /// Changes what a user is, and makes the row where there is none.
    pub(super) async fn change_standing(
        &mut self,
        conn: &mut Conn,
        log: &Log,
        head: &Head,
        change: &StandingChange,
        placed: &[Placed],
    ) -> Result<(), Failure> {
        let Loaded { member, is_changed } = self.loaded.entry((head.conversation, change.user)).or_default();
        let member = member.get_or_insert_with(|| Member::blank(head.conversation, change.user));
        *is_changed = true;
        if let Some(joined) = change.apply(member, placed) {
            read_to(conn, log, head, member, joined).await?;
            deliver_to(head, member, joined);
        }
        Ok(())
    }

    /// Moves a read cursor forward.
    pub(super) async fn read(
        &mut self,
        conn: &mut Conn,
        log: &Log,
        head: &Head,
        user: UserId,
        to: Seq,
    ) -> Result<(), Failure> {
        if let Some(Loaded { member: Some(member), is_changed }) =
            self.loaded.get_mut(&(head.conversation, user))
        {
            *is_changed |= read_to(conn, log, head, member, to).await?;
        }
        Ok(())
    }

    /// Moves a delivered position forward.
    pub(super) fn deliver(&mut self, head: &Head, user: UserId, to: Seq) {
        if let Some(Loaded { member: Some(member), is_changed }) =
            self.loaded.get_mut(&(head.conversation, user))
        {
            *is_changed |= deliver_to(head, member, to);
        }
    }

    /// What the batch has changed, to be written: totals alone, and whole rows.
    pub(super) fn inserts(&self) -> Vec<Insert> {
        let total = |((conversation, user), more): (&Key, u64)| {
            let blank = Member::blank(*conversation, *user);
            let row = [
                read::key(*conversation),
                user.number().into(),
                blank.standing.number().into(),
                blank.left_seq.into(),
                more.into(),
            ];
            (blank, row)
        };
        let mut inserts = Vec::new();
        if let Some((last, _)) = self.counted.last_key_value() {
            let (blank, nothing_more) = total((last, 0));
            let mut totals = Rows::like(counting(&blank));
            for (key, more) in &self.counted {
                totals.push(total((key, *more)).1);
            }
            let (after, filling) =
                ("ON DUPLICATE KEY UPDATE own = own + VALUES(own)", Filling::Row(nothing_more.into()));
            inserts.push(Insert { before: INSERT, rows: totals, after, filling });
        }
        let mut rows = Rows::of_columns(14);
        for loaded in self.loaded.values().filter(|loaded| loaded.is_changed) {
            if let Some(member) = &loaded.member {
                push(&mut rows, member);
            }
        }
        let after = "ON DUPLICATE KEY UPDATE
             standing = VALUES(standing), relation = VALUES(relation), blocked = VALUES(blocked),
             muted_until = VALUES(muted_until), joined_seq = VALUES(joined_seq),
             visible_from = VALUES(visible_from), left_seq = VALUES(left_seq),
             read_seq = VALUES(read_seq), read_ordinal = VALUES(read_ordinal),
             read_own = VALUES(read_own), delivered = VALUES(delivered), own = VALUES(own)";
        inserts.push(Insert { before: INSERT, rows, after, filling: Filling::Last });
        inserts
    }
}

pub(in crate::mysql) const INSERT: &str = "INSERT INTO member (conversation, user, standing, relation, blocked, muted_until,
                          joined_seq, visible_from, left_seq, read_seq, read_ordinal, read_own, delivered, own)";

/// A blank row, in which the total is a parameter, and what differs between blank rows.
fn counting(blank: &Member) -> String {
    let Member { relation, blocked, joined_seq, visible_from, read, delivered, .. } = blank;
    let (relation, blocked) = (relation.number(), u8::from(*blocked));
    let Cursor { seq, ordinal, own } = read;
    format!(
        "(?, ?, ?, {relation}, {blocked}, NULL, {joined_seq}, {visible_from}, ?, {seq}, {ordinal}, {own},
          {delivered}, ?)"
    )
}

pub(in crate::mysql) fn push(rows: &mut Rows, member: &Member) {
    rows.push([
        read::key(member.conversation),
        member.user.number().into(),
        member.standing.number().into(),
        member.relation.number().into(),
        member.blocked.into(),
        member.muted_until.map(|until| until.0).into(),
        member.joined_seq.into(),
        member.visible_from.into(),
        member.left_seq.into(),
        member.read.seq.into(),
        member.read.ordinal.into(),
        member.read.own.into(),
        member.delivered.into(),
        member.own.into(),
    ]);
}

/// Whether the read cursor moved.
async fn read_to(
    conn: &mut Conn,
    log: &Log,
    head: &Head,
    member: &mut Member,
    to: Seq,
) -> Result<bool, Failure> {
    let Some(seq) = head.advance(member.read.seq, to) else { return Ok(false) };
    let ordinal = log.ordinal_at(conn, head, seq).await?;
    let own = own_at(conn, log, head, member, seq).await?;
    member.read = Cursor { seq, ordinal, own };
    Ok(true)
}

/// How many of the countable entries up to a seq, which is past the cursor, the member wrote.
///
/// Most moves go to the head, or are made by somebody who wrote nothing since the cursor. Else the
/// shorter side is counted; what is below `first_seq` cannot be.
async fn own_at(conn: &mut Conn, log: &Log, head: &Head, member: &Member, seq: Seq) -> Result<u64, Failure> {
    let Cursor { seq: cursor, own, .. } = member.read;
    if seq == head.seq || member.own == own {
        return Ok(member.own);
    }
    if cursor + 1 >= head.first_seq && seq - cursor <= head.seq - seq {
        Ok(own + log.sent_between(conn, head, member.user, (cursor, seq)).await?)
    } else {
        let later = log.sent_between(conn, head, member.user, (seq, head.seq)).await?;
        Ok(member.own.saturating_sub(later))
    }
}

fn deliver_to(head: &Head, member: &mut Member, to: Seq) -> bool {
    let moved = head.advance(member.delivered, to);
    member.delivered = moved.unwrap_or(member.delivered);
    moved.is_some()
}
