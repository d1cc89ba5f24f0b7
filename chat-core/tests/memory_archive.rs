//! The in-memory store keeps the contract of archives.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chat_core::Epoch;
use chat_core::memory::{MemoryImport, MemoryStore};
use chat_core::store::archive::{Export, Import, ImportState};
use chat_core::testkit::archive::Place;

chat_core::archive_conformance!(async {
    let source: Arc<dyn Export> = Arc::new(MemoryStore::new(Epoch(7)));
    let place = Arc::new(InMemory(Mutex::new(Some(Arc::new(MemoryImport::new(Epoch(8)))))));
    (source, place as Arc<dyn Place>, ())
});

/// An import, until it has become a store.
struct InMemory(Mutex<Option<Arc<MemoryImport>>>);

#[async_trait]
impl Place for InMemory {
    async fn import(&self) -> Arc<dyn Import> {
        self.importing()
    }

    async fn open(&self) -> Option<Arc<dyn Export>> {
        let state = self.importing().state().await.expect("nothing fails in memory");
        let ImportState::Finished(_) = state else { return None };
        let import = self.0.lock().expect("nothing panics meanwhile").take()?;
        let import = Arc::into_inner(import).expect("the import was let go");
        Some(Arc::new(import.into_store().expect("it is finished")))
    }
}

impl InMemory {
    fn importing(&self) -> Arc<MemoryImport> {
        let import = self.0.lock().expect("nothing panics meanwhile").clone();
        import.expect("it has not become a store")
    }
}
