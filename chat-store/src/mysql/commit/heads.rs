//! The heads that a batch names, locked.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::store::{Item, Precondition, Write};
use chat_core::{ConversationId, Head};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::super::error::Failure;
use super::super::read::heads::{Lock, bare};
use super::super::read::key;
use super::super::statement::{Filling, Insert, Rows};

/// All heads that exist of those that the items name.
#[derive(Debug)]
pub(super) struct Heads {
    locked: BTreeMap<ConversationId, Head>,
    changed: BTreeSet<ConversationId>,
}

impl Heads {
    /// Locks what the items name, in the order of the keys, as the first read of a transaction.
    ///
    /// Members are locked by the head of their conversation, and so is the log; therefore every
    /// conversation is, of which anything is compared or changed.
    pub(super) async fn lock(conn: &mut Conn, items: &[Item]) -> Result<Self, Failure> {
        let (mut named, mut needed) = (BTreeSet::new(), BTreeSet::new());
        for item in items {
            name(item, &mut named, &mut needed);
        }
        named.extend(&needed);
        let mut locked = bare(conn, &named, Lock::Exclusive).await?;
        needed.retain(|id| !locked.contains_key(id));
        if !needed.is_empty() {
            // With locks held, making them could meet another batch that does the same crosswise.
            conn.query_drop("ROLLBACK").await?;
            make(conn, &needed).await?;
            conn.query_drop("COMMIT").await?;
            locked = bare(conn, &named, Lock::Exclusive).await?;
        }
        Ok(Self { locked, changed: BTreeSet::new() })
    }

    /// The head as the batch has it so far, `None` where there is none.
    pub(super) fn of(&self, id: ConversationId) -> Option<&Head> {
        self.locked.get(&id)
    }

    /// The head, to be changed.
    pub(super) fn change(&mut self, id: ConversationId) -> Result<&mut Head, Failure> {
        self.changed.insert(id);
        self.locked.get_mut(&id).ok_or(Failure::Damaged("a head that was made is gone"))
    }

    /// What the batch has changed, to be written.
    pub(super) fn insert(&self) -> Insert {
        let mut rows = Rows::of_columns(6);
        for head in self.changed.iter().filter_map(|id| self.locked.get(id)) {
            push(&mut rows, head);
        }
        let after = "ON DUPLICATE KEY UPDATE seq = VALUES(seq), ordinal = VALUES(ordinal),
                     time = VALUES(time), first_seq = VALUES(first_seq), rules_seq = VALUES(rules_seq)";
        Insert { before: INSERT, rows, after, filling: Filling::Last }
    }
}

pub(in crate::mysql) const INSERT: &str =
    "INSERT INTO head (conversation, seq, ordinal, time, first_seq, rules_seq)";

/// Makes empty heads, in the order of their keys.
pub(in crate::mysql) async fn make(
    conn: &mut Conn,
    missing: &BTreeSet<ConversationId>,
) -> Result<(), Failure> {
    let mut rows = Rows::of_columns(6);
    for id in missing {
        push(&mut rows, &Head::empty(*id));
    }
    // Whoever was faster has made them alike.
    let unless_there = "ON DUPLICATE KEY UPDATE conversation = head.conversation";
    rows.write(conn, INSERT, unless_there, &Filling::Last).await
}

pub(in crate::mysql) fn push(rows: &mut Rows, head: &Head) {
    rows.push([
        key(head.conversation),
        head.seq.into(),
        head.ordinal.into(),
        head.time.0.into(),
        head.first_seq.into(),
        head.rules_seq.into(),
    ]);
}

/// The conversations whose heads the items lock.
pub(in crate::mysql) fn locked_by(items: &[Item]) -> BTreeSet<ConversationId> {
    let (mut named, mut needed) = (BTreeSet::new(), BTreeSet::new());
    for item in items {
        name(item, &mut named, &mut needed);
    }
    named.extend(needed);
    named
}

/// Which conversations an item has to do with, and which of them need a head.
fn name(item: &Item, named: &mut BTreeSet<ConversationId>, needed: &mut BTreeSet<ConversationId>) {
    needed.extend(item.append.iter().map(|append| append.conversation));
    for precondition in &item.require {
        if let Precondition::Rules(id, _) = precondition {
            // Locked even where nothing is written, so that 0 still holds when the item commits.
            needed.insert(*id);
        }
    }
    for write in &item.write {
        match write {
            Write::RaiseRules(id) => needed.insert(*id),
            Write::Standing(change) => needed.insert(change.conversation),
            Write::PutGroup(group) => named.insert(ConversationId::Group(group.id)),
            Write::Read { conversation, .. }
            | Write::Delivered { conversation, .. }
            | Write::Redact { conversation, .. }
            | Write::Trim { conversation, .. } => named.insert(*conversation),
            Write::PutAccount(_) | Write::PutDevice(_) | Write::DeleteDevice(_) | Write::Attach { .. } => {
                false
            }
        };
    }
}
