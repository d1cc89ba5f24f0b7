//! Members: single ones, rosters, memberships.

use chat_core::{ConversationId, Cursor, Head, Member, Relation, Seq, Standing, Timestamp, UserId};
use rusqlite::{Connection, Row};

use super::super::error::Failure;
use super::{all, bound, heads, limit, one, optional, unsigned};

/// The columns of a member in the order in which [`member`] reads them.
macro_rules! columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " member.user, member.standing, member.relation, member.blocked, member.muted_until,
              member.joined_seq, member.visible_from, member.left_seq, member.read_seq,
              member.read_ordinal, member.read_own, member.delivered, member.own ",
            $after
        )
    };
}

pub(super) use columns;

pub(super) fn member(row: &Row<'_>, first: usize, conversation: ConversationId) -> Result<Member, Failure> {
    Ok(Member {
        conversation,
        user: UserId::new(unsigned(row, first)?)?,
        standing: Standing::from_number(unsigned(row, first + 1)?)?,
        relation: Relation::from_number(unsigned(row, first + 2)?)?,
        blocked: row.get(first + 3)?,
        muted_until: optional(row, first + 4)?.map(Timestamp),
        joined_seq: unsigned(row, first + 5)?,
        visible_from: unsigned(row, first + 6)?,
        left_seq: optional(row, first + 7)?,
        read: Cursor {
            seq: unsigned(row, first + 8)?,
            ordinal: unsigned(row, first + 9)?,
            own: unsigned(row, first + 10)?,
        },
        delivered: unsigned(row, first + 11)?,
        own: unsigned(row, first + 12)?,
    })
}

/// The row of a user in a conversation whose row has this number.
pub(in crate::sqlite) fn in_row(
    db: &Connection,
    row: i64,
    conversation: ConversationId,
    user: UserId,
) -> Result<Option<Member>, Failure> {
    let statement =
        db.prepare_cached(columns!("SELECT", "FROM member WHERE conversation = ?1 AND user = ?2"))?;
    one(statement, [row, user.number().cast_signed()], |row| member(row, 0, conversation))
}

/// Single members, in the order asked for.
pub(in crate::sqlite) fn members(
    db: &Connection,
    of: &[(ConversationId, UserId)],
) -> Result<Vec<Option<Member>>, Failure> {
    of.iter()
        .map(|(conversation, user)| match heads::bare(db, *conversation)? {
            Some((row, _)) => in_row(db, row, *conversation, *user),
            None => Ok(None),
        })
        .collect()
}

/// A page of a conversation's members in the order of their joining.
pub(in crate::sqlite) fn roster(
    db: &Connection,
    conversation: ConversationId,
    standing: Option<Standing>,
    after: Option<(Seq, UserId)>,
    count: usize,
) -> Result<Vec<Member>, Failure> {
    let Some((row, _)) = heads::bare(db, conversation)? else { return Ok(Vec::new()) };
    // The standings that are members have the numbers 1 to 3.
    let (lowest, highest) = standing.map_or((1, 3), |standing| {
        let number = standing.number().cast_signed();
        (number, number)
    });
    let (joined, user) = after.map_or((-1, 0), |(seq, user)| (bound(seq), user.number().cast_signed()));
    let statement = db.prepare_cached(columns!(
        "SELECT",
        "FROM member INDEXED BY member_by_joining
         WHERE conversation = ?1 AND (joined_seq, user) > (?2, ?3) AND standing BETWEEN ?4 AND ?5
         ORDER BY joined_seq, user LIMIT ?6"
    ))?;
    let parameters = [row, joined, user, lowest, highest, limit(count)];
    all(statement, parameters, |row| member(row, 0, conversation))
}

/// A page of what a user is or was in, in the order of the keys.
pub(in crate::sqlite) fn memberships(
    db: &Connection,
    user: UserId,
    after: Option<ConversationId>,
    count: usize,
) -> Result<Vec<(Head, Member)>, Failure> {
    let after = after.map(|after| after.key());
    let after = after.as_deref().unwrap_or_default();
    let statement = db.prepare_cached(columns!(
        "SELECT member.key, conversation.seq, conversation.ordinal, conversation.time,
                conversation.first_seq, conversation.rules_seq, ",
        "FROM member INDEXED BY member_by_user
         JOIN conversation ON conversation.id = member.conversation
         WHERE member.user = ?1 AND member.key > ?2
         ORDER BY member.key LIMIT ?3"
    ))?;
    let places = all(statement, (user.number().cast_signed(), after, limit(count)), |row| {
        let id = ConversationId::from_key(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
        Ok((heads::head(row, 1, id)?, member(row, 6, id)?))
    })?;
    places.into_iter().map(|(head, member)| Ok((heads::with_settings(db, head)?, member))).collect()
}
