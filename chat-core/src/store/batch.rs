//! What is written at once: a batch of items, each with its preconditions.

use bytes::Bytes;

use super::{Digest, StoreError, StoreErrorKind};
use crate::{
    Account, Attachment, ClientId, ConversationId, Device, DeviceId, Group, Handle, Kind, Relation, Seq,
    Standing, Timestamp, UserId,
};

/// Who writes to the journal: one committer of one run of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterId(pub u64);

/// Items for one transaction.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whose journal row this is.
    pub writer: WriterId,
    /// The number of that row: greater than every number this writer used before. A batch that is
    /// run again after an ambiguous commit may keep its number.
    pub number: u64,
    /// The node's clock.
    pub now: Timestamp,
    /// What is to be written.
    pub items: Vec<Item>,
}

/// One change: everything in it holds, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Item {
    /// The key under which it is recorded. With it, `append` is not empty, and the first entry
    /// appended is the record: it has that conversation, sender and client id.
    pub once: Option<(Once, Digest)>,
    /// What must hold.
    pub require: Vec<Precondition>,
    /// The entries that it appends.
    pub append: Vec<Append>,
    /// The state that it changes, in this order, after the entries.
    pub write: Vec<Write>,
}

/// The key of a command: its client id, within what one sender does in one conversation. Commands
/// that create or concern accounts, contacts and groups have the sender's inbox as conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Once {
    /// The client's name for it.
    pub client_id: ClientId,
    /// Who does it.
    pub sender: UserId,
    /// Where.
    pub conversation: ConversationId,
}

/// What must hold under the lock for an item to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The head's `rules_seq` is still this; 0 for a conversation into which nothing was written.
    /// Else the item is [`Outcome::Stale`].
    Rules(ConversationId, u64),
    /// No account has this name. Else the item is [`Outcome::Taken`].
    NameFree(crate::AccountName),
    /// No account has this id. Else the item is [`Outcome::Stale`].
    UserFree(UserId),
    /// No group has this handle. Else the item is [`Outcome::Taken`].
    HandleFree(Handle),
    /// The device exists and its slot holds this. Else the item is [`Outcome::Stale`].
    Slot(DeviceId, Option<Attachment>),
}

/// An entry to be appended; the store gives it seq, ordinal and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Where.
    pub conversation: ConversationId,
    /// Who writes it.
    pub sender: UserId,
    /// What it is.
    pub kind: Kind,
    /// Whether it counts as a message; the sender's own total in that conversation then grows too,
    /// in a row that is created from [`Member::blank`](crate::Member::blank) where there is none.
    pub countable: bool,
    /// The entry that it refers to.
    pub target: Option<Seq>,
    /// The canonical bytes of its content.
    pub content: Bytes,
    /// Whether it changes who may write there: the head's `rules_seq` grows, to at least its seq.
    pub changes_rules: bool,
}

/// A seq that may not be known before the item is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeqRef {
    /// A known one.
    At(Seq),
    /// That of the item's appended entry with this index.
    Appended(usize),
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Creates or replaces an account. When another account has the name the item is
    /// [`Outcome::Taken`].
    PutAccount(Account),
    /// Creates or replaces a device.
    PutDevice(Device),
    /// Deletes a device, if it exists.
    DeleteDevice(DeviceId),
    /// Sets a device's slot and `last_seen`, if it exists.
    Attach {
        /// Which device.
        device: DeviceId,
        /// What its slot holds from now on.
        slot: Option<Attachment>,
        /// When.
        now: Timestamp,
    },
    /// Creates or replaces the settings of a group. When another group has the handle the item is
    /// [`Outcome::Taken`].
    PutGroup(Group),
    /// Raises `rules_seq` of a conversation to one more than it was, or to its head's seq where
    /// that is greater, without an entry.
    RaiseRules(ConversationId),
    /// Changes what a user is in a conversation; creates the row from
    /// [`Member::blank`](crate::Member::blank) where there is none.
    Standing(StandingChange),
    /// Moves a member's read cursor forward to this entry, or to the head when that is before it, or
    /// to the last trimmed entry when that is after it. No member row, or a cursor already there: no
    /// change.
    Read {
        /// Where.
        conversation: ConversationId,
        /// Whose.
        user: UserId,
        /// To where.
        to: SeqRef,
    },
    /// Moves a member's delivered position forward, like [`Write::Read`].
    Delivered {
        /// Where.
        conversation: ConversationId,
        /// Whose.
        user: UserId,
        /// To where.
        to: SeqRef,
    },
    /// Empties the content of entries; seqs, kinds and records of `once` stay.
    Redact {
        /// Where.
        conversation: ConversationId,
        /// Which entries.
        target: RedactTarget,
    },
    /// Raises `first_seq` of a conversation: entries before it are deleted, records of `once` stay.
    Trim {
        /// Where.
        conversation: ConversationId,
        /// The first entry kept; at most one past the head.
        first_seq: Seq,
    },
}

