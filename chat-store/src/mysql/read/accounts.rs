//! Accounts and devices.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::{
    Account, AccountName, Attachment, BootId, Device, DeviceId, DisplayName, Timestamp, TokenHash, UserId,
};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::super::error::Failure;
use super::super::statement::select_in;
use super::Fields;

pub(super) const ACCOUNT: &str =
    "SELECT user, name, display_name, password_hash, created, deleted FROM account";
pub(super) const DEVICE: &str =
    "SELECT id, user, label, token_hash, created, last_seen, node, boot, session FROM device";

/// The accounts of these users, in their order.
pub(in crate::mysql) async fn accounts(
    conn: &mut Conn,
    users: &[UserId],
) -> Result<Vec<Option<Account>>, Failure> {
    let keys = users.iter().map(|user| user.number().into()).collect();
    let rows = select_in(conn, &format!("{ACCOUNT} WHERE user IN"), keys, "").await?;
    let found = rows.into_iter().map(|row| account(row).map(|account| (account.user, account)));
    let found: BTreeMap<_, _> = found.collect::<Result<_, _>>()?;
    Ok(users.iter().map(|user| found.get(user).cloned()).collect())
}

/// The account with this name.
pub(in crate::mysql) async fn named(conn: &mut Conn, name: &AccountName) -> Result<Option<Account>, Failure> {
    let row = conn.exec_first(format!("{ACCOUNT} WHERE name = ?"), (name.as_str(),)).await?;
    row.map(account).transpose()
}

pub(super) fn account(row: Row) -> Result<Account, Failure> {
    let mut row = Fields::of(row);
    Ok(Account {
        user: UserId::new(row.number()?)?,
        name: AccountName::from_stored(row.text()?),
        display_name: DisplayName::from_stored(row.text()?),
        password_hash: row.optional_text()?,
        created: Timestamp(row.number()?),
        deleted: row.optional_number()?.map(Timestamp),
    })
}

/// The devices of a user, oldest first.
pub(in crate::mysql) async fn devices(conn: &mut Conn, user: UserId) -> Result<Vec<Device>, Failure> {
    let query = format!("{DEVICE} WHERE user = ? ORDER BY created, id");
    let rows: Vec<Row> = conn.exec(query, (user.number(),)).await?;
    rows.into_iter().map(device).collect()
}

/// The device whose token has this hash.
pub(in crate::mysql) async fn with_token(
    conn: &mut Conn,
    token: &TokenHash,
) -> Result<Option<Device>, Failure> {
    let row = conn.exec_first(format!("{DEVICE} WHERE token_hash = ?"), (token.0.to_vec(),)).await?;
    row.map(device).transpose()
}

/// Those of these devices that exist, locked in the order of their ids.
pub(in crate::mysql) async fn locked_devices(
    conn: &mut Conn,
    ids: BTreeSet<DeviceId>,
) -> Result<Vec<Device>, Failure> {
    let keys = ids.into_iter().map(|id| id.number().into()).collect();
    let rows = select_in(conn, &format!("{DEVICE} WHERE id IN"), keys, "ORDER BY id FOR UPDATE").await?;
    rows.into_iter().map(device).collect()
}

pub(super) fn device(row: Row) -> Result<Device, Failure> {
    let mut row = Fields::of(row);
    Ok(Device {
        id: DeviceId::new(row.number()?)?,
        user: UserId::new(row.number()?)?,
        label: row.text()?,
        token_hash: TokenHash(row.array()?),
        created: Timestamp(row.number()?),
        last_seen: Timestamp(row.number()?),
        attached: attachment(&mut row)?,
    })
}

fn attachment(row: &mut Fields) -> Result<Option<Attachment>, Failure> {
    let Some(node) = row.optional_text()? else { return Ok(None) };
    Ok(Some(Attachment { node, boot: BootId(row.number()?), session: row.number()? }))
}
