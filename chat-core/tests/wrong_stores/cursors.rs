//! Faults of read cursors and delivered positions.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use chat_core::memory::MemoryStore;
use chat_core::store::{Append, Batch, Item, Outcome, SeqRef, Store, Write};
use chat_core::{ConversationId, Cursor, Member, Seq, UserId};

use crate::store::{Answer, Fault, Rewrites, WrongStore, alone, with};

pub(crate) const FAULTS: &[WrongStore] = &[
    WrongStore {
        fault: "moves a read cursor back",
        case: "cursors_only_move_forward_and_never_past_the_head",
        fresh: || {
            with(Moves::so(|row, to, _| {
                if to < row.read.seq {
                    row.read.seq = to;
                }
            }))
        },
    },
    WrongStore {
        fault: "moves a read cursor past the head",
        case: "cursors_only_move_forward_and_never_past_the_head",
        fresh: || {
            with(Moves::so(|row, to, head| {
                if to > head {
                    row.read.seq = to;
                }
            }))
        },
    },
    WrongStore {
        fault: "moves a delivered position back",
        case: "cursors_only_move_forward_and_never_past_the_head",
        fresh: || {
            with(Moves::so(|row, to, _| {
                if to < row.delivered {
                    row.delivered = to;
                }
            }))
        },
    },
    WrongStore {
        fault: "moves a delivered position past the head",
        case: "cursors_only_move_forward_and_never_past_the_head",
        fresh: || {
            with(Moves::so(|row, to, head| {
                if to > head {
                    row.delivered = to;
                }
            }))
        },
    },
    WrongStore {
        fault: "makes a row for who reads",
        case: "cursors_of_those_without_a_row_do_not_move",
        fresh: || {
            with(Rewrites(|item| {
                let reads = |write: &Write| match write {
                    Write::Read { conversation, user, .. } => {
                        Some(Write::Standing(chat_core::store::StandingChange::of(*conversation, *user)))
                    }
                    _ => None,
                };
                let rows: Vec<_> = item.write.iter().filter_map(reads).collect();
                item.write.splice(0..0, rows);
            }))
        },
    },
    WrongStore {
        fault: "gives a cursor the head's ordinal",
        case: "cursors_hold_ordinal_and_own_of_the_entry_they_stand_on",
        fresh: || with(TakesTheHeads::default()),
    },
    WrongStore {
        fault: "marks as read what precedes a message that one sends",
        case: "sending_moves_no_cursor",
        fresh: || {
            with(Rewrites(|item| {
                let read = |(index, append): (usize, &Append)| Write::Read {
                    conversation: append.conversation,
                    user: append.sender,
                    to: SeqRef::Appended(index),
                };
                let reads: Vec<_> = item.append.iter().enumerate().map(read).collect();
                item.write.extend(reads);
            }))
        },
    },
    WrongStore {
        fault: "gives a cursor the present total of own messages",
        case: "unread_equals_a_recount_after_random_operations",
        fresh: || with(TakesPresentTotals::default()),
    },
];

/// How a row comes to look by a move to a seq, given the head's.
type Move = fn(&mut Member, Seq, Seq);

/// Moves that the right store does not make; those that it makes come on top of them.
struct Moves {
    how: Move,
    rows: Mutex<BTreeMap<(ConversationId, UserId), Member>>,
}

impl Moves {
    fn so(how: Move) -> Self {
        Self { how, rows: Mutex::default() }
    }
}

#[async_trait]
impl Fault for Moves {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let outcome = alone(right, batch, item.clone()).await?;
        for write in &item.write {
            if let Write::Read { conversation, user, to: SeqRef::At(to) }
            | Write::Delivered { conversation, user, to: SeqRef::At(to) } = write
            {
                let place = (*conversation, *user);
                let head = right.heads(&[*conversation]).await?.remove(0);
                if let Some(mut row) = right.members(&[place]).await?.remove(0) {
                    (self.how)(&mut row, *to, head.seq);
                    self.rows.lock().expect("no panic").insert(place, row);
                }
            }
        }
        Ok(outcome)
    }

    fn spoil_member(&self, member: &mut Member) {
        if let Some(row) = self.rows.lock().expect("no panic").get(&(member.conversation, member.user)) {
            (member.read, member.delivered) = (row.read, row.delivered);
        }
    }
}

/// Cursors as they stood after the items that moved them.
#[derive(Default)]
struct Cursors(Mutex<BTreeMap<(ConversationId, UserId), Cursor>>);

impl Cursors {
    async fn item(
        &self,
        right: &MemoryStore,
        batch: &Batch,
        item: &Item,
        spoil: impl Fn(u64, &Member) -> Cursor + Send,
    ) -> Answer<Outcome> {
        let before = self.rows(right, item).await?;
        let outcome = alone(right, batch, item.clone()).await?;
        for (before, after) in before.into_iter().zip(self.rows(right, item).await?) {
            if let Some(after) = after
                && before.is_none_or(|before| before.read.seq < after.read.seq)
            {
                let head = right.heads(&[after.conversation]).await?.remove(0);
                let cursor = spoil(head.ordinal, &after);
                self.0.lock().expect("no panic").insert((after.conversation, after.user), cursor);
            }
        }
        Ok(outcome)
    }

    /// The rows that the item's reads concern.
    async fn rows(&self, right: &MemoryStore, item: &Item) -> Answer<Vec<Option<Member>>> {
        let reads = |write: &Write| match write {
            Write::Read { conversation, user, .. } => Some((*conversation, *user)),
            _ => None,
        };
        let places: Vec<_> = item.write.iter().filter_map(reads).collect();
        right.members(&places).await
    }

    fn spoil(&self, member: &mut Member) {
        let cursors = self.0.lock().expect("no panic");
        if let Some(cursor) = cursors.get(&(member.conversation, member.user))
            && cursor.seq == member.read.seq
        {
            member.read = *cursor;
        }
    }
}

#[derive(Default)]
struct TakesTheHeads(Cursors);

#[async_trait]
impl Fault for TakesTheHeads {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        self.0.item(right, batch, item, |ordinal, row| Cursor { ordinal, ..row.read }).await
    }

    fn spoil_member(&self, member: &mut Member) {
        self.0.spoil(member);
    }
}

/// What they wrote after the entry that they read counts as read twice.
#[derive(Default)]
struct TakesPresentTotals(Cursors);

#[async_trait]
impl Fault for TakesPresentTotals {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        self.0.item(right, batch, item, |_, row| Cursor { own: row.own, ..row.read }).await
    }

    fn spoil_member(&self, member: &mut Member) {
        self.0.spoil(member);
    }
}
