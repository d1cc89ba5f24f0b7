//! Accounts, devices and groups: what is put is what is read.

use std::sync::Arc;

use super::fixture::{
    Writer, account, attachment, device, device_id, group, group_id, head, settings, user, writing,
};
use crate::store::{Outcome, Store, Write};
use crate::{Account, AccountName, Device, DisplayName, Group, Handle, Timestamp, TokenHash};

const IN_ORDER: &str = "the store is in order";

/// Accounts read back in the order asked for; a put on an existing one replaces it.
pub async fn accounts_are_created_and_replaced(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let (ada, bob) = (account(1, "ada"), account(2, "bob"));
    writer.done(writing([Write::PutAccount(ada.clone()), Write::PutAccount(bob.clone())])).await;
    let found = store.accounts(&[user(2), user(3), user(1)]).await.expect(IN_ORDER);
    assert_eq!(found, [Some(bob.clone()), None, Some(ada.clone())]);
    let renamed = Account {
        display_name: DisplayName::from_stored("Countess"),
        password_hash: None,
        deleted: Some(Timestamp(9)),
        ..ada.clone()
    };
    writer.done(writing([Write::PutAccount(renamed.clone())])).await;
    assert_eq!(store.accounts(&[user(1)]).await.expect(IN_ORDER), [Some(renamed.clone())]);
    assert_eq!(store.account_named(&ada.name).await.expect(IN_ORDER), Some(renamed));
    assert_eq!(store.account_named(&bob.name).await.expect(IN_ORDER), Some(bob));
}

/// The name of a deleted account is found, and not free.
pub async fn name_of_a_deleted_account_stays_reserved(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let gone = Account { deleted: Some(Timestamp(5)), ..account(1, "ada") };
    writer.done(writing([Write::PutAccount(gone.clone())])).await;
    assert_eq!(store.account_named(&gone.name).await.expect(IN_ORDER), Some(gone));
    assert_eq!(writer.one(writing([Write::PutAccount(account(2, "ada"))])).await, Outcome::Taken);
}

/// A name belongs to one account, with or without a precondition; a name given up is free.
pub async fn account_cannot_take_the_name_of_another(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    writer.done(writing([Write::PutAccount(account(1, "ada"))])).await;
    assert_eq!(writer.one(writing([Write::PutAccount(account(2, "ada"))])).await, Outcome::Taken);
    assert_eq!(store.accounts(&[user(2)]).await.expect(IN_ORDER), [None]);
    writer.done(writing([Write::PutAccount(account(1, "lovelace"))])).await;
    writer.done(writing([Write::PutAccount(account(2, "ada"))])).await;
    let holder = |name: &str| {
        let (store, name) = (Arc::clone(&store), AccountName::from_stored(name));
        async move { store.account_named(&name).await.expect(IN_ORDER).map(|account| account.user) }
    };
    assert_eq!(holder("ada").await, Some(user(2)));
    assert_eq!(holder("lovelace").await, Some(user(1)));
}

/// A user's devices, by creation, then id.
pub async fn devices_come_oldest_first(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let devices = [device(5, 1, 10), device(3, 1, 30), device(4, 1, 30), device(1, 1, 40)];
    let puts =
        devices.iter().rev().chain([&device(9, 2, 1)]).cloned().map(Write::PutDevice).collect::<Vec<_>>();
    writer.done(writing(puts)).await;
    assert_eq!(store.devices(user(1)).await.expect(IN_ORDER), devices);
    assert_eq!(store.devices(user(3)).await.expect(IN_ORDER), []);
}

/// A token finds its device, a replaced or deleted one finds none.
pub async fn device_is_found_by_its_token_until_deleted(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let (old, new) = (TokenHash([1; 32]), TokenHash([200; 32]));
    writer.done(writing([Write::PutDevice(device(1, 1, 1)), Write::PutDevice(device(2, 1, 2))])).await;
    assert_eq!(store.device_with_token(&old).await.expect(IN_ORDER), Some(device(1, 1, 1)));
    let replaced = Device { token_hash: new, label: "phone".into(), ..device(1, 1, 1) };
    writer.done(writing([Write::PutDevice(replaced.clone())])).await;
    assert_eq!(store.device_with_token(&old).await.expect(IN_ORDER), None);
    assert_eq!(store.device_with_token(&new).await.expect(IN_ORDER), Some(replaced));
    let delete = || writing([Write::DeleteDevice(device_id(1))]);
    writer.done(delete()).await;
    writer.done(delete()).await;
    assert_eq!(store.device_with_token(&new).await.expect(IN_ORDER), None);
    assert_eq!(store.devices(user(1)).await.expect(IN_ORDER), [device(2, 1, 2)]);
}

/// Attaching sets the slot and `last_seen`; a device that does not exist stays away.
pub async fn attach_sets_slot_and_last_seen_of_an_existing_device(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let attach =
        |number, slot, now| writing([Write::Attach { device: device_id(number), slot, now: Timestamp(now) }]);
    writer.done(writing([Write::PutDevice(device(1, 1, 1))])).await;
    writer.done(attach(2, Some(attachment("north", 1)), 3)).await;
    let held = Some(attachment("north", u64::MAX));
    writer.done(attach(1, held.clone(), 7)).await;
    let attached = Device { attached: held, last_seen: Timestamp(7), ..device(1, 1, 1) };
    assert_eq!(store.devices(user(1)).await.expect(IN_ORDER), std::slice::from_ref(&attached));
    writer.done(attach(1, None, 8)).await;
    let detached = Device { attached: None, last_seen: Timestamp(8), ..attached };
    assert_eq!(store.devices(user(1)).await.expect(IN_ORDER), [detached]);
}

/// A group's settings are part of its head, before anything is written into it too.
pub async fn group_settings_come_with_the_head(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let first = settings(1, Some("rust"));
    writer.done(writing([Write::PutGroup(first.clone()), Write::PutGroup(settings(2, None))])).await;
    assert_eq!(head(&store, group(1)).await.group, Some(first.clone()));
    assert_eq!(head(&store, group(2)).await.group, Some(settings(2, None)));
    assert_eq!(head(&store, group(3)).await.group, None);
    let changed = Group { members: 7, ..first };
    writer.done(writing([Write::PutGroup(changed.clone())])).await;
    assert_eq!(head(&store, group(1)).await.group, Some(changed));
    let handle = Handle::from_stored("rust");
    assert_eq!(store.group_with_handle(&handle).await.expect(IN_ORDER), Some(group_id(1)));
    let none = store.group_with_handle(&Handle::from_stored("go")).await.expect(IN_ORDER);
    assert_eq!(none, None);
}

/// The handle of a dissolved group is found, and not free.
pub async fn handle_of_a_dissolved_group_stays_reserved(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let gone = Group { dissolved: true, ..settings(1, Some("rust")) };
    writer.done(writing([Write::PutGroup(gone)])).await;
    let handle = Handle::from_stored("rust");
    assert_eq!(store.group_with_handle(&handle).await.expect(IN_ORDER), Some(group_id(1)));
    assert_eq!(writer.one(writing([Write::PutGroup(settings(2, Some("rust")))])).await, Outcome::Taken);
}

/// A handle belongs to one group, with or without a precondition.
pub async fn group_cannot_take_the_handle_of_another(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    writer.done(writing([Write::PutGroup(settings(1, Some("rust")))])).await;
    assert_eq!(writer.one(writing([Write::PutGroup(settings(2, Some("rust")))])).await, Outcome::Taken);
    assert_eq!(head(&store, group(2)).await.group, None);
    writer.done(writing([Write::PutGroup(settings(1, Some("rust")))])).await;
}
