//! Accounts, devices and settings of groups under a batch.
//!
//! What the items name is locked and read; what they change is changed here and, when the batch is
//! complete, in the tables, in the same order, so that a name let go of can be taken by a later item.
//! A name that nobody had when it was looked for may be taken meanwhile: the insert then fails on its
//! uniqueness, and the batch is evaluated again. No upsert, which would change whoever has the name.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::store::{Item, Precondition, Write};
use chat_core::{
    Account, AccountName, Attachment, Device, DeviceId, Group, GroupId, Handle, Timestamp, UserId,
};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value};

use super::super::error::Failure;
use super::super::read::Fields;
use super::super::read::accounts::locked_devices;
use super::super::statement::select_in;

#[derive(Debug, Default)]
pub(super) struct Registry {
    accounts: BTreeMap<UserId, AccountName>,
    names: BTreeMap<AccountName, UserId>,
    /// With the handle, where it has one.
    groups: BTreeMap<GroupId, Option<Handle>>,
    handles: BTreeMap<Handle, GroupId>,
    devices: BTreeMap<DeviceId, Option<Attachment>>,
    writes: Vec<(&'static str, Vec<Value>)>,
}

/// What the items of a batch name.
#[derive(Debug, Default)]
struct Named {
    users: BTreeSet<UserId>,
    names: BTreeSet<AccountName>,
    groups: BTreeSet<GroupId>,
    handles: BTreeSet<Handle>,
    devices: BTreeSet<DeviceId>,
}

impl Registry {
    pub(super) async fn lock(conn: &mut Conn, items: &[Item]) -> Result<Self, Failure> {
        let named = Named::by(items);
        let mut registry = Self::default();
        let users = named.users.iter().map(|user| user.number().into());
        registry.lock_accounts(conn, "user", users.collect()).await?;
        let names = named.names.iter().map(|name| name.as_str().into());
        registry.lock_accounts(conn, "name", names.collect()).await?;
        let groups = named.groups.iter().map(|group| group.number().into());
        registry.lock_groups(conn, "id", groups.collect()).await?;
        let handles = named.handles.iter().map(|handle| handle.as_str().into());
        registry.lock_groups(conn, "handle", handles.collect()).await?;
        let devices = locked_devices(conn, named.devices).await?;
        registry.devices = devices.into_iter().map(|device| (device.id, device.attached)).collect();
        Ok(registry)
    }

    async fn lock_accounts(&mut self, conn: &mut Conn, by: &str, keys: Vec<Value>) -> Result<(), Failure> {
        let query = format!("SELECT user, name FROM account WHERE {by} IN");
        let rows: Vec<Row> = select_in(conn, &query, keys, &format!("ORDER BY {by} FOR UPDATE")).await?;
        for row in rows {
            let mut row = Fields::of(row);
            self.set_name(UserId::new(row.number()?)?, AccountName::from_stored(row.text()?));
        }
        Ok(())
    }

    async fn lock_groups(&mut self, conn: &mut Conn, by: &str, keys: Vec<Value>) -> Result<(), Failure> {
        let query = format!("SELECT id, handle FROM chat_group WHERE {by} IN");
        let rows: Vec<Row> = select_in(conn, &query, keys, &format!("ORDER BY {by} FOR UPDATE")).await?;
        for row in rows {
            let mut row = Fields::of(row);
            let id = GroupId::new(row.number()?)?;
            self.set_handle(id, row.optional_text()?.map(Handle::from_stored));
        }
        Ok(())
    }

    pub(super) fn has_name(&self, name: &AccountName) -> bool {
        self.names.contains_key(name)
    }

    pub(super) fn has_user(&self, user: UserId) -> bool {
        self.accounts.contains_key(&user)
    }

    pub(super) fn has_handle(&self, handle: &Handle) -> bool {
        self.handles.contains_key(handle)
    }

    /// What a device's slot holds; the outer `None` where there is no such device.
    pub(super) fn slot(&self, device: DeviceId) -> Option<Option<&Attachment>> {
        self.devices.get(&device).map(Option::as_ref)
    }

    /// Whether a put would take a name or handle from somebody else.
    pub(super) fn collides(&self, write: &Write) -> bool {
        match write {
            Write::PutAccount(account) => {
                self.names.get(&account.name).is_some_and(|holder| *holder != account.user)
            }
            Write::PutGroup(group) => {
                let holder = group.profile.handle.as_ref().and_then(|handle| self.handles.get(handle));
                holder.is_some_and(|holder| *holder != group.id)
            }
            _ => false,
        }
    }

