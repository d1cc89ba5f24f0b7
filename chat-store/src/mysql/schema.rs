//! Which version the tables have: numbered migrations, applied by one node while others wait.

use std::time::Duration;

use chat_core::Epoch;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use tokio::time::Instant;

use super::error::{Failure, Remedy};
use super::open::OpenError;
use super::read::Fields;

/// The statements that lead from each version to the next. Once released, one never changes.
const MIGRATIONS: [&str; 3] = [
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_archives.sql"),
    include_str!("migrations/0003_claims.sql"),
];

/// The version to which the migrations lead.
pub(super) const VERSION: u64 = MIGRATIONS.len() as u64;

/// How long a node waits for another one that migrates, in seconds.
const PATIENCE_SECONDS: u32 = 600;

/// The version of the database, 0 where there is no store in it. Changes nothing.
pub(super) async fn version(conn: &mut Conn) -> Result<u64, Failure> {
    let table = "SELECT COUNT(*) FROM information_schema.tables
                 WHERE table_schema = DATABASE() AND table_name = 'schema_version'";
    if conn.query_first::<u64, _>(table).await? == Some(0) {
        return Ok(0);
    }
    let version: Option<u64> = conn.query_first("SELECT version FROM schema_version").await?;
    Ok(version.unwrap_or(0))
}

/// Brings the tables up to this version; a new store gets its epoch.
pub(super) async fn migrate(conn: &mut Conn, epoch: Option<Epoch>) -> Result<(), OpenError> {
    if is_current(version(conn).await?)? {
        return Ok(());
    }
    let is_locked = lock(conn).await?;
    let migrated = apply(conn, epoch).await;
    if is_locked {
        // The lock ends with the session anyway.
        let _ = conn.query_drop("DO RELEASE_LOCK(CONCAT('chat-store:', MD5(DATABASE())))").await;
    }
    migrated
}

/// Applies what is missing. Where the lock does not keep others away they may come between, and it
/// begins again from where they have got.
async fn apply(conn: &mut Conn, epoch: Option<Epoch>) -> Result<(), OpenError> {
    let deadline = Instant::now() + Duration::from_secs(PATIENCE_SECONDS.into());
    loop {
        // Whoever held the lock before has done it, most likely.
        let from = version(conn).await?;
        if is_current(from)? {
            return Ok(());
        }
        match apply_from(conn, from, epoch).await {
            Err(failure) if failure.remedy() == Remedy::Retry && Instant::now() < deadline => {}
            applied => return Ok(applied?),
        }
    }
}

/// Whether a version is this one.
///
/// # Errors
/// It is newer.
pub(super) fn is_current(found: u64) -> Result<bool, OpenError> {
    if found > VERSION {
        return Err(OpenError::Newer { found, expected: VERSION });
    }
    Ok(found == VERSION)
}

/// Whether the lock could be taken at all: a Galera cluster has none for all its servers. There the
/// statements themselves take turns, and each can be run twice.
async fn lock(conn: &mut Conn) -> Result<bool, OpenError> {
    const NOT_SUPPORTED: u16 = 1235;
    let statement = format!("SELECT GET_LOCK(CONCAT('chat-store:', MD5(DATABASE())), {PATIENCE_SECONDS})");
    match conn.query_first::<Option<u64>, _>(statement).await {
        Ok(Some(Some(1))) => Ok(true),
        Ok(_) => Err(OpenError::Migrating),
        Err(mysql_async::Error::Server(error)) if error.code == NOT_SUPPORTED => Ok(false),
        Err(error) => Err(Failure::from(error).into()),
    }
}

async fn apply_from(conn: &mut Conn, from: u64, epoch: Option<Epoch>) -> Result<(), Failure> {
    let mut run = async |statement: &str| conn.query_drop(statement).await.map_err(Failure::from);
    run("CREATE TABLE IF NOT EXISTS schema_version (
             id TINYINT UNSIGNED NOT NULL PRIMARY KEY, version INT UNSIGNED NOT NULL
         ) ENGINE = InnoDB")
    .await?;
    for (version, statements) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > from) {
        for statement in split(statements) {
            run(statement).await?;
        }
        if version == 1 {
            let epoch = epoch
                .map_or_else(|| "CONV(HEX(RANDOM_BYTES(8)), 16, 10)".to_owned(), |epoch| epoch.0.to_string());
            run(&format!("INSERT IGNORE INTO store (id, epoch) SELECT 1, {epoch}")).await?;
        }
        let set = "INSERT INTO schema_version (id, version) VALUES (1, {version})
                   ON DUPLICATE KEY UPDATE version = GREATEST(version, {version})";
        run(&set.replace("{version}", &version.to_string())).await?;
    }
    Ok(())
}

/// The statements of a migration, each of which ends with a semicolon at the end of a line.
fn split(migration: &str) -> impl Iterator<Item = &str> {
    migration.split(";\n").map(str::trim).filter(|statement| !statement.is_empty())
}

pub(super) async fn epoch(conn: &mut Conn) -> Result<Epoch, Failure> {
    let row: Option<Row> = conn.exec_first("SELECT epoch FROM store", ()).await?;
    let row = row.ok_or(Failure::Damaged("a store without an epoch"))?;
    Ok(Epoch(Fields::of(row).number()?))
}

/// A write that changes nothing and locks nothing: whether the database takes any is looked at before
/// whether there is a row to change.
pub(super) async fn probe(conn: &mut Conn) -> Result<(), Failure> {
    Ok(conn.exec_drop("UPDATE store SET epoch = epoch WHERE 1 = 0", ()).await?)
}

/// Whether an import was begun and not finished.
pub(super) async fn is_importing(conn: &mut Conn) -> Result<bool, Failure> {
    let found: Option<u64> =
        conn.query_first("SELECT COUNT(*) FROM archive_import WHERE NOT finished").await?;
    Ok(found.is_some_and(|found| found > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_fall_apart_into_their_statements() {
        let statements: Vec<_> = MIGRATIONS.into_iter().flat_map(split).collect();
        assert!(statements.len() >= 10);
        assert!(statements.iter().all(|statement| !statement.ends_with(';')));
        let tables = statements.iter().filter(|statement| statement.contains("IF NOT EXISTS"));
        assert_eq!(tables.count(), statements.len(), "each can be run again");
    }

    #[test]
    fn newer_version_is_refused() {
        assert!(matches!(is_current(VERSION), Ok(true)));
        assert!(matches!(is_current(VERSION - 1), Ok(false)));
        assert!(matches!(is_current(VERSION + 1), Err(OpenError::Newer { .. })));
    }
}
