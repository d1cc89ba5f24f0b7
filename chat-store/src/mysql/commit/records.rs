//! What is recorded under the keys that a batch names, its own items included.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::store::{Append, Digest, Item, Once, Placed, RedactTarget, Stored};
use chat_core::{ConversationId, Head};
use mysql_async::Conn;

use super::super::error::Failure;
use super::super::read::log::{Record, in_log, is_said, is_trimmed, trimmed_commands};
use super::heads::Heads;

#[derive(Debug)]
pub(super) struct Records(BTreeMap<Once, Record>);

impl Records {
    pub(super) async fn find(conn: &mut Conn, heads: &Heads, items: &[Item]) -> Result<Self, Failure> {
        let mut keys: BTreeSet<Once> = items.iter().filter_map(|item| Some(item.once?.0)).collect();
        let mut found = in_log(conn, &keys).await?;
        keys.retain(|once| is_trimmed(heads.of(once.conversation)));
        found.extend(trimmed_commands(conn, &keys).await?);
        Ok(Self(found))
    }

    pub(super) fn of(&self, once: &Once) -> Option<&Stored> {
        self.0.get(once).map(|record| &record.stored)
    }

    pub(super) fn add(&mut self, once: Once, digest: Digest, append: &Append, placed: &Placed) {
        let content = Some(append.content.clone());
        let stored = Stored { seq: placed.seq, time: placed.time, digest, content };
        self.0.insert(once, Record { stored, is_said: is_said(append.countable, append.kind) });
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
        for (once, record) in &mut self.0 {
            if once.conversation == conversation && is_meant(once, record) {
                record.stored.content = None;
            }
        }
    }
}
