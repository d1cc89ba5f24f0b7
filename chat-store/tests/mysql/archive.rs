//! Installations move into MySQL and out of it, to and from every other store.

use std::io::Cursor;
use std::sync::Arc;

use async_trait::async_trait;
use chat_core::memory::MemoryStore;
use chat_core::store::archive::{ArchiveId, Export, Import, ImportRefused, ImportState};
use chat_core::testkit::archive::{Installation, Place, assert_alike, assert_goes_on_alike, records};
use chat_core::{Epoch, Timestamp};
use chat_store::archive::{self, ArchiveError, ArchiveReader, Part, Resume};
use chat_store::mysql::{MysqlImport, MysqlOptions, MysqlStore, OpenError};

use crate::folder::Folder;
use crate::server::{connect, shared};

/// A database for a store.
struct Database(String);

impl Database {
    async fn new() -> Self {
        Self(shared().await.database().await)
    }
}

#[async_trait]
impl Place for Database {
    async fn import(&self) -> Arc<dyn Import> {
        let opened = MysqlImport::connect(&self.0, &MysqlOptions::default()).await;
        Arc::new(opened.expect("a database in order"))
    }

    async fn open(&self) -> Option<Arc<dyn Export>> {
        match MysqlStore::connect(&self.0, &MysqlOptions::default()).await {
            Ok(store) => Some(Arc::new(store)),
            Err(OpenError::Importing) => None,
            Err(error) => panic!("a database in order: {error:?}"),
        }
    }
}

mod from_memory {
    use super::*;

    chat_core::archive_conformance!(async {
        let source: Arc<dyn Export> = Arc::new(MemoryStore::new(Epoch(7)));
        (source, Arc::new(Database::new().await) as Arc<dyn Place>, ())
    });
}

mod into_a_folder {
    use super::*;

    chat_core::archive_conformance!(async {
        let source: Arc<dyn Export> = Arc::new(connect(&Database::new().await.0).await);
        (source, Arc::new(Folder::new()) as Arc<dyn Place>, ())
    });
}

mod between_databases {
    use super::*;

    chat_core::archive_conformance!(async {
        let source: Arc<dyn Export> = Arc::new(connect(&Database::new().await.0).await);
        (source, Arc::new(Database::new().await) as Arc<dyn Place>, ())
    });
}

async fn file_of(store: &dyn Export) -> Vec<u8> {
    let exported = archive::export(store, Vec::new(), ArchiveId([1; 16]), Timestamp(1), |_| ()).await;
    exported.expect("the store is in order").0
}

/// Makes a store of a file.
async fn store_of(file: &[u8], place: &dyn Place) -> Arc<dyn Export> {
    let import = place.import().await;
    archive::import(&*import, Cursor::new(file), Resume::Refused, |_| ()).await.expect("the file is whole");
    import.close().await;
    place.open().await.expect("it is finished")
}

/// The bytes of every record.
fn frames(file: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = ArchiveReader::begin(Cursor::new(file)).expect("an archive");
    let mut frames = Vec::new();
    while let Part::Record(_, bytes) = reader.next_part().expect("it is whole") {
        frames.push(bytes.to_vec());
    }
    frames
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_is_byte_for_byte_the_same_after_every_move() {
    let memory = MemoryStore::new(Epoch(7));
    let installation = Installation::fill(&memory, 20).await;
    let (first, folder, second) = (Database::new().await, Folder::new(), Database::new().await);
    let file = file_of(&memory).await;
    let mut epochs = vec![Epoch(7)];
    let (mut last, places) = (file.clone(), [&first as &dyn Place, &folder, &second]);
    for (number, place) in places.into_iter().enumerate() {
        let store = store_of(&last, place).await;
        assert_alike(&memory, &*store, &installation).await;
        let epoch = store.epoch().await.expect("the store is in order");
        assert!(!epochs.contains(&epoch), "a history of its own");
        epochs.push(epoch);
        last = file_of(&*store).await;
        assert_eq!(frames(&last), frames(&file), "after move {number}");
        if number == 2 {
            assert_goes_on_alike(&memory, &*store, &installation).await;
        }
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_in_use_is_refused_and_left_as_it_is() {
    let database = Database::new().await;
    let store = database.open().await.expect("an empty database");
    Installation::fill(&*store, 21).await;
    let before = records(&*store).await;
    store.close().await;
    let file = file_of(&MemoryStore::new(Epoch(7))).await;
    let import = database.import().await;
    assert_eq!(import.state().await.expect("the store is in order"), ImportState::InUse);
    for resume in [Resume::Refused, Resume::Allowed] {
        let refused = archive::import(&*import, Cursor::new(&file), resume, |_| ()).await;
        assert!(matches!(refused, Err(ArchiveError::Refused(ImportRefused::NotEmpty))), "{refused:?}");
    }
    import.close().await;
    let store = database.open().await.expect("it is served as before");
    assert_eq!(records(&*store).await, before);
    store.close().await;
}
