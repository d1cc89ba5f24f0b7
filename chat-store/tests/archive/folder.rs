//! Places for stores in temporary folders.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use chat_core::store::archive::{Export, Import};
use chat_core::testkit::archive::Place;
use chat_store::sqlite::{OpenError, SqliteImport, SqliteOptions, SqliteStore};
use tempfile::TempDir;

/// A folder for a SQLite store.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

#[async_trait]
impl Place for Folder {
    async fn import(&self) -> Arc<dyn Import> {
        let opened = SqliteImport::open(self.path(), &SqliteOptions::default());
        Arc::new(opened.expect("a folder in order"))
    }

    async fn open(&self) -> Option<Arc<dyn Export>> {
        match SqliteStore::open(self.path(), &SqliteOptions::default()) {
            Ok(store) => Some(Arc::new(store)),
            Err(OpenError::Importing { .. }) => None,
            Err(error) => panic!("a folder in order: {error:?}"),
        }
    }
}
