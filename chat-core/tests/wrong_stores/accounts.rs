//! Faults of accounts, devices and groups.

use std::sync::Mutex;

use async_trait::async_trait;
use chat_core::memory::MemoryStore;
use chat_core::store::{Batch, Item, Outcome, Store, Write};
use chat_core::{Account, AccountName, Device, Head, TokenHash, UserId};

use crate::store::{Answer, Fault, Rewrites, WrongStore, alone, with};

pub(crate) const FAULTS: &[WrongStore] = &[
    WrongStore {
        fault: "answers accounts in the order of ids",
        case: "accounts_are_created_and_replaced",
        fresh: || with(SortsAccounts),
    },
    WrongStore {
        fault: "frees the name of a deleted account",
        case: "name_of_a_deleted_account_stays_reserved",
        fresh: || with(FreesNames),
    },
    WrongStore {
        fault: "gives a name to the last who wants it",
        case: "account_cannot_take_the_name_of_another",
        fresh: || with(GivesAway(|write| matches!(write, Write::PutAccount(_)))),
    },
    WrongStore {
        fault: "answers the newest device first",
        case: "devices_come_oldest_first",
        fresh: || with(NewestDeviceFirst),
    },
    WrongStore {
        fault: "finds a deleted device by its token",
        case: "device_is_found_by_its_token_until_deleted",
        fresh: || with(KeepsTokens::default()),
    },
    WrongStore {
        fault: "does not set last_seen when a device attaches",
        case: "attach_sets_slot_and_last_seen_of_an_existing_device",
        fresh: || {
            with(Rewrites(|item| {
                for write in &mut item.write {
                    if let Write::Attach { now, .. } = write {
                        *now = chat_core::Timestamp(0);
                    }
                }
            }))
        },
    },
    WrongStore {
        fault: "shows a group's settings once something is written into it",
        case: "group_settings_come_with_the_head",
        fresh: || with(HidesSettings),
    },
    WrongStore {
        fault: "frees the handle of a dissolved group",
        case: "handle_of_a_dissolved_group_stays_reserved",
        fresh: || with(FreesHandles),
    },
    WrongStore {
        fault: "gives a handle to the last who wants it",
        case: "group_cannot_take_the_handle_of_another",
        fresh: || with(GivesAway(|write| matches!(write, Write::PutGroup(_)))),
    },
];

struct SortsAccounts;

#[async_trait]
impl Fault for SortsAccounts {
    async fn accounts(&self, right: &MemoryStore, users: &[UserId]) -> Answer<Vec<Option<Account>>> {
        let mut sorted = users.to_vec();
        sorted.sort();
        right.accounts(&sorted).await
    }
}

/// A deleted account is kept under a name that nobody chooses.
struct FreesNames;

#[async_trait]
impl Fault for FreesNames {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let mut item = item.clone();
        for write in &mut item.write {
            if let Write::PutAccount(account) = write
                && account.deleted.is_some()
            {
                account.name = AccountName::from_stored(format!("#{}", account.user.number()));
            }
        }
        alone(right, batch, item).await
    }
}

/// What collides is left out and answered as done: whoever put it believes that it holds the name.
struct GivesAway(fn(&Write) -> bool);

#[async_trait]
impl Fault for GivesAway {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let outcome = alone(right, batch, item.clone()).await?;
        if outcome != Outcome::Taken || !item.require.is_empty() {
            return Ok(outcome);
        }
        let mut rest = item.clone();
        rest.write.retain(|write| !self.0(write));
        alone(right, batch, rest).await
    }
}

struct NewestDeviceFirst;

#[async_trait]
impl Fault for NewestDeviceFirst {
    async fn devices(&self, right: &MemoryStore, user: UserId) -> Answer<Vec<Device>> {
        let mut devices = right.devices(user).await?;
        devices.reverse();
        Ok(devices)
    }
}

#[derive(Default)]
struct KeepsTokens(Mutex<Vec<Device>>);

#[async_trait]
impl Fault for KeepsTokens {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        for write in &item.write {
            if let Write::PutDevice(device) = write {
                self.0.lock().expect("no panic").push(device.clone());
            }
        }
        alone(right, batch, item.clone()).await
    }

    async fn device_with_token(&self, right: &MemoryStore, token: &TokenHash) -> Answer<Option<Device>> {
        let found = right.device_with_token(token).await?;
        let put = |device: &&Device| device.token_hash == *token;
        Ok(found.or_else(|| self.0.lock().expect("no panic").iter().find(put).cloned()))
    }
}

struct HidesSettings;

impl Fault for HidesSettings {
    fn spoil_head(&self, head: &mut Head) {
        if head.seq == 0 {
            head.group = None;
        }
    }
}

/// A dissolved group is kept without its handle.
struct FreesHandles;

#[async_trait]
impl Fault for FreesHandles {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let mut item = item.clone();
        for write in &mut item.write {
            if let Write::PutGroup(group) = write
                && group.dissolved
            {
                group.profile.handle = None;
            }
        }
        alone(right, batch, item).await
    }
}
