//! **preconditions under the lock**: each compares what is stored, and says what it should.

use std::sync::Arc;

use super::fixture::{
    Writer, account, appending, attachment, device, device_id, direct, group, message, settings, user,
    writing,
};
use crate::store::{Append, Item, Outcome, Precondition, Store, Write};
use crate::{AccountName, Handle};

async fn outcome(writer: &Writer, require: impl IntoIterator<Item = Precondition>) -> Outcome {
    writer.one(Item { require: require.into_iter().collect(), ..Item::default() }).await
}

fn done() -> Outcome {
    Outcome::Committed(Vec::new())
}

/// Rules hold while the head's `rules_seq` is the one decided on; 0 where nothing was written.
pub async fn rules_are_compared_with_the_head(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), group(1));
    let rules = |expected| [Precondition::Rules(here, expected)];
    assert_eq!(outcome(&writer, rules(0)).await, done());
    assert_eq!(outcome(&writer, rules(1)).await, Outcome::Stale);
    let change = Append { changes_rules: true, ..message(here, 1, "b") };
    writer.done(appending([message(here, 1, "a"), change])).await;
    assert_eq!(outcome(&writer, rules(0)).await, Outcome::Stale);
    assert_eq!(outcome(&writer, rules(2)).await, done());
    writer.done(appending([message(here, 1, "c")])).await;
    assert_eq!(outcome(&writer, rules(2)).await, done(), "a message changes no rules");
    writer.done(writing([Write::RaiseRules(here)])).await;
    assert_eq!(outcome(&writer, rules(2)).await, Outcome::Stale);
    assert_eq!(outcome(&writer, rules(3)).await, done());
}

/// A name is taken while an account has it.
pub async fn name_free_is_taken_when_an_account_has_it(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let free = |name: &str| [Precondition::NameFree(AccountName::from_stored(name))];
    assert_eq!(outcome(&writer, free("ada")).await, done());
    writer.done(writing([Write::PutAccount(account(1, "ada"))])).await;
    assert_eq!(outcome(&writer, free("ada")).await, Outcome::Taken);
    assert_eq!(outcome(&writer, free("ad")).await, done());
    assert_eq!(outcome(&writer, free("ada ")).await, done(), "names are compared byte for byte");
    assert_eq!(outcome(&writer, free("Ada")).await, done(), "names are compared byte for byte");
}

/// An id that an account has calls for another one.
pub async fn user_free_is_stale_when_an_account_has_the_id(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    writer.done(writing([Write::PutAccount(account(1, "ada"))])).await;
    assert_eq!(outcome(&writer, [Precondition::UserFree(user(1))]).await, Outcome::Stale);
    assert_eq!(outcome(&writer, [Precondition::UserFree(user(2))]).await, done());
}

/// A handle is taken while a group has it.
pub async fn handle_free_is_taken_when_a_group_has_it(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let free = |handle: &str| [Precondition::HandleFree(Handle::from_stored(handle))];
    assert_eq!(outcome(&writer, free("rust")).await, done());
    writer.done(writing([Write::PutGroup(settings(1, Some("rust")))])).await;
    assert_eq!(outcome(&writer, free("rust")).await, Outcome::Taken);
    assert_eq!(outcome(&writer, free("rus")).await, done());
    assert_eq!(outcome(&writer, free("rust ")).await, done(), "handles are compared byte for byte");
    assert_eq!(outcome(&writer, free("Rust")).await, done(), "handles are compared byte for byte");
}

/// A slot is compared whole: node, boot and session.
pub async fn slot_is_stale_when_it_holds_something_else(store: Arc<dyn Store>) {
    let (writer, id) = (Writer::new(&store, 1), device_id(1));
    let held = attachment("north", 4);
    writer.done(writing([Write::PutDevice(device(1, 1, 1))])).await;
    assert_eq!(outcome(&writer, [Precondition::Slot(id, None)]).await, done());
    let attach = Write::Attach { device: id, slot: Some(held.clone()), now: crate::Timestamp(5) };
    let conditional = Item { require: vec![Precondition::Slot(id, None)], ..writing([attach]) };
    assert_eq!(writer.one(conditional.clone()).await, done());
    assert_eq!(writer.one(conditional).await, Outcome::Stale);
    assert_eq!(outcome(&writer, [Precondition::Slot(id, Some(held.clone()))]).await, done());
    for other in [
        None,
        Some(attachment("north", 5)),
        Some(attachment("south", 4)),
        Some(crate::Attachment { boot: crate::BootId(0), ..held }),
    ] {
        assert_eq!(outcome(&writer, [Precondition::Slot(id, other)]).await, Outcome::Stale);
    }
}

/// Nobody attaches to a device that was revoked meanwhile.
pub async fn slot_of_a_device_that_does_not_exist_is_stale(store: Arc<dyn Store>) {
    let (writer, id) = (Writer::new(&store, 1), device_id(1));
    assert_eq!(outcome(&writer, [Precondition::Slot(id, None)]).await, Outcome::Stale);
    writer.done(writing([Write::PutDevice(device(1, 1, 1)), Write::DeleteDevice(id)])).await;
    assert_eq!(outcome(&writer, [Precondition::Slot(id, None)]).await, Outcome::Stale);
}

/// One that fails is enough, wherever it stands.
pub async fn all_preconditions_of_an_item_must_hold(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let holds = || Precondition::Rules(direct(1, 2), 0);
    let fails = || Precondition::Rules(direct(1, 3), 1);
    assert_eq!(outcome(&writer, [holds(), holds()]).await, done());
    for require in [[fails(), holds()], [holds(), fails()]] {
        let item = Item { require: require.into(), ..appending([message(direct(1, 2), 1, "a")]) };
        assert_eq!(writer.one(item).await, Outcome::Stale);
    }
}
