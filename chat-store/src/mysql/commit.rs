//! How items are evaluated, inside the one transaction that their connection is in.
//!
//! What they name is locked and read beforehand, the heads first and in the order of their keys, each
//! kind with one statement. Then each item is looked at as a whole before anything of it is written,
//! in memory; and when all are, what they change is written with one statement for each table. None of
//! these has an answer that anything depends on: while they are small they run with the commit, in one
//! packet (`script.rs`), but on Galera.
//!
//! | round trips | for |
//! |---|---|
//! | 1 | locking the heads |
//! | 1 each | members, accounts, devices and groups, where the batch names some |
//! | 1 each | accounts, devices and settings of groups that are written |
//! | 1 | entries, references, totals, members, heads, journal and the commit, of a small batch |
//!
//! In place of the last, of a large batch, and on Galera of every one:
//!
//! | round trips | for |
//! |---|---|
//! | 1 to 4 | entries, up to a thousand: see `statement.rs` |
//! | 1 each | references and members, where there are some |
//! | 1 each | totals, heads, journal |
//! | 1 | the commit |
//!
//! Records of commands are asked for when an item is refused, or when the log's uniqueness refused the
//! batch before: 1 round trip, and 1 for those that there are.
//!
//! Heads that do not exist yet cost three more: they are made in a transaction of their own, so that
//! the locking read is always the first of the transaction that writes.

pub(super) mod heads;
mod journal;
pub(super) mod log;
pub(super) mod members;
mod records;
pub(super) mod registry;

use std::collections::BTreeMap;

use chat_core::store::{Append, Digest, Item, Once, Outcome, Placed, Precondition, RedactTarget, Write};
use chat_core::{ConversationId, Seq, Timestamp};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params};

use super::error::Failure;
use super::script::{Packets, Script, literal_bytes};
use super::statement::Insert;
use heads::Heads;
use log::Log;
use members::Members;
use records::Records;
use registry::Registry;

pub(super) use journal::{Numbered, prune};
pub(super) use records::Lookup;

/// Items under evaluation.
#[derive(Debug)]
pub(super) struct Work<'work> {
    conn: &'work mut Conn,
    now: Timestamp,
    heads: Heads,
    members: Members,
    records: Records,
    registry: Registry,
    log: Log,
    moved: BTreeMap<ConversationId, Seq>,
}

impl<'work> Work<'work> {
    /// Evaluates the items and writes them, all but what is to run with the commit of the transaction.
    ///
    /// # Errors
    /// The transaction is to be rolled back then.
    pub(super) async fn evaluate(
        conn: &'work mut Conn,
        row: Numbered,
        items: &[Item],
        lookup: Lookup,
        packets: Packets,
    ) -> Result<(Vec<Outcome>, Script), Failure> {
        let heads = Heads::lock(conn, items).await?;
        let records = Records::find(conn, &heads, items, lookup).await?;
        let members = Members::find(conn, items).await?;
        let registry = Registry::lock(conn, items).await?;
        let (log, moved) = (Log::default(), BTreeMap::new());
        let mut work = Self { conn, now: row.now, heads, members, records, registry, log, moved };
        let mut outcomes = Vec::with_capacity(items.len());
        for item in items {
            outcomes.push(work.item(item, items).await?);
        }
        let script = work.flush(row, packets).await?;
        Ok((outcomes, script))
    }

    async fn item(&mut self, item: &Item, all: &[Item]) -> Result<Outcome, Failure> {
        if let Some(outcome) = self.recorded(item) {
            return Ok(outcome);
        }
        if let Some(outcome) = self.refused(item) {
            self.records.ask_log(self.conn, all).await?;
            return Ok(self.recorded(item).unwrap_or(outcome));
        }
        let mut placed = Vec::with_capacity(item.append.len());
        for (index, append) in item.append.iter().enumerate() {
            placed.push(self.append(append, item.once.as_ref().filter(|_| index == 0))?);
        }
        for write in &item.write {
            self.write(write, &placed).await?;
        }
        Ok(Outcome::Committed(placed))
    }

    fn recorded(&self, item: &Item) -> Option<Outcome> {
        let (once, digest) = item.once.as_ref()?;
        let stored = self.records.of(once)?;
        let is_repetition = stored.digest == *digest;
        Some(if is_repetition { Outcome::Duplicate(stored.clone()) } else { Outcome::Conflict })
    }

