//! Heads, the log's numbers, and times.

use std::sync::Arc;

use bytes::Bytes;

use super::fixture::{
    Writer, appending, command, committed, direct, group, head, inbox, log, message, notice, opaque,
    reaction, seqs, user, writing,
};
use crate::store::{Append, Item, Placed, Precondition, Store, Write};
use crate::{Entry, Head, Timestamp};

/// The epoch is drawn once.
pub async fn epoch_is_one_and_stays(store: Arc<dyn Store>) {
    let first = store.epoch().await.expect("an epoch");
    Writer::new(&store, 1).done(appending([message(direct(1, 2), 1, "a")])).await;
    assert_eq!(store.epoch().await.expect("an epoch"), first);
}

/// **gapless**: seqs are head + 1, head + 2, … in the order of the batch, and of the item.
pub async fn entries_get_the_seqs_after_the_head_in_the_order_of_the_batch(store: Arc<dyn Store>) {
    let (writer, here, there) = (Writer::new(&store, 1), direct(1, 2), group(3));
    let first = appending([message(here, 1, "a"), message(here, 2, "b")]);
    let second = appending([message(there, 1, "x"), message(here, 1, "c")]);
    let outcomes = writer.commit(vec![first, second]).await;
    let placed = |index: usize| committed(&outcomes[index]).iter().map(|placed| placed.seq);
    assert_eq!(placed(0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(placed(1).collect::<Vec<_>>(), [1, 3]);
    writer.done(appending([message(here, 2, "d")])).await;
    let entries = log(&store, here).await;
    assert_eq!(seqs(&entries), [1, 2, 3, 4]);
    let texts: Vec<_> = entries.iter().filter_map(|entry| entry.content.clone()).collect();
    assert_eq!(texts, ["a", "b", "c", "d"]);
    assert_eq!(head(&store, here).await.seq, 4);
}

/// **gapless** whatever else happens: an item that changes nothing uses up no number.
pub async fn gapless_refused_and_repeated_items_take_no_seq(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    let refused = Item { require: vec![Precondition::Rules(here, 9)], ..command(9, message(here, 1, "no")) };
    for number in 1..=3 {
        let sent = command(number, message(here, 1, "a"));
        let conflicting = command(number, message(here, 1, "b"));
        writer.commit(vec![refused.clone(), sent.clone(), sent.clone(), refused.clone()]).await;
        writer.commit(vec![sent, conflicting]).await;
    }
    assert_eq!(seqs(&log(&store, here).await), [1, 2, 3]);
    assert_eq!(head(&store, here).await.seq, 3);
}

/// An ordinal is the number of countable entries up to and including the entry.
pub async fn ordinals_count_countable_entries_only(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    let entries = [notice(here, 1, "n"), message(here, 1, "a"), reaction(here, 2, 2), message(here, 2, "b")];
    let placed = writer.done(appending(entries)).await;
    assert_eq!(placed.iter().map(|placed| placed.ordinal).collect::<Vec<_>>(), [0, 1, 1, 2]);
    let stored: Vec<_> = log(&store, here).await.iter().map(|entry| entry.ordinal).collect();
    assert_eq!(stored, [0, 1, 1, 2]);
    assert_eq!(head(&store, here).await.ordinal, 2);
}

/// **time never runs back**: the greater of the batch's `now` and the time of the head.
pub async fn time_never_runs_back(store: Arc<dyn Store>) {
    let (ahead, behind, here) = (Writer::new(&store, 1), Writer::new(&store, 2), direct(1, 2));
    ahead.commit_at(5_000, vec![appending([message(here, 1, "a")])]).await;
    let outcomes = behind.commit_at(4_000, vec![appending([message(here, 2, "b")])]).await;
    assert_eq!(committed(&outcomes[0]), [Placed { seq: 2, ordinal: 2, time: Timestamp(5_000) }]);
    behind.commit_at(6_000, vec![appending([message(here, 2, "c")])]).await;
    let times: Vec<_> = log(&store, here).await.iter().map(|entry| entry.time.0).collect();
    assert_eq!(times, [5_000, 5_000, 6_000]);
    assert_eq!(head(&store, here).await.time, Timestamp(6_000));
    behind.commit_at(10, vec![appending([message(inbox(1), 1, "x")])]).await;
    assert_eq!(head(&store, inbox(1)).await.time, Timestamp(10), "each conversation has its own time");
}

/// Nothing needs creation.
pub async fn head_of_a_conversation_into_which_nothing_was_written_is_empty(store: Arc<dyn Store>) {
    for id in [direct(1, 2), group(1), inbox(1)] {
        assert_eq!(head(&store, id).await, Head::empty(id));
        assert_eq!(log(&store, id).await, []);
    }
}

/// Heads are in the order of the request, repeated ones too.
pub async fn heads_come_in_the_order_asked_for(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    writer.done(appending([message(inbox(1), 1, "a"), message(direct(1, 2), 1, "b")])).await;
    let asked = [inbox(1), group(9), direct(1, 2), inbox(1)];
    let heads = store.heads(&asked).await.expect("the store is in order");
    assert_eq!(heads.iter().map(|head| head.conversation).collect::<Vec<_>>(), asked);
    assert_eq!(heads.iter().map(|head| head.seq).collect::<Vec<_>>(), [1, 0, 1, 1]);
}

/// Every field of an entry, and content of any bytes, reads back.
pub async fn entries_come_back_as_they_were_written(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), group(7));
    let bytes = Bytes::from((0..=255).cycle().take(70_000).collect::<Vec<u8>>());
    let long = Append { content: bytes.clone(), ..message(here, 5, "") };
    writer.commit_at(77, vec![command(1, long)]).await;
    writer.commit_at(78, vec![appending([reaction(here, 6, 1), message(here, 5, "")])]).await;
    let expected = Entry {
        seq: 1,
        time: Timestamp(77),
        sender: user(5),
        client_id: Some(super::fixture::client_id(1)),
        countable: true,
        ordinal: 1,
        target: None,
        kind: opaque(),
        content: Some(bytes),
    };
    let entries = log(&store, here).await;
    assert_eq!(entries[0], expected);
    let referring = Entry {
        seq: 2,
        time: Timestamp(78),
        sender: user(6),
        client_id: None,
        countable: false,
        target: Some(1),
        kind: crate::Kind::REACTION,
        content: Some(Bytes::from_static(b"+")),
        ..expected
    };
    assert_eq!(entries[1], referring);
    assert_eq!(entries[2].content, Some(Bytes::new()), "empty content is not redacted content");
}

