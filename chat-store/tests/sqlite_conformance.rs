//! The SQLite store keeps the store contract.

#![cfg(feature = "sqlite")]

use std::sync::Arc;

use chat_core::store::Store;
use chat_store::sqlite::{SqliteOptions, SqliteStore};

chat_core::store_conformance!(async {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = SqliteStore::open(folder.path(), &SqliteOptions::default()).expect("a new store");
    let store: Arc<dyn Store> = Arc::new(store);
    (store, folder)
});