/// What a [`Write::Standing`] sets; `None` leaves a field as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingChange {
    /// Where.
    pub conversation: ConversationId,
    /// Whose.
    pub user: UserId,
    /// As what.
    pub standing: Option<Standing>,
    /// How they stand to the other user of a direct conversation.
    pub relation: Option<Relation>,
    /// Whether they blocked the other user of a direct conversation.
    pub blocked: Option<bool>,
    /// Until when they may not write; `Some(None)` lifts it.
    pub muted_until: Option<Option<Timestamp>>,
    /// The entry by which they became a member. Also clears `left_seq`, and moves the read cursor
    /// and the delivered position to that entry when they are before it.
    pub joined: Option<SeqRef>,
    /// The first entry that they may read.
    pub visible_from: Option<SeqRef>,
    /// The last entry that they may read.
    pub left: Option<SeqRef>,
}

impl Batch {
    /// Whether it can be evaluated: what [`Item::once`] and [`SeqRef::Appended`] say of their item's
    /// entries is so. Every store asks this first.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] when not.
    pub fn check(&self) -> Result<(), StoreError> {
        if self.items.iter().all(Item::is_coherent) {
            Ok(())
        } else {
            Err(StoreError::new(StoreErrorKind::Invalid, "checking a batch"))
        }
    }
}

impl Item {
    fn is_coherent(&self) -> bool {
        let recorded = self.once.is_none_or(|(once, _)| {
            let first = self.append.first();
            first.is_some_and(|entry| entry.conversation == once.conversation && entry.sender == once.sender)
        });
        recorded && self.write.iter().all(|write| self.refers_to_own(write))
    }

    fn refers_to_own(&self, write: &Write) -> bool {
        let appended = |conversation: &ConversationId, seq: SeqRef| match seq {
            SeqRef::At(_) => true,
            SeqRef::Appended(index) => {
                self.append.get(index).is_some_and(|entry| entry.conversation == *conversation)
            }
        };
        match write {
            Write::Read { conversation, to, .. } | Write::Delivered { conversation, to, .. } => {
                appended(conversation, *to)
            }
            Write::Standing(change) => [change.joined, change.visible_from, change.left]
                .into_iter()
                .flatten()
                .all(|seq| appended(&change.conversation, seq)),
            _ => true,
        }
    }
}

impl RedactTarget {
    /// The kinds that [`RedactTarget::SentBy`] empties beside countable entries: edits and reactions.
    pub const REFERRING: [Kind; 2] = [Kind::EDIT, Kind::REACTION];
}

impl StandingChange {
    /// A change that changes nothing yet.
    pub fn of(conversation: ConversationId, user: UserId) -> Self {
        Self {
            conversation,
            user,
            standing: None,
            relation: None,
            blocked: None,
            muted_until: None,
            joined: None,
            visible_from: None,
            left: None,
        }
    }
}

/// Which entries a redaction empties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedactTarget {
    /// This one.
    Entry(Seq),
    /// All countable ones, and edits and reactions, of this sender up to this seq.
    SentBy(UserId, Seq),
}

/// Where an appended entry came to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its seq.
    pub seq: Seq,
    /// The number of countable entries up to it.
    pub ordinal: u64,
    /// Its time.
    pub time: Timestamp,
}

/// What is recorded under a [`Once`] key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The seq of the item's first entry.
    pub seq: Seq,
    /// Its time.
    pub time: Timestamp,
    /// The digest that was given with it.
    pub digest: Digest,
    /// The canonical bytes of its content, `None` once redacted or trimmed.
    pub content: Option<Bytes>,
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is written: where each appended entry stands, in the order of the item.
    Committed(Vec<Placed>),
    /// It was committed before; this is what was recorded then.
    Duplicate(Stored),
    /// Another command was committed under the same key.
    Conflict,
    /// A [`Precondition::Rules`], [`Precondition::Slot`] or [`Precondition::UserFree`] no longer
    /// holds: load what was decided on and decide again.
    Stale,
    /// The name or handle belongs to somebody.
    Taken,
}
