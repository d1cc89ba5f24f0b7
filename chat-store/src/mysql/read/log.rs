//! The log: entries, history, the records of commands, and what positions are made of.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chat_core::store::{Digest, Once, RedactTarget, Stored};
use chat_core::{
    ClientId, ConversationId, Direction, Entry, Head, History, Kind, Range, Seq, Timestamp, UserId,
};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::super::error::Failure;
use super::super::statement::{select, select_in};
use super::{Fields, heads, key};

/// The columns of an entry in the order in which [`entry`] reads them.
pub(super) const ENTRY: &str =
    "SELECT log.seq, log.time, log.sender, log.client_id, log.countable, log.ordinal,
                            log.target, log.kind, log.content FROM";

fn entry(row: Row) -> Result<Entry, Failure> {
    columns(&mut Fields::of(row))
}

/// The entry that the next columns of a row hold.
pub(super) fn columns(row: &mut Fields) -> Result<Entry, Failure> {
    Ok(Entry {
        seq: row.number()?,
        time: Timestamp(row.number()?),
        sender: UserId::new(row.number()?)?,
        client_id: row.optional_bytes()?.map(|id| ClientId::from_slice(&id)).transpose()?,
        countable: row.is_set()?,
        ordinal: row.number()?,
        target: row.optional_number()?,
        kind: Kind::new(row.number()?)?,
        content: row.optional_bytes()?.map(Bytes::from),
    })
}

/// The entries of a range of seqs.
pub(in crate::mysql) async fn entries(
    conn: &mut Conn,
    of: ConversationId,
    range: &Range,
) -> Result<Vec<Entry>, Failure> {
    let (page, _) = page(conn, of, range, "").await?;
    // The head is read after the page: what was trimmed in between is missing from neither.
    let first_seq = heads::one(conn, of).await?.map_or(1, |head| head.first_seq);
    if range.begins_trimmed(first_seq) { Err(Failure::Trimmed) } else { Ok(page) }
}

/// A page of countable entries, and those that refer to one of them.
pub(in crate::mysql) async fn history(
    conn: &mut Conn,
    of: ConversationId,
    range: &Range,
) -> Result<History, Failure> {
    loop {
        let (entries, more) = page(conn, of, range, "AND log.countable").await?;
        let referring = match (entries.first(), entries.last()) {
            (Some(first), Some(last)) => referring(conn, of, first.seq, last.seq).await?,
            _ => Vec::new(),
        };
        let first_seq = heads::one(conn, of).await?.map_or(1, |head| head.first_seq);
        if range.is_trimmed(first_seq) {
            return Err(Failure::Trimmed);
        }
        // What was trimmed since it was read would leave a hole: the page is read again.
        if entries.first().is_none_or(|entry| entry.seq >= first_seq) {
            return Ok(History { entries, referring, more });
        }
    }
}

/// The entries of a range that a condition holds for, cut to its limits, and whether it cut any.
///
/// Rows are fetched in pieces, so that a limit of bytes keeps what is fetched small too.
async fn page(
    conn: &mut Conn,
    of: ConversationId,
    range: &Range,
    condition: &str,
) -> Result<(Vec<Entry>, bool), Failure> {
    const PIECE: usize = 256;
    let (mut from, mut to) = (range.from, range.to);
    let limit = range.limit.max(1);
    let (mut found, mut bytes) = (Vec::<Entry>::new(), 0);
    while from <= to && found.len() <= limit && (bytes <= range.limit_bytes || found.len() < 2) {
        let order = match range.direction {
            Direction::Forward => "",
            Direction::Backward => "DESC",
        };
        let query = format!(
            "{ENTRY} log WHERE conversation = ? AND seq BETWEEN ? AND ? {condition}
             ORDER BY seq {order} LIMIT ?"
        );
        let count = PIECE.min(limit.saturating_add(1) - found.len());
        let rows: Vec<Row> = conn.exec(query, (key(of), from, to, count)).await?;
        let is_last = rows.len() < count;
        for row in rows {
            let entry = entry(row)?;
            bytes += entry.size_bytes();
            match range.direction {
                Direction::Forward => from = entry.seq + 1,
                Direction::Backward => to = entry.seq.saturating_sub(1),
            }
            found.push(entry);
        }
        if is_last {
            break;
        }
    }
    let fetched = found.len();
    let page = range.cut(found.into_iter().map(Ok::<_, Failure>))?;
    let more = fetched > page.len();
    Ok((page, more))
}

/// The newest of the uncountable entries that refer to a countable one of a range, oldest first.
async fn referring(conn: &mut Conn, of: ConversationId, from: Seq, to: Seq) -> Result<Vec<Entry>, Failure> {
    let query = format!(
        "{ENTRY} referring
         JOIN log ON log.conversation = referring.conversation AND log.seq = referring.seq
         JOIN log AS target ON target.conversation = referring.conversation
                           AND target.seq = referring.target AND target.countable
         WHERE referring.conversation = ? AND referring.target BETWEEN ? AND ?
         ORDER BY referring.seq DESC LIMIT ?"
    );
    let rows: Vec<Row> = conn.exec(query, (key(of), from, to, History::REFERRING_LIMIT)).await?;
    rows.into_iter().rev().map(entry).collect()
}

/// The number of countable entries before one that is stored.
pub(in crate::mysql) async fn ordinal_before(
    conn: &mut Conn,
    of: ConversationId,
    seq: Seq,
) -> Result<u64, Failure> {
    let query = "SELECT ordinal - countable FROM log WHERE conversation = ? AND seq = ?";
    let row: Option<Row> = conn.exec_first(query, (key(of), seq)).await?;
    row.map_or(Err(Failure::Damaged("a hole in a log")), |row| Fields::of(row).number())
}

