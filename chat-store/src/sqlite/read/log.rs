//! The log: entries, history, the records of commands, and what positions are made of.

use bytes::Bytes;
use chat_core::store::{Digest, Once, Stored};
use chat_core::{
    ClientId, ConversationId, Direction, Entry, Head, History, Kind, Range, Seq, Timestamp, UserId,
};
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, Row};

use super::super::error::Failure;
use super::{bound, heads, one, optional, unsigned};

/// A query of entries; the columns are those that [`entry`] reads.
macro_rules! entries {
    ($rest:literal) => {
        concat!(
            "SELECT seq, time, sender, client_id, countable, ordinal, target, kind, content FROM log ",
            $rest
        )
    };
}

pub(super) fn entry(row: &Row<'_>) -> Result<Entry, Failure> {
    let client_id = bytes(row, 3)?.map(ClientId::from_slice).transpose()?;
    Ok(Entry {
        seq: unsigned(row, 0)?,
        time: Timestamp(unsigned(row, 1)?),
        sender: UserId::new(unsigned(row, 2)?)?,
        client_id,
        countable: row.get(4)?,
        ordinal: unsigned(row, 5)?,
        target: optional(row, 6)?,
        kind: Kind::new(unsigned(row, 7)?)?,
        content: content(row, 8)?,
    })
}

fn bytes<'row>(row: &'row Row<'_>, index: usize) -> Result<Option<&'row [u8]>, Failure> {
    match row.get_ref(index)? {
        ValueRef::Null => Ok(None),
        ValueRef::Blob(bytes) => Ok(Some(bytes)),
        _ => Err(Failure::Damaged("bytes expected")),
    }
}

fn content(row: &Row<'_>, index: usize) -> Result<Option<Bytes>, Failure> {
    Ok(bytes(row, index)?.map(Bytes::copy_from_slice))
}

/// The entries of a range of seqs.
pub(in crate::sqlite) fn entries(
    db: &Connection,
    of: ConversationId,
    range: &Range,
) -> Result<Vec<Entry>, Failure> {
    let Some((row, head)) = heads::bare(db, of)? else { return Ok(Vec::new()) };
    if range.begins_trimmed(head.first_seq) {
        return Err(Failure::Trimmed);
    }
    let statement = match range.direction {
        Direction::Forward => {
            db.prepare_cached(entries!("WHERE conversation = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq"))?
        }
        Direction::Backward => db.prepare_cached(entries!(
            "WHERE conversation = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq DESC"
        ))?,
    };
    page(statement, row, &head, range)
}

/// A page of countable entries, and those that refer to one of them.
pub(in crate::sqlite) fn history(
    db: &Connection,
    of: ConversationId,
    range: &Range,
) -> Result<History, Failure> {
    let Some((row, head)) = heads::bare(db, of)? else { return Ok(History::default()) };
    if range.is_trimmed(head.first_seq) {
        return Err(Failure::Trimmed);
    }
    let statement = match range.direction {
        Direction::Forward => db.prepare_cached(entries!(
            "WHERE conversation = ?1 AND seq BETWEEN ?2 AND ?3 AND countable ORDER BY seq"
        ))?,
        Direction::Backward => db.prepare_cached(entries!(
            "WHERE conversation = ?1 AND seq BETWEEN ?2 AND ?3 AND countable ORDER BY seq DESC"
        ))?,
    };
    let entries = page(statement, row, &head, range)?;
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(History::default()) };
    let more = match range.direction {
        Direction::Forward => ordinal_at(db, row, &head, range.to)? > last.ordinal,
        Direction::Backward => ordinal_at(db, row, &head, range.from.saturating_sub(1))? + 1 < first.ordinal,
    };
    Ok(History { referring: referring(db, row, &entries)?, entries, more })
}

/// Reads rows only until a limit is reached: the statement itself has none.
fn page(
    mut statement: CachedStatement<'_>,
    row: i64,
    head: &Head,
    range: &Range,
) -> Result<Vec<Entry>, Failure> {
    let (from, to) = (bound(range.from.max(head.first_seq)), bound(range.to));
    range.cut(statement.query_and_then([row, from, to], entry)?)
}

