//! Getting at a database: the address, the checks that its tables are ours, and the connections.

use std::error::Error as StdError;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, SslOpts};
use thiserror::Error;
use tokio::time::timeout;

use super::connections::{Abilities, Connections, Purpose};
use super::error::Failure;
use super::{MysqlOptions, schema};

/// A server that vanished without a word ends its connections after some such spans of silence.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Why a database could not be used. The messages are for operators.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The address says nothing that can be connected to, or names no database.
    #[error("the address of the database must look like mysql://user:password@host:3306/name")]
    Address(#[source] Option<Box<dyn StdError + Send + Sync>>),
    /// The file of [`MysqlOptions::tls_ca`] cannot be read.
    #[error("cannot read the certificates in {}", file.display())]
    Authorities {
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A newer version made the tables; they were left as they were.
    #[error("the database was made by a newer version: found schema {found}, expected at most {expected}")]
    Newer {
        /// The version of the tables.
        found: u64,
        /// The latest version that is known here.
        expected: u64,
    },
    /// Another node has been migrating the tables all the while.
    #[error("another node is still migrating the database")]
    Migrating,
    /// An import into the database was begun and not finished.
    #[error(
        "the database holds an unfinished import: go on with it (chat-server import --resume), or drop the \
         database to give it up"
    )]
    Importing,
    /// The database cannot be reached or refused to work.
    #[error("cannot use the database")]
    Database(#[source] Box<dyn StdError + Send + Sync>),
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        Self::Database(Box::new(failure))
    }
}

/// What a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaState {
    /// Nothing of ours yet.
    Empty,
    /// An older version, which [`migrate`] brings up to date.
    Older {
        /// The version of the tables.
        found: u64,
        /// The version that is needed.
        expected: u64,
    },
    /// This version.
    Current,
}

/// Brings the tables of a database up to this version, and makes them where there are none.
///
/// [`MysqlStore::connect`](super::MysqlStore::connect) does the same.
///
/// # Errors
/// [`OpenError`] says what is in the way; tables that are newer are left as they are.
pub async fn migrate(url: &str, options: &MysqlOptions) -> Result<(), OpenError> {
    let (mut conn, _) = connect(&opts(url, options)?, options.deadline).await?;
    schema::migrate(&mut conn, options.epoch).await?;
    leave(conn).await;
    Ok(())
}

/// What a database holds, without changing anything.
///
/// # Errors
/// [`OpenError`] says what is in the way; tables that are newer are an error.
pub async fn check(url: &str, options: &MysqlOptions) -> Result<SchemaState, OpenError> {
    let (mut conn, _) = connect(&opts(url, options)?, options.deadline).await?;
    let found = schema::version(&mut conn).await?;
    leave(conn).await;
    Ok(match found {
        0 => SchemaState::Empty,
        _ if schema::is_current(found)? => SchemaState::Current,
        _ => SchemaState::Older { found, expected: schema::VERSION },
    })
}

/// A database in use: connections for each purpose.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) readers: Connections,
    pub(super) writers: Connections,
    pub(super) is_cluster: bool,
}

impl Opened {
    pub(super) async fn database(url: &str, options: &MysqlOptions) -> Result<Self, OpenError> {
        let opts = opts(url, options)?;
        let (mut conn, abilities) = connect(&opts, options.deadline).await?;
        schema::migrate(&mut conn, options.epoch).await?;
        let importing = schema::is_importing(&mut conn).await?;
        leave(conn).await;
        if importing {
            return Err(OpenError::Importing);
        }
        let connections = |purpose, limit| Connections::new(&opts, &abilities, purpose, limit);
        Ok(Self {
            readers: connections(Purpose::Reading, options.readers),
            writers: connections(Purpose::Writing, options.writers),
            is_cluster: abilities.is_cluster(),
        })
    }
}

/// A database into which something is imported.
pub(super) async fn to_import(url: &str, options: &MysqlOptions) -> Result<Connections, OpenError> {
    let opts = opts(url, options)?;
    let (mut conn, abilities) = connect(&opts, options.deadline).await?;
    schema::migrate(&mut conn, options.epoch).await?;
    leave(conn).await;
    Ok(Connections::new(&opts, &abilities, Purpose::Writing, 1))
}

fn opts(url: &str, options: &MysqlOptions) -> Result<Opts, OpenError> {
    let opts = Opts::from_url(url).map_err(|error| OpenError::Address(Some(Box::new(error))))?;
    if opts.db_name().is_none_or(str::is_empty) {
        return Err(OpenError::Address(None));
    }
    let ssl = match (opts.ssl_opts(), &options.tls_ca) {
        (given, None) => given.cloned(),
        (given, Some(file)) => {
            let authorities =
                fs::read(file).map_err(|source| OpenError::Authorities { file: file.clone(), source })?;
            let given = given.cloned().unwrap_or_else(SslOpts::default);
            Some(given.with_root_certs(vec![authorities.into()]).with_disable_built_in_roots(true))
        }
    };
    let opts = OptsBuilder::from_opts(opts)
        .ssl_opts(ssl)
        // One address is one server: a socket that the server happens to name may lead to another.
        .prefer_socket(false)
        .stmt_cache_size(256)
        .tcp_keepalive(Some(KEEPALIVE));
    Ok(opts.into())
}

/// A connection that sees what every server has committed, like all later ones.
async fn connect(opts: &Opts, patience: Duration) -> Result<(Conn, Abilities), Failure> {
    let connecting = async {
        let mut conn = Conn::new(opts.clone()).await?;
        let abilities = Abilities::of(&mut conn).await?;
        conn.query_drop(abilities.session(Purpose::Reading)).await?;
        Ok((conn, abilities))
    };
    timeout(patience, connecting).await.map_err(|_| Failure::Late)?
}

async fn leave(conn: Conn) {
    // What it was for is done; the server ends the session by itself when the farewell is lost.
    let _ = conn.disconnect().await;
}