/// How many stored countable entries of a sender stand after one seq and up to another.
pub(in crate::mysql) async fn sent_between(
    conn: &mut Conn,
    of: ConversationId,
    sender: UserId,
    after: Seq,
    to: Seq,
) -> Result<u64, Failure> {
    let query = "SELECT COUNT(*) FROM log
                 WHERE conversation = ? AND seq > ? AND seq <= ? AND sender = ? AND countable";
    let row: Option<Row> = conn.exec_first(query, (key(of), after, to, sender.number())).await?;
    row.map_or(Ok(0), |row| Fields::of(row).number())
}

/// What is recorded under each key.
pub(in crate::mysql) async fn recorded(
    conn: &mut Conn,
    keys: &[Once],
) -> Result<Vec<Option<Stored>>, Failure> {
    let conversations: BTreeSet<_> = keys.iter().map(|key| key.conversation).collect();
    // The log before the heads: what is trimmed in between is found among the trimmed.
    let in_log = in_log(conn, &keys.iter().copied().collect()).await?;
    let heads = heads::bare(conn, &conversations, heads::Lock::None).await?;
    let trimmed = keys.iter().copied().filter(|key| is_trimmed(heads.get(&key.conversation)));
    let mut found = trimmed_commands(conn, &trimmed.collect()).await?;
    found.extend(in_log);
    Ok(keys.iter().map(|key| found.get(key).map(|record| record.stored.clone())).collect())
}

/// Whether records of a conversation may stand among those of trimmed entries.
pub(in crate::mysql) fn is_trimmed(head: Option<&Head>) -> bool {
    head.is_some_and(|head| head.first_seq > 1)
}

/// What is recorded under a key, and whether a redaction of its sender empties it.
#[derive(Clone, Debug)]
pub(in crate::mysql) struct Record {
    pub(in crate::mysql) stored: Stored,
    pub(in crate::mysql) is_said: bool,
}

/// Whether [`RedactTarget::SentBy`] is about an entry.
pub(in crate::mysql) fn is_said(countable: bool, kind: Kind) -> bool {
    countable || RedactTarget::REFERRING.contains(&kind)
}

/// The records of commands whose entries the log has.
pub(in crate::mysql) async fn in_log(
    conn: &mut Conn,
    wanted: &BTreeSet<Once>,
) -> Result<BTreeMap<Once, Record>, Failure> {
    // The index alone answers, mostly that there is none. Led by the client id it needs no more of a
    // key than that; whatever else has the same id is left out here.
    let query = "SELECT client_id, sender, conversation, seq FROM log FORCE INDEX (log_once)
                 WHERE client_id IN";
    let rows: Vec<Row> = select_in(conn, query, client_ids(wanted), "").await?;
    let mut places = BTreeMap::new();
    for row in rows {
        let mut row = Fields::of(row);
        let once = once(&mut row)?;
        if wanted.contains(&once) {
            places.insert((once.conversation, row.number()?), once);
        }
    }
    let query = "SELECT conversation, seq, time, digest, content, countable, kind FROM log
                 FORCE INDEX (PRIMARY) WHERE";
    let terms = (query, "(conversation = ? AND seq = ?)", " OR ", "");
    let keys = places.keys().map(|(conversation, seq)| [key(*conversation), (*seq).into()]).collect();
    let rows: Vec<Row> = select(conn, terms, keys).await?;
    let mut found = BTreeMap::new();
    for row in rows {
        let mut row = Fields::of(row);
        let (conversation, seq) = (row.conversation()?, row.number()?);
        let stored = Stored {
            seq,
            time: Timestamp(row.number()?),
            digest: Digest(row.array()?),
            content: row.optional_bytes()?.map(Bytes::from),
        };
        let is_said = is_said(row.is_set()?, Kind::new(row.number()?)?);
        if let Some(once) = places.get(&(conversation, seq)) {
            found.insert(*once, Record { stored, is_said });
        }
    }
    Ok(found)
}

/// The records of commands whose entries retention has taken.
pub(in crate::mysql) async fn trimmed_commands(
    conn: &mut Conn,
    wanted: &BTreeSet<Once>,
) -> Result<BTreeMap<Once, Record>, Failure> {
    let query = "SELECT client_id, sender, conversation, seq, time, digest FROM trimmed_command
                 WHERE client_id IN";
    let rows: Vec<Row> = select_in(conn, query, client_ids(wanted), "").await?;
    let mut found = BTreeMap::new();
    for row in rows {
        let mut row = Fields::of(row);
        let once = once(&mut row)?;
        let (seq, time, digest) = (row.number()?, Timestamp(row.number()?), Digest(row.array()?));
        if wanted.contains(&once) {
            let stored = Stored { seq, time, digest, content: None };
            found.insert(once, Record { stored, is_said: false });
        }
    }
    Ok(found)
}

fn client_ids(keys: &BTreeSet<Once>) -> Vec<mysql_async::Value> {
    let ids: BTreeSet<_> = keys.iter().map(|key| key.client_id.0).collect();
    ids.into_iter().map(|id| id.to_vec().into()).collect()
}

pub(super) fn once(row: &mut Fields) -> Result<Once, Failure> {
    Ok(Once {
        client_id: ClientId::from_slice(&row.bytes()?)?,
        sender: UserId::new(row.number()?)?,
        conversation: row.conversation()?,
    })
}
