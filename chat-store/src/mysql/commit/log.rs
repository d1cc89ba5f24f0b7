//! What a batch writes to the log.

use std::collections::BTreeMap;

use chat_core::store::{Append, Digest, Once, Placed, RedactTarget};
use chat_core::{ConversationId, Head, Kind, Seq, UserId};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value};

use super::super::error::Failure;
use super::super::read::{self, key};
use super::super::statement::{Filling, Insert, Rows};

/// The entries of a batch that are not written yet.
#[derive(Debug)]
pub(super) struct Log {
    rows: Rows,
    referring: Rows,
    /// What is counted in them; of each conversation without a hole, up to its head.
    unwritten: BTreeMap<ConversationId, Vec<Counted>>,
}

#[derive(Debug)]
struct Counted {
    seq: Seq,
    sender: UserId,
    countable: bool,
    ordinal: u64,
}

/// The columns of an entry, and of the reference that one makes that is not countable.
pub(in crate::mysql) const INSERT: &str =
    "INSERT INTO log (conversation, seq, time, sender, kind, countable, ordinal, target,
                      client_id, digest, content)";
pub(in crate::mysql) const INSERT_REFERRING: &str = "INSERT INTO referring (conversation, target, seq)";

impl Default for Log {
    fn default() -> Self {
        Self { rows: Rows::of_columns(11), referring: Rows::of_columns(3), unwritten: BTreeMap::new() }
    }
}

impl Log {
    /// Adds an entry; with `record`, as what is recorded under that key.
    pub(super) fn append(&mut self, append: &Append, placed: &Placed, record: Option<&(Once, Digest)>) {
        let bytes = |bytes: &[u8; 16]| Value::Bytes(bytes.to_vec());
        self.rows.push([
            key(append.conversation),
            placed.seq.into(),
            placed.time.0.into(),
            append.sender.number().into(),
            append.kind.number().into(),
            append.countable.into(),
            placed.ordinal.into(),
            append.target.into(),
            record.map_or(Value::NULL, |(once, _)| bytes(&once.client_id.0)),
            record.map_or(Value::NULL, |(_, digest)| bytes(&digest.0)),
            Value::Bytes(append.content.to_vec()),
        ]);
        if let (false, Some(target)) = (append.countable, append.target) {
            self.referring.push([key(append.conversation), target.into(), placed.seq.into()]);
        }
        self.unwritten.entry(append.conversation).or_default().push(Counted {
            seq: placed.seq,
            sender: append.sender,
            countable: append.countable,
            ordinal: placed.ordinal,
        });
    }

    /// Writes what is not written yet.
    pub(super) async fn write_out(&mut self, conn: &mut Conn) -> Result<(), Failure> {
        for insert in self.inserts() {
            insert.write(conn).await?;
        }
        Ok(())
    }

    /// What is not written yet, for others to write.
    pub(super) fn inserts(&mut self) -> [Insert; 2] {
        let Self { rows, referring, .. } = std::mem::take(self);
        let insert = |before, rows| Insert { before, rows, after: "", filling: Filling::None };
        [insert(INSERT, rows), insert(INSERT_REFERRING, referring)]
    }

    /// The number of countable entries up to a seq, which is taken for the nearest that is known: the
    /// head, or the last entry that was trimmed.
    pub(super) async fn ordinal_at(&self, conn: &mut Conn, head: &Head, seq: Seq) -> Result<u64, Failure> {
        let next = seq.saturating_add(1).max(head.first_seq);
        if next > head.seq {
            return Ok(head.ordinal);
        }
        let unwritten = self.unwritten_of(head.conversation);
        let index = unwritten.first().and_then(|first| next.checked_sub(first.seq));
        match index.and_then(|index| unwritten.get(index as usize)) {
            Some(counted) => Ok(counted.ordinal - u64::from(counted.countable)),
            None => read::log::ordinal_before(conn, head.conversation, next).await,
        }
    }

    /// How many countable entries of a sender stand after one seq and up to another.
    pub(super) async fn sent_between(
        &self,
        conn: &mut Conn,
        head: &Head,
        sender: UserId,
        (after, to): (Seq, Seq),
    ) -> Result<u64, Failure> {
        let unwritten = self.unwritten_of(head.conversation);
        let is_meant = |counted: &&Counted| {
            counted.countable && counted.sender == sender && counted.seq > after && counted.seq <= to
        };
        let new = unwritten.iter().filter(is_meant).count() as u64;
        let last_written = unwritten.first().map_or(head.seq, |first| first.seq - 1);
        if after >= last_written {
            return Ok(new);
        }
        let of = head.conversation;
        Ok(new + read::log::sent_between(conn, of, sender, after, to.min(last_written)).await?)
    }

    /// Empties the content of entries, those of this batch included.
    pub(super) async fn redact(
        &mut self,
        conn: &mut Conn,
        of: ConversationId,
        target: RedactTarget,
    ) -> Result<(), Failure> {
        if self.unwritten.contains_key(&of) {
            self.write_out(conn).await?;
        }
        match target {
            RedactTarget::Entry(seq) => {
                let update = "UPDATE log SET content = NULL WHERE conversation = ? AND seq = ?";
                conn.exec_drop(update, (key(of), seq)).await?;
            }
            RedactTarget::SentBy(sender, up_to) => {
                let [edit, reaction] = RedactTarget::REFERRING.map(Kind::number);
                let update = "UPDATE log SET content = NULL
                              WHERE conversation = ? AND seq <= ? AND sender = ?
                                AND (countable OR kind IN (?, ?)) AND content IS NOT NULL";
                conn.exec_drop(update, (key(of), up_to, sender.number(), edit, reaction)).await?;
            }
        }
        Ok(())
    }

    /// Deletes what lies below the head's `first_seq`, and keeps the records of commands.
    pub(super) async fn trim(&mut self, conn: &mut Conn, head: &Head) -> Result<(), Failure> {
        if self.unwritten.contains_key(&head.conversation) {
            self.write_out(conn).await?;
        }
        let below = || (key(head.conversation), head.first_seq);
        let keep = "INSERT INTO trimmed_command (client_id, sender, conversation, seq, time, digest)
                    SELECT client_id, sender, conversation, seq, time, digest FROM log
                    WHERE conversation = ? AND seq < ? AND client_id IS NOT NULL";
        conn.exec_drop(keep, below()).await?;
        conn.exec_drop("DELETE FROM log WHERE conversation = ? AND seq < ?", below()).await?;
        // A reference to what is gone is never looked for, wherever it stands itself.
        conn.exec_drop("DELETE FROM referring WHERE conversation = ? AND target < ?", below()).await?;
        Ok(())
    }

    fn unwritten_of(&self, conversation: ConversationId) -> &[Counted] {
        self.unwritten.get(&conversation).map_or(&[], |counted| counted)
    }
}
