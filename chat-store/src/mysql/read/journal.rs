//! The journal: what each writer's batches moved, in the order of their numbers.

use bytes::Buf;
use chat_core::store::{JournalPage, JournalPosition};
use chat_core::{ConversationId, Seq};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::super::error::Failure;
use super::{Fields, limit};

/// The last number of each writer; one step of the index for each, however many rows they have.
async fn ends(conn: &mut Conn) -> Result<Vec<(u64, u64)>, Failure> {
    Ok(conn.query("SELECT writer, MAX(number) FROM journal GROUP BY writer").await?)
}

/// What moved after a position: whole rows, writer by writer, until the limit is reached.
pub(in crate::mysql) async fn journal(
    conn: &mut Conn,
    after: &JournalPosition,
    count: usize,
) -> Result<JournalPage, Failure> {
    let mut page = JournalPage { moved: Vec::new(), position: after.clone(), more: false };
    for (writer, last) in ends(conn).await? {
        let seen = after.0.get(&writer).copied();
        if seen.is_some_and(|seen| seen >= last) {
            continue;
        }
        // Each row holds at least one conversation, so that one row more than fits is enough.
        let left = limit(count).saturating_sub(page.moved.len() as u64).saturating_add(1);
        let first = seen.map_or(0, |seen| seen + 1);
        let query = "SELECT number, moved FROM journal
                     WHERE writer = ? AND number >= ? ORDER BY number LIMIT ?";
        let rows: Vec<Row> = conn.exec(query, (writer, first, left)).await?;
        for row in rows {
            let mut row = Fields::of(row);
            let (number, moved) = (row.number()?, read_moved(&row.bytes()?)?);
            if !page.moved.is_empty() && page.moved.len() + moved.len() > count {
                page.more = true;
                return Ok(page);
            }
            page.moved.extend(moved);
            page.position.0.insert(writer, number);
        }
    }
    Ok(page)
}

/// Where the journal ends.
pub(in crate::mysql) async fn end(conn: &mut Conn) -> Result<JournalPosition, Failure> {
    Ok(JournalPosition(ends(conn).await?.into_iter().collect()))
}

fn read_moved(mut bytes: &[u8]) -> Result<Vec<(ConversationId, Seq)>, Failure> {
    const DAMAGED: Failure = Failure::Damaged("a row of the journal");
    let mut moved = Vec::new();
    while let Some((&length, rest)) = bytes.split_first() {
        let (key, mut rest) = rest.split_at_checked(usize::from(length)).ok_or(DAMAGED)?;
        let seq = rest.try_get_u64().map_err(|_| DAMAGED)?;
        moved.push((ConversationId::from_key(key)?, seq));
        bytes = rest;
    }
    Ok(moved)
}
