//! Where everything durable lives: the contract that storage backends keep.
//!
//! # Contract
//!
//! A store **evaluates, it does not decide**: the engine says under which preconditions a change
//! holds; the store compares under its locks, writes or refuses, and knows no rules of chat.
//!
//! `commit`
//! - **durable**: when it returns `Ok`, every item that it reports [`Outcome::Committed`] survives
//!   the loss of power of the machine that holds the data.
//! - **item atomic**: of one item everything is written or nothing.
//! - **items independent**: a refused, stale, duplicate or conflicting item changes nothing and does
//!   not fail its neighbours; a later item of the batch sees what earlier ones wrote.
//! - **gapless**: the entries of a conversation get the seqs head + 1, head + 2, … in the order of
//!   the batch, and of the item; whoever sees an entry can see all before it.
//! - **once**: of all items with the same [`Once`] key at most one is ever committed, whatever runs
//!   at the same time, on however many nodes, for ever: redaction and retention keep the record. A
//!   repetition answers [`Outcome::Duplicate`] before any precondition is looked at, or
//!   [`Outcome::Conflict`] when its digest differs.
//! - **preconditions under the lock**: they are compared after the heads that the item names are
//!   locked, so that what they say still holds when the item commits.
//! - **heads in key order**: the heads of a batch are locked in the order of their keys, and the
//!   first read of the transaction is that locking read.
//! - **time never runs back** in a conversation: an entry's time is the greater of the batch's `now`
//!   and the time of the head.
//! - **cursors only move forward**, and never past the head.
//! - **ambiguous is said**: when it cannot be known whether the batch was committed, the error's kind
//!   is [`StoreErrorKind::Ambiguous`]; running the same batch again settles it through `once`.
//!
//! Reads
//! - **reads see commits**: a read sees every commit that was acknowledged, by any node, before the
//!   read began.
//! - **pages are gapless** from where they start, and as long as the limits allow, but never empty
//!   while there is something to return.
//! - **trimmed is said**: reading below the head's `first_seq` is an error of its own, not a short page.
//!
//! Journal
//! - **complete in order**: following from a position returns every conversation that committed
//!   entries moved after it, on whichever node, at least once; the position returned with the page
//!   continues it. What becomes visible later never has an earlier position.
//!
//! Probing
//! - **probes pass while writes do**: [`Store::probe`] succeeds when a commit would be taken at present,
//!   fails with the kind that a commit would fail with, and changes nothing.
//!
//! The functions of `testkit::store` (feature `testkit`) test a backend against each of these, by name.

pub mod archive;

mod apply;
mod batch;
mod error;
mod page;

use std::collections::BTreeMap;

use async_trait::async_trait;

pub use batch::{
    Append, Batch, Item, Once, Outcome, Placed, Precondition, RedactTarget, SeqRef, StandingChange, Stored,
    Write, WriterId,
};
pub use error::{StoreError, StoreErrorKind};

use crate::{
    Account, AccountName, ConversationId, Device, Entry, Epoch, GroupId, Handle, Head, History, Member,
    Range, Seq, Standing, TokenHash, UserId,
};

/// A durable store. See the [module](self) for what an implementation promises.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Into which shard of a distributed engine a conversation falls; a batch never spans shards
    /// unless a single item does. 0 throughout for a store that is one.
    fn shard(&self, conversation: &ConversationId) -> u32 {
        let _ = conversation;
        0
    }

    /// How many batches it gains from committing at the same time; at least 1.
    fn writers(&self) -> usize {
        1
    }

    /// Whether other nodes may write to it; if not, nothing needs to follow the journal.
    fn is_shared(&self) -> bool {
        true
    }

    /// Which history this is.
    async fn epoch(&self) -> Result<Epoch, StoreError>;

    /// Writes a batch: one outcome per item, in their order.
    ///
    /// # Cancel safety
    /// A dropped future may or may not have committed.
    async fn commit(&self, batch: &Batch) -> Result<Vec<Outcome>, StoreError>;

    /// What is recorded under each key, `None` where nothing was committed.
    async fn recorded(&self, keys: &[Once]) -> Result<Vec<Option<Stored>>, StoreError>;

    /// The accounts of these users, in their order.
    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError>;

    /// The account with this name, deleted ones included: their names stay reserved.
    async fn account_named(&self, name: &AccountName) -> Result<Option<Account>, StoreError>;

    /// The devices of a user, oldest first.
    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError>;

    /// The device whose token has this hash.
    async fn device_with_token(&self, token: &TokenHash) -> Result<Option<Device>, StoreError>;

    /// The group with this handle, dissolved ones included: their handles stay reserved.
    async fn group_with_handle(&self, handle: &Handle) -> Result<Option<GroupId>, StoreError>;

    /// The heads of these conversations, in their order; an empty head where nothing was written.
    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError>;

    /// Single members, in the order asked for; `None` where nothing is stored.
    async fn members(&self, of: &[(ConversationId, UserId)]) -> Result<Vec<Option<Member>>, StoreError>;

    /// The members of a conversation in the order in which they joined (then of their ids), `after`
    /// excluded. `standing` keeps to one, `None` to all that are members at present.
    async fn roster(
        &self,
        conversation: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError>;

    /// Everything in which a user is or was a member, with heads, in the order of the conversations'
    /// keys, `after` excluded.
    async fn memberships(
        &self,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<(Head, Member)>, StoreError>;

    /// The entries of a range of seqs.
    ///
    /// # Errors
    /// [`StoreErrorKind::Trimmed`] when the range begins below the head's `first_seq`, whichever the
    /// direction. A range without a seq is empty and never trimmed.
    async fn entries(&self, of: ConversationId, range: &Range) -> Result<Vec<Entry>, StoreError>;

    /// A page of countable entries, and those that refer to one of them.
    ///
    /// # Errors
    /// [`StoreErrorKind::Trimmed`] when everything asked for is below the head's `first_seq`.
    async fn history(&self, of: ConversationId, range: &Range) -> Result<History, StoreError>;

    /// Which conversations moved after a position. A page may exceed the limit to hold the whole of
    /// one batch, so that following always gets on.
    async fn journal(&self, after: &JournalPosition, limit: usize) -> Result<JournalPage, StoreError>;

    /// The position from which following the journal finds everything committed after this call.
    async fn journal_end(&self) -> Result<JournalPosition, StoreError>;

    /// Whether it answers and takes writes at present. Cheap: asked every second while nothing else
    /// is. Where nothing can take writes away, reading the epoch tells enough.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unavailable`] and [`StoreErrorKind::ReadOnly`].
    async fn probe(&self) -> Result<(), StoreError> {
        self.epoch().await.map(drop)
    }

    /// Finishes what is under way and releases what it holds; calls after this may fail.
    async fn close(&self);
}

/// How far each writer of the journal was followed. Means something only to the store it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalPosition(pub BTreeMap<u64, u64>);

/// A page of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalPage {
    /// Conversations that moved, each with a head that it had reached; a conversation may repeat.
    pub moved: Vec<(ConversationId, Seq)>,
    /// Where the next page goes on.
    pub position: JournalPosition,
    /// Whether the limit cut the page.
    pub more: bool,
}

/// A digest of what a client sent, to tell a repetition from another command under the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The digest of these parts: SHA-256 of their lengths and bytes, cut to 16 bytes.
    pub fn of(parts: &[&[u8]]) -> Self {
        use sha2::{Digest as _, Sha256};
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash.finalize()[..16]);
        Self(digest)
    }
}
