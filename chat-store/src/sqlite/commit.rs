//! How a batch is evaluated, inside the one transaction that the writer has open for it.
//!
//! Of each item everything that can refuse it is looked at before anything is written, so that no
//! savepoint is needed. Entries go to the log at once; heads and members are changed in memory and
//! written when the batch is complete, each once however many items touched it.

pub(super) mod heads;
pub(super) mod log;
pub(super) mod members;
pub(super) mod registry;

use chat_core::store::{
    Append, Batch, Digest, Item, Once, Outcome, Placed, Precondition, RedactTarget, Write,
};
use chat_core::{ConversationId, Seq, Timestamp};
use rusqlite::Connection;

use super::error::Failure;
use super::read;
use heads::Heads;
use members::Members;

/// One batch under evaluation.
pub(super) struct Work<'work> {
    db: &'work Connection,
    heads: &'work mut Heads,
    members: Members,
    now: Timestamp,
}

impl<'work> Work<'work> {
    /// Evaluates the batch and writes it, all but the commit of the transaction.
    ///
    /// # Errors
    /// The transaction is to be rolled back then, and the heads in memory are to be forgotten.
    pub(super) fn evaluate(
        db: &'work Connection,
        heads: &'work mut Heads,
        batch: &Batch,
    ) -> Result<Vec<Outcome>, Failure> {
        let mut work = Self { db, heads, members: Members::default(), now: batch.now };
        let outcomes = batch.items.iter().map(|item| work.item(item)).collect::<Result<_, _>>()?;
        work.members.flush(db)?;
        work.heads.flush(db)?;
        Ok(outcomes)
    }

    fn item(&mut self, item: &Item) -> Result<Outcome, Failure> {
        if let Some((once, digest)) = &item.once
            && let Some(outcome) = self.repeated(once, digest)?
        {
            return Ok(outcome);
        }
        if let Some(outcome) = self.refused(item)? {
            return Ok(outcome);
        }
        let mut placed = Vec::with_capacity(item.append.len());
        for (index, append) in item.append.iter().enumerate() {
            placed.push(self.append(append, item.once.as_ref().filter(|_| index == 0))?);
        }
        for write in &item.write {
            self.write(write, &placed)?;
        }
        Ok(Outcome::Committed(placed))
    }

    fn repeated(&mut self, once: &Once, digest: &Digest) -> Result<Option<Outcome>, Failure> {
        let found = self.heads.of(self.db, once.conversation)?;
        let Some(row) = found.row else { return Ok(None) };
        let stored = read::log::record(self.db, row, &found.head, once)?;
        Ok(stored.map(
            |stored| {
                if stored.digest == *digest { Outcome::Duplicate(stored) } else { Outcome::Conflict }
            },
        ))
    }

    fn refused(&mut self, item: &Item) -> Result<Option<Outcome>, Failure> {
        for precondition in &item.require {
            if let Some(outcome) = self.unmet(precondition)? {
                return Ok(Some(outcome));
            }
        }
        for write in &item.write {
            if registry::collides(self.db, write)? {
                return Ok(Some(Outcome::Taken));
            }
        }
        Ok(None)
    }

    fn unmet(&mut self, precondition: &Precondition) -> Result<Option<Outcome>, Failure> {
        let (holds, otherwise) = match precondition {
            Precondition::Rules(id, expected) => {
                (self.heads.of(self.db, *id)?.head.rules_seq == *expected, Outcome::Stale)
            }
            Precondition::NameFree(name) => (registry::holder(self.db, name)?.is_none(), Outcome::Taken),
            Precondition::UserFree(user) => (!registry::exists(self.db, *user)?, Outcome::Stale),
            Precondition::HandleFree(handle) => {
                (read::heads::with_handle(self.db, handle)?.is_none(), Outcome::Taken)
            }
            Precondition::Slot(device, expected) => {
                let slot = read::accounts::slot(self.db, *device)?;
                (slot.is_some_and(|slot| slot == *expected), Outcome::Stale)
            }
        };
        Ok((!holds).then_some(otherwise))
    }

    fn append(&mut self, append: &Append, record: Option<&(Once, Digest)>) -> Result<Placed, Failure> {
        let (row, head) = self.heads.change(self.db, append.conversation)?;
        let placed = head.place(append, self.now);
        log::insert(self.db, row, append, placed, record)?;
        if append.countable {
            self.members.count(row, append.conversation, append.sender);
        }
        Ok(placed)
    }

    fn write(&mut self, write: &Write, placed: &[Placed]) -> Result<(), Failure> {
        let db = self.db;
        match write {
            Write::PutAccount(account) => registry::put_account(db, account),
            Write::PutDevice(device) => registry::put_device(db, device),
            Write::DeleteDevice(device) => registry::delete_device(db, *device),
            Write::Attach { device, slot, now } => registry::attach(db, *device, slot.as_ref(), *now),
            Write::PutGroup(group) => registry::put_group(db, group),
            Write::RaiseRules(id) => {
                self.heads.change(db, *id)?.1.raise_rules();
                Ok(())
            }
            Write::Standing(change) => {
                let (row, head) = self.heads.change(db, change.conversation)?;
                self.members.change_standing(db, row, head, change, placed)
            }
            Write::Read { conversation, user, to } => {
                let found = self.heads.of(db, *conversation)?;
                let Some(row) = found.row else { return Ok(()) };
                self.members.read(db, row, &found.head, *user, to.resolve(placed))
            }
            Write::Delivered { conversation, user, to } => {
                let found = self.heads.of(db, *conversation)?;
                let Some(row) = found.row else { return Ok(()) };
                self.members.deliver(db, row, &found.head, *user, to.resolve(placed))
            }
            Write::Redact { conversation, target } => self.redact(*conversation, *target),
            Write::Trim { conversation, first_seq } => self.trim(*conversation, *first_seq),
        }
    }

    fn redact(&mut self, conversation: ConversationId, target: RedactTarget) -> Result<(), Failure> {
        match self.heads.of(self.db, conversation)?.row {
            Some(row) => log::redact(self.db, row, target),
            None => Ok(()),
        }
    }

    fn trim(&mut self, conversation: ConversationId, first_seq: Seq) -> Result<(), Failure> {
        let found = self.heads.of(self.db, conversation)?;
        if found.row.is_none() || !found.head.clone().trim(first_seq) {
            return Ok(());
        }
        let (row, head) = self.heads.change(self.db, conversation)?;
        head.trim(first_seq);
        log::trim(self.db, row, head)
    }
}
