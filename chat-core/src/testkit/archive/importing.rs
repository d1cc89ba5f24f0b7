//! What imports promise.

use std::error::Error;
use std::sync::Arc;

use super::moving::{ARCHIVE, FEW, finished, moved, pages, records};
use super::{Installation, Place, assert_alike, assert_goes_on_alike};
use crate::store::archive::{
    ArchiveId, Export, Import, ImportRefused, ImportState, PageLimits, Position, Record, Section,
};
use crate::store::{StoreError, StoreErrorKind};
use crate::{Account, Group, GroupId, UserId};

const OTHER: ArchiveId = ArchiveId([8; 16]);

fn refused<T>(result: Result<T, StoreError>) -> Option<ImportRefused> {
    let error = result.err()?;
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    error.source().and_then(|source| source.downcast_ref()).copied()
}

async fn state(import: &dyn Import) -> ImportState {
    import.state().await.expect("the store is in order")
}

/// **kept exactly**: every read answers as it did where it was exported.
pub async fn kept_exactly_a_round_trip_is_equal(source: Arc<dyn Export>, place: Arc<dyn Place>) {
    let installation = Installation::fill(&*source, 4).await;
    let target = moved(&*source, &*place).await;
    assert_alike(&*source, &*target, &installation).await;
    assert_eq!(records(&*target).await, records(&*source).await);
    target.close().await;
}

/// **kept exactly**: what is committed afterwards is decided as it would have been.
pub async fn kept_exactly_what_goes_on_afterwards_goes_on_alike(
    source: Arc<dyn Export>,
    place: Arc<dyn Place>,
) {
    let installation = Installation::fill(&*source, 5).await;
    let target = moved(&*source, &*place).await;
    assert_goes_on_alike(&*source, &*target, &installation).await;
    target.close().await;
}

/// **kept exactly**, when there is nothing to keep.
pub async fn kept_exactly_an_empty_installation_is_an_empty_one(
    source: Arc<dyn Export>,
    place: Arc<dyn Place>,
) {
    let target = moved(&*source, &*place).await;
    assert_eq!(records(&*target).await, []);
    let installation = Installation::fill(&*target, 6).await;
    Installation::fill(&*source, 6).await;
    assert_alike(&*source, &*target, &installation).await;
    target.close().await;
}

/// **page atomic**: however often an import is given up and opened again, it says how far it is.
pub async fn page_atomic_an_import_goes_on_after_every_page(source: Arc<dyn Export>, place: Arc<dyn Place>) {
    let installation = Installation::fill(&*source, 7).await;
    let mut reached = None;
    for page in pages(&*source, &FEW).await {
        let import = place.import().await;
        let expected = match reached {
            None => ImportState::Empty,
            Some(_) => ImportState::Unfinished { archive: ARCHIVE, reached },
        };
        assert_eq!(state(&*import).await, expected);
        import.write(ARCHIVE, &page).await.expect("nothing stands against it");
        reached = page.last().map(Record::position);
        import.close().await;
    }
    finished(&*place.import().await).await;
    let target = place.open().await.expect("it is finished");
    assert_alike(&*source, &*target, &installation).await;
    assert_eq!(records(&*target).await, records(&*source).await);
    target.close().await;
}

/// **page atomic**: neither its records nor its position.
pub async fn page_atomic_a_refused_page_leaves_nothing(source: Arc<dyn Export>, place: Arc<dyn Place>) {
    let installation = Installation::fill(&*source, 8).await;
    let import = place.import().await;
    for page in pages(&*source, &FEW).await {
        let before = state(&*import).await;
        // Its last record is one that cannot be there.
        let mut spoilt = page.clone();
        spoilt.push(spoilt[0].clone());
        assert_eq!(refused(import.write(ARCHIVE, &spoilt).await), Some(ImportRefused::OutOfOrder));
        assert_eq!(state(&*import).await, before);
        import.write(ARCHIVE, &page).await.expect("nothing stands against it");
    }
    finished(&*import).await;
    drop(import);
    let target = place.open().await.expect("it is finished");
    assert_alike(&*source, &*target, &installation).await;
    target.close().await;
}

