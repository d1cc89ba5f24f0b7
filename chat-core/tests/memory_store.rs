//! The in-memory store keeps the store contract.

use std::sync::Arc;

use chat_core::Epoch;
use chat_core::memory::MemoryStore;
use chat_core::store::Store;

chat_core::store_conformance!(async {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(7)));
    (store, ())
});

/// While nothing is done to it, the store that can fail is a right one.
mod unspoiled {
    use std::sync::Arc;

    use chat_core::Epoch;
    use chat_core::memory::MemoryStore;
    use chat_core::store::Store;
    use chat_core::testkit::faults::FaultyStore;

    chat_core::store_conformance!(async {
        let (store, _) = FaultyStore::new(Arc::new(MemoryStore::new(Epoch(7))));
        (Arc::new(store) as Arc<dyn Store>, ())
    });
}
