//! Heads of conversations, and the settings of groups that belong to them.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::{
    ConversationId, DisplayName, Group, GroupId, GroupProfile, Handle, Head, HistoryPolicy, JoinPolicy,
    Timestamp,
};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::super::error::Failure;
use super::super::statement::select_in;
use super::{Fields, key};

/// Whether what is read is locked until the transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mysql) enum Lock {
    None,
    Exclusive,
}

/// The heads of those of these conversations into which something was written, without settings.
/// They are locked in the order of their keys, which is that of the primary key.
pub(in crate::mysql) async fn bare(
    conn: &mut Conn,
    of: &BTreeSet<ConversationId>,
    lock: Lock,
) -> Result<BTreeMap<ConversationId, Head>, Failure> {
    let after = match lock {
        Lock::None => "",
        Lock::Exclusive => "ORDER BY conversation FOR UPDATE",
    };
    let query = "SELECT conversation, seq, ordinal, time, first_seq, rules_seq
                 FROM head FORCE INDEX (PRIMARY) WHERE conversation IN";
    let rows: Vec<Row> = select_in(conn, query, of.iter().copied().map(key).collect(), after).await?;
    let heads = rows.into_iter().map(|row| {
        let mut row = Fields::of(row);
        let conversation = row.conversation()?;
        Ok((conversation, head(&mut row, conversation)?))
    });
    heads.collect()
}

/// The head of one conversation without settings, `None` where nothing was written.
pub(super) async fn one(conn: &mut Conn, of: ConversationId) -> Result<Option<Head>, Failure> {
    Ok(bare(conn, &BTreeSet::from([of]), Lock::None).await?.remove(&of))
}

/// The head that the next columns of a row hold.
pub(super) fn head(row: &mut Fields, conversation: ConversationId) -> Result<Head, Failure> {
    Ok(Head {
        conversation,
        seq: row.number()?,
        ordinal: row.number()?,
        time: Timestamp(row.number()?),
        first_seq: row.number()?,
        rules_seq: row.number()?,
        group: None,
    })
}

/// The heads of these conversations, in their order.
pub(in crate::mysql) async fn heads(conn: &mut Conn, of: &[ConversationId]) -> Result<Vec<Head>, Failure> {
    let found = bare(conn, &of.iter().copied().collect(), Lock::None).await?;
    let heads = of.iter().map(|id| found.get(id).cloned().unwrap_or_else(|| Head::empty(*id)));
    with_settings(conn, heads.collect()).await
}

/// Adds the settings of those that are groups.
///
/// They are read after the heads, so that they are at least as new: whoever decides on both names
/// the `rules_seq` of the head, which a change of settings raises.
pub(super) async fn with_settings(conn: &mut Conn, mut heads: Vec<Head>) -> Result<Vec<Head>, Failure> {
    let ids = heads.iter().filter_map(|head| match head.conversation {
        ConversationId::Group(id) => Some(id.number().into()),
        _ => None,
    });
    let query = "SELECT id, name, description, handle, join_policy, history, members, dissolved
                 FROM chat_group WHERE id IN";
    let rows = select_in(conn, query, ids.collect(), "").await?;
    let groups = rows.into_iter().map(|row| group(row).map(|group| (group.id, group)));
    let groups: BTreeMap<GroupId, Group> = groups.collect::<Result<_, _>>()?;
    for head in &mut heads {
        if let ConversationId::Group(id) = head.conversation {
            head.group = groups.get(&id).cloned();
        }
    }
    Ok(heads)
}

pub(super) fn group(row: Row) -> Result<Group, Failure> {
    let mut row = Fields::of(row);
    Ok(Group {
        id: GroupId::new(row.number()?)?,
        profile: GroupProfile {
            name: DisplayName::from_stored(row.text()?),
            description: row.text()?,
            handle: row.optional_text()?.map(Handle::from_stored),
            join: JoinPolicy::from_number(row.number()?)?,
            history: HistoryPolicy::from_number(row.number()?)?,
        },
        members: row.number()?.try_into().map_err(|_| Failure::Damaged("too many members"))?,
        dissolved: row.is_set()?,
    })
}

/// The group that has this handle.
pub(in crate::mysql) async fn with_handle(
    conn: &mut Conn,
    handle: &Handle,
) -> Result<Option<GroupId>, Failure> {
    let row: Option<Row> =
        conn.exec_first("SELECT id FROM chat_group WHERE handle = ?", (handle.as_str(),)).await?;
    row.map(|row| Ok(GroupId::new(Fields::of(row).number()?)?)).transpose()
}
