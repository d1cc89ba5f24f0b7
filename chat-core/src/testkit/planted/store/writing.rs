//! Defects of how a batch is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;

use super::{Answer, Wrong, alone, committed};
use crate::store::{Append, Batch, Item, Outcome, Precondition, SeqRef, Store, Write};
use crate::{ConversationId, Entry, Head, Seq, Timestamp};

/// [`Defect::SequenceFromMemory`](super::Defect::SequenceFromMemory): heads are read once, and counted
/// on from there.
#[derive(Default)]
pub(super) struct Remembers(Mutex<BTreeMap<ConversationId, Head>>);

#[async_trait]
impl Wrong for Remembers {
    async fn commit(&self, right: &dyn Store, batch: &Batch) -> Answer<Vec<Outcome>> {
        let appended = |item: &Item| item.append.iter().map(|append| append.conversation).collect::<Vec<_>>();
        let mut unknown: BTreeSet<_> = batch.items.iter().flat_map(appended).collect();
        unknown.retain(|conversation| !self.0.lock().expect("no panic").contains_key(conversation));
        let heads = right.heads(&unknown.into_iter().collect::<Vec<_>>()).await?;
        self.0.lock().expect("no panic").extend(heads.into_iter().map(|head| (head.conversation, head)));
        let mut outcomes = right.commit(batch).await?;
        let mut known = self.0.lock().expect("no panic");
        for (item, outcome) in batch.items.iter().zip(&mut outcomes) {
            let Outcome::Committed(placed) = outcome else { continue };
            for (append, placed) in item.append.iter().zip(placed) {
                if let Some(head) = known.get_mut(&append.conversation) {
                    *placed = head.place(append, placed.time);
                }
            }
        }
        Ok(outcomes)
    }
}

/// [`Defect::DecisionNotComparedUnderLock`](super::Defect::DecisionNotComparedUnderLock).
pub(super) struct NotCompared;

#[async_trait]
impl Wrong for NotCompared {
    async fn commit(&self, right: &dyn Store, batch: &Batch) -> Answer<Vec<Outcome>> {
        let mut batch = batch.clone();
        for item in &mut batch.items {
            item.require.retain(|precondition| !matches!(precondition, Precondition::Rules(..)));
        }
        right.commit(&batch).await
    }
}

/// [`Defect::TokenOutlivesItsDevice`](super::Defect::TokenOutlivesItsDevice): nothing ends a device.
pub(super) struct KeepsDevices;

#[async_trait]
impl Wrong for KeepsDevices {
    async fn commit(&self, right: &dyn Store, batch: &Batch) -> Answer<Vec<Outcome>> {
        let mut batch = batch.clone();
        for item in &mut batch.items {
            item.write.retain(|write| !matches!(write, Write::DeleteDevice(_)));
        }
        right.commit(&batch).await
    }
}

/// [`Defect::SendingMarksAsRead`](super::Defect::SendingMarksAsRead).
pub(super) struct MarksOwn;

#[async_trait]
impl Wrong for MarksOwn {
    async fn commit(&self, right: &dyn Store, batch: &Batch) -> Answer<Vec<Outcome>> {
        let mut batch = batch.clone();
        for item in &mut batch.items {
            let own = |(index, append): (usize, &Append)| {
                let (conversation, user, to) = (append.conversation, append.sender, SeqRef::Appended(index));
                append.countable.then_some(Write::Read { conversation, user, to })
            };
            let read: Vec<_> = item.append.iter().enumerate().filter_map(own).collect();
            item.write.extend(read);
        }
        right.commit(&batch).await
    }
}

/// [`Defect::TimeRunsBack`](super::Defect::TimeRunsBack): what nodes said the time was.
#[derive(Default)]
pub(super) struct OwnTime(Mutex<BTreeMap<(ConversationId, Seq), Timestamp>>);

#[async_trait]
impl Wrong for OwnTime {
    async fn commit(&self, right: &dyn Store, batch: &Batch) -> Answer<Vec<Outcome>> {
        let mut outcomes = right.commit(batch).await?;
        let mut times = self.0.lock().expect("no panic");
        for (item, outcome) in batch.items.iter().zip(&mut outcomes) {
            let Outcome::Committed(placed) = outcome else { continue };
            for (append, placed) in item.append.iter().zip(placed) {
                placed.time = batch.now;
                times.insert((append.conversation, placed.seq), batch.now);
            }
        }
        Ok(outcomes)
    }

    fn spoil_entries(&self, of: ConversationId, entries: &mut [Entry]) {
        let times = self.0.lock().expect("no panic");
        for entry in entries {
            entry.time = times.get(&(of, entry.seq)).copied().unwrap_or(entry.time);
        }
    }
}

/// [`Defect::ChangeInSteps`](super::Defect::ChangeInSteps).
pub(super) struct InSteps;

#[async_trait]
impl Wrong for InSteps {
    async fn commit(&self, right: &dyn Store, batch: &Batch) -> Answer<Vec<Outcome>> {
        if batch.items.iter().all(|item| steps(item).1.is_empty()) {
            return right.commit(batch).await;
        }
        let mut outcomes = Vec::with_capacity(batch.items.len());
        for item in &batch.items {
            let (first, others) = steps(item);
            let mut outcome = alone(right, batch, first).await?;
            if let Outcome::Committed(placed) = &mut outcome {
                for other in others {
                    if let Outcome::Committed(more) = alone(right, batch, other).await? {
                        placed.extend(more);
                    }
                }
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}

/// What is written first, and then step by step: the notices in the inboxes of others, which stand at
/// the end of an item; those of a group that is created with the member whom each is for.
fn steps(item: &Item) -> (Item, Vec<Item>) {
    let mut first = item.clone();
    let is_others =
        |append: &Append| matches!(append.conversation, ConversationId::Inbox(user) if user != append.sender);
    let notices: Vec<_> = first.append.extract_if(.., |append| is_others(append)).collect();
    let creates = item.require.iter().any(|required| matches!(required, Precondition::Rules(_, 0)))
        && item.write.iter().any(|write| matches!(write, Write::PutGroup(_)));
    let step = |notice: Append| {
        let entering = |write: &mut Write| match write {
            Write::Standing(row) => creates && ConversationId::Inbox(row.user) == notice.conversation,
            _ => false,
        };
        let mut write: Vec<_> = first.write.extract_if(.., entering).collect();
        for write in &mut write {
            if let Write::Standing(row) = write {
                (row.joined, row.visible_from) = (Some(SeqRef::At(1)), Some(SeqRef::At(1)));
            }
        }
        Item { append: vec![notice], write, ..Item::default() }
    };
    let others = notices.into_iter().map(step).collect();
    (first, others)
}

/// Where the entries of a batch came to stand: the last of each conversation.
pub(super) fn moved(batch: &Batch, outcomes: &[Outcome]) -> Vec<(ConversationId, Seq)> {
    let mut moved = BTreeMap::new();
    for (item, placed) in committed(batch, outcomes) {
        moved
            .extend(item.append.iter().zip(placed).map(|(append, placed)| (append.conversation, placed.seq)));
    }
    moved.into_iter().collect()
}
