//! What a [`MemoryStore`](super::MemoryStore) holds, and how it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::Bound;

use crate::store::{
    Digest, JournalPage, JournalPosition, Once, StoreError, StoreErrorKind, Stored, WriterId,
};
use crate::{
    Account, AccountName, ConversationId, Device, DeviceId, Direction, Entry, GroupId, Handle, Head, History,
    Member, Range, Seq, Standing, Timestamp, TokenHash, UserId,
};

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) conversations: BTreeMap<ConversationId, Conversation>,
    pub(super) once: BTreeMap<Once, Record>,
    pub(super) accounts: BTreeMap<UserId, Account>,
    pub(super) names: BTreeMap<AccountName, UserId>,
    pub(super) devices: BTreeMap<DeviceId, Device>,
    pub(super) owned: BTreeMap<UserId, BTreeSet<DeviceId>>,
    pub(super) tokens: BTreeMap<TokenHash, DeviceId>,
    pub(super) handles: BTreeMap<Handle, GroupId>,
    /// Where a user has a row.
    pub(super) places: BTreeMap<UserId, BTreeSet<ConversationId>>,
    pub(super) journal: BTreeMap<WriterId, BTreeMap<u64, Vec<(ConversationId, Seq)>>>,
}

/// What `once` needs to remember; the content is read from the log while the log has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) seq: Seq,
    pub(super) time: Timestamp,
    pub(super) digest: Digest,
}

#[derive(Clone, Debug)]
pub(super) struct Conversation {
    pub(super) head: Head,
    pub(super) log: BTreeMap<Seq, Entry>,
    /// The seqs of the log's countable entries.
    pub(super) countable: BTreeSet<Seq>,
    /// The uncountable entries that refer to another: (target, seq).
    pub(super) referring: BTreeSet<(Seq, Seq)>,
    pub(super) members: BTreeMap<UserId, Member>,
    /// All rows in the roster's order.
    pub(super) roster: BTreeSet<(Seq, UserId)>,
}

impl State {
    pub(super) fn recorded(&self, key: &Once) -> Option<Stored> {
        let Record { seq, time, digest } = *self.once.get(key)?;
        let entry = self.conversations.get(&key.conversation).and_then(|found| found.log.get(&seq));
        let content = entry.and_then(|entry| entry.content.clone());
        Some(Stored { seq, time, digest, content })
    }

    pub(super) fn head(&self, id: ConversationId) -> Head {
        self.conversations.get(&id).map_or_else(|| Head::empty(id), |found| found.head.clone())
    }

    pub(super) fn devices_of(&self, user: UserId) -> Vec<Device> {
        let owned = self.owned.get(&user).into_iter().flatten();
        let mut devices: Vec<_> = owned.filter_map(|id| self.devices.get(id).cloned()).collect();
        devices.sort_by_key(|device| (device.created, device.id));
        devices
    }

    pub(super) fn memberships(
        &self,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Vec<(Head, Member)> {
        let Some(places) = self.places.get(&user) else { return Vec::new() };
        places
            .range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
            .filter_map(|id| self.conversations.get(id))
            .filter_map(|found| Some((found.head.clone(), found.members.get(&user)?.clone())))
            .take(limit.max(1))
            .collect()
    }

    /// Whole rows, writer by writer, until the limit is reached.
    pub(super) fn journal(&self, after: &JournalPosition, limit: usize) -> JournalPage {
        let mut page = JournalPage { moved: Vec::new(), position: after.clone(), more: false };
        for (writer, rows) in &self.journal {
            let seen = after.0.get(&writer.0).copied();
            for (number, moved) in
                rows.range((seen.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
            {
                if !page.moved.is_empty() && page.moved.len() + moved.len() > limit {
                    page.more = true;
                    return page;
                }
                page.moved.extend_from_slice(moved);
                page.position.0.insert(writer.0, *number);
            }
        }
        page
    }

    pub(super) fn journal_end(&self) -> JournalPosition {
        let last =
            |(writer, rows): (&WriterId, &BTreeMap<u64, _>)| Some((writer.0, *rows.keys().next_back()?));
        JournalPosition(self.journal.iter().filter_map(last).collect())
    }
}

impl Conversation {
    pub(super) fn new(id: ConversationId) -> Self {
        Self {
            head: Head::empty(id),
            log: BTreeMap::new(),
            countable: BTreeSet::new(),
            referring: BTreeSet::new(),
            members: BTreeMap::new(),
            roster: BTreeSet::new(),
        }
    }

    pub(super) fn roster(
        &self,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Vec<Member> {
        let wanted = |member: &&Member| {
            standing.map_or(member.standing.is_member(), |standing| member.standing == standing)
        };
        self.roster
            .range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
            .filter_map(|(_, user)| self.members.get(user))
            .filter(wanted)
            .take(limit.max(1))
            .cloned()
            .collect()
    }

    pub(super) fn entries(&self, range: &Range) -> Result<Vec<Entry>, StoreError> {
        if range.begins_trimmed(self.head.first_seq) {
            return Err(StoreError::new(StoreErrorKind::Trimmed, "reading entries"));
        }
        if range.from > range.to {
            return Ok(Vec::new());
        }
        let found = self.log.range(range.from..=range.to).map(|(_, entry)| entry);
        Ok(cut(range, found))
    }

    pub(super) fn history(&self, range: &Range) -> Result<History, StoreError> {
        if range.is_trimmed(self.head.first_seq) {
            return Err(StoreError::new(StoreErrorKind::Trimmed, "reading history"));
        }
        if range.from > range.to {
            return Ok(History::default());
        }
        let found = self.countable.range(range.from..=range.to).filter_map(|seq| self.log.get(seq));
        let entries = cut(range, found);
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(History::default());
        };
        let more = match range.direction {
            Direction::Forward => self.countable.range(last.seq..=range.to).nth(1).is_some(),
            Direction::Backward => self.countable.range(range.from..first.seq).next().is_some(),
        };
        Ok(History { referring: self.referring_to(&entries), entries, more })
    }

    fn referring_to(&self, entries: &[Entry]) -> Vec<Entry> {
        let referring = |target: Seq| self.referring.range((target, 0)..=(target, Seq::MAX));
        let seqs: BTreeSet<Seq> =
            entries.iter().flat_map(|entry| referring(entry.seq)).map(|(_, seq)| *seq).collect();
        let surplus = seqs.len().saturating_sub(History::REFERRING_LIMIT);
        seqs.iter().skip(surplus).filter_map(|seq| self.log.get(seq).cloned()).collect()
    }
}

fn cut<'a>(range: &Range, oldest_first: impl DoubleEndedIterator<Item = &'a Entry>) -> Vec<Entry> {
    let entries = oldest_first.map(|entry| Ok::<_, Infallible>(entry.clone()));
    let Ok(page) = match range.direction {
        Direction::Forward => range.cut(entries),
        Direction::Backward => range.cut(entries.rev()),
    };
    page
}
