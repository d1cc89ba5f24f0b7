//! What a batch writes beside conversations: accounts, devices, settings of groups.

use chat_core::store::Write;
use chat_core::{Account, AccountName, Attachment, Device, DeviceId, Group, Handle, Timestamp, UserId};
use rusqlite::{Connection, params};

use super::super::error::Failure;
use super::super::read;

/// Whether a put would take a name or handle from somebody else.
pub(super) fn collides(db: &Connection, write: &Write) -> Result<bool, Failure> {
    match write {
        Write::PutAccount(account) => {
            Ok(holder(db, &account.name)?.is_some_and(|holder| holder != account.user))
        }
        Write::PutGroup(Group { id, profile, .. }) => {
            let Some(handle) = &profile.handle else { return Ok(false) };
            Ok(read::heads::with_handle(db, handle)?.is_some_and(|holder| holder != *id))
        }
        _ => Ok(false),
    }
}

/// Who has an account name.
pub(super) fn holder(db: &Connection, name: &AccountName) -> Result<Option<UserId>, Failure> {
    Ok(read::accounts::named(db, name)?.map(|account| account.user))
}

/// Whether a user has an account.
pub(super) fn exists(db: &Connection, user: UserId) -> Result<bool, Failure> {
    let mut statement = db.prepare_cached("SELECT 1 FROM account WHERE user = ?1")?;
    Ok(statement.exists([user.number().cast_signed()])?)
}

pub(in crate::sqlite) fn put_account(db: &Connection, account: &Account) -> Result<(), Failure> {
    db.prepare_cached(
        "INSERT INTO account (user, name, display_name, password_hash, created, deleted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (user) DO UPDATE SET
             name = excluded.name, display_name = excluded.display_name,
             password_hash = excluded.password_hash, created = excluded.created,
             deleted = excluded.deleted",
    )?
    .execute(params![
        account.user.number().cast_signed(),
        account.name.as_str(),
        account.display_name.as_str(),
        account.password_hash,
        account.created.0.cast_signed(),
        account.deleted.map(|deleted| deleted.0.cast_signed()),
    ])?;
    Ok(())
}

pub(in crate::sqlite) fn put_device(db: &Connection, device: &Device) -> Result<(), Failure> {
    let slot = device.attached.as_ref();
    db.prepare_cached(
        "INSERT INTO device (id, user, label, token_hash, created, last_seen, node, boot, session)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (id) DO UPDATE SET
             user = excluded.user, label = excluded.label, token_hash = excluded.token_hash,
             created = excluded.created, last_seen = excluded.last_seen, node = excluded.node,
             boot = excluded.boot, session = excluded.session",
    )?
    .execute(params![
        device.id.number().cast_signed(),
        device.user.number().cast_signed(),
        device.label,
        &device.token_hash.0[..],
        device.created.0.cast_signed(),
        device.last_seen.0.cast_signed(),
        slot.map(|slot| &slot.node),
        slot.map(|slot| slot.boot.0.cast_signed()),
        slot.map(|slot| slot.session.cast_signed()),
    ])?;
    Ok(())
}

pub(super) fn delete_device(db: &Connection, device: DeviceId) -> Result<(), Failure> {
    db.prepare_cached("DELETE FROM device WHERE id = ?1")?.execute([device.number().cast_signed()])?;
    Ok(())
}

pub(super) fn attach(
    db: &Connection,
    device: DeviceId,
    slot: Option<&Attachment>,
    now: Timestamp,
) -> Result<(), Failure> {
    db.prepare_cached("UPDATE device SET node = ?2, boot = ?3, session = ?4, last_seen = ?5 WHERE id = ?1")?
        .execute(params![
            device.number().cast_signed(),
            slot.map(|slot| &slot.node),
            slot.map(|slot| slot.boot.0.cast_signed()),
            slot.map(|slot| slot.session.cast_signed()),
            now.0.cast_signed(),
        ])?;
    Ok(())
}

pub(in crate::sqlite) fn put_group(db: &Connection, group: &Group) -> Result<(), Failure> {
    let profile = &group.profile;
    db.prepare_cached(
        "INSERT INTO chat_group (id, name, description, handle, join_policy, history, members, dissolved)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (id) DO UPDATE SET
             name = excluded.name, description = excluded.description, handle = excluded.handle,
             join_policy = excluded.join_policy, history = excluded.history,
             members = excluded.members, dissolved = excluded.dissolved",
    )?
    .execute(params![
        group.id.number().cast_signed(),
        profile.name.as_str(),
        profile.description,
        profile.handle.as_ref().map(Handle::as_str),
        profile.join.number().cast_signed(),
        profile.history.number().cast_signed(),
        group.members,
        group.dissolved,
    ])?;
    Ok(())
}
