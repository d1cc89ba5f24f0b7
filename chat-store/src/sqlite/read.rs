//! Queries: each a function of a connection, for the threads that read and for the one that writes.

pub(super) mod accounts;
pub(super) mod archive;
pub(super) mod heads;
pub(super) mod journal;
pub(super) mod log;
pub(super) mod members;

use super::error::Failure;

/// How a seq or a limit bounds a query: what no column can exceed stands for everything beyond it.
pub(super) fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The same for limits of pages, which are at least 1.
fn limit(number: usize) -> i64 {
    i64::try_from(number.max(1)).unwrap_or(i64::MAX)
}

/// An unsigned number that stands bit for bit in a signed column.
pub(super) fn unsigned(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(index).map(i64::cast_unsigned)
}

/// The same where the column may be empty.
fn optional(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(index)?.map(i64::cast_unsigned))
}

/// The row of a query that has one or none.
fn one<T>(
    mut statement: rusqlite::CachedStatement<'_>,
    parameters: impl rusqlite::Params,
    read: impl FnOnce(&rusqlite::Row<'_>) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    statement.query(parameters)?.next()?.map(read).transpose()
}

/// All rows of a query.
fn all<T>(
    mut statement: rusqlite::CachedStatement<'_>,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    statement.query_and_then(parameters, read)?.collect()
}
