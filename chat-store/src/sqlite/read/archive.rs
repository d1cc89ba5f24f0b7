//! The installation as records, in the order that archives have.
//!
//! Rows are read only until a page is full: the statements themselves have no limit. What belongs to
//! conversations is read in two steps, the rest of the one that a page begins in and then those that
//! follow, so that each is a range of an index.

use chat_core::store::archive::{
    Gathering, LoggedEntry, PageLimits, Position, Record, Section, TrimmedCommand,
};
use chat_core::store::{Digest, Once};
use chat_core::{ClientId, ConversationId, Head, Seq, Timestamp, UserId};
use rusqlite::{Connection, Params, Row, StatementStatus};

use super::super::error::Failure;
use super::members::columns;
use super::{accounts, bound, heads, log, members, unsigned};

/// The records after a position; none at the end.
pub(in crate::sqlite) fn export(
    db: &Connection,
    after: Option<&Position>,
    limits: &PageLimits,
) -> Result<Vec<Record>, Failure> {
    let mut page = Gathering::new(limits);
    for (section, after) in Section::after(after) {
        gather(db, &mut page, section, after)?;
        if !page.is_empty() {
            break;
        }
    }
    Ok(page.into_records())
}

fn gather(
    db: &Connection,
    page: &mut Gathering,
    section: Section,
    after: Option<Position>,
) -> Result<(), Failure> {
    match (section, after) {
        (Section::Accounts, after) => {
            let query = "SELECT user, name, display_name, password_hash, created, deleted
                         FROM account WHERE user > ?1 ORDER BY user";
            let after = if let Some(Position::Account(user)) = after { user.number() } else { 0 };
            take(db, page, query, [bound(after)], |row| Ok(Record::Account(accounts::account(row)?)))?;
        }
        (Section::Devices, after) => {
            let query = "SELECT id, user, label, token_hash, created, last_seen, node, boot, session
                         FROM device WHERE id > ?1 ORDER BY id";
            let after = if let Some(Position::Device(device)) = after { device.number() } else { 0 };
            take(db, page, query, [bound(after)], |row| Ok(Record::Device(accounts::device(row)?)))?;
        }
        (Section::Groups, after) => {
            let query = "SELECT id, name, description, handle, join_policy, history, members, dissolved
                         FROM chat_group WHERE id > ?1 ORDER BY id";
            let after = if let Some(Position::Group(group)) = after { group.number() } else { 0 };
            take(db, page, query, [bound(after)], |row| Ok(Record::Group(heads::settings(row)?)))?;
        }
        (Section::Heads, after) => gather_heads(db, page, conversation_of(after))?,
        (Section::Members, Some(Position::Member(conversation, user))) => {
            if rest_of_members(db, page, conversation, user)? {
                members_after(db, page, Some(conversation))?;
            }
        }
        (Section::Members, _) => members_after(db, page, None)?,
        (Section::TrimmedCommands, after) => trimmed_commands(db, page, after)?,
        (Section::Entries, Some(Position::Entry(conversation, seq))) => {
            if rest_of_log(db, page, conversation, seq)? {
                logs_after(db, page, Some(conversation))?;
            }
        }
        (Section::Entries, _) => logs_after(db, page, None)?,
    }
    Ok(())
}

/// Takes what a query finds, until the page is full; whether there was room for all of it.
fn take(
    db: &Connection,
    page: &mut Gathering,
    query: &str,
    parameters: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<Record, Failure>,
) -> Result<bool, Failure> {
    let mut statement = db.prepare_cached(query)?;
    let mut rows = statement.query(parameters)?;
    let mut has_room = true;
    while let Some(row) = rows.next()? {
        if !page.take(read(row)?) {
            has_room = false;
            break;
        }
    }
    drop(rows);
    debug_assert_eq!(statement.get_status(StatementStatus::Sort), 0, "an index is in this order: {query}");
    Ok(has_room && page.room() > 0)
}

fn conversation_of(after: Option<Position>) -> Option<ConversationId> {
    match after {
        Some(Position::Head(conversation)) => Some(conversation),
        _ => None,
    }
}

/// The key of a conversation, or what is before all keys.
fn key(of: Option<ConversationId>) -> Vec<u8> {
    of.map_or_else(Vec::new, |conversation| conversation.key().to_vec())
}

fn conversation(row: &Row<'_>, index: usize) -> Result<ConversationId, Failure> {
    Ok(ConversationId::from_key(row.get_ref(index)?.as_blob().map_err(rusqlite::Error::from)?)?)
}

