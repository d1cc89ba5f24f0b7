//! What a batch writes to the log.

use chat_core::Head;
use chat_core::store::{Append, Digest, Once, Placed, RedactTarget};
use rusqlite::{Connection, params};

use super::super::error::Failure;
use super::super::read::bound;

/// Inserts an entry: where it stands, what a store knows of it, and what it is recorded under.
pub(in crate::sqlite) const INSERT: &str =
    "INSERT INTO log (conversation, seq, time, sender, kind, countable, ordinal, target,
                      client_id, digest, content)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

/// Inserts an entry; with `record`, as what is recorded under that key.
pub(super) fn insert(
    db: &Connection,
    row: i64,
    append: &Append,
    placed: Placed,
    record: Option<&(Once, Digest)>,
) -> Result<(), Failure> {
    db.prepare_cached(INSERT)?.execute(params![
        row,
        placed.seq.cast_signed(),
        placed.time.0.cast_signed(),
        append.sender.number().cast_signed(),
        append.kind.number(),
        append.countable,
        placed.ordinal.cast_signed(),
        append.target.map(u64::cast_signed),
        record.map(|(once, _)| &once.client_id.0[..]),
        record.map(|(_, digest)| &digest.0[..]),
        &append.content[..],
    ])?;
    Ok(())
}

/// Empties the content of entries.
pub(super) fn redact(db: &Connection, row: i64, target: RedactTarget) -> Result<(), Failure> {
    match target {
        RedactTarget::Entry(seq) => {
            db.prepare_cached("UPDATE log SET content = NULL WHERE conversation = ?1 AND seq = ?2")?
                .execute([row, bound(seq)])?;
        }
        RedactTarget::SentBy(sender, up_to) => {
            let [edit, reaction] = RedactTarget::REFERRING.map(|kind| i64::from(kind.number()));
            db.prepare_cached(
                "UPDATE log SET content = NULL
                 WHERE conversation = ?1 AND seq <= ?2 AND sender = ?3
                   AND (countable OR kind IN (?4, ?5)) AND content IS NOT NULL",
            )?
            .execute([row, bound(up_to), sender.number().cast_signed(), edit, reaction])?;
        }
    }
    Ok(())
}

/// Deletes what lies below the head's `first_seq`, and keeps the records of commands.
///
/// The last entry of the log stays, without its content and its record, until another one follows it:
/// the journal shows by it that the conversation moved, and its id is not used again.
pub(super) fn trim(db: &Connection, row: i64, head: &Head) -> Result<(), Failure> {
    let below = bound(head.first_seq);
    db.prepare_cached(
        "INSERT INTO trimmed_command (client_id, sender, conversation, seq, time, digest)
         SELECT client_id, sender, conversation, seq, time, digest FROM log
         WHERE conversation = ?1 AND seq < ?2 AND client_id IS NOT NULL",
    )?
    .execute([row, below])?;
    db.prepare_cached("DELETE FROM log WHERE conversation = ?1 AND seq < ?2")?
        .execute([row, below.min(bound(head.seq))])?;
    db.prepare_cached(
        "UPDATE log SET content = NULL, client_id = NULL, digest = NULL WHERE conversation = ?1 AND seq < ?2",
    )?
    .execute([row, below])?;
    Ok(())
}
