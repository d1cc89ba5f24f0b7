//! Defects of the journal.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;

use super::writing::moved;
use super::{Answer, Wrong};
use crate::store::{Batch, Item, JournalPage, JournalPosition, Outcome, Store, StoreErrorKind};
use crate::{ConversationId, Seq};

/// [`Defect::LastMessageLostWithTheBus`](super::Defect::LastMessageLostWithTheBus).
pub(super) struct Unfollowed;

#[async_trait]
impl Wrong for Unfollowed {
    fn is_shared(&self, _: &dyn Store) -> bool {
        false
    }
}

/// [`Defect::JournalResumesAtItsEnd`](super::Defect::JournalResumesAtItsEnd).
#[derive(Default)]
pub(super) struct Resumes {
    failed: AtomicBool,
}

#[async_trait]
impl Wrong for Resumes {
    async fn journal(&self, right: &dyn Store, after: &JournalPosition, limit: usize) -> Answer<JournalPage> {
        if self.failed.load(Ordering::Relaxed) {
            let position = right.journal_end().await?;
            self.failed.store(false, Ordering::Relaxed);
            return Ok(JournalPage { moved: Vec::new(), position, more: false });
        }
        let page = right.journal(after, limit).await;
        self.failed.store(page.is_err(), Ordering::Relaxed);
        page
    }
}

/// [`Defect::JournalSkipsWhatIsVisibleLate`](super::Defect::JournalSkipsWhatIsVisibleLate): the rows of
/// all writers under one number.
#[derive(Default)]
pub(super) struct OneNumber {
    next: AtomicU64,
    rows: Mutex<BTreeMap<u64, Vec<(ConversationId, Seq)>>>,
}

/// The one writer of whom a position tells.
const EVERYBODY: u64 = 0;

#[async_trait]
impl Wrong for OneNumber {
    async fn commit(&self, right: &dyn Store, batch: &Batch) -> Answer<Vec<Outcome>> {
        let number = 1 + self.next.fetch_add(1, Ordering::Relaxed);
        let result = right.commit(batch).await;
        let row = match &result {
            Ok(outcomes) => moved(batch, outcomes),
            // If it was carried out, so was the row.
            Err(error) if error.kind() == StoreErrorKind::Ambiguous => {
                let appended = |item: &Item| item.append.iter().map(|append| append.conversation).collect();
                let touched: Vec<_> =
                    batch.items.iter().flat_map(|item| -> Vec<_> { appended(item) }).collect();
                let heads = right.heads(&touched).await.unwrap_or_default();
                heads.into_iter().map(|head| (head.conversation, head.seq)).collect()
            }
            Err(_) => Vec::new(),
        };
        if !row.is_empty() {
            self.rows.lock().expect("no panic").insert(number, row);
        }
        result
    }

    async fn journal(&self, right: &dyn Store, after: &JournalPosition, _: usize) -> Answer<JournalPage> {
        // What reading the right one costs, and whether it can be read.
        right.journal_end().await?;
        let seen = after.0.get(&EVERYBODY).copied().unwrap_or(0);
        let rows = self.rows.lock().expect("no panic");
        let last = rows.keys().next_back().copied().unwrap_or(0).max(seen);
        let moved = rows.range(seen + 1..).flat_map(|(_, row)| row.iter().copied()).collect();
        Ok(JournalPage { moved, position: JournalPosition([(EVERYBODY, last)].into()), more: false })
    }

    async fn journal_end(&self, right: &dyn Store) -> Answer<JournalPosition> {
        right.journal_end().await?;
        let last = self.rows.lock().expect("no panic").keys().next_back().copied().unwrap_or(0);
        Ok(JournalPosition([(EVERYBODY, last)].into()))
    }
}
