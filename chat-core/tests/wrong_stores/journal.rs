//! Faults of the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use chat_core::memory::MemoryStore;
use chat_core::store::{Batch, Item, JournalPage, JournalPosition, Outcome, Store};
use chat_core::{ConversationId, Seq};

use crate::store::{Answer, Fault, WrongStore, alone, with};

pub(crate) const FAULTS: &[WrongStore] = &[
    WrongStore {
        fault: "forgets a conversation of a batch in the journal",
        case: "journal_is_complete_in_order",
        fresh: || with(ForgetsConversations::default()),
    },
    WrongStore {
        fault: "answers a journal_end after what comes next",
        case: "journal_end_finds_everything_after_it_and_nothing_before",
        fresh: || with(EndsLate),
    },
    WrongStore {
        fault: "answers a journal_end before what came",
        case: "journal_end_finds_everything_after_it_and_nothing_before",
        fresh: || with(EndsEarly),
    },
    WrongStore {
        fault: "follows all writers of the journal by one number",
        case: "journal_follows_every_writer",
        fresh: || with(FollowsOneNumber::default()),
    },
    WrongStore {
        fault: "cuts a page of the journal within a batch",
        case: "journal_pages_always_get_on",
        fresh: || with(CutsBatches),
    },
    WrongStore {
        fault: "reads the journal from the entries that are kept",
        case: "journal_shows_a_conversation_that_was_trimmed_to_its_end",
        fresh: || with(ReadsTheLog),
    },
    WrongStore {
        fault: "tells in the journal what it refused",
        case: "journal_holds_nothing_of_refused_and_repeated_items",
        fresh: || with(TellsRefused::default()),
    },
    WrongStore {
        fault: "skips in the journal what becomes visible late",
        case: "journal_is_complete_under_racing_writers",
        fresh: || with(SkipsLate::default()),
    },
];

type Moved = Vec<(ConversationId, Seq)>;

/// What a batch moved, in the order of keys.
fn moved(batch: &Batch, outcomes: &[Outcome]) -> Moved {
    let mut moved = BTreeMap::new();
    for (item, outcome) in batch.items.iter().zip(outcomes) {
        if let Outcome::Committed(placed) = outcome {
            moved.extend(
                item.append.iter().zip(placed).map(|(append, placed)| (append.conversation, placed.seq)),
            );
        }
    }
    moved.into_iter().collect()
}

#[derive(Default)]
struct ForgetsConversations(Mutex<BTreeSet<(ConversationId, Seq)>>);

#[async_trait]
impl Fault for ForgetsConversations {
    async fn commit(&self, right: &MemoryStore, batch: &Batch) -> Answer<Vec<Outcome>> {
        let outcomes = right.commit(batch).await?;
        if let [_, .., last] = moved(batch, &outcomes)[..] {
            self.0.lock().expect("no panic").insert(last);
        }
        Ok(outcomes)
    }

    async fn journal(
        &self,
        right: &MemoryStore,
        after: &JournalPosition,
        limit: usize,
    ) -> Answer<JournalPage> {
        let mut page = right.journal(after, limit).await?;
        page.moved.retain(|moved| !self.0.lock().expect("no panic").contains(moved));
        Ok(page)
    }
}

struct EndsLate;

#[async_trait]
impl Fault for EndsLate {
    async fn journal_end(&self, right: &MemoryStore) -> Answer<JournalPosition> {
        let mut end = right.journal_end().await?;
        end.0.values_mut().for_each(|number| *number += 1);
        Ok(end)
    }
}

struct EndsEarly;

#[async_trait]
impl Fault for EndsEarly {
    async fn journal_end(&self, _: &MemoryStore) -> Answer<JournalPosition> {
        Ok(JournalPosition::default())
    }
}

/// A journal of its own, whose rows are followed by one number.
#[derive(Default)]
struct Rows(Mutex<BTreeMap<u64, Vec<Moved>>>);

impl Rows {
    fn insert(&self, number: u64, moved: Moved) {
        if !moved.is_empty() {
            self.0.lock().expect("no panic").entry(number).or_default().push(moved);
        }
    }

    /// All rows after a number, in one page.
    fn after(&self, after: &JournalPosition) -> JournalPage {
        let seen = after.0.get(&0).copied().unwrap_or(0);
        let rows = self.0.lock().expect("no panic");
        let mut page = JournalPage { moved: Vec::new(), position: after.clone(), more: false };
        for (number, moved) in rows.range(seen + 1..) {
            page.moved.extend(moved.iter().flatten());
            page.position.0.insert(0, *number);
        }
        page
    }

