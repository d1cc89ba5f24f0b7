//! Moving an installation between stores: what it consists of, and how it is taken out and put in.
//!
//! An installation is a sequence of [`Record`]s in the order of their [`Position`]s: accounts,
//! devices, groups, heads, members, records of trimmed commands, entries. The order is the same in
//! every store, and each record has one encoding, so that an installation that was moved back and
//! forth is, byte for byte, what it was. Journals are no part of it, nor are epochs: whoever followed
//! one store starts over on another.
//!
//! # Contract
//!
//! [`Export::export`]
//! - **complete**: the pages together hold everything that any read of [`Store`] can tell, but for the
//!   epoch and the journal; heads into which nothing was written are left out.
//! - **in order**: positions ascend strictly, within a page and from one to the next, and are those
//!   that every store has for the same installation.
//! - **resumable**: a page begins after the position that is named, whoever reached it and when.
//! - **bounded**: a page keeps to its limits, but is not empty while there is something left.
//!
//! What is written between two pages may be in none, or in part: the store must stand still meanwhile.
//!
//! [`Import`]
//! - **kept exactly**: what was imported reads as it did where it was exported.
//! - **page atomic**: a page and how far it brings the import become durable together.
//! - **repeatable**: records at or before the position that was reached are passed over.
//! - **only into an empty store**, or one that an import of the same archive has left unfinished.
//! - **not served before it is finished**: until then, opening it as a [`Store`] is refused.
//! - **a history of its own**: [`Import::finish`] gives the store an epoch that it never had, so that
//!   clients and nodes that knew either store start over.
//!
//! The functions of `testkit::archive` (feature `testkit`) test backends against each of these, and
//! against each other.

mod encoding;

use async_trait::async_trait;
use thiserror::Error;

use super::{Digest, Once, Store, StoreError, StoreErrorKind};
use crate::{
    Account, ConversationId, Device, DeviceId, Entry, Epoch, Group, GroupId, Head, Member, Seq, Timestamp,
    UserId,
};

pub use encoding::UnreadableRecord;

/// One element of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An account, deleted ones included: their names stay reserved.
    Account(Account),
    /// A device, with its slot.
    Device(Device),
    /// The settings of a group, dissolved ones included: their handles stay reserved.
    Group(Group),
    /// The head of a conversation; its `group` is `None`, since settings are records of their own.
    Head(Head),
    /// A user's place in a conversation.
    Member(Member),
    /// What is recorded of a command whose entry retention has taken.
    TrimmedCommand(TrimmedCommand),
    /// An entry that the log has.
    Entry(LoggedEntry),
}

/// What remains of a command when retention takes its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrimmedCommand {
    /// Under which key.
    pub once: Once,
    /// The seq of its first entry.
    pub seq: Seq,
    /// The time of that entry.
    pub time: Timestamp,
    /// The digest that was given with it.
    pub digest: Digest,
}

/// An entry and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEntry {
    /// Where.
    pub conversation: ConversationId,
    /// The entry.
    pub entry: Entry,
    /// The digest under which its command is recorded, which it has with a client id.
    pub digest: Option<Digest>,
}

/// What kind of record, in the order in which an installation is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// [`Record::Account`]
    Accounts,
    /// [`Record::Device`]
    Devices,
    /// [`Record::Group`]
    Groups,
    /// [`Record::Head`]
    Heads,
    /// [`Record::Member`]
    Members,
    /// [`Record::TrimmedCommand`]
    TrimmedCommands,
    /// [`Record::Entry`]
    Entries,
}

/// The place of a record in an installation. Ascends through the sections, and in each by its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// Of an account.
    Account(UserId),
    /// Of a device.
    Device(DeviceId),
    /// Of the settings of a group.
    Group(GroupId),
    /// Of a head.
    Head(ConversationId),
    /// Of a member.
    Member(ConversationId, UserId),
    /// Of the record of a trimmed command.
    TrimmedCommand(Once),
    /// Of an entry.
    Entry(ConversationId, Seq),
}

/// How much a page holds at most, unless one record is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    /// Records; at least 1.
    pub records: usize,
    /// Bytes, by [`Record::size_bytes`].
    pub bytes: usize,
}

/// Records on the way into a page.
#[derive(Debug)]
pub struct Gathering {
    limits: PageLimits,
    records: Vec<Record>,
    bytes: usize,
}

/// The name of one archive: drawn when its export begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArchiveId(pub [u8; 16]);

/// How far a store has come with an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportState {
    /// Nothing is in it.
    Empty,
    /// An import has begun.
    Unfinished {
        /// Of which archive.
        archive: ArchiveId,
        /// The last record that was imported.
        reached: Option<Position>,
    },
    /// This archive was imported, and may have been served since.
    Finished(ArchiveId),
    /// It holds an installation that did not come out of an archive.
    InUse,
}

/// Why records were not imported; the source of a [`StoreErrorKind::Invalid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ImportRefused {
    /// There is something in the store already.
    #[error("the store is not empty")]
    NotEmpty,
    /// Another archive is being imported, or none.
    #[error("the store holds an unfinished import of another archive")]
    OtherArchive,
    /// Somebody wrote to the store since the import began.
    #[error("the store was written to while it was being imported; stop the servers")]
    Changed,
    /// Records do not ascend, or belong to what is not there.
    #[error("the records are not in order")]
    OutOfOrder,
}

/// A store that can be taken apart into records.
#[async_trait]
pub trait Export: Store {
    /// The records after a position, or from the first one on; none at the end.
    ///
    /// # Errors
    /// Those of reads.
    async fn export(&self, after: Option<&Position>, limits: &PageLimits) -> Result<Vec<Record>, StoreError>;
}