    pub(super) fn put_account(&mut self, account: &Account) {
        let statement = if self.has_user(account.user) {
            "UPDATE account SET name = ?, display_name = ?, password_hash = ?, created = ?, deleted = ?
             WHERE user = ?"
        } else {
            "INSERT INTO account (name, display_name, password_hash, created, deleted, user)
             VALUES (?, ?, ?, ?, ?, ?)"
        };
        self.set_name(account.user, account.name.clone());
        let values = vec![
            account.name.as_str().into(),
            account.display_name.as_str().into(),
            account.password_hash.as_deref().into(),
            account.created.0.into(),
            account.deleted.map(|deleted| deleted.0).into(),
            account.user.number().into(),
        ];
        self.writes.push((statement, values));
    }

    pub(super) fn put_device(&mut self, device: &Device) {
        let statement = if self.devices.contains_key(&device.id) {
            "UPDATE device SET user = ?, label = ?, token_hash = ?, created = ?, node = ?, boot = ?,
                 session = ?, last_seen = ? WHERE id = ?"
        } else {
            "INSERT INTO device (user, label, token_hash, created, node, boot, session, last_seen, id)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        };
        let mut values = vec![
            device.user.number().into(),
            device.label.as_str().into(),
            device.token_hash.0.to_vec().into(),
            device.created.0.into(),
        ];
        values.extend(slot(device.attached.as_ref()));
        values.extend([device.last_seen.0.into(), device.id.number().into()]);
        self.devices.insert(device.id, device.attached.clone());
        self.writes.push((statement, values));
    }

    pub(super) fn delete_device(&mut self, device: DeviceId) {
        if self.devices.remove(&device).is_some() {
            self.writes.push(("DELETE FROM device WHERE id = ?", vec![device.number().into()]));
        }
    }

    pub(super) fn attach(&mut self, device: DeviceId, to: Option<&Attachment>, now: Timestamp) {
        if let Some(attached) = self.devices.get_mut(&device) {
            *attached = to.cloned();
            let mut values = slot(to).to_vec();
            values.extend([now.0.into(), device.number().into()]);
            let update = "UPDATE device SET node = ?, boot = ?, session = ?, last_seen = ? WHERE id = ?";
            self.writes.push((update, values));
        }
    }

    pub(super) fn put_group(&mut self, group: &Group) {
        let statement = if self.groups.contains_key(&group.id) {
            "UPDATE chat_group SET name = ?, description = ?, handle = ?, join_policy = ?, history = ?,
                 members = ?, dissolved = ? WHERE id = ?"
        } else {
            "INSERT INTO chat_group (name, description, handle, join_policy, history, members, dissolved, id)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        };
        let profile = &group.profile;
        self.set_handle(group.id, profile.handle.clone());
        let values = vec![
            profile.name.as_str().into(),
            profile.description.as_str().into(),
            profile.handle.as_ref().map(Handle::as_str).into(),
            profile.join.number().into(),
            profile.history.number().into(),
            group.members.into(),
            group.dissolved.into(),
            group.id.number().into(),
        ];
        self.writes.push((statement, values));
    }

    /// Writes what the batch has changed.
    pub(super) async fn write_out(&mut self, conn: &mut Conn) -> Result<(), Failure> {
        for (statement, values) in self.writes.drain(..) {
            conn.exec_drop(statement, Params::Positional(values)).await?;
        }
        Ok(())
    }

    fn set_name(&mut self, user: UserId, name: AccountName) {
        if let Some(former) = self.accounts.insert(user, name.clone()) {
            self.names.remove(&former);
        }
        self.names.insert(name, user);
    }

    fn set_handle(&mut self, group: GroupId, handle: Option<Handle>) {
        if let Some(Some(former)) = self.groups.insert(group, handle.clone()) {
            self.handles.remove(&former);
        }
        if let Some(handle) = handle {
            self.handles.insert(handle, group);
        }
    }
}

impl Named {
    fn by(items: &[Item]) -> Self {
        let mut named = Self::default();
        for precondition in items.iter().flat_map(|item| &item.require) {
            match precondition {
                Precondition::Rules(..) => {}
                Precondition::NameFree(name) => named.names.extend([name.clone()]),
                Precondition::UserFree(user) => named.users.extend([*user]),
                Precondition::HandleFree(handle) => named.handles.extend([handle.clone()]),
                Precondition::Slot(device, _) => named.devices.extend([*device]),
            }
        }
        for write in items.iter().flat_map(|item| &item.write) {
            match write {
                Write::PutAccount(account) => {
                    named.users.extend([account.user]);
                    named.names.extend([account.name.clone()]);
                }
                Write::PutDevice(device) => named.devices.extend([device.id]),
                Write::DeleteDevice(device) | Write::Attach { device, .. } => named.devices.extend([*device]),
                Write::PutGroup(group) => {
                    named.groups.extend([group.id]);
                    named.handles.extend(group.profile.handle.clone());
                }
                _ => {}
            }
        }
        named
    }
}

pub(in crate::mysql) fn slot(attached: Option<&Attachment>) -> [Value; 3] {
    [
        attached.map(|slot| slot.node.as_str()).into(),
        attached.map(|slot| slot.boot.0).into(),
        attached.map(|slot| slot.session).into(),
    ]
}
