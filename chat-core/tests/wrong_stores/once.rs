//! Faults of the duplicate check and of its records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use chat_core::memory::MemoryStore;
use chat_core::store::{Batch, Item, Once, Outcome, Store, Stored};
use chat_core::{ClientId, ConversationId, UserId};

use crate::store::{Answer, Fault, WrongStore, alone, refused, with};

pub(crate) const FAULTS: &[WrongStore] = &[
    WrongStore {
        fault: "forgets the duplicate check",
        case: "once_repetition_answers_what_was_recorded",
        fresh: || with(SkipsCheck),
    },
    WrongStore {
        fault: "looks for duplicates as a batch begins",
        case: "once_repetition_within_a_batch_is_a_duplicate",
        fresh: || with(ChecksFirst),
    },
    WrongStore {
        fault: "looks for duplicates before it locks the head",
        case: "racing_repetitions_commit_once",
        fresh: || with(ChecksUnlocked),
    },
    WrongStore {
        fault: "does not compare digests",
        case: "once_other_digest_is_a_conflict",
        fresh: || with(IgnoresDigests),
    },
    WrongStore {
        fault: "looks at preconditions before duplicates",
        case: "once_is_looked_at_before_any_precondition",
        fresh: || with(ComparesBefore),
    },
    WrongStore {
        fault: "takes the client id alone for the key",
        case: "once_scope_is_client_id_sender_and_conversation",
        fresh: || with(Confuses::by(|key| (key.client_id, None, None))),
    },
    WrongStore {
        fault: "takes client id and sender for the key",
        case: "once_scope_is_client_id_sender_and_conversation",
        fresh: || with(Confuses::by(|key| (key.client_id, Some(key.sender), None))),
    },
    WrongStore {
        fault: "takes client id and conversation for the key",
        case: "once_scope_is_client_id_sender_and_conversation",
        fresh: || with(Confuses::by(|key| (key.client_id, None, Some(key.conversation)))),
    },
    WrongStore {
        fault: "records the last entry of an item",
        case: "once_record_is_the_first_entry_of_the_item",
        fresh: || with(RecordsTheLast::default()),
    },
    WrongStore {
        fault: "loses a record on redaction",
        case: "once_record_outlives_redaction",
        fresh: || with(Forgets(Lost::Redacted)),
    },
    WrongStore {
        fault: "loses a record on trimming",
        case: "once_record_outlives_trimming",
        fresh: || with(Forgets(Lost::Trimmed)),
    },
    WrongStore {
        fault: "records what it refuses",
        case: "once_refused_item_records_nothing",
        fresh: || with(RecordsRefused::default()),
    },
];

/// The item under a key that nobody has used, as if there were no check.
async fn renewed(right: &MemoryStore, item: &Item) -> Answer<Item> {
    let mut renewed = item.clone();
    while let Some((key, _)) = &mut renewed.once
        && right.recorded(&[*key]).await? != [None]
    {
        key.client_id = ClientId(u128::from_be_bytes(key.client_id.0).wrapping_add(1 << 32).to_be_bytes());
    }
    Ok(renewed)
}

struct SkipsCheck;

#[async_trait]
impl Fault for SkipsCheck {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        alone(right, batch, renewed(right, item).await?).await
    }
}

/// What earlier items of the batch record does not count.
struct ChecksFirst;

#[async_trait]
impl Fault for ChecksFirst {
    async fn commit(&self, right: &MemoryStore, batch: &Batch) -> Answer<Vec<Outcome>> {
        let keys = |item: &Item| item.once.iter().map(|(key, _)| *key).collect::<Vec<_>>();
        let mut checked = Vec::new();
        for item in &batch.items {
            checked.push(right.recorded(&keys(item)).await?);
        }
        let mut outcomes = Vec::new();
        for (item, before) in batch.items.iter().zip(checked) {
            let is_new = before == [None];
            let item = if is_new { renewed(right, item).await? } else { item.clone() };
            outcomes.push(alone(right, batch, item).await?);
        }
        Ok(outcomes)
    }
}

/// Another writer comes between the check and the lock.
struct ChecksUnlocked;

#[async_trait]
impl Fault for ChecksUnlocked {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let keys: Vec<_> = item.once.iter().map(|(key, _)| *key).collect();
        let before = right.recorded(&keys).await?;
        tokio::task::yield_now().await;
        let item = if before == [None] { renewed(right, item).await? } else { item.clone() };
        alone(right, batch, item).await
    }
}

struct IgnoresDigests;

