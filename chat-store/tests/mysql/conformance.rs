//! The MySQL store keeps the store contract.

use std::sync::Arc;

use chat_core::store::Store;

use crate::server::{connect, shared};

chat_core::store_conformance!(async {
    let store: Arc<dyn Store> = Arc::new(connect(&shared().await.database().await).await);
    (store, ())
});
