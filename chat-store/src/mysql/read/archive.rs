//! The installation as records, in the order that archives have, which is that of the primary keys.
//!
//! What belongs to conversations is read in two steps, the rest of the one that a page begins in and
//! then those that follow, so that each is a range of the primary key on every server.

use chat_core::store::Digest;
use chat_core::store::archive::{
    Gathering, LoggedEntry, PageLimits, Position, Record, Section, TrimmedCommand,
};
use chat_core::{ConversationId, Head, Timestamp};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value};

use super::super::error::Failure;
use super::members::columns;
use super::{Fields, accounts, heads, key, log, members};

/// The records after a position; none at the end.
pub(in crate::mysql) async fn export(
    conn: &mut Conn,
    after: Option<&Position>,
    limits: &PageLimits,
) -> Result<Vec<Record>, Failure> {
    let mut page = Gathering::new(limits);
    for (section, mut after) in Section::after(after) {
        while gather(conn, &mut page, section, after).await? == Taken::Piece {
            after = page.reached();
        }
        if !page.is_empty() {
            break;
        }
    }
    Ok(page.into_records())
}

/// Rows that are asked for at once at the beginning of a page.
const FIRST_PIECE: usize = 16;

/// What was taken of what a query finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// Everything, with room to spare.
    All,
    /// As much as was asked for: there may be more, and room for it.
    Piece,
    /// As much as the page holds.
    Full,
}

/// Takes records of a section after a position in it. All that is there is taken only when it says so.
async fn gather(
    conn: &mut Conn,
    page: &mut Gathering,
    section: Section,
    after: Option<Position>,
) -> Result<Taken, Failure> {
    let number = match &after {
        Some(Position::Account(user)) => user.number(),
        Some(Position::Device(device)) => device.number(),
        Some(Position::Group(group)) => group.number(),
        _ => 0,
    };
    let conversation = match &after {
        Some(Position::Head(of) | Position::Member(of, _) | Position::Entry(of, _)) => key(*of),
        _ => Value::Bytes(Vec::new()),
    };
    let following = vec![conversation.clone()];
    match section {
        Section::Accounts => {
            let query = format!("{} WHERE user > ? ORDER BY user LIMIT ?", accounts::ACCOUNT);
            let read = |row| Ok(Record::Account(accounts::account(row)?));
            take(conn, page, &query, vec![number.into()], read).await
        }
        Section::Devices => {
            let query = format!("{} WHERE id > ? ORDER BY id LIMIT ?", accounts::DEVICE);
            let read = |row| Ok(Record::Device(accounts::device(row)?));
            take(conn, page, &query, vec![number.into()], read).await
        }
        Section::Groups => {
            let query = "SELECT id, name, description, handle, join_policy, history, members, dissolved
                         FROM chat_group WHERE id > ? ORDER BY id LIMIT ?";
            let read = |row| Ok(Record::Group(heads::group(row)?));
            take(conn, page, query, vec![number.into()], read).await
        }
        Section::Heads => {
            // A row of zeros, made for a lock or for members, says nothing that an absent one does not.
            let query = "SELECT conversation, seq, ordinal, time, first_seq, rules_seq FROM head
                         WHERE conversation > ?
                           AND NOT (seq = 0 AND ordinal = 0 AND time = 0 AND first_seq = 1 AND rules_seq = 0)
                         ORDER BY conversation LIMIT ?";
            take(conn, page, query, following, |row| {
                let mut row = Fields::of(row);
                let conversation = row.conversation()?;
                let head = heads::head(&mut row, conversation)?;
                Ok(Record::Head(Head { group: None, ..head }))
            })
            .await
        }
        Section::Members => {
            let read = |row| Ok(Record::Member(members::member(&mut Fields::of(row))?));
            if let Some(Position::Member(_, user)) = &after {
                let query = columns!(
                    "SELECT",
                    "FROM member WHERE conversation = ? AND user > ? ORDER BY user LIMIT ?"
                );
                let rest = vec![conversation, user.number().into()];
                let taken = take(conn, page, query, rest, read).await?;
                if taken != Taken::All {
                    return Ok(taken);
                }
            }
            let query = columns!(
                "SELECT",
                "FROM member FORCE INDEX (PRIMARY) WHERE conversation > ?
                 ORDER BY conversation, user LIMIT ?"
            );
            take(conn, page, query, following, read).await
        }
        Section::TrimmedCommands => trimmed_commands(conn, page, after).await,
        Section::Entries => {
            let from = log::ENTRY.replace(" FROM", ", log.conversation, log.digest FROM");
            if let Some(Position::Entry(_, seq)) = &after {
                let query = format!("{from} log WHERE conversation = ? AND seq > ? ORDER BY seq LIMIT ?");
                let taken = take(conn, page, &query, vec![conversation, (*seq).into()], logged).await?;
                if taken != Taken::All {
                    return Ok(taken);
                }
            }
            let query = format!(
                "{from} log FORCE INDEX (PRIMARY) WHERE conversation > ? ORDER BY conversation, seq LIMIT ?"
            );
            take(conn, page, &query, following, logged).await
        }
    }
}

