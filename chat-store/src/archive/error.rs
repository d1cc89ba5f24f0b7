//! Why an archive could not be written or read.

use std::io;

use chat_core::content::fields::Malformed;
use chat_core::store::StoreError;
use chat_core::store::archive::{ImportRefused, UnreadableRecord};
use thiserror::Error;

/// Why an archive could not be written or read. The messages are for operators.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file cannot be read or written.
    #[error("cannot use the archive")]
    File(#[from] io::Error),
    /// The file is something else.
    #[error("not an archive of a chat installation")]
    Foreign,
    /// A newer version wrote it.
    #[error("the archive has format version {found}, and this version reads up to {expected}")]
    Newer {
        /// The version of its format.
        found: u32,
        /// The latest version that is known here.
        expected: u32,
    },
    /// It ends too early.
    #[error("the archive ends at byte {offset}, in or before record {record}: it is unfinished or cut off")]
    Truncated {
        /// Where the frame begins that is not complete.
        offset: u64,
        /// Which record it would be, the first being 1.
        record: u64,
    },
    /// It is not what was written.
    #[error("the archive is damaged at byte {offset}, in record {record}: {what}")]
    Damaged {
        /// Where the frame begins.
        offset: u64,
        /// Which record it is, the first being 1.
        record: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A record cannot be understood.
    #[error("cannot read record {record} at byte {offset} of the archive")]
    Record {
        /// Where the frame begins.
        offset: u64,
        /// Which record it is, the first being 1.
        record: u64,
        /// Why.
        source: UnreadableRecord,
    },
    /// The store that is exported is another one than that of the file.
    #[error("the archive was begun from another store, or this one has another epoch since")]
    OtherStore,
    /// The store did not stand still.
    #[error("the store changed while it was being exported; stop the servers, and export to a new file")]
    StoreChanged,
    /// A record is larger than a frame may be.
    #[error("a record of {bytes} bytes is too large for an archive")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The store that is imported into has an unfinished import.
    #[error("the store holds an unfinished import of this archive; go on with --resume")]
    Unfinished,
    /// This archive cannot go into that store.
    #[error(transparent)]
    Refused(ImportRefused),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl ArchiveError {
    pub(super) fn damaged(offset: u64, record: u64, Malformed(what): Malformed) -> Self {
        Self::Damaged { offset, record, what }
    }
}
