//! Places for stores in memory.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chat_core::Epoch;
use chat_core::memory::MemoryImport;
use chat_core::store::archive::{Export, Import, ImportState};
use chat_core::testkit::archive::Place;

/// An import in memory, until it has become a store.
pub(crate) struct InMemory(Mutex<Option<Arc<MemoryImport>>>);

impl InMemory {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Some(Arc::new(MemoryImport::new(Epoch(8))))))
    }

    fn importing(&self) -> Arc<MemoryImport> {
        let import = self.0.lock().expect("nothing panics meanwhile").clone();
        import.expect("it has not become a store")
    }
}

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
