//! Pages of a log: which part is asked for, and what is returned.

use crate::{Entry, Seq};

/// Which way a page goes from where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To newer entries; the page starts at the lower end of the range.
    Forward,
    /// To older entries; the page starts at the upper end of the range. Returned oldest first still.
    Backward,
}

/// What part of a log a page is cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first seq that belongs to it.
    pub from: Seq,
    /// The last seq that belongs to it.
    pub to: Seq,
    /// At which end the page starts.
    pub direction: Direction,
    /// The most entries (of a history: countable entries) of the page; at least 1.
    pub limit: usize,
    /// The page ends early rather than exceed these bytes, but holds at least one entry.
    pub limit_bytes: usize,
}

/// A page of history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Countable entries, oldest first.
    pub entries: Vec<Entry>,
    /// Entries that are not countable and whose target is among `entries`, wherever in the log they
    /// stand, oldest first: edits, recalls, reactions. The newest [`History::REFERRING_LIMIT`] of them.
    pub referring: Vec<Entry>,
    /// Whether the range holds further countable entries in the page's direction.
    pub more: bool,
}

impl History {
    /// The most referring entries of one page.
    pub const REFERRING_LIMIT: usize = 1000;
}
