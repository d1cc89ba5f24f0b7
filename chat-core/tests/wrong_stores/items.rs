//! Faults of batches and items: atomicity, independence, order.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chat_core::ConversationId;
use chat_core::memory::MemoryStore;
use chat_core::store::{Batch, Item, Outcome, SeqRef, Store, StoreError, StoreErrorKind, Write};

use crate::store::{Answer, Fault, WrongStore, alone, refused, with};

pub(crate) const FAULTS: &[WrongStore] = &[
    WrongStore {
        fault: "fails the neighbours of a refused item",
        case: "items_independent_refused_item_does_not_fail_its_neighbours",
        fresh: || with(FailsNeighbours),
    },
    WrongStore {
        fault: "leaves a part of a refused item's writes",
        case: "item_atomic_refused_item_leaves_nothing",
        fresh: || with(LeavesWrites),
    },
    WrongStore {
        fault: "writes an item conversation by conversation",
        case: "item_spans_conversations_and_is_written_in_all_or_none",
        fresh: || with(WritesHalves),
    },
    WrongStore {
        fault: "shows an item before all of it is written",
        case: "racing_readers_see_only_whole_items_and_every_acknowledged_commit",
        fresh: || with(ShowsHalves),
    },
    WrongStore {
        fault: "compares all preconditions as a batch begins",
        case: "later_item_of_a_batch_sees_what_earlier_ones_wrote",
        fresh: || with(ComparesFirst),
    },
    WrongStore {
        fault: "commits what is coherent of an incoherent batch",
        case: "incoherent_batch_is_refused_whole",
        fresh: || with(CommitsIncoherent),
    },
    WrongStore {
        fault: "refuses an empty batch",
        case: "empty_batch_commits_nothing",
        fresh: || with(RefusesEmpty),
    },
    WrongStore {
        fault: "locks heads in the order in which they are named",
        case: "racing_batches_over_the_same_conversations_all_commit",
        fresh: || with(LocksAsNamed::default()),
    },
];

struct FailsNeighbours;

#[async_trait]
impl Fault for FailsNeighbours {
    async fn commit(&self, right: &MemoryStore, batch: &Batch) -> Answer<Vec<Outcome>> {
        for item in &batch.items {
            if let Some(outcome) = refused(right, batch, item).await? {
                return Ok(vec![outcome; batch.items.len()]);
            }
        }
        right.commit(batch).await
    }
}

/// What does not hang on the item's entries was written before it was refused.
struct LeavesWrites;

#[async_trait]
impl Fault for LeavesWrites {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let outcome = alone(right, batch, item.clone()).await?;
        if outcome == Outcome::Stale {
            let mut write = item.write.clone();
            write.retain(|write| matches!(write, Write::PutAccount(_) | Write::RaiseRules(_)));
            alone(right, batch, Item { write, ..Item::default() }).await?;
        }
        Ok(outcome)
    }
}

/// A refusal in the second conversation comes too late for the first.
struct WritesHalves;

#[async_trait]
impl Fault for WritesHalves {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let outcome = alone(right, batch, item.clone()).await?;
        if outcome == Outcome::Stale && item.append.len() > 1 {
            let half = Item { append: vec![item.append[0].clone()], ..Item::default() };
            alone(right, batch, half).await?;
        }
        Ok(outcome)
    }
}

struct ShowsHalves;

#[async_trait]
impl Fault for ShowsHalves {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let [first, rest @ ..] = &item.append[..] else { return alone(right, batch, item.clone()).await };
        if rest.is_empty() || !item.write.is_empty() {
            return alone(right, batch, item.clone()).await;
        }
        let mut outcome = alone(right, batch, Item { append: vec![first.clone()], ..item.clone() }).await?;
        if let Outcome::Committed(placed) = &mut outcome {
            tokio::task::yield_now().await;
            let rest = Item { append: rest.to_vec(), ..Item::default() };
            if let Outcome::Committed(later) = alone(right, batch, rest).await? {
                placed.extend(later);
            }
        }
        Ok(outcome)
    }
}

/// What earlier items of the batch write does not count.
struct ComparesFirst;

#[async_trait]
impl Fault for ComparesFirst {
    async fn commit(&self, right: &MemoryStore, batch: &Batch) -> Answer<Vec<Outcome>> {
        let mut refusals = Vec::new();
        for item in &batch.items {
            refusals.push(refused(right, batch, item).await?);
        }
        let mut outcomes = Vec::new();
        for (item, refusal) in batch.items.iter().zip(refusals) {
            let compared = Item { require: Vec::new(), ..item.clone() };
            outcomes.push(match (is_recorded(right, item).await?, refusal) {
                (false, Some(refusal)) => refusal,
                _ => alone(right, batch, compared).await?,
            });
        }
        Ok(outcomes)
    }
}

/// Whether an item was committed before.
async fn is_recorded(right: &MemoryStore, item: &Item) -> Answer<bool> {
    let keys: Vec<_> = item.once.iter().map(|(key, _)| *key).collect();
    Ok(right.recorded(&keys).await?.iter().any(Option::is_some))
}

/// References that lead nowhere are left out.
struct CommitsIncoherent;

impl CommitsIncoherent {
    fn mend(item: &Item) -> Item {
        let mut mended = item.clone();
        mended.once = None;
        mended.write.retain(|write| !matches!(write, Write::Read { to: SeqRef::Appended(_), .. }));
        mended
    }
}

#[async_trait]
impl Fault for CommitsIncoherent {
    fn accepts(&self, _: &Batch) -> Answer<()> {
        Ok(())
    }

    async fn commit(&self, right: &MemoryStore, batch: &Batch) -> Answer<Vec<Outcome>> {
        if batch.check().is_ok() {
            return right.commit(batch).await;
        }
        let items = batch.items.iter().map(Self::mend).collect();
        right.commit(&Batch { items, ..batch.clone() }).await
    }
}

struct RefusesEmpty;

#[async_trait]
impl Fault for RefusesEmpty {
    async fn commit(&self, right: &MemoryStore, batch: &Batch) -> Answer<Vec<Outcome>> {
        if batch.items.is_empty() {
            return Err(StoreError::new(StoreErrorKind::Invalid, "checking a batch"));
        }
        right.commit(batch).await
    }
}

type Lock = Arc<tokio::sync::Mutex<()>>;

/// Between two locks others get theirs, until everyone waits for everyone.
#[derive(Default)]
struct LocksAsNamed(Mutex<BTreeMap<ConversationId, Lock>>);

#[async_trait]
impl Fault for LocksAsNamed {
    async fn commit(&self, right: &MemoryStore, batch: &Batch) -> Answer<Vec<Outcome>> {
        let mut held = BTreeMap::new();
        for append in batch.items.iter().flat_map(|item| &item.append) {
            if let Entry::Vacant(place) = held.entry(append.conversation) {
                let lock =
                    Arc::clone(self.0.lock().expect("no panic").entry(append.conversation).or_default());
                place.insert(lock.lock_owned().await);
                tokio::task::yield_now().await;
            }
        }
        right.commit(batch).await
    }
}
