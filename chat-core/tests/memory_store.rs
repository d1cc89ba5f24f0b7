//! The in-memory store keeps the store contract.

use std::sync::Arc;

use chat_core::Epoch;
use chat_core::memory::MemoryStore;
use chat_core::store::Store;

chat_core::store_conformance!(async {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(7)));
    (store, ())
});
