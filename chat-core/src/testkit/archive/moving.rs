//! Taking everything out of a store, and putting it into another.

use std::sync::Arc;

use super::Place;
use crate::store::archive::{ArchiveId, Export, Import, PageLimits, Record};

pub(super) const ARCHIVE: ArchiveId = ArchiveId([7; 16]);

pub(super) const MANY: PageLimits = PageLimits { records: 100_000, bytes: 1 << 30 };

pub(super) const FEW: PageLimits = PageLimits { records: 13, bytes: 100_000 };

/// Everything in a store, in pages of these limits.
///
/// # Panics
/// The store fails.
pub async fn pages(store: &dyn Export, limits: &PageLimits) -> Vec<Vec<Record>> {
    let mut pages: Vec<Vec<Record>> = Vec::new();
    loop {
        let reached = pages.last().and_then(|page| page.last()).map(Record::position);
        let page = store.export(reached.as_ref(), limits).await.expect("the store is in order");
        if page.is_empty() {
            return pages;
        }
        pages.push(page);
    }
}

/// Everything in a store.
///
/// # Panics
/// The store fails.
pub async fn records(store: &dyn Export) -> Vec<Record> {
    pages(store, &MANY).await.concat()
}

/// Imports everything and closes the import.
pub(super) async fn moved(from: &dyn Export, place: &dyn Place) -> Arc<dyn Export> {
    let import = place.import().await;
    for page in pages(from, &FEW).await {
        import.write(ARCHIVE, &page).await.expect("nothing stands against it");
    }
    finished(&*import).await;
    drop(import);
    place.open().await.expect("it is finished")
}

pub(super) async fn finished(import: &dyn Import) {
    import.finish(ARCHIVE).await.expect("nothing stands against it");
    import.close().await;
}
