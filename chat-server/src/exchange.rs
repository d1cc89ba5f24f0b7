//! Moving a whole installation into a file and out of one.

mod progress;

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek};
use std::path::{Path, PathBuf};

use chat_core::store::archive::{ArchiveId, Export, Import};
use chat_core::{Clock, SystemClock};
use chat_store::archive::{self, ArchiveError, Progress, Resume};
use chat_store::mysql::{self, MysqlImport, MysqlStore, SchemaState};
use chat_store::sqlite::{SqliteImport, SqliteOptions, SqliteStore};
use thiserror::Error;

use crate::settings::{Settings, StoreAt};
use progress::Teller;

/// What stands for standard input or output.
const STANDARD: &str = "-";

/// Bytes that are read or written at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Why an installation was not moved, or not to the end. The messages are for operators.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Store(#[source] Box<dyn Error + Send + Sync>),
    /// There is nothing to export.
    #[error("there is no store in {0} yet")]
    NoStore(String),
    /// The file exists.
    #[error("{} exists: go on with it with --resume, or name another file", .0.display())]
    Exists(PathBuf),
    /// The file cannot be opened.
    #[error("cannot open {}", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was written to standard output cannot be gone on with.
    #[error("--resume needs a file to go on with")]
    NothingToResume,
    /// The archive or the store is in the way.
    #[error("not finished")]
    Archive(#[from] ArchiveError),
}

/// Writes the installation in the store of the settings to a file, or to standard output for `-`. No
/// server may run on the store meanwhile.
///
/// # Errors
/// [`ExchangeError`] says what is in the way. What was written can be gone on with.
pub async fn export(settings: &Settings, file: &Path, resume: Resume) -> Result<(), ExchangeError> {
    if file == Path::new(STANDARD) && resume == Resume::Allowed {
        return Err(ExchangeError::NothingToResume);
    }
    let store = existing(settings).await?;
    let exported = exported(&*store, file, resume).await;
    store.close().await;
    exported
}

async fn exported(store: &dyn Export, file: &Path, resume: Resume) -> Result<(), ExchangeError> {
    let mut teller = Teller::new("exported", None);
    let tell = |progress: Progress| teller.tell(progress);
    let archive = ArchiveId(rand::random());
    let now = SystemClock.now();
    let counts = if file == Path::new(STANDARD) {
        let to = BufWriter::with_capacity(BUFFER_BYTES, io::stdout());
        archive::export(store, to, archive, now, tell).await?.1
    } else {
        let unusable = |source| ExchangeError::File { file: file.to_owned(), source };
        let (file, counts) = match (file.exists(), resume) {
            (true, Resume::Refused) => return Err(ExchangeError::Exists(file.to_owned())),
            (true, Resume::Allowed) => {
                let opened = OpenOptions::new().read(true).write(true).open(file).map_err(unusable)?;
                let (mut written, counts) = archive::resume_export(store, opened, archive, now, tell).await?;
                let end = written.stream_position().map_err(ArchiveError::File)?;
                written.set_len(end).map_err(ArchiveError::File)?;
                (written, counts)
            }
            (false, _) => {
                let opened = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(file)
                    .map_err(unusable)?;
                archive::export(store, opened, archive, now, tell).await?
            }
        };
        file.sync_all().map_err(ArchiveError::File)?;
        counts
    };
    teller.end(&counts);
    Ok(())
}

/// Makes an installation in the store of the settings, which is empty, of what a file holds, or
/// standard input for `-`.
///
/// # Errors
/// [`ExchangeError`] says what is in the way. What was imported can be gone on with, and is not served
/// before.
pub async fn import(settings: &Settings, file: &Path, resume: Resume) -> Result<(), ExchangeError> {
    let (from, bytes): (Box<dyn Read>, _) = if file == Path::new(STANDARD) {
        (Box::new(io::stdin()), None)
    } else {
        let unusable = |source| ExchangeError::File { file: file.to_owned(), source };
        let opened = File::open(file).map_err(unusable)?;
        let bytes = opened.metadata().map_err(unusable)?.len();
        (Box::new(opened), Some(bytes))
    };
    let store = importing(settings).await?;
    let mut teller = Teller::new("imported", bytes);
    let from = BufReader::with_capacity(BUFFER_BYTES, from);
    let imported = archive::import(&*store, from, resume, |progress| teller.tell(progress)).await;
    store.close().await;
    teller.end(&imported?);
    Ok(())
}

/// Opens a store that is there already.
async fn existing(settings: &Settings) -> Result<Box<dyn Export>, ExchangeError> {
    match settings.store_at() {
        StoreAt::Folder(folder) => {
            if !SqliteStore::is_in(folder) {
                return Err(ExchangeError::NoStore(folder.display().to_string()));
            }
            let opened = SqliteStore::open(folder, &SqliteOptions::default());
            Ok(Box::new(opened.map_err(|error| ExchangeError::Store(error.into()))?))
        }
        StoreAt::Mysql(address) => {
            let options = settings.mysql_options();
            let refused = |error: mysql::OpenError| ExchangeError::Store(error.into());
            if mysql::check(address, &options).await.map_err(refused)? == SchemaState::Empty {
                return Err(ExchangeError::NoStore("the database".into()));
            }
            Ok(Box::new(MysqlStore::connect(address, &options).await.map_err(refused)?))
        }
    }
}

/// Opens a place for a store.
async fn importing(settings: &Settings) -> Result<Box<dyn Import>, ExchangeError> {
    match settings.store_at() {
        StoreAt::Folder(folder) => {
            let opened = SqliteImport::open(folder, &SqliteOptions::default());
            Ok(Box::new(opened.map_err(|error| ExchangeError::Store(error.into()))?))
        }
        StoreAt::Mysql(address) => {
            let opened = MysqlImport::connect(address, &settings.mysql_options()).await;
            Ok(Box::new(opened.map_err(|error| ExchangeError::Store(error.into()))?))
        }
    }
}