/// **repeatable**: a page again, a page that overlaps, and everything once more.
pub async fn repeatable_pages_are_passed_over_as_far_as_they_were_reached(
    source: Arc<dyn Export>,
    place: Arc<dyn Place>,
) {
    let installation = Installation::fill(&*source, 9).await;
    let import = place.import().await;
    let (mut so_far, all) = (Vec::new(), pages(&*source, &FEW).await);
    for (number, page) in all.iter().enumerate() {
        let overlapping = &all[number.saturating_sub(1)..=number].concat();
        import.write(ARCHIVE, overlapping).await.expect("what is there is passed over");
        let reached = page.last().map(Record::position);
        for repeated in [page, &Vec::new()] {
            import.write(ARCHIVE, repeated).await.expect("what is there is passed over");
            assert_eq!(state(&*import).await, ImportState::Unfinished { archive: ARCHIVE, reached });
        }
        so_far.extend_from_slice(page);
    }
    import.write(ARCHIVE, &so_far).await.expect("what is there is passed over");
    finished(&*import).await;
    drop(import);
    let target = place.open().await.expect("it is finished");
    assert_alike(&*source, &*target, &installation).await;
    target.close().await;
}

/// **only into an empty store**, or one that an import of the same archive has left unfinished.
pub async fn only_into_an_empty_store_or_an_unfinished_one_of_the_same_archive(
    source: Arc<dyn Export>,
    place: Arc<dyn Place>,
) {
    Installation::fill(&*source, 10).await;
    let pages = pages(&*source, &FEW).await;
    let import = place.import().await;
    import.write(ARCHIVE, &pages[0]).await.expect("it is empty");
    assert_eq!(refused(import.write(OTHER, &pages[1]).await), Some(ImportRefused::OtherArchive));
    assert_eq!(refused(import.finish(OTHER).await), Some(ImportRefused::OtherArchive));
    let reached = pages[0].last().map(Record::position);
    assert_eq!(state(&*import).await, ImportState::Unfinished { archive: ARCHIVE, reached });
    import.finish(ARCHIVE).await.expect("it is that one");
    for archive in [ARCHIVE, OTHER] {
        assert_eq!(refused(import.write(archive, &pages[1]).await), Some(ImportRefused::NotEmpty));
        assert_eq!(refused(import.finish(archive).await), Some(ImportRefused::NotEmpty));
    }
    assert_eq!(state(&*import).await, ImportState::Finished(ARCHIVE));
    import.close().await;
}

/// **not served before it is finished**, and served then.
pub async fn not_served_before_it_is_finished(source: Arc<dyn Export>, place: Arc<dyn Place>) {
    Installation::fill(&*source, 11).await;
    let limits = PageLimits { records: 200, ..FEW };
    for page in pages(&*source, &limits).await {
        let import = place.import().await;
        import.write(ARCHIVE, &page).await.expect("nothing stands against it");
        import.close().await;
        drop(import);
        assert!(place.open().await.is_none(), "it is unfinished");
    }
    finished(&*place.import().await).await;
    place.open().await.expect("it is finished").close().await;
}

/// **a history of its own**: an epoch that neither the source nor the store before had.
pub async fn a_history_of_its_own_begins_when_it_is_finished(source: Arc<dyn Export>, place: Arc<dyn Place>) {
    Installation::fill(&*source, 12).await;
    let import = place.import().await;
    for page in pages(&*source, &FEW).await {
        import.write(ARCHIVE, &page).await.expect("nothing stands against it");
    }
    let told = import.finish(ARCHIVE).await.expect("nothing stands against it");
    assert_eq!(state(&*import).await, ImportState::Finished(ARCHIVE));
    import.close().await;
    drop(import);
    let target = place.open().await.expect("it is finished");
    let found = target.epoch().await.expect("the store is in order");
    assert_eq!(found, told);
    assert_ne!(found, source.epoch().await.expect("the store is in order"));
    // It was imported into, and not written to: whoever follows it has missed nothing.
    let end = target.journal_end().await.expect("the store is in order");
    let page = target.journal(&end, 10).await.expect("the store is in order");
    assert!(page.moved.is_empty() && !page.more);
    target.close().await;
}

