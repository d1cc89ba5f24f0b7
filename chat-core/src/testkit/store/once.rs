//! **once**: of all items with the same key at most one is ever committed.

use std::sync::Arc;

use bytes::Bytes;

use super::fixture::{
    Writer, appending, command, committed, direct, group, inbox, log, message, notice, once, seqs, writing,
};
use crate::Timestamp;
use crate::store::{Digest, Item, Once, Outcome, Precondition, RedactTarget, Store, Stored, Write};

async fn recorded(store: &Arc<dyn Store>, key: Once) -> Option<Stored> {
    store.recorded(&[key]).await.expect("the store is in order").remove(0)
}

/// A repetition, by any writer and at any time, answers what was recorded and changes nothing.
pub async fn once_repetition_answers_what_was_recorded(store: Arc<dyn Store>) {
    let here = direct(1, 2);
    let item = command(1, message(here, 1, "a"));
    let stored = Stored {
        seq: 2,
        time: Timestamp(50),
        digest: Digest::of(&[b"a"]),
        content: Some(Bytes::from_static(b"a")),
    };
    let (first, second) = (Writer::new(&store, 1), Writer::new(&store, 2));
    first.done(appending([message(inbox(1), 1, "x")])).await;
    first.commit_at(10, vec![appending([message(here, 2, "before")])]).await;
    first.commit_at(50, vec![item.clone()]).await;
    for (writer, now) in [(&first, 60), (&second, 5)] {
        let outcomes = writer.commit_at(now, vec![item.clone()]).await;
        assert_eq!(outcomes, [Outcome::Duplicate(stored.clone())]);
    }
    assert_eq!(seqs(&log(&store, here).await), [1, 2]);
    let asked = [once(9, 1, here), once(1, 1, here)];
    let records = store.recorded(&asked).await.expect("the store is in order");
    assert_eq!(records, [None, Some(stored)]);
}

/// The two may even be in the same batch.
pub async fn once_repetition_within_a_batch_is_a_duplicate(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    let item = command(1, message(here, 1, "a"));
    let outcomes = writer.commit(vec![item.clone(), item.clone(), item]).await;
    assert_eq!(committed(&outcomes[0]).len(), 1);
    for outcome in &outcomes[1..] {
        assert!(matches!(outcome, Outcome::Duplicate(stored) if stored.seq == 1), "{outcome:?}");
    }
    assert_eq!(seqs(&log(&store, here).await), [1]);
}

/// The same key with another digest is another command.
pub async fn once_other_digest_is_a_conflict(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    writer.done(command(1, message(here, 1, "a"))).await;
    assert_eq!(writer.one(command(1, message(here, 1, "b"))).await, Outcome::Conflict);
    assert_eq!(seqs(&log(&store, here).await), [1]);
}

/// A retry of what was stored succeeds even if it would be refused today.
pub async fn once_is_looked_at_before_any_precondition(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    writer.done(command(1, message(here, 1, "a"))).await;
    let failing = vec![Precondition::Rules(here, 77)];
    let repeated = Item { require: failing.clone(), ..command(1, message(here, 1, "a")) };
    assert!(matches!(writer.one(repeated).await, Outcome::Duplicate(_)));
    let other = Item { require: failing, ..command(1, message(here, 1, "b")) };
    assert_eq!(writer.one(other).await, Outcome::Conflict);
}

/// The key is the three together.
pub async fn once_scope_is_client_id_sender_and_conversation(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    for item in [
        command(1, message(group(1), 1, "a")),
        command(2, message(group(1), 1, "a")),
        command(1, message(group(1), 2, "a")),
        command(1, message(group(2), 1, "a")),
    ] {
        writer.done(item).await;
    }
    assert_eq!(seqs(&log(&store, group(1)).await), [1, 2, 3]);
    assert_eq!(seqs(&log(&store, group(2)).await), [1]);
}

/// Of an item with several entries, the first is the record and alone carries the client id.
pub async fn once_record_is_the_first_entry_of_the_item(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), group(1));
    writer.done(appending([message(here, 1, "before")])).await;
    let mut item = command(1, notice(here, 1, "first"));
    item.append.extend([notice(here, 1, "second"), notice(inbox(2), 1, "third")]);
    writer.done(item.clone()).await;
    let Outcome::Duplicate(stored) = writer.one(item).await else { panic!("it was committed before") };
    assert_eq!((stored.seq, stored.content), (2, Some(Bytes::from_static(b"first"))));
    let ids: Vec<_> = log(&store, here).await.iter().map(|entry| entry.client_id.is_some()).collect();
    assert_eq!(ids, [false, true, false]);
    assert_eq!(recorded(&store, once(1, 1, inbox(2))).await, None);
}

/// A redacted entry is still a record, without its content.
pub async fn once_record_outlives_redaction(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    let item = command(1, message(here, 1, "a"));
    writer.done(item.clone()).await;
    let target = RedactTarget::Entry(1);
    writer.done(writing([Write::Redact { conversation: here, target }])).await;
    let expected = Stored { seq: 1, time: Timestamp(1_000), digest: Digest::of(&[b"a"]), content: None };
    assert_eq!(writer.one(item).await, Outcome::Duplicate(expected.clone()));
    assert_eq!(writer.one(command(1, message(here, 1, "b"))).await, Outcome::Conflict);
    assert_eq!(recorded(&store, once(1, 1, here)).await, Some(expected));
}

/// So is one that retention took, also when more is trimmed later.
pub async fn once_record_outlives_trimming(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    let item = |number| command(number, message(here, 1, &format!("{number}")));
    let trim = |first_seq| writing([Write::Trim { conversation: here, first_seq }]);
    writer.commit((1..=3).map(item).collect()).await;
    for first_seq in [2, 4] {
        writer.done(trim(first_seq)).await;
        for number in 1..first_seq {
            let expected = Stored {
                seq: number,
                time: Timestamp(1_000),
                digest: Digest::of(&[number.to_string().as_bytes()]),
                content: None,
            };
            assert_eq!(writer.one(item(number)).await, Outcome::Duplicate(expected.clone()));
            assert_eq!(recorded(&store, once(number, 1, here)).await, Some(expected));
            assert_eq!(writer.one(command(number, message(here, 1, "other"))).await, Outcome::Conflict);
        }
    }
    writer.done(item(4)).await;
    writer.done(trim(5)).await;
    for number in 1..=4 {
        assert!(matches!(writer.one(item(number)).await, Outcome::Duplicate(stored) if stored.seq == number));
    }
}

/// What was refused may be tried again under the same key.
pub async fn once_refused_item_records_nothing(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    let item = command(1, message(here, 1, "a"));
    let refused = Item { require: vec![Precondition::Rules(here, 8)], ..item.clone() };
    assert_eq!(writer.one(refused).await, Outcome::Stale);
    assert_eq!(recorded(&store, once(1, 1, here)).await, None);
    writer.done(item).await;
}
