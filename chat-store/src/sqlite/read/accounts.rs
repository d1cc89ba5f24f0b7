//! Accounts and devices.

use chat_core::{
    Account, AccountName, Attachment, BootId, Device, DeviceId, DisplayName, Timestamp, TokenHash, UserId,
};
use rusqlite::{Connection, Row};

use super::super::error::Failure;
use super::{all, one, optional, unsigned};

/// The accounts of these users, in their order.
pub(in crate::sqlite) fn accounts(
    db: &Connection,
    users: &[UserId],
) -> Result<Vec<Option<Account>>, Failure> {
    users.iter().map(|user| by_id(db, *user)).collect()
}

fn by_id(db: &Connection, user: UserId) -> Result<Option<Account>, Failure> {
    let statement = db.prepare_cached(
        "SELECT user, name, display_name, password_hash, created, deleted FROM account WHERE user = ?1",
    )?;
    one(statement, [user.number().cast_signed()], account)
}

/// The account with this name.
pub(in crate::sqlite) fn named(db: &Connection, name: &AccountName) -> Result<Option<Account>, Failure> {
    let statement = db.prepare_cached(
        "SELECT user, name, display_name, password_hash, created, deleted FROM account WHERE name = ?1",
    )?;
    one(statement, [name.as_str()], account)
}

pub(super) fn account(row: &Row<'_>) -> Result<Account, Failure> {
    Ok(Account {
        user: UserId::new(unsigned(row, 0)?)?,
        name: AccountName::from_stored(row.get::<_, String>(1)?),
        display_name: DisplayName::from_stored(row.get::<_, String>(2)?),
        password_hash: row.get(3)?,
        created: Timestamp(unsigned(row, 4)?),
        deleted: optional(row, 5)?.map(Timestamp),
    })
}

/// The devices of a user, oldest first.
pub(in crate::sqlite) fn devices(db: &Connection, user: UserId) -> Result<Vec<Device>, Failure> {
    let statement = db.prepare_cached(
        "SELECT id, user, label, token_hash, created, last_seen, node, boot, session
         FROM device WHERE user = ?1 ORDER BY created, id",
    )?;
    all(statement, [user.number().cast_signed()], device)
}

/// The device whose token has this hash.
pub(in crate::sqlite) fn with_token(db: &Connection, token: &TokenHash) -> Result<Option<Device>, Failure> {
    let statement = db.prepare_cached(
        "SELECT id, user, label, token_hash, created, last_seen, node, boot, session
         FROM device WHERE token_hash = ?1",
    )?;
    one(statement, [&token.0[..]], device)
}

/// What a device's slot holds; the outer `None` where there is no such device.
pub(in crate::sqlite) fn slot(db: &Connection, id: DeviceId) -> Result<Option<Option<Attachment>>, Failure> {
    let statement = db.prepare_cached("SELECT node, boot, session FROM device WHERE id = ?1")?;
    one(statement, [id.number().cast_signed()], |row| attachment(row, 0))
}

pub(super) fn device(row: &Row<'_>) -> Result<Device, Failure> {
    Ok(Device {
        id: DeviceId::new(unsigned(row, 0)?)?,
        user: UserId::new(unsigned(row, 1)?)?,
        label: row.get(2)?,
        token_hash: TokenHash(row.get(3)?),
        created: Timestamp(unsigned(row, 4)?),
        last_seen: Timestamp(unsigned(row, 5)?),
        attached: attachment(row, 6)?,
    })
}

fn attachment(row: &Row<'_>, first: usize) -> Result<Option<Attachment>, Failure> {
    let Some(node) = row.get(first)? else { return Ok(None) };
    let (boot, session) = (BootId(unsigned(row, first + 1)?), unsigned(row, first + 2)?);
    Ok(Some(Attachment { node, boot, session }))
}
