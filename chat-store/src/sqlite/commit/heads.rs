//! Heads in the writer's memory.
//!
//! One process owns the file and one thread writes to it, so that what that thread last read or
//! wrote of a head is what is stored.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chat_core::{ConversationId, Head};
use rusqlite::{Connection, params};

use super::super::error::Failure;
use super::super::read;

/// The heads that were used of late, and which of them the batch has changed.
#[derive(Debug)]
pub(in crate::sqlite) struct Heads {
    known: HashMap<ConversationId, Known>,
    changed: Vec<(i64, ConversationId)>,
    capacity: usize,
}

/// What is known of a head.
#[derive(Debug)]
pub(super) struct Known {
    /// The number of its row, `None` while nothing was written.
    pub(super) row: Option<i64>,
    /// Without the settings of a group.
    pub(super) head: Head,
    changed: bool,
}

impl Heads {
    /// Keeps about `capacity` heads between batches.
    pub(in crate::sqlite) fn new(capacity: usize) -> Self {
        Self { known: HashMap::new(), changed: Vec::new(), capacity }
    }

    /// Forgets everything: the transaction was rolled back.
    pub(in crate::sqlite) fn forget(&mut self) {
        self.known.clear();
        self.changed.clear();
    }

    /// The head as the batch has it so far.
    pub(super) fn of(&mut self, db: &Connection, id: ConversationId) -> Result<&Known, Failure> {
        load(&mut self.known, db, id).map(|known| &*known)
    }

    /// The head, to be changed, and the number of its row, which is made where there is none.
    pub(super) fn change(
        &mut self,
        db: &Connection,
        id: ConversationId,
    ) -> Result<(i64, &mut Head), Failure> {
        let known = load(&mut self.known, db, id)?;
        let row = match known.row {
            Some(row) => row,
            None => *known.row.insert(insert(db, id)?),
        };
        if !known.changed {
            known.changed = true;
            self.changed.push((row, id));
        }
        Ok((row, &mut known.head))
    }

    /// Writes what the batch has changed, in the order of the rows.
    pub(super) fn flush(&mut self, db: &Connection) -> Result<(), Failure> {
        let mut statement = db.prepare_cached(
            "UPDATE conversation SET seq = ?2, ordinal = ?3, time = ?4, first_seq = ?5, rules_seq = ?6
             WHERE id = ?1",
        )?;
        self.changed.sort_unstable();
        for (row, id) in self.changed.drain(..) {
            let Some(known) = self.known.get_mut(&id) else { continue };
            known.changed = false;
            let head = &known.head;
            statement.execute(params![
                row,
                head.seq.cast_signed(),
                head.ordinal.cast_signed(),
                head.time.0.cast_signed(),
                head.first_seq.cast_signed(),
                head.rules_seq.cast_signed(),
            ])?;
        }
        if self.known.len() > self.capacity {
            // To start over costs one read per head in use, and needs no book of who used what when.
            self.known.clear();
        }
        Ok(())
    }
}

fn load<'known>(
    known: &'known mut HashMap<ConversationId, Known>,
    db: &Connection,
    id: ConversationId,
) -> Result<&'known mut Known, Failure> {
    match known.entry(id) {
        Entry::Occupied(known) => Ok(known.into_mut()),
        Entry::Vacant(place) => {
            let found = read::heads::bare(db, id)?;
            let (row, head) = found.map_or_else(|| (None, Head::empty(id)), |(row, head)| (Some(row), head));
            Ok(place.insert(Known { row, head, changed: false }))
        }
    }
}

/// Makes the row of an empty head, and says its number.
pub(in crate::sqlite) fn insert(db: &Connection, id: ConversationId) -> Result<i64, Failure> {
    db.prepare_cached(
        "INSERT INTO conversation (key, seq, ordinal, time, first_seq, rules_seq)
         VALUES (?1, 0, 0, 0, 1, 0)",
    )?
    .execute([&id.key()[..]])?;
    Ok(db.last_insert_rowid())
}
