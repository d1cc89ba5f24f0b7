//! Opening a data folder: the lock, the checks that the file is ours, and the connections.

use std::error::Error as StdError;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use chat_core::Epoch;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use thiserror::Error;

use super::SqliteOptions;
use super::lock::FolderLock;
use super::schema::{self, State};

/// Why a data folder could not be opened. The messages are for operators.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another store of this one, uses the folder.
    #[error(
        "the data folder {} is in use by another process{}", folder.display(),
        process.map(|process| format!(" (process id {process})")).unwrap_or_default()
    )]
    InUse {
        /// The data folder.
        folder: PathBuf,
        /// The process that uses it, where that can be told.
        process: Option<u32>,
    },
    /// The folder cannot be created, or its files not be opened.
    #[error("cannot use the data folder {}", folder.display())]
    Folder {
        /// The data folder.
        folder: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file belongs to something else; it was left as it was.
    #[error("{} is not a chat store: found {found}, expected {expected}", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// What it turned out to be.
        found: String,
        /// What a chat store would be.
        expected: String,
    },
    /// A newer version wrote the file; it was left as it was.
    #[error(
        "{} was written by a newer version: found schema {found}, expected at most {expected}", file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// The version of its schema.
        found: i64,
        /// The latest version that is known here.
        expected: i64,
    },
    /// An import into the file was begun and not finished.
    #[error(
        "{} holds an unfinished import: go on with it (chat-server import --resume), or delete the file to \
         give it up", file.display()
    )]
    Importing {
        /// The file.
        file: PathBuf,
    },
    /// The database refused to work.
    #[error("cannot open {}", file.display())]
    Database {
        /// The file.
        file: PathBuf,
        /// What the database says.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The operating system gave no thread.
    #[error("cannot start a thread of the store")]
    Thread(#[source] io::Error),
}

/// An opened data folder: everything that threads are then given.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) lock: FolderLock,
    pub(super) epoch: Epoch,
    pub(super) writer: Connection,
    pub(super) readers: Vec<Connection>,
}

/// The name of the file in its folder.
pub(super) const NAME: &str = "chat.db";

/// A file that is known to be ours and up to date, and the connection that writes to it.
#[derive(Debug)]
pub(super) struct Ours {
    pub(super) lock: FolderLock,
    pub(super) writer: Connection,
    file: PathBuf,
}

impl Ours {
    pub(super) fn in_folder(folder: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| OpenError::Folder { folder: folder.to_owned(), source })?;
        let lock = FolderLock::acquire(folder)?;
        let file = folder.join(NAME);
        let failed =
            |source: rusqlite::Error| OpenError::Database { file: file.clone(), source: Box::new(source) };
        let mut writer = Connection::open(&file).map_err(failed)?;
        let version = ours(&writer, &file)?;
        prepare_writer(&writer, options).map_err(failed)?;
        schema::migrate(&mut writer, version, options.epoch).map_err(failed)?;
        if version == 0 {
            sync_names(folder).map_err(|source| OpenError::Folder { folder: folder.to_owned(), source })?;
        }
        Ok(Self { lock, writer, file })
    }
}

impl Opened {
    pub(super) fn folder(folder: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        let Ours { lock, writer, file } = Ours::in_folder(folder, options)?;
        let failed =
            |source: rusqlite::Error| OpenError::Database { file: file.clone(), source: Box::new(source) };
        if schema::is_importing(&writer).map_err(failed)? {
            return Err(OpenError::Importing { file });
        }
        let epoch = schema::epoch(&writer).map_err(failed)?;
        let readers = (0..options.readers.max(1))
            .map(|_| open_reader(&file, options))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        Ok(Self { lock, epoch, writer, readers })
    }
}

/// The version of the file's schema, 0 when it is still to be made. Changes nothing.
fn ours(connection: &Connection, file: &Path) -> Result<i64, OpenError> {
    let foreign = |found: String| OpenError::Foreign {
        file: file.to_owned(),
        found,
        expected: format!("a SQLite file with application id {:#x}", schema::APPLICATION_ID),
    };
    match schema::state(connection) {
        Ok(State::Empty) => Ok(0),
        Ok(State::Ours { version }) if version > schema::VERSION => {
            Err(OpenError::Newer { file: file.to_owned(), found: version, expected: schema::VERSION })
        }
        Ok(State::Ours { version }) => Ok(version),
        Ok(State::Foreign { application_id }) => {
            Err(foreign(format!("a SQLite file with application id {application_id:#x}")))
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(foreign("a file that is not of SQLite".into()))
        }
        Err(error) => Err(OpenError::Database { file: file.to_owned(), source: Box::new(error) }),
    }
}

/// Makes the names of a new folder and of its files durable: syncing a file does not.
fn sync_names(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let whole = folder.canonicalize()?;
        File::open(&whole)?.sync_all()?;
        if let Some(parent) = whole.parent() {
            File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

fn prepare_writer(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    prepare(connection, options)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Checkpoints have a moment of their own: see the writer.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // What was redacted is overwritten with zeros where that needs no further page to be written.
    connection.pragma_update(None, "secure_delete", "FAST")
}

fn open_reader(file: &Path, options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    prepare(&connection, options)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn prepare(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    // Else SQLite looks at the values that are bound when it considers a partial index, and compiles
    // the statement again whenever they change, which takes a third of a reader's time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let kibibytes = i64::try_from(options.cache_bytes / 1024).unwrap_or(i64::MAX);
    // Negative: in KiB rather than in pages.
    connection.pragma_update(None, "cache_size", -kibibytes)
}