/// The head's `rules_seq` grows with an entry that changes rules, to at least its seq.
pub async fn changes_of_rules_raise_rules_seq_to_their_seq(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), group(1));
    writer.done(appending([message(here, 1, "a"), message(here, 1, "b")])).await;
    assert_eq!(head(&store, here).await.rules_seq, 0);
    let change = Append { changes_rules: true, ..notice(here, 1, "rules") };
    writer.done(appending([change.clone(), message(here, 1, "c")])).await;
    assert_eq!(head(&store, here).await.rules_seq, 3);
    writer.done(writing((0..9).map(|_| Write::RaiseRules(here)))).await;
    let raised = head(&store, here).await.rules_seq;
    writer.done(appending([change])).await;
    assert_eq!(head(&store, here).await.rules_seq, raised + 1, "also where it is beyond its seq");
}

/// `RaiseRules` raises to one more, or to the head where that is greater, without an entry.
pub async fn raise_rules_raises_by_one_or_to_the_head(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    writer.done(writing([Write::RaiseRules(here)])).await;
    assert_eq!(head(&store, here).await, Head { rules_seq: 1, ..Head::empty(here) });
    writer.done(appending((0..4).map(|_| message(here, 1, "a")))).await;
    writer.done(writing([Write::RaiseRules(here)])).await;
    assert_eq!(head(&store, here).await.rules_seq, 4);
    writer.done(writing([Write::RaiseRules(here)])).await;
    assert_eq!(head(&store, here).await.rules_seq, 5);
    assert_eq!(head(&store, here).await.seq, 4);
}
