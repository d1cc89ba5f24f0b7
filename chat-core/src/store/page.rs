//! How a page is cut from a log: the limits that every backend keeps alike.

use crate::{Direction, Entry, Range, Seq};

impl Range {
    /// Whether it begins with entries that retention took.
    pub fn begins_trimmed(&self, first_seq: Seq) -> bool {
        self.from <= self.to && self.from.max(1) < first_seq
    }

    /// Whether it holds only entries that retention took.
    pub fn is_trimmed(&self, first_seq: Seq) -> bool {
        self.begins_trimmed(first_seq) && self.to < first_seq
    }

    /// Takes entries, given in the page's direction, until a limit is reached, and returns them
    /// oldest first.
    ///
    /// # Errors
    /// The first error of `entries`.
    pub fn cut<E>(&self, entries: impl IntoIterator<Item = Result<Entry, E>>) -> Result<Vec<Entry>, E> {
        let mut page: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        for entry in entries {
            let entry = entry?;
            bytes += entry.size_bytes();
            if !page.is_empty() && bytes > self.limit_bytes {
                break;
            }
            page.push(entry);
            if page.len() >= self.limit {
                break;
            }
        }
        if self.direction == Direction::Backward {
            page.reverse();
        }
        Ok(page)
    }
}
