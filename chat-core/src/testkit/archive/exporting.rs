//! What exports promise.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::moving::{MANY, pages, records};
use super::{Installation, Place};
use crate::memory::MemoryStore;
use crate::store::archive::{Export, PageLimits, Position, Record, Section};
use crate::{Epoch, UserId};

/// **complete**, **in order**: every store has the same records in the same order for the same
/// installation, some in every section.
pub async fn complete_in_order_the_records_are_those_of_every_store(
    source: Arc<dyn Export>,
    _place: Arc<dyn Place>,
) {
    assert_eq!(records(&*source).await, [], "nothing is in an empty store");
    Installation::fill(&*source, 1).await;
    let reference = MemoryStore::new(Epoch(1));
    Installation::fill(&reference, 1).await;
    let (found, expected) = (records(&*source).await, records(&reference).await);
    let sections: BTreeSet<_> = expected.iter().map(|record| record.position().section()).collect();
    assert!(sections.into_iter().eq(Section::ALL), "the installation has everything");
    assert!(found.is_sorted_by(|one, next| one.position() < next.position()), "positions ascend strictly");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

/// **resumable**: wherever a page begins, whether there is a record or was one or not.
pub async fn resumable_pages_go_on_after_any_position(source: Arc<dyn Export>, _place: Arc<dyn Place>) {
    Installation::fill(&*source, 2).await;
    let all = records(&*source).await;
    let following = async |after: Position| {
        source.export(Some(&after), &MANY).await.expect("the store is in order").into_iter().next()
    };
    for (index, record) in all.iter().enumerate() {
        assert_eq!(following(record.position()).await.as_ref(), all.get(index + 1));
    }
    for record in &all {
        // Where no record is, but could have been.
        let beside = match record.position() {
            Position::Account(user) => UserId::new(user.number() - 1).ok().map(Position::Account),
            Position::Member(conversation, user) => {
                UserId::new(user.number() - 1).ok().map(|user| Position::Member(conversation, user))
            }
            Position::Entry(conversation, seq) => Some(Position::Entry(conversation, seq - 1)),
            _ => None,
        };
        if let Some(beside) = beside {
            assert_eq!(following(beside).await.as_ref(), Some(record));
        }
    }
}

/// **bounded**, and a page is not empty while there is something left.
pub async fn bounded_pages_keep_to_their_limits_and_give_the_same(
    source: Arc<dyn Export>,
    _place: Arc<dyn Place>,
) {
    Installation::fill(&*source, 3).await;
    let all = records(&*source).await;
    for (records, bytes) in
        [(1, 1 << 30), (2, 1 << 30), (7, 1_000), (50, 1), (1_000, 20_000), (5_000, 250_000)]
    {
        let pages = pages(&*source, &PageLimits { records, bytes }).await;
        for page in &pages {
            let size: usize = page.iter().map(Record::size_bytes).sum();
            assert!(page.len() <= records && (size <= bytes || page.len() == 1), "{} of {size}", page.len());
        }
        assert_eq!(pages.concat(), all, "in pages of {records} records and {bytes} bytes");
    }
}