    fn refused(&self, item: &Item) -> Option<Outcome> {
        let unmet = item.require.iter().find_map(|precondition| self.unmet(precondition));
        let taken = || item.write.iter().any(|write| self.registry.collides(write));
        unmet.or_else(|| taken().then_some(Outcome::Taken))
    }

    fn unmet(&self, precondition: &Precondition) -> Option<Outcome> {
        let (holds, otherwise) = match precondition {
            Precondition::Rules(id, expected) => {
                let found = self.heads.of(*id).map_or(0, |head| head.rules_seq);
                (found == *expected, Outcome::Stale)
            }
            Precondition::NameFree(name) => (!self.registry.has_name(name), Outcome::Taken),
            Precondition::UserFree(user) => (!self.registry.has_user(*user), Outcome::Stale),
            Precondition::HandleFree(handle) => (!self.registry.has_handle(handle), Outcome::Taken),
            Precondition::Slot(device, expected) => {
                (self.registry.slot(*device) == Some(expected.as_ref()), Outcome::Stale)
            }
        };
        (!holds).then_some(otherwise)
    }

    fn append(&mut self, append: &Append, record: Option<&(Once, Digest)>) -> Result<Placed, Failure> {
        let placed = self.heads.change(append.conversation)?.place(append, self.now);
        self.log.append(append, &placed, record);
        if let Some((once, digest)) = record {
            self.records.add(*once, *digest, append, &placed);
        }
        if append.countable {
            self.members.count(append.conversation, append.sender);
        }
        self.moved.insert(append.conversation, placed.seq);
        Ok(placed)
    }

    async fn write(&mut self, write: &Write, placed: &[Placed]) -> Result<(), Failure> {
        match write {
            Write::PutAccount(account) => self.registry.put_account(account),
            Write::PutDevice(device) => self.registry.put_device(device),
            Write::DeleteDevice(device) => self.registry.delete_device(*device),
            Write::Attach { device, slot, now } => self.registry.attach(*device, slot.as_ref(), *now),
            Write::PutGroup(group) => self.registry.put_group(group),
            Write::RaiseRules(id) => self.heads.change(*id)?.raise_rules(),
            Write::Standing(change) => {
                let head = self.heads.change(change.conversation)?;
                self.members.change_standing(self.conn, &self.log, head, change, placed).await?;
            }
            Write::Read { conversation, user, to } => {
                if let Some(head) = self.heads.of(*conversation) {
                    let to = to.resolve(placed);
                    self.members.read(self.conn, &self.log, head, *user, to).await?;
                }
            }
            Write::Delivered { conversation, user, to } => {
                if let Some(head) = self.heads.of(*conversation) {
                    self.members.deliver(head, *user, to.resolve(placed));
                }
            }
            Write::Redact { conversation, target } => self.redact(*conversation, *target).await?,
            Write::Trim { conversation, first_seq } => self.trim(*conversation, *first_seq).await?,
        }
        Ok(())
    }

    async fn redact(&mut self, conversation: ConversationId, target: RedactTarget) -> Result<(), Failure> {
        self.records.redact(conversation, target);
        self.log.redact(self.conn, conversation, target).await
    }

    async fn trim(&mut self, conversation: ConversationId, first_seq: Seq) -> Result<(), Failure> {
        if self.heads.of(conversation).is_none_or(|head| !head.clone().trim(first_seq)) {
            return Ok(());
        }
        let head = self.heads.change(conversation)?;
        head.trim(first_seq);
        self.records.trim(head);
        self.log.trim(self.conn, head).await
    }

    /// Writes what was changed, or leaves it to run with the commit where it is small.
    async fn flush(mut self, row: Numbered, packets: Packets) -> Result<Script, Failure> {
        // In the order of its changes, one statement each: seldom, and few.
        self.registry.write_out(self.conn).await?;
        let mut inserts = Vec::from(self.log.inserts());
        inserts.extend(self.members.inserts());
        inserts.push(self.heads.insert());
        let journal = row.row(&self.moved);
        let of_journal = journal.iter().flat_map(|(_, values)| values).map(literal_bytes);
        let bytes = inserts.iter().map(Insert::script_bytes).chain(of_journal).sum();
        let mut script = Script::default();
        if packets.are_joined(bytes) {
            inserts.iter().for_each(|insert| insert.add_to(&mut script));
            if let Some((statement, values)) = journal {
                script.add(statement, &values);
            }
            return Ok(script);
        }
        for insert in inserts {
            insert.write(self.conn).await?;
        }
        if let Some((statement, values)) = journal {
            self.conn.exec_drop(statement, Params::Positional(values)).await?;
        }
        Ok(script)
    }
}