/// A store that is put together from records, before it is a [`Store`] that can be served.
#[async_trait]
pub trait Import: Send + Sync + 'static {
    /// How far it has come.
    async fn state(&self) -> Result<ImportState, StoreError>;

    /// Writes a page, and with it how far the import of this archive has come.
    ///
    /// # Errors
    /// With [`ImportRefused`] as source when it cannot be; nothing of the page is written then. After
    /// [`StoreErrorKind::Ambiguous`] the same page can be written again, as after any error that
    /// passes.
    ///
    /// # Cancel safety
    /// A dropped future may or may not have written the page, and no part of it.
    async fn write(&self, archive: ArchiveId, records: &[Record]) -> Result<(), StoreError>;

    /// Makes it a store that can be served, and says its epoch. It may take long: indices may be made.
    ///
    /// # Errors
    /// Those of [`Import::write`]; that one command was recorded twice may be found only here.
    async fn finish(&self, archive: ArchiveId) -> Result<Epoch, StoreError>;

    /// Releases what it holds; calls after this may fail.
    async fn close(&self);
}

impl Record {
    /// Its place in the installation.
    pub fn position(&self) -> Position {
        match self {
            Self::Account(account) => Position::Account(account.user),
            Self::Device(device) => Position::Device(device.id),
            Self::Group(group) => Position::Group(group.id),
            Self::Head(head) => Position::Head(head.conversation),
            Self::Member(member) => Position::Member(member.conversation, member.user),
            Self::TrimmedCommand(command) => Position::TrimmedCommand(command.once),
            Self::Entry(logged) => Position::Entry(logged.conversation, logged.entry.seq),
        }
    }

    /// Roughly what it occupies in memory and in an archive, in bytes.
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Entry(logged) => 64 + logged.entry.size_bytes(),
            Self::Group(group) => 256 + group.profile.description.len(),
            Self::Account(_)
            | Self::Device(_)
            | Self::Head(_)
            | Self::Member(_)
            | Self::TrimmedCommand(_) => 256,
        }
    }
}

impl Section {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::Accounts,
        Self::Devices,
        Self::Groups,
        Self::Heads,
        Self::Members,
        Self::TrimmedCommands,
        Self::Entries,
    ];

    /// Where to look for the records after a position: in its section after it, then in the sections
    /// that follow from their beginning.
    pub fn after(position: Option<&Position>) -> impl Iterator<Item = (Self, Option<Position>)> + use<> {
        let first = position.map_or(Self::Accounts, Position::section);
        let reached = position.copied();
        Self::ALL
            .into_iter()
            .filter(move |section| *section >= first)
            .map(move |section| (section, reached.filter(|_| section == first)))
    }
}

impl Position {
    /// In which section it is.
    pub fn section(&self) -> Section {
        match self {
            Self::Account(_) => Section::Accounts,
            Self::Device(_) => Section::Devices,
            Self::Group(_) => Section::Groups,
            Self::Head(_) => Section::Heads,
            Self::Member(..) => Section::Members,
            Self::TrimmedCommand(_) => Section::TrimmedCommands,
            Self::Entry(..) => Section::Entries,
        }
    }
}

impl Gathering {
    /// An empty page with these limits.
    pub fn new(limits: &PageLimits) -> Self {
        Self { limits: *limits, records: Vec::new(), bytes: 0 }
    }

    /// Takes a record, unless it would exceed the page; whether it was taken.
    pub fn take(&mut self, record: Record) -> bool {
        let bytes = self.bytes.saturating_add(record.size_bytes());
        let fits = self.room() > 0 && (self.records.is_empty() || bytes <= self.limits.bytes);
        if fits {
            self.bytes = bytes;
            self.records.push(record);
        }
        fits
    }

    /// How many more records it takes, if they are small.
    pub fn room(&self) -> usize {
        self.limits.records.max(1) - self.records.len()
    }

    /// The position of the last record that was taken.
    pub fn reached(&self) -> Option<Position> {
        self.records.last().map(Record::position)
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it has nothing yet.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What was taken.
    pub fn into_records(self) -> Vec<Record> {
        self.records
    }
}

impl ImportState {
    /// What an import of this archive into such a store has reached: where it may go on.
    ///
    /// # Errors
    /// It may not.
    pub fn reached(&self, archive: ArchiveId) -> Result<Option<Position>, ImportRefused> {
        match self {
            Self::Empty => Ok(None),
            Self::Unfinished { archive: found, reached } if *found == archive => Ok(*reached),
            Self::Unfinished { .. } => Err(ImportRefused::OtherArchive),
            Self::Finished(_) | Self::InUse => Err(ImportRefused::NotEmpty),
        }
    }
}

/// What of a page an import that has reached this position still has to write.
///
/// # Errors
/// The page is not in order.
pub fn remaining<'page>(
    reached: Option<&Position>,
    page: &'page [Record],
) -> Result<&'page [Record], ImportRefused> {
    if !page.is_sorted_by(|one, next| one.position() < next.position()) {
        return Err(ImportRefused::OutOfOrder);
    }
    let passed = reached.map_or(0, |reached| page.partition_point(|record| record.position() <= *reached));
    Ok(&page[passed..])
}

impl ImportRefused {
    /// As the error of a store.
    pub fn during(self, attempted: &'static str) -> StoreError {
        StoreError::new(StoreErrorKind::Invalid, attempted).with_source(self)
    }
}

#[cfg(test)]
mod tests;
