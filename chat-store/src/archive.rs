//! An installation in a file: what moves it from one store to another.
//!
//! # Format
//! ```text
//! magic      8 bytes   "CHATARCH"
//! version    4 bytes   big-endian
//! frames:
//!   length   4 bytes   big-endian, of what follows the checksum
//!   checksum 4 bytes   big-endian, CRC-32 of the length and of what follows here
//!   kind     1 byte    1 header, 2 record, 3 trailer
//!   body               canonical fields, as in `chat_core::store::archive`
//! ```
//! The first frame is the header: archive id (1), epoch of the source (2), when the export began, in
//! milliseconds since 1970 UTC (3). Then each record has a frame, in the order of positions. The last
//! frame is the trailer: the number of records of each section, under the section's number. A file
//! without it is unfinished.
//!
//! Both directions hold one page in memory, however large the installation is.

mod error;
mod exchange;
mod frame;
mod reader;
mod writer;

pub use error::ArchiveError;
pub use exchange::{Progress, Resume, export, import, resume_export};
pub use reader::{ArchiveReader, Part};
pub use writer::ArchiveWriter;

use chat_core::store::archive::{ArchiveId, Section};
use chat_core::{Epoch, Timestamp};

/// What an archive says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub archive: ArchiveId,
    /// Which history was exported.
    pub source: Epoch,
    /// When the export began.
    pub created: Timestamp,
}

/// How many records of each section there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Section::ALL.len()]);

impl Counts {
    /// How many of a section.
    pub fn of(&self, section: Section) -> u64 {
        self.0[section as usize]
    }

    /// How many in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    fn add(&mut self, section: Section) {
        self.0[section as usize] += 1;
    }
}