/// Takes what a query finds, until the page is full. The last parameter of the query is its limit.
///
/// Rows are taken off the wire one by one: a page of large contents never stands in memory whole. A
/// row that has no room any more is on its way already, and so is what follows it; therefore no more
/// rows are asked for than the page has, so that what is thrown away is about as much as was taken.
async fn take(
    conn: &mut Conn,
    page: &mut Gathering,
    query: &str,
    mut parameters: Vec<Value>,
    mut read: impl FnMut(Row) -> Result<Record, Failure>,
) -> Result<Taken, Failure> {
    let asked = page.room().min(page.len().max(FIRST_PIECE));
    parameters.push((asked as u64).into());
    let mut result = conn.exec_iter(query, Params::Positional(parameters)).await?;
    let (mut found, mut is_full) = (0, false);
    while let Some(row) = result.next().await? {
        found += 1;
        if !page.take(read(row)?) {
            is_full = true;
            break;
        }
    }
    result.drop_result().await?;
    Ok(match found {
        _ if is_full || page.room() == 0 => Taken::Full,
        _ if found == asked => Taken::Piece,
        _ => Taken::All,
    })
}

async fn trimmed_commands(
    conn: &mut Conn,
    page: &mut Gathering,
    after: Option<Position>,
) -> Result<Taken, Failure> {
    let (id, sender, of) = match after {
        Some(Position::TrimmedCommand(once)) => {
            (once.client_id.0.to_vec(), once.sender.number(), key(once.conversation))
        }
        _ => (vec![0; 16], 0, Value::Bytes(Vec::new())),
    };
    // Spelt out: not every server makes a range of an index of a comparison of tuples.
    let query = "SELECT client_id, sender, conversation, seq, time, digest FROM trimmed_command
                 WHERE client_id >= ? AND (client_id > ? OR sender > ? OR (sender = ? AND conversation > ?))
                 ORDER BY client_id, sender, conversation LIMIT ?";
    let id = Value::Bytes(id);
    let parameters = vec![id.clone(), id, sender.into(), sender.into(), of];
    take(conn, page, query, parameters, |row| {
        let mut row = Fields::of(row);
        let once = log::once(&mut row)?;
        let (seq, time, digest) = (row.number()?, Timestamp(row.number()?), Digest(row.array()?));
        Ok(Record::TrimmedCommand(TrimmedCommand { once, seq, time, digest }))
    })
    .await
}

fn logged(row: Row) -> Result<Record, Failure> {
    let mut row = Fields::of(row);
    let entry = log::columns(&mut row)?;
    let conversation: ConversationId = row.conversation()?;
    let digest = row.optional_bytes()?.map(TryInto::try_into).transpose();
    let digest = digest.map_err(|_| Failure::Damaged("bytes of another length"))?.map(Digest);
    Ok(Record::Entry(LoggedEntry { conversation, entry, digest }))
}