/// The newest of the uncountable entries that refer to one of these, oldest first.
fn referring(db: &Connection, row: i64, entries: &[Entry]) -> Result<Vec<Entry>, Failure> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(Vec::new()) };
    let (mut found, mut from) = (Vec::new(), first.seq);
    // Few entries are referred to, so the next that is is looked for, rather than each asked.
    while let Some(target) = next_target(db, row, from, last.seq)? {
        if entries.binary_search_by_key(&target, |entry| entry.seq).is_ok() {
            let mut statement = db.prepare_cached(entries!(
                "INDEXED BY log_by_target
                 WHERE conversation = ?1 AND target = ?2 AND NOT countable ORDER BY id DESC LIMIT ?3"
            ))?;
            let parameters = [row, bound(target), bound(History::REFERRING_LIMIT as u64)];
            for entry in statement.query_and_then(parameters, entry)? {
                found.push(entry?);
            }
        }
        from = target + 1;
    }
    found.sort_unstable_by_key(|entry: &Entry| entry.seq);
    found.drain(..found.len().saturating_sub(History::REFERRING_LIMIT));
    Ok(found)
}

/// The first entry of a range of seqs that another one refers to.
fn next_target(db: &Connection, row: i64, from: Seq, to: Seq) -> Result<Option<Seq>, Failure> {
    let statement = db.prepare_cached(
        "SELECT target FROM log INDEXED BY log_by_target
         WHERE conversation = ?1 AND target BETWEEN ?2 AND ?3 ORDER BY target LIMIT 1",
    )?;
    one(statement, [row, bound(from), bound(to)], |row| Ok(unsigned(row, 0)?))
}

/// The number of countable entries up to a seq, which is taken for the nearest that is known: the
/// head, or the last entry that was trimmed.
pub(in crate::sqlite) fn ordinal_at(
    db: &Connection,
    row: i64,
    head: &Head,
    seq: Seq,
) -> Result<u64, Failure> {
    if seq >= head.seq {
        return Ok(head.ordinal);
    }
    let next = (seq + 1).max(head.first_seq);
    if next > head.seq {
        return Ok(head.ordinal);
    }
    let statement =
        db.prepare_cached("SELECT ordinal - countable FROM log WHERE conversation = ?1 AND seq = ?2")?;
    let before = one(statement, [row, bound(next)], |row| Ok(unsigned(row, 0)?))?;
    before.ok_or(Failure::Damaged("a hole in a log"))
}

/// How many countable entries of a sender stand after one seq and up to another.
pub(in crate::sqlite) fn sent_between(
    db: &Connection,
    row: i64,
    sender: UserId,
    after: Seq,
    to: Seq,
) -> Result<u64, Failure> {
    let statement = db.prepare_cached(
        "SELECT count(*) FROM log
         WHERE conversation = ?1 AND seq > ?2 AND seq <= ?3 AND sender = ?4 AND countable",
    )?;
    let parameters = [row, bound(after), bound(to), sender.number().cast_signed()];
    Ok(one(statement, parameters, |row| Ok(unsigned(row, 0)?))?.unwrap_or(0))
}

/// What is recorded under each key.
pub(in crate::sqlite) fn recorded(db: &Connection, keys: &[Once]) -> Result<Vec<Option<Stored>>, Failure> {
    keys.iter()
        .map(|key| match heads::bare(db, key.conversation)? {
            Some((row, head)) => record(db, row, &head, key),
            None => Ok(None),
        })
        .collect()
}

/// What is recorded under a key of the conversation whose row has this number.
pub(in crate::sqlite) fn record(
    db: &Connection,
    row: i64,
    head: &Head,
    key: &Once,
) -> Result<Option<Stored>, Failure> {
    let parameters = (&key.client_id.0[..], key.sender.number().cast_signed(), row);
    let stored = |row: &Row<'_>| {
        let (seq, time) = (unsigned(row, 0)?, Timestamp(unsigned(row, 1)?));
        Ok(Stored { seq, time, digest: Digest(row.get(2)?), content: content(row, 3)? })
    };
    let in_log = db.prepare_cached(
        "SELECT seq, time, digest, content FROM log
         WHERE client_id = ?1 AND sender = ?2 AND conversation = ?3",
    )?;
    if let Some(found) = one(in_log, parameters, stored)? {
        return Ok(Some(found));
    }
    if head.first_seq == 1 {
        return Ok(None);
    }
    let trimmed = db.prepare_cached(
        "SELECT seq, time, digest, NULL FROM trimmed_command
         WHERE client_id = ?1 AND sender = ?2 AND conversation = ?3",
    )?;
    one(trimmed, parameters, stored)
}
