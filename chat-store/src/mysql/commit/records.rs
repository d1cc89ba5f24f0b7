//! What is recorded under the keys that a batch names, its own items included.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::store::{Append, Digest, Item, Once, Placed, RedactTarget, Stored, Write};
use chat_core::{ConversationId, Head};
use mysql_async::Conn;

use super::super::error::Failure;
use super::super::read::log::{Record, in_log, is_said, is_trimmed, trimmed_commands};
use super::heads::Heads;

/// When the log is asked for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mysql) enum Lookup {
    /// Only when an item is refused, which is no refusal if it was committed before. Whether one that
    /// is not refused was, the log's uniqueness tells when it is written: the batch is evaluated again
    /// then. Most batches repeat nothing, and so cost neither the round trip nor the search.
    WhenRefused,
    /// Before the first item.
    First,
}

#[derive(Debug)]
pub(super) struct Records {
    known: BTreeMap<Once, Record>,
    /// Whether those in the log are known too, and not only what retention took, and the batch's own.
    has_log: bool,
}

impl Records {
    pub(super) async fn find(
        conn: &mut Conn,
        heads: &Heads,
        items: &[Item],
        lookup: Lookup,
    ) -> Result<Self, Failure> {
        let mut keys = keys(items);
        keys.retain(|once| is_trimmed(heads.of(once.conversation)));
        let mut records = Self { known: trimmed_commands(conn, &keys).await?, has_log: false };
        // What a batch trims itself the log's uniqueness no longer knows.
        let trims =
            items.iter().flat_map(|item| &item.write).any(|write| matches!(write, Write::Trim { .. }));
        if lookup == Lookup::First || trims {
            records.ask_log(conn, items).await?;
        }
        Ok(records)
    }

    /// Makes sure that the records in the log are known.
    pub(super) async fn ask_log(&mut self, conn: &mut Conn, items: &[Item]) -> Result<(), Failure> {
        if !self.has_log {
            let mut found = in_log(conn, &keys(items)).await?;
            // What the batch itself wrote may be there already; what is known of it is newer.
            found.append(&mut self.known);
            (self.known, self.has_log) = (found, true);
        }
        Ok(())
    }

    pub(super) fn of(&self, once: &Once) -> Option<&Stored> {
        self.known.get(once).map(|record| &record.stored)
    }

    pub(super) fn add(&mut self, once: Once, digest: Digest, append: &Append, placed: &Placed) {
        let content = Some(append.content.clone());
        let stored = Stored { seq: placed.seq, time: placed.time, digest, content };
        self.known.insert(once, Record { stored, is_said: is_said(append.countable, append.kind) });
    }

    pub(super) fn redact(&mut self, conversation: ConversationId, target: RedactTarget) {
        self.empty(conversation, |once, record| match target {
            RedactTarget::Entry(seq) => record.stored.seq == seq,
            RedactTarget::SentBy(sender, up_to) => {
                once.sender == sender && record.stored.seq <= up_to && record.is_said
            }
        });
    }

    pub(super) fn trim(&mut self, head: &Head) {
        self.empty(head.conversation, |_, record| record.stored.seq < head.first_seq);
    }

    fn empty(&mut self, conversation: ConversationId, is_meant: impl Fn(&Once, &Record) -> bool) {
        for (once, record) in &mut self.known {
            if once.conversation == conversation && is_meant(once, record) {
                record.stored.content = None;
            }
        }
    }
}

fn keys(items: &[Item]) -> BTreeSet<Once> {
    items.iter().filter_map(|item| Some(item.once?.0)).collect()
}
