//! Heads of conversations, and the settings of groups that belong to them.

use chat_core::{
    ConversationId, DisplayName, Group, GroupId, GroupProfile, Handle, Head, HistoryPolicy, JoinPolicy,
    Timestamp,
};
use rusqlite::{Connection, Row};

use super::super::error::Failure;
use super::{one, unsigned};

/// The number of a conversation's row and its head without settings, `None` where nothing was written.
pub(in crate::sqlite) fn bare(db: &Connection, id: ConversationId) -> Result<Option<(i64, Head)>, Failure> {
    let statement = db.prepare_cached(
        "SELECT id, seq, ordinal, time, first_seq, rules_seq FROM conversation WHERE key = ?1",
    )?;
    one(statement, [&id.key()[..]], |row| Ok((row.get(0)?, head(row, 1, id)?)))
}

/// The head that a row holds from the column `first` on.
pub(super) fn head(row: &Row<'_>, first: usize, conversation: ConversationId) -> Result<Head, Failure> {
    Ok(Head {
        conversation,
        seq: unsigned(row, first)?,
        ordinal: unsigned(row, first + 1)?,
        time: Timestamp(unsigned(row, first + 2)?),
        first_seq: unsigned(row, first + 3)?,
        rules_seq: unsigned(row, first + 4)?,
        group: None,
    })
}

/// The heads of these conversations, in their order.
pub(in crate::sqlite) fn heads(db: &Connection, of: &[ConversationId]) -> Result<Vec<Head>, Failure> {
    of.iter()
        .map(|id| {
            let head = bare(db, *id)?.map_or_else(|| Head::empty(*id), |(_, head)| head);
            with_settings(db, head)
        })
        .collect()
}

/// Adds the settings where it is a group.
pub(super) fn with_settings(db: &Connection, head: Head) -> Result<Head, Failure> {
    let ConversationId::Group(id) = head.conversation else { return Ok(head) };
    Ok(Head { group: group(db, id)?, ..head })
}

fn group(db: &Connection, id: GroupId) -> Result<Option<Group>, Failure> {
    let statement = db.prepare_cached(
        "SELECT id, name, description, handle, join_policy, history, members, dissolved
         FROM chat_group WHERE id = ?1",
    )?;
    one(statement, [id.number().cast_signed()], settings)
}

/// The settings that a row holds.
pub(super) fn settings(row: &Row<'_>) -> Result<Group, Failure> {
    Ok(Group {
        id: GroupId::new(unsigned(row, 0)?)?,
        profile: GroupProfile {
            name: DisplayName::from_stored(row.get::<_, String>(1)?),
            description: row.get(2)?,
            handle: row.get::<_, Option<String>>(3)?.map(Handle::from_stored),
            join: JoinPolicy::from_number(unsigned(row, 4)?)?,
            history: HistoryPolicy::from_number(unsigned(row, 5)?)?,
        },
        members: row.get(6)?,
        dissolved: row.get(7)?,
    })
}

/// The group that has this handle.
pub(in crate::sqlite) fn with_handle(db: &Connection, handle: &Handle) -> Result<Option<GroupId>, Failure> {
    let statement = db.prepare_cached("SELECT id FROM chat_group WHERE handle = ?1")?;
    one(statement, [handle.as_str()], |row| Ok(GroupId::new(unsigned(row, 0)?)?))
}