    fn end(&self) -> JournalPosition {
        self.after(&JournalPosition::default()).position
    }
}

#[derive(Default)]
struct FollowsOneNumber(Rows);

#[async_trait]
impl Fault for FollowsOneNumber {
    async fn commit(&self, right: &MemoryStore, batch: &Batch) -> Answer<Vec<Outcome>> {
        let outcomes = right.commit(batch).await?;
        self.0.insert(batch.number, moved(batch, &outcomes));
        Ok(outcomes)
    }

    async fn journal(&self, _: &MemoryStore, after: &JournalPosition, _: usize) -> Answer<JournalPage> {
        Ok(self.0.after(after))
    }

    async fn journal_end(&self, _: &MemoryStore) -> Answer<JournalPosition> {
        Ok(self.0.end())
    }
}

struct CutsBatches;

#[async_trait]
impl Fault for CutsBatches {
    async fn journal(
        &self,
        right: &MemoryStore,
        after: &JournalPosition,
        limit: usize,
    ) -> Answer<JournalPage> {
        let mut page = right.journal(after, limit).await?;
        page.moved.truncate(limit);
        Ok(page)
    }
}

struct ReadsTheLog;

#[async_trait]
impl Fault for ReadsTheLog {
    async fn journal(
        &self,
        right: &MemoryStore,
        after: &JournalPosition,
        limit: usize,
    ) -> Answer<JournalPage> {
        let page = right.journal(after, limit).await?;
        let conversations: Vec<_> = page.moved.iter().map(|(conversation, _)| *conversation).collect();
        let heads = right.heads(&conversations).await?;
        let is_kept = |((_, seq), head): &(&(_, Seq), &chat_core::Head)| *seq >= head.first_seq;
        let moved = page.moved.iter().zip(&heads).filter(is_kept).map(|(moved, _)| *moved).collect();
        Ok(JournalPage { moved, ..page })
    }
}

#[derive(Default)]
struct TellsRefused(Mutex<Moved>);

#[async_trait]
impl Fault for TellsRefused {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let outcome = alone(right, batch, item.clone()).await?;
        if let (Outcome::Duplicate(_), Some(append)) = (&outcome, item.append.first()) {
            let head = right.heads(&[append.conversation]).await?.remove(0);
            self.0.lock().expect("no panic").push((append.conversation, head.seq));
        }
        Ok(outcome)
    }

    async fn journal(
        &self,
        right: &MemoryStore,
        after: &JournalPosition,
        limit: usize,
    ) -> Answer<JournalPage> {
        let mut page = right.journal(after, limit).await?;
        page.moved.extend(self.0.lock().expect("no panic").iter());
        Ok(page)
    }
}

/// How often a late row lets others go first, should nobody read the journal.
const TURNS_LIMIT: usize = 100;

/// Numbers are drawn in one sequence before a batch is committed. While others commit, every second
/// row stays invisible until a later one was read.
#[derive(Default)]
struct SkipsLate {
    rows: Rows,
    next: AtomicU64,
    under_way: AtomicU64,
    read_up_to: AtomicU64,
}

#[async_trait]
impl Fault for SkipsLate {
    async fn commit(&self, right: &MemoryStore, batch: &Batch) -> Answer<Vec<Outcome>> {
        let number = 1 + self.next.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        let outcomes = right.commit(batch).await?;
        let is_late = || {
            let others = self.under_way.load(Ordering::Relaxed) > 1;
            number % 2 == 1 && others && self.read_up_to.load(Ordering::Relaxed) < number
        };
        let mut turns = 0;
        while is_late() && turns < TURNS_LIMIT {
            turns += 1;
            tokio::task::yield_now().await;
        }
        self.rows.insert(number, moved(batch, &outcomes));
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        Ok(outcomes)
    }

    async fn journal(&self, _: &MemoryStore, after: &JournalPosition, _: usize) -> Answer<JournalPage> {
        let page = self.rows.after(after);
        let read = page.position.0.get(&0).copied().unwrap_or(0);
        self.read_up_to.fetch_max(read, Ordering::Relaxed);
        Ok(page)
    }

    async fn journal_end(&self, _: &MemoryStore) -> Answer<JournalPosition> {
        Ok(self.rows.end())
    }
}