#[async_trait]
impl Fault for IgnoresDigests {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let outcome = alone(right, batch, item.clone()).await?;
        let (Outcome::Conflict, Some((key, _))) = (&outcome, item.once) else { return Ok(outcome) };
        let stored = right.recorded(&[key]).await?.remove(0);
        Ok(stored.map_or(outcome, Outcome::Duplicate))
    }
}

struct ComparesBefore;

#[async_trait]
impl Fault for ComparesBefore {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        match refused(right, batch, item).await? {
            Some(outcome) => Ok(outcome),
            None => alone(right, batch, item.clone()).await,
        }
    }
}

type PartOfKey = (ClientId, Option<UserId>, Option<ConversationId>);

/// Keys of which a part is alike are one.
struct Confuses {
    by: fn(&Once) -> PartOfKey,
    first: Mutex<BTreeMap<PartOfKey, Once>>,
}

impl Confuses {
    fn by(by: fn(&Once) -> PartOfKey) -> Self {
        Self { by, first: Mutex::default() }
    }
}

#[async_trait]
impl Fault for Confuses {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let Some((key, digest)) = item.once else { return alone(right, batch, item.clone()).await };
        let first = self.first.lock().expect("no panic").get(&(self.by)(&key)).copied().unwrap_or(key);
        match right.recorded(&[first]).await?.remove(0) {
            Some(stored) if stored.digest == digest => return Ok(Outcome::Duplicate(stored)),
            Some(_) => return Ok(Outcome::Conflict),
            None => {}
        }
        let outcome = alone(right, batch, item.clone()).await?;
        if matches!(outcome, Outcome::Committed(_)) {
            self.first.lock().expect("no panic").insert((self.by)(&key), key);
        }
        Ok(outcome)
    }
}

#[derive(Default)]
struct RecordsTheLast(Mutex<BTreeMap<Once, Stored>>);

impl RecordsTheLast {
    fn last(&self, key: &Once) -> Option<Stored> {
        self.0.lock().expect("no panic").get(key).cloned()
    }
}

#[async_trait]
impl Fault for RecordsTheLast {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let mut outcome = alone(right, batch, item.clone()).await?;
        let Some((key, digest)) = item.once else { return Ok(outcome) };
        match &mut outcome {
            Outcome::Committed(placed) if placed.len() > 1 => {
                let (last, append) = (placed[placed.len() - 1], &item.append[placed.len() - 1]);
                let stored =
                    Stored { seq: last.seq, time: last.time, digest, content: Some(append.content.clone()) };
                self.0.lock().expect("no panic").insert(key, stored);
            }
            Outcome::Duplicate(stored) => *stored = self.last(&key).unwrap_or_else(|| stored.clone()),
            _ => {}
        }
        Ok(outcome)
    }

    async fn recorded(&self, right: &MemoryStore, keys: &[Once]) -> Answer<Vec<Option<Stored>>> {
        let found = right.recorded(keys).await?;
        Ok(keys.iter().zip(found).map(|(key, stored)| self.last(key).or(stored)).collect())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Lost {
    Redacted,
    Trimmed,
}

/// Records that are read from the log are gone with what they are read from.
struct Forgets(Lost);

impl Forgets {
    async fn is_lost(&self, right: &MemoryStore, key: Once) -> Answer<bool> {
        let Some(stored) = right.recorded(&[key]).await?.remove(0) else { return Ok(false) };
        let is_trimmed = stored.seq < right.heads(&[key.conversation]).await?[0].first_seq;
        Ok(stored.content.is_none() && is_trimmed == (self.0 == Lost::Trimmed))
    }
}

#[async_trait]
impl Fault for Forgets {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let item = match item.once {
            Some((key, _)) if self.is_lost(right, key).await? => renewed(right, item).await?,
            _ => item.clone(),
        };
        alone(right, batch, item).await
    }

    async fn recorded(&self, right: &MemoryStore, keys: &[Once]) -> Answer<Vec<Option<Stored>>> {
        let mut found = right.recorded(keys).await?;
        for (key, stored) in keys.iter().zip(&mut found) {
            if self.is_lost(right, *key).await? {
                *stored = None;
            }
        }
        Ok(found)
    }
}

#[derive(Default)]
struct RecordsRefused(Mutex<BTreeSet<Once>>);

#[async_trait]
impl Fault for RecordsRefused {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let Some((key, _)) = item.once else { return alone(right, batch, item.clone()).await };
        if self.0.lock().expect("no panic").contains(&key) {
            return Ok(Outcome::Conflict);
        }
        let outcome = alone(right, batch, item.clone()).await?;
        if outcome == Outcome::Stale {
            self.0.lock().expect("no panic").insert(key);
        }
        Ok(outcome)
    }
}
