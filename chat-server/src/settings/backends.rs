//! The parts of the settings that say where the truth is kept and what carries events.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chat_bus::RedisBusOptions;
use chat_store::mysql::MysqlOptions;

use super::engine::milliseconds;
use super::{Mysql, Redis, Settings};

/// The embedded store.
pub(crate) const EMBEDDED: &str = "sqlite";

/// No bus.
pub(crate) const NO_BUS: &str = "none";

/// What the addresses of shared stores begin with.
pub(super) const STORE_SCHEMES: [&str; 1] = ["mysql://"];

/// What the addresses of buses begin with.
pub(super) const BUS_SCHEMES: [&str; 4] = ["redis://", "rediss://", "redis-cluster://", "rediss-cluster://"];

/// Where a server keeps what must not be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreAt<'a> {
    /// In a folder of its own.
    Folder(&'a Path),
    /// In a database, by its address.
    Mysql(&'a str),
}

impl Settings {
    /// Where the store is.
    pub(crate) fn store_at(&self) -> StoreAt<'_> {
        match self.store.as_str() {
            EMBEDDED => StoreAt::Folder(&self.data),
            address => StoreAt::Mysql(address),
        }
    }

    pub(crate) fn mysql_options(&self) -> MysqlOptions {
        let mut options = MysqlOptions::default();
        options.readers = self.mysql.readers;
        options.writers = self.mysql.writers;
        options.shards = self.mysql.shards;
        options.deadline = Duration::from_millis(self.mysql.deadline_ms);
        options.tls_ca = named(&self.mysql.tls_ca);
        options
    }

    /// How the bus is reached, if there is one.
    pub(crate) fn redis_options(&self) -> Option<RedisBusOptions> {
        let address = Some(&self.bus).filter(|address| *address != NO_BUS)?;
        let mut options = RedisBusOptions::new(address);
        options.namespace.clone_from(&self.redis.namespace);
        options.command_timeout = Duration::from_millis(self.redis.command_timeout_ms);
        options.proof_interval = Duration::from_millis(self.redis.proof_interval_ms);
        options.tls_ca = named(&self.redis.tls_ca);
        options.outgoing_limit_bytes = self.redis.outgoing_bytes;
        options.incoming_limit_bytes = self.redis.incoming_bytes;
        Some(options)
    }
}

/// A file, unless its name was left empty.
fn named(file: &Path) -> Option<PathBuf> {
    Some(file.to_owned()).filter(|file| !file.as_os_str().is_empty())
}

impl Default for Mysql {
    fn default() -> Self {
        let options = MysqlOptions::default();
        Self {
            readers: options.readers,
            writers: options.writers,
            shards: options.shards,
            deadline_ms: milliseconds(options.deadline),
            tls_ca: PathBuf::new(),
            journal_hours: 24,
        }
    }
}

impl Default for Redis {
    fn default() -> Self {
        let options = RedisBusOptions::new("");
        Self {
            namespace: options.namespace,
            command_timeout_ms: milliseconds(options.command_timeout),
            proof_interval_ms: milliseconds(options.proof_interval),
            tls_ca: PathBuf::new(),
            outgoing_bytes: options.outgoing_limit_bytes,
            incoming_bytes: options.incoming_limit_bytes,
        }
    }
}
