//! Defects of how repetitions are recognised.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{Answer, Wrong, alone, committed};
use crate::store::{Batch, Item, Once, Outcome, Store, Stored};
use crate::{ClientId, ConversationId, Entry};

/// The right store writes nothing twice: what is to stand there twice is written under another name,
/// and shown under its own.
#[derive(Default)]
pub(super) struct Renewals(Mutex<BTreeMap<ClientId, ClientId>>);

impl Renewals {
    fn renewed(&self, item: &Item) -> Item {
        let mut names = self.0.lock().expect("no panic");
        let mut renewed = item.clone();
        if let Some((once, _)) = &mut renewed.once {
            let name = ClientId((u128::MAX - names.len() as u128).to_be_bytes());
            names.insert(name, once.client_id);
            once.client_id = name;
        }
        renewed
    }
}

#[async_trait]
impl Wrong for Renewals {
    fn spoil_entries(&self, _: ConversationId, entries: &mut [Entry]) {
        let names = self.0.lock().expect("no panic");
        for entry in entries {
            entry.client_id = entry.client_id.map(|name| names.get(&name).copied().unwrap_or(name));
        }
    }
}

/// [`Defect::DuplicateCheckOutsideTransaction`](super::Defect::DuplicateCheckOutsideTransaction): what
/// was not recorded when it was looked up is written, whatever was recorded meanwhile.
pub(super) struct ChecksBefore {
    pub(super) renewals: Arc<Renewals>,
}

#[async_trait]
impl Wrong for ChecksBefore {
    async fn commit(&self, right: &dyn Store, batch: &Batch) -> Answer<Vec<Outcome>> {
        let mut known = BTreeSet::new();
        for once in keys(batch) {
            if right.recorded(&[once]).await?.iter().any(Option::is_some) {
                known.insert(once);
            }
        }
        let mut outcomes = right.commit(batch).await?;
        let is_known = |once: &Once| known.contains(once);
        write_again(right, batch, &mut outcomes, is_known, &self.renewals).await;
        Ok(outcomes)
    }
}

/// [`Defect::DuplicatesRememberedInMemory`](super::Defect::DuplicatesRememberedInMemory): only what
/// this run of the node has carried out is recognised.
pub(super) struct Remembers {
    known: Mutex<BTreeSet<Once>>,
    renewals: Arc<Renewals>,
}

impl Remembers {
    pub(super) fn new(renewals: Arc<Renewals>) -> Self {
        Self { known: Mutex::default(), renewals }
    }

    fn is_known(&self, once: &Once) -> bool {
        self.known.lock().expect("no panic").contains(once)
    }
}

#[async_trait]
impl Wrong for Remembers {
    async fn commit(&self, right: &dyn Store, batch: &Batch) -> Answer<Vec<Outcome>> {
        let mut outcomes = right.commit(batch).await?;
        let is_known = |once: &Once| self.is_known(once);
        write_again(right, batch, &mut outcomes, is_known, &self.renewals).await;
        let now: Vec<_> = committed(batch, &outcomes).filter_map(|(item, _)| key(item)).collect();
        self.known.lock().expect("no panic").extend(now);
        Ok(outcomes)
    }

    async fn recorded(&self, right: &dyn Store, keys: &[Once]) -> Answer<Vec<Option<Stored>>> {
        let recorded = right.recorded(keys).await?;
        let known = keys.iter().zip(recorded).map(|(once, stored)| stored.filter(|_| self.is_known(once)));
        Ok(known.collect())
    }
}

fn key(item: &Item) -> Option<Once> {
    item.once.map(|(once, _)| once)
}

fn keys(batch: &Batch) -> impl Iterator<Item = Once> {
    batch.items.iter().filter_map(key)
}

/// Writes repetitions that are not known as such a second time.
async fn write_again(
    right: &dyn Store,
    batch: &Batch,
    outcomes: &mut [Outcome],
    is_known: impl Fn(&Once) -> bool,
    renewals: &Renewals,
) {
    for (item, outcome) in batch.items.iter().zip(outcomes) {
        if matches!(outcome, Outcome::Duplicate(_))
            && key(item).is_some_and(|once| !is_known(&once))
            && let Ok(again) = alone(right, batch, renewals.renewed(item)).await
        {
            *outcome = again;
        }
    }
}
