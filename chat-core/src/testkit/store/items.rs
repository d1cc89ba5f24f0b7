//! Items of a batch: atomic each, independent of each other, evaluated in order.

use std::sync::Arc;

use super::fixture::{
    Writer, account, appending, command, committed, direct, enters, group, head, inbox, log, member, message,
    once, reads, seqs, settings, writing,
};
use crate::store::{
    Append, Digest, Item, JournalPosition, Outcome, Precondition, SeqRef, Store, StoreErrorKind, Write,
};
use crate::{AccountName, Standing};

fn stale(entry: Append) -> Item {
    Item { require: vec![Precondition::Rules(entry.conversation, 99)], ..appending([entry]) }
}

/// **items independent**: refused, stale, duplicate and conflicting items fail nobody else.
pub async fn items_independent_refused_item_does_not_fail_its_neighbours(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    writer
        .done(Item { write: vec![Write::PutAccount(account(1, "ada"))], ..command(1, message(here, 1, "a")) })
        .await;
    let taken = Item {
        require: vec![Precondition::NameFree(AccountName::from_stored("ada"))],
        ..appending([message(here, 1, "taken")])
    };
    let outcomes = writer
        .commit(vec![
            stale(message(here, 1, "stale")),
            command(2, message(here, 1, "b")),
            command(1, message(here, 1, "a")),
            taken,
            command(1, message(here, 1, "another")),
            command(3, message(here, 2, "c")),
        ])
        .await;
    assert_eq!(outcomes[0], Outcome::Stale);
    assert_eq!(committed(&outcomes[1])[0].seq, 2);
    assert!(matches!(outcomes[2], Outcome::Duplicate(_)));
    assert_eq!(outcomes[3], Outcome::Taken);
    assert_eq!(outcomes[4], Outcome::Conflict);
    assert_eq!(committed(&outcomes[5])[0].seq, 3);
    let texts: Vec<_> = log(&store, here).await.into_iter().filter_map(|entry| entry.content).collect();
    assert_eq!(texts, ["a", "b", "c"]);
}

/// **item atomic**: whatever an item that is refused would have done, nothing of it is there.
pub async fn item_atomic_refused_item_leaves_nothing(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), group(1));
    let item = Item {
        require: vec![Precondition::Rules(here, 0), Precondition::Rules(inbox(1), 1)],
        write: vec![
            Write::PutAccount(account(1, "ada")),
            Write::PutDevice(super::fixture::device(1, 1, 1)),
            Write::PutGroup(settings(1, Some("rust"))),
            enters(here, 1, Standing::Owner, SeqRef::Appended(0)),
            Write::RaiseRules(inbox(1)),
        ],
        ..command(1, message(here, 1, "a"))
    };
    let key = once(1, 1, here);
    assert_eq!(writer.one(item).await, Outcome::Stale);
    let expect = "the store is in order";
    assert_eq!(head(&store, here).await, crate::Head::empty(here));
    assert_eq!(head(&store, inbox(1)).await.rules_seq, 0);
    assert_eq!(member(&store, here, 1).await, None);
    assert_eq!(store.recorded(&[key]).await.expect(expect), [None]);
    assert_eq!(store.accounts(&[super::fixture::user(1)]).await.expect(expect), [None]);
    assert_eq!(store.devices(super::fixture::user(1)).await.expect(expect), []);
    assert_eq!(store.group_with_handle(&crate::Handle::from_stored("rust")).await.expect(expect), None);
    assert_eq!(store.memberships(super::fixture::user(1), None, 10).await.expect(expect), []);
    let journal = store.journal(&JournalPosition::default(), 10).await.expect(expect);
    assert_eq!(journal.moved, []);
}

/// One item may write in several conversations: all of it or nothing.
pub async fn item_spans_conversations_and_is_written_in_all_or_none(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let places = [direct(1, 2), inbox(2), inbox(1)];
    let everywhere = || appending(places.map(|place| message(place, 1, "hi")));
    writer.done(appending([message(inbox(2), 2, "before")])).await;
    let placed = writer.done(everywhere()).await;
    assert_eq!(placed.iter().map(|placed| placed.seq).collect::<Vec<_>>(), [1, 2, 1]);
    let refused = Item { require: vec![Precondition::Rules(inbox(1), 5)], ..everywhere() };
    assert_eq!(writer.one(refused).await, Outcome::Stale);
    let heads = store.heads(&places).await.expect("the store is in order");
    assert_eq!(heads.iter().map(|head| head.seq).collect::<Vec<_>>(), [1, 2, 1]);
}

/// A later item of the batch sees what earlier ones wrote: entries, rules, names, slots, rows.
pub async fn later_item_of_a_batch_sees_what_earlier_ones_wrote(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), group(1));
    let create = Item {
        require: vec![Precondition::Rules(here, 0)],
        write: vec![
            Write::PutAccount(account(1, "ada")),
            Write::PutGroup(settings(1, Some("rust"))),
            Write::PutDevice(super::fixture::device(1, 1, 1)),
            enters(here, 1, Standing::Owner, SeqRef::Appended(0)),
        ],
        ..appending([Append { changes_rules: true, ..message(here, 1, "a") }])
    };
    let requiring = |condition| Item { require: vec![condition], ..Item::default() };
    let outcomes = writer
        .commit(vec![
            create.clone(),
            create,
            requiring(Precondition::NameFree(AccountName::from_stored("ada"))),
            requiring(Precondition::HandleFree(crate::Handle::from_stored("rust"))),
            requiring(Precondition::UserFree(super::fixture::user(1))),
            requiring(Precondition::Slot(super::fixture::device_id(1), None)),
            requiring(Precondition::Rules(here, 1)),
            appending([message(here, 2, "b")]),
            writing([reads(here, 1, 2)]),
        ])
        .await;
    let done = |index: usize| matches!(outcomes[index], Outcome::Committed(_));
    assert!(done(0) && done(5) && done(6) && done(7) && done(8), "{outcomes:?}");
    assert_eq!(outcomes[1..5], [Outcome::Stale, Outcome::Taken, Outcome::Taken, Outcome::Stale]);
    let reader = super::fixture::row(&store, here, 1).await;
    assert_eq!((reader.read.seq, reader.read.ordinal, reader.read.own), (2, 2, 1));
}

/// A key without its entry, or a reference to an entry that the item lacks, is no item.
pub async fn incoherent_batch_is_refused_whole(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    let read = Write::Read { conversation: here, user: super::fixture::user(1), to: SeqRef::Appended(0) };
    let key = Some((once(1, 1, here), Digest([0; 16])));
    let incoherent = [
        Item { once: key, ..Item::default() },
        Item { once: key, ..appending([message(here, 2, "of another sender")]) },
        Item { once: key, ..appending([message(inbox(1), 1, "elsewhere")]) },
        Item { write: vec![read.clone()], ..Item::default() },
        Item { write: vec![read], ..appending([message(inbox(1), 1, "elsewhere")]) },
    ];
    for item in incoherent {
        let batch = writer.batch(1, vec![appending([message(here, 1, "fine")]), item]);
        let error = store.commit(&batch).await.expect_err("incoherent");
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
    }
    assert_eq!(seqs(&log(&store, here).await), []);
}

/// Nothing to do is done.
pub async fn empty_batch_commits_nothing(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    assert_eq!(writer.commit(Vec::new()).await, []);
    assert_eq!(writer.one(Item::default()).await, Outcome::Committed(Vec::new()));
}