fn gather_heads(db: &Connection, page: &mut Gathering, after: Option<ConversationId>) -> Result<(), Failure> {
    let mut statement = db.prepare_cached(
        "SELECT key, seq, ordinal, time, first_seq, rules_seq FROM conversation WHERE key > ?1 ORDER BY key",
    )?;
    let mut rows = statement.query([key(after)])?;
    while let Some(row) = rows.next()? {
        let head = heads::head(row, 1, conversation(row, 0)?)?;
        // A row for members alone says nothing that an absent one does not.
        if head != Head::empty(head.conversation) && !page.take(Record::Head(head)) {
            break;
        }
    }
    Ok(())
}

fn rest_of_members(
    db: &Connection,
    page: &mut Gathering,
    of: ConversationId,
    after: UserId,
) -> Result<bool, Failure> {
    let query = columns!(
        "SELECT",
        "FROM member WHERE conversation = (SELECT id FROM conversation WHERE key = ?1) AND user > ?2
         ORDER BY user"
    );
    let parameters = (key(Some(of)), after.number().cast_signed());
    take(db, page, query, parameters, |row| Ok(Record::Member(members::member(row, 0, of)?)))
}

fn members_after(
    db: &Connection,
    page: &mut Gathering,
    after: Option<ConversationId>,
) -> Result<(), Failure> {
    let query = columns!(
        "SELECT conversation.key, ",
        "FROM conversation CROSS JOIN member ON member.conversation = conversation.id
         WHERE conversation.key > ?1 ORDER BY conversation.key, member.user"
    );
    take(db, page, query, [key(after)], |row| {
        Ok(Record::Member(members::member(row, 1, conversation(row, 0)?)?))
    })?;
    Ok(())
}

fn trimmed_commands(db: &Connection, page: &mut Gathering, after: Option<Position>) -> Result<(), Failure> {
    let mut statement = db.prepare_cached(
        "SELECT trimmed_command.client_id, trimmed_command.sender, conversation.key, trimmed_command.seq,
                trimmed_command.time, trimmed_command.digest
         FROM trimmed_command CROSS JOIN conversation ON conversation.id = trimmed_command.conversation
         WHERE (trimmed_command.client_id, trimmed_command.sender) >= (?1, ?2)
         ORDER BY trimmed_command.client_id, trimmed_command.sender, conversation.key",
    )?;
    let (id, sender) = match &after {
        Some(Position::TrimmedCommand(once)) => (&once.client_id.0[..], once.sender.number()),
        _ => (&[][..], 0),
    };
    let mut rows = statement.query((id, sender.cast_signed()))?;
    while let Some(row) = rows.next()? {
        let once = Once {
            client_id: ClientId(row.get(0)?),
            sender: UserId::new(unsigned(row, 1)?)?,
            conversation: conversation(row, 2)?,
        };
        let (seq, time) = (unsigned(row, 3)?, Timestamp(unsigned(row, 4)?));
        let record = Record::TrimmedCommand(TrimmedCommand { once, seq, time, digest: Digest(row.get(5)?) });
        // Of one client id and sender, those in conversations up to the position were had before.
        let is_new = after.is_none_or(|after| record.position() > after);
        if is_new && !page.take(record) {
            break;
        }
    }
    Ok(())
}

/// A query of entries; the first columns are those that [`log::entry`] reads. The last entry of a log
/// that was trimmed to its end is kept, and lies below `first_seq`.
macro_rules! entries {
    ($condition:literal) => {
        concat!(
            "SELECT log.seq, log.time, log.sender, log.client_id, log.countable, log.ordinal, log.target,
                    log.kind, log.content, log.digest, conversation.key
             FROM conversation CROSS JOIN log ON log.conversation = conversation.id
             WHERE log.seq >= conversation.first_seq AND ",
            $condition
        )
    };
}

fn rest_of_log(
    db: &Connection,
    page: &mut Gathering,
    of: ConversationId,
    after: Seq,
) -> Result<bool, Failure> {
    let query = entries!("conversation.key = ?1 AND log.seq > ?2 ORDER BY log.seq");
    take(db, page, query, (key(Some(of)), bound(after)), logged)
}

fn logs_after(db: &Connection, page: &mut Gathering, after: Option<ConversationId>) -> Result<(), Failure> {
    let query = entries!("conversation.key > ?1 ORDER BY conversation.key, log.seq");
    take(db, page, query, [key(after)], logged)?;
    Ok(())
}

fn logged(row: &Row<'_>) -> Result<Record, Failure> {
    let digest = row.get::<_, Option<[u8; 16]>>(9)?.map(Digest);
    Ok(Record::Entry(LoggedEntry { conversation: conversation(row, 10)?, entry: log::entry(row)?, digest }))
}
