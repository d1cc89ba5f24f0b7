//! Faults of pages of the log and of history.

use async_trait::async_trait;
use chat_core::memory::MemoryStore;
use chat_core::store::{Store, StoreError, StoreErrorKind};
use chat_core::{ConversationId, Direction, Entry, History, Range, Seq};

use crate::store::{Answer, Fault, WrongStore, with};

pub(crate) const FAULTS: &[WrongStore] = &[
    WrongStore {
        fault: "begins a page backward at the lower end",
        case: "pages_are_gapless_in_both_directions",
        fresh: || with(AlwaysForward),
    },
    WrongStore {
        fault: "answers an empty page when the first entry is too large",
        case: "pages_keep_to_their_bytes_but_are_never_empty",
        fresh: || with(EmptyPages),
    },
    WrongStore {
        fault: "does not keep to the bytes of a page",
        case: "pages_keep_to_their_bytes_but_are_never_empty",
        fresh: || with(IgnoresBytes),
    },
    WrongStore {
        fault: "leaves out of a page what does not fit and goes on",
        case: "pages_are_gapless_at_their_byte_limit",
        fresh: || with(LeavesOut),
    },
    WrongStore {
        fault: "leaves out of history what does not fit and goes on",
        case: "pages_are_gapless_at_their_byte_limit",
        fresh: || with(LeavesOutOfHistory),
    },
    WrongStore {
        fault: "counts uncountable entries in a page of history",
        case: "history_pages_by_countable_entries_in_both_directions",
        fresh: || with(CountsUncountable),
    },
    WrongStore {
        fault: "folds in only what lies within the range",
        case: "history_folds_in_what_refers_to_the_page",
        fresh: || with(FoldsTheRange),
    },
    WrongStore {
        fault: "takes a full page for a sign of more",
        case: "history_says_whether_there_is_more",
        fresh: || with(GuessesMore),
    },
    WrongStore {
        fault: "keeps the oldest of too many referring entries",
        case: "history_keeps_the_newest_of_too_many_referring_entries",
        fresh: || with(KeepsTheOldest),
    },
    WrongStore {
        fault: "refuses a range without a seq",
        case: "empty_ranges_give_empty_pages",
        fresh: || with(RefusesEmptyRanges),
    },
];

struct AlwaysForward;

#[async_trait]
impl Fault for AlwaysForward {
    async fn entries(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<Vec<Entry>> {
        right.entries(of, &Range { direction: Direction::Forward, ..*range }).await
    }
}

struct EmptyPages;

#[async_trait]
impl Fault for EmptyPages {
    async fn entries(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<Vec<Entry>> {
        let mut page = right.entries(of, range).await?;
        if page.iter().map(Entry::size_bytes).sum::<usize>() > range.limit_bytes {
            page.clear();
        }
        Ok(page)
    }
}

struct IgnoresBytes;

#[async_trait]
impl Fault for IgnoresBytes {
    async fn entries(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<Vec<Entry>> {
        right.entries(of, &Range { limit_bytes: usize::MAX, ..*range }).await
    }
}

/// Of entries oldest first: those of the page's direction that fit, however small the rest is.
fn fitting(range: &Range, mut entries: Vec<Entry>) -> Vec<Entry> {
    if range.direction == Direction::Backward {
        entries.reverse();
    }
    let (mut bytes, mut is_first) = (0, true);
    entries.retain(|entry| {
        let fits = is_first || bytes + entry.size_bytes() <= range.limit_bytes;
        bytes += if fits { entry.size_bytes() } else { 0 };
        is_first = false;
        fits
    });
    if range.direction == Direction::Backward {
        entries.reverse();
    }
    entries
}

struct LeavesOut;

#[async_trait]
impl Fault for LeavesOut {
    async fn entries(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<Vec<Entry>> {
        let page = right.entries(of, &Range { limit_bytes: usize::MAX, ..*range }).await?;
        Ok(fitting(range, page))
    }
}

struct LeavesOutOfHistory;

#[async_trait]
impl Fault for LeavesOutOfHistory {
    async fn history(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<History> {
        let whole = right.history(of, &Range { limit_bytes: usize::MAX, ..*range }).await?;
        let found = whole.entries.len();
        let entries = fitting(range, whole.entries);
        let more = whole.more || entries.len() < found;
        let referring = whole.referring;
        Ok(History { entries, more, referring })
    }
}

/// As a page does that is cut from the log and filtered then.
struct CountsUncountable;

#[async_trait]
impl Fault for CountsUncountable {
    async fn history(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<History> {
        let mut history = right.history(of, range).await?;
        let first = right.heads(&[of]).await?[0].first_seq;
        let page = right.entries(of, &Range { from: range.from.max(first), ..*range }).await?;
        history.entries.retain(|entry| page.contains(entry));
        Ok(history)
    }
}

struct FoldsTheRange;

#[async_trait]
impl Fault for FoldsTheRange {
    async fn history(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<History> {
        let mut history = right.history(of, range).await?;
        history.referring.retain(|entry| (range.from..=range.to).contains(&entry.seq));
        Ok(history)
    }
}

struct GuessesMore;

#[async_trait]
impl Fault for GuessesMore {
    async fn history(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<History> {
        let history = right.history(of, range).await?;
        Ok(History { more: history.more || history.entries.len() == range.limit, ..history })
    }
}

struct KeepsTheOldest;

#[async_trait]
impl Fault for KeepsTheOldest {
    async fn history(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<History> {
        let mut history = right.history(of, range).await?;
        if history.referring.len() == History::REFERRING_LIMIT {
            let first = right.heads(&[of]).await?[0].first_seq;
            let all = Range {
                from: first,
                to: Seq::MAX,
                direction: Direction::Forward,
                limit: usize::MAX,
                limit_bytes: usize::MAX,
            };
            let page: Vec<_> = history.entries.iter().map(|entry| entry.seq).collect();
            let refers =
                |entry: &Entry| !entry.countable && entry.target.is_some_and(|target| page.contains(&target));
            let referring = right.entries(of, &all).await?.into_iter().filter(refers);
            history.referring = referring.take(History::REFERRING_LIMIT).collect();
        }
        Ok(history)
    }
}

struct RefusesEmptyRanges;

#[async_trait]
impl Fault for RefusesEmptyRanges {
    async fn entries(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<Vec<Entry>> {
        if range.from > range.to {
            return Err(StoreError::new(StoreErrorKind::Invalid, "reading entries"));
        }
        right.entries(of, range).await
    }
}