/// Pages that do not ascend, and records of conversations that have no head.
pub async fn records_that_are_out_of_order_are_refused(source: Arc<dyn Export>, place: Arc<dyn Place>) {
    Installation::fill(&*source, 13).await;
    let all = records(&*source).await;
    let import = place.import().await;
    let mut reversed = all.clone();
    reversed.reverse();
    assert_eq!(refused(import.write(ARCHIVE, &reversed).await), Some(ImportRefused::OutOfOrder));
    assert_eq!(state(&*import).await, ImportState::Empty);
    let (accounts, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|record| matches!(record, Record::Account(_)));
    import.write(ARCHIVE, &accounts).await.expect("nothing stands against it");
    let before = state(&*import).await;
    for section in [Section::TrimmedCommands, Section::Entries] {
        let headless = others.iter().filter(|record| record.position().section() == section).cloned();
        let headless: Vec<_> = headless.collect();
        assert_eq!(refused(import.write(ARCHIVE, &headless).await), Some(ImportRefused::OutOfOrder));
        assert_eq!(state(&*import).await, before);
    }
    import.close().await;
}

/// What no store holds at once: one name or handle of two. It is no passing failure.
pub async fn records_that_contradict_each_other_are_refused(source: Arc<dyn Export>, place: Arc<dyn Place>) {
    Installation::fill(&*source, 14).await;
    let import = place.import().await;
    let attempt = async |page: &[Record]| {
        let before = state(&*import).await;
        let error = import.write(ARCHIVE, page).await.expect_err("it contradicts what is there");
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error:?}");
        assert_eq!(state(&*import).await, before);
    };
    for page in pages(&*source, &PageLimits { records: 3, ..FEW }).await {
        let last = page.last().expect("pages are not empty");
        let next = match last.clone() {
            Record::Account(account) => {
                let user = UserId::new(account.user.number() + 1).ok();
                user.map(|user| Record::Account(Account { user, ..account }))
            }
            Record::Group(group) if group.profile.handle.is_some() => {
                let id = GroupId::new(group.id.number() + 1).ok();
                id.map(|id| Record::Group(Group { id, ..group }))
            }
            _ => None,
        };
        if let Some(next) = next {
            let mut contradicting = page.clone();
            contradicting.push(next.clone());
            attempt(&contradicting).await;
            import.write(ARCHIVE, &page).await.expect("nothing stands against it");
            attempt(&[next]).await;
        } else {
            import.write(ARCHIVE, &page).await.expect("nothing stands against it");
        }
    }
    assert!(matches!(
        state(&*import).await,
        ImportState::Unfinished { reached: Some(Position::Entry(..)), .. }
    ));
    import.close().await;
}

/// One command twice, which is found in the end at the latest, and is no passing failure either.
pub async fn commands_that_contradict_each_other_are_refused(source: Arc<dyn Export>, place: Arc<dyn Place>) {
    Installation::fill(&*source, 15).await;
    let mut all = records(&*source).await;
    let twice = all.iter().rev().find_map(|record| match record {
        Record::Entry(logged) if logged.digest.is_some() => Some(logged.clone()),
        _ => None,
    });
    let mut twice = twice.expect("there are commands");
    twice.entry.seq += 1_000;
    all.retain(|record| record.position() < Position::Entry(twice.conversation, twice.entry.seq));
    all.push(Record::Entry(twice));
    let import = place.import().await;
    let imported = match import.write(ARCHIVE, &all).await {
        Ok(()) => import.finish(ARCHIVE).await.map(drop),
        Err(error) => Err(error),
    };
    let error = imported.expect_err("a command is there twice");
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error:?}");
    assert!(!matches!(state(&*import).await, ImportState::Finished(_)));
    import.close().await;
    drop(import);
}
