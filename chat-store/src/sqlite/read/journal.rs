//! The journal: the log in the order of its arrival, which one writer gives it.

use std::collections::BTreeMap;

use chat_core::ConversationId;
use chat_core::store::{JournalPage, JournalPosition};
use rusqlite::Connection;

use super::super::error::Failure;
use super::{bound, limit, one, unsigned};

/// There is one writer: the thread that owns the log.
const WRITER: u64 = 0;

/// What moved after a position; a conversation at most once a page.
pub(in crate::sqlite) fn journal(
    db: &Connection,
    after: &JournalPosition,
    count: usize,
) -> Result<JournalPage, Failure> {
    let after = after.0.get(&WRITER).copied().unwrap_or(0);
    // A cross join is SQLite's way to say which table leads.
    let mut statement = db.prepare_cached(
        "SELECT log.id, log.seq, conversation.key
         FROM log CROSS JOIN conversation ON conversation.id = log.conversation
         WHERE log.id > ?1 ORDER BY log.id LIMIT ?2",
    )?;
    let count = count.max(1);
    let mut rows = statement.query([bound(after), limit(count.saturating_add(1))])?;
    let (mut moved, mut last, mut read) = (BTreeMap::new(), after, 0);
    while let Some(row) = rows.next()? {
        read += 1;
        if read > count {
            break;
        }
        let key = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        moved.insert(ConversationId::from_key(key)?, unsigned(row, 1)?);
        last = unsigned(row, 0)?;
    }
    let more = read > count;
    Ok(JournalPage { moved: moved.into_iter().collect(), position: position(last), more })
}

/// Where the log ends.
pub(in crate::sqlite) fn end(db: &Connection) -> Result<JournalPosition, Failure> {
    let statement = db.prepare_cached("SELECT coalesce(max(id), 0) FROM log")?;
    Ok(position(one(statement, [], |row| Ok(unsigned(row, 0)?))?.unwrap_or(0)))
}

fn position(last: u64) -> JournalPosition {
    JournalPosition(BTreeMap::from([(WRITER, last)]))
}
