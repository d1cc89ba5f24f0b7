//! The tables of the store, and bringing them up to date ahead of the servers that need them.

use chat_store::mysql::{self, OpenError, SchemaState};
use thiserror::Error;

use crate::settings::{Settings, StoreAt};

/// Whether there is something to migrate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migration {
    /// The tables are those of this version.
    Current,
    /// There are none yet.
    Empty,
    /// They are older.
    Older {
        /// Their version.
        found: u64,
        /// The version that is needed.
        expected: u64,
    },
}

/// Why tables could not be migrated or looked at.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The embedded store migrates itself when it is opened.
    #[error("the embedded store is migrated by the server that opens it; name a database with --store")]
    Embedded,
    /// The database is in the way.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Brings the tables of the shared store up to this version.
///
/// # Errors
/// [`MigrationError`] says what is in the way; newer tables are left as they are.
pub async fn migrate(settings: &Settings) -> Result<(), MigrationError> {
    Ok(mysql::migrate(address(settings)?, &settings.mysql_options()).await?)
}

/// Whether the shared store is to be migrated, without changing it.
///
/// # Errors
/// [`MigrationError`] says what is in the way; newer tables are an error.
pub async fn migration(settings: &Settings) -> Result<Migration, MigrationError> {
    Ok(match mysql::check(address(settings)?, &settings.mysql_options()).await? {
        SchemaState::Empty => Migration::Empty,
        SchemaState::Older { found, expected } => Migration::Older { found, expected },
        _ => Migration::Current,
    })
}

fn address(settings: &Settings) -> Result<&str, MigrationError> {
    match settings.store_at() {
        StoreAt::Folder(_) => Err(MigrationError::Embedded),
        StoreAt::Mysql(address) => Ok(address),
    }
}
