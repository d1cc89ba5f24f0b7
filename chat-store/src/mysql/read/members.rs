//! Members: single ones, rosters, memberships.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::{ConversationId, Cursor, Head, Member, Relation, Seq, Standing, Timestamp, UserId};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::super::error::Failure;
use super::super::statement::select;
use super::{Fields, heads, key, limit};

/// The columns of a member in the order in which [`member`] reads them.
macro_rules! columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " member.conversation, member.user, member.standing, member.relation, member.blocked,
              member.muted_until, member.joined_seq, member.visible_from, member.left_seq,
              member.read_seq, member.read_ordinal, member.read_own, member.delivered, member.own ",
            $after
        )
    };
}

pub(super) use columns;

pub(super) fn member(row: &mut Fields) -> Result<Member, Failure> {
    Ok(Member {
        conversation: row.conversation()?,
        user: UserId::new(row.number()?)?,
        standing: Standing::from_number(row.number()?)?,
        relation: Relation::from_number(row.number()?)?,
        blocked: row.is_set()?,
        muted_until: row.optional_number()?.map(Timestamp),
        joined_seq: row.number()?,
        visible_from: row.number()?,
        left_seq: row.optional_number()?,
        read: Cursor { seq: row.number()?, ordinal: row.number()?, own: row.number()? },
        delivered: row.number()?,
        own: row.number()?,
    })
}

/// Those of these members that have rows.
pub(in crate::mysql) async fn found(
    conn: &mut Conn,
    of: &BTreeSet<(ConversationId, UserId)>,
) -> Result<BTreeMap<(ConversationId, UserId), Member>, Failure> {
    // Pairs joined by OR: not every server makes ranges of an index of a list of pairs.
    let query = columns!("SELECT", "FROM member FORCE INDEX (PRIMARY) WHERE");
    let keys = of.iter().map(|(conversation, user)| [key(*conversation), user.number().into()]).collect();
    let rows: Vec<Row> = select(conn, (query, "(conversation = ? AND user = ?)", " OR ", ""), keys).await?;
    let members = rows.into_iter().map(|row| {
        let member = member(&mut Fields::of(row))?;
        Ok(((member.conversation, member.user), member))
    });
    members.collect()
}

/// Single members, in the order asked for.
pub(in crate::mysql) async fn members(
    conn: &mut Conn,
    of: &[(ConversationId, UserId)],
) -> Result<Vec<Option<Member>>, Failure> {
    let found = found(conn, &of.iter().copied().collect()).await?;
    Ok(of.iter().map(|pair| found.get(pair).cloned()).collect())
}

/// A page of a conversation's members in the order of their joining.
pub(in crate::mysql) async fn roster(
    conn: &mut Conn,
    conversation: ConversationId,
    standing: Option<Standing>,
    after: Option<(Seq, UserId)>,
    count: usize,
) -> Result<Vec<Member>, Failure> {
    // The standings that are members have the numbers 1 to 3.
    let (lowest, highest) = standing.map_or((1, 3), |standing| (standing.number(), standing.number()));
    let (joined, user) = after.map_or((0, 0), |(seq, user)| (seq, user.number()));
    let query = columns!(
        "SELECT",
        "FROM member FORCE INDEX (member_by_joining)
         WHERE conversation = ? AND joined_seq >= ? AND (joined_seq > ? OR user > ?)
           AND standing BETWEEN ? AND ?
         ORDER BY joined_seq, user LIMIT ?"
    );
    let parameters = (key(conversation), joined, joined, user, lowest, highest, limit(count));
    let rows: Vec<Row> = conn.exec(query, parameters).await?;
    rows.into_iter().map(|row| member(&mut Fields::of(row))).collect()
}

/// A page of what a user is or was in, in the order of the keys.
pub(in crate::mysql) async fn memberships(
    conn: &mut Conn,
    user: UserId,
    after: Option<ConversationId>,
    count: usize,
) -> Result<Vec<(Head, Member)>, Failure> {
    let after = after.map(|after| after.key().to_vec()).unwrap_or_default();
    let query = columns!(
        "SELECT STRAIGHT_JOIN head.seq, head.ordinal, head.time, head.first_seq, head.rules_seq, ",
        "FROM member FORCE INDEX (member_by_user)
         JOIN head ON head.conversation = member.conversation
         WHERE member.user = ? AND member.conversation > ?
         ORDER BY member.conversation LIMIT ?"
    );
    let rows: Vec<Row> = conn.exec(query, (user.number(), after, limit(count))).await?;
    let (mut found, mut members) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in rows {
        let mut row = Fields::of(row);
        // The head's columns come first; whose they are, the member says.
        let head = heads::head(&mut row, ConversationId::Inbox(user))?;
        let member = member(&mut row)?;
        found.push(Head { conversation: member.conversation, ..head });
        members.push(member);
    }
    Ok(heads::with_settings(conn, found).await?.into_iter().zip(members).collect())
}
