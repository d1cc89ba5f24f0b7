//! Commits as planted defects have them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Committer, Pending, collect, touched};
use crate::engine::planted::Defect;
use crate::store::{Batch, Item, Outcome, Placed, Precondition, StoreError};
use crate::{ConversationId, Error, ErrorKind, Head};

impl Committer {
    /// [`Defect::PublishedBeforeCommit`] and [`Defect::AcknowledgedBeforeCommit`]: tells what becomes
    /// of the sends of a batch before it is committed.
    pub(super) async fn foretell(&self, batch: &Batch, pending: &mut [Pending]) {
        let planted = self.inner.planted;
        let publishes = planted.is(Defect::PublishedBeforeCommit);
        if !publishes && !planted.is(Defect::AcknowledgedBeforeCommit) {
            return;
        }
        let Ok(foreseen) = self.foresee(batch).await else { return };
        let mut entries = BTreeMap::new();
        for ((item, one), placed) in batch.items.iter().zip(pending).zip(foreseen) {
            let Some(placed) = placed.filter(|_| one.send.is_some()) else { continue };
            if publishes {
                collect(&mut entries, item, &placed);
            } else {
                one.answer(Ok(Outcome::Committed(placed)), &self.queue.counts);
            }
        }
        for chunk in self.chunks(entries) {
            self.inner.hub.offer(Arc::clone(&chunk));
            self.publish(&chunk);
        }
    }

    /// Where the entries of a batch will stand, if nobody else writes before it.
    async fn foresee(&self, batch: &Batch) -> Result<Vec<Option<Vec<Placed>>>, StoreError> {
        let store = &self.inner.store;
        let heads = store.heads(&touched(batch)).await?;
        let mut heads: BTreeMap<_, _> = heads.into_iter().map(|head| (head.conversation, head)).collect();
        let keys: Vec<_> = batch.items.iter().filter_map(|item| item.once.map(|(once, _)| once)).collect();
        let mut recorded = store.recorded(&keys).await?.into_iter();
        let mut foreseen = Vec::with_capacity(batch.items.len());
        for item in &batch.items {
            let known = item.once.is_some() && recorded.next().flatten().is_some();
            let placed = (!known && holds(item, &heads)).then(|| {
                let place = |append: &crate::store::Append| {
                    heads.get_mut(&append.conversation).map(|head| head.place(append, batch.now))
                };
                item.append.iter().filter_map(place).collect()
            });
            foreseen.push(placed);
        }
        Ok(foreseen)
    }

    /// [`Defect::AmbiguitySettledByLook`]: what is not recorded at this moment was not committed.
    pub(super) async fn look_alone(&self, batch: &Batch, pending: Vec<Pending>) {
        let refusal = Error::new(ErrorKind::NotAllowed, "it was not stored");
        for (item, mut one) in batch.items.iter().zip(pending) {
            let found = match item.once {
                Some((once, _)) => self.inner.store.recorded(&[once]).await,
                None => Ok(Vec::new()),
            };
            let found = found.ok().and_then(|mut found| found.pop().flatten());
            let outcome = found.map(Outcome::Duplicate).ok_or_else(|| refusal.clone());
            one.answer(outcome, &self.queue.counts);
        }
        self.note_heads(&touched(batch)).await;
    }
}

fn holds(item: &Item, heads: &BTreeMap<ConversationId, Head>) -> bool {
    item.require.iter().all(|precondition| match precondition {
        Precondition::Rules(of, rules) => heads.get(of).is_none_or(|head| head.rules_seq == *rules),
        _ => true,
    })
}
