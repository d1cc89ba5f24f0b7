//! Whose file it is and in which version: numbered migrations, each in a transaction.

use chat_core::Epoch;
use rusqlite::{Connection, TransactionBehavior};

/// What SQLite's header says of files of ours: "CHAT".
pub(super) const APPLICATION_ID: i64 = 0x4348_4154;

/// The statements that lead from each version to the next. Once released, one never changes.
const MIGRATIONS: [&str; 2] =
    [include_str!("migrations/0001_initial.sql"), include_str!("migrations/0002_archives.sql")];

/// The version to which the migrations lead.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// What a file is.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing yet.
    Empty,
    /// A store of this or another version.
    Ours { version: i64 },
    /// Something else.
    Foreign { application_id: i64 },
}

pub(super) fn state(connection: &Connection) -> rusqlite::Result<State> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application_id, version) = (number("application_id")?, number("user_version")?);
    if application_id == APPLICATION_ID {
        return Ok(State::Ours { version });
    }
    let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(if application_id == 0 && version == 0 && objects == 0 {
        State::Empty
    } else {
        State::Foreign { application_id }
    })
}

/// Brings a file of this version or an older one up to date; a new one gets its epoch.
pub(super) fn migrate(connection: &mut Connection, from: i64, epoch: Option<Epoch>) -> rusqlite::Result<()> {
    for (version, statements) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > from) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        transaction.execute_batch(statements)?;
        if version == 1 {
            // SQLite seeds its generator from the operating system.
            let given = epoch.map(|epoch| epoch.0.cast_signed());
            transaction.execute("INSERT INTO store (epoch) VALUES (coalesce(?1, random()))", [given])?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

pub(super) fn epoch(connection: &Connection) -> rusqlite::Result<Epoch> {
    connection
        .query_row("SELECT epoch FROM store", [], |row| Ok(Epoch(row.get::<_, i64>(0)?.cast_unsigned())))
}

/// Whether an import was begun and not finished.
pub(super) fn is_importing(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .query_row("SELECT EXISTS (SELECT 1 FROM archive_import WHERE NOT finished)", [], |row| row.get(0))
}
