//! Opening what the settings name: the store, and the bus.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chat_bus::RedisBus;
use chat_core::store::Store;
use chat_core::{Clock, SystemClock, Timestamp};
use chat_store::mysql::MysqlStore;
use chat_store::sqlite::{SqliteOptions, SqliteStore};
use tokio::task::JoinHandle;

use crate::server::StartError;
use crate::settings::{Settings, StoreAt};

/// How often old rows of the journal are deleted, and how many in one transaction, so that none holds
/// up writers.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
const PRUNE_ROWS: usize = 1_000;

/// A store in use, and what keeps it small.
pub(crate) struct OpenStore {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) pruning: Option<AbortOnDrop>,
}

/// A task that ends with its owner.
pub(crate) struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens the store.
pub(crate) async fn open_store(settings: &Settings) -> Result<OpenStore, StartError> {
    let refused = |error: Box<dyn Error + Send + Sync>| StartError::Store(error);
    match settings.store_at() {
        StoreAt::Folder(folder) => {
            let folder = folder.to_owned();
            // Opening blocks, after a crash for as long as the recovery takes.
            let opened =
                tokio::task::spawn_blocking(move || SqliteStore::open(&folder, &SqliteOptions::default()));
            let store =
                opened.await.map_err(StartError::Interrupted)?.map_err(|error| refused(error.into()))?;
            Ok(OpenStore { store: Arc::new(store), pruning: None })
        }
        StoreAt::Mysql(address) => {
            let opened = MysqlStore::connect(address, &settings.mysql_options()).await;
            let store = Arc::new(opened.map_err(|error| refused(error.into()))?);
            let keep = Duration::from_secs(settings.mysql.journal_hours.saturating_mul(3_600));
            let pruning = tokio::spawn(prune(Arc::clone(&store), keep));
            Ok(OpenStore { store, pruning: Some(AbortOnDrop(pruning)) })
        }
    }
}

/// The endpoint of the bus, if the settings name one.
pub(crate) fn open_bus(settings: &Settings) -> Result<Option<RedisBus>, StartError> {
    let options = settings.redis_options();
    options.map(RedisBus::connect).transpose().map_err(|error| StartError::Bus(Box::new(error)))
}

/// Deletes what every node has read long since. Each node does, so that it is done while one lives.
async fn prune(store: Arc<MysqlStore>, keep: Duration) {
    let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
    loop {
        tokio::time::sleep(PRUNE_EVERY).await;
        let before = Timestamp(SystemClock.now().0.saturating_sub(keep));
        loop {
            match store.prune_journal(before, PRUNE_ROWS).await {
                Ok(pruned) if pruned < PRUNE_ROWS as u64 => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "the journal cannot be pruned yet");
                    break;
                }
            }
        }
    }
}
