//! The journal: **complete in order**.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fixture::{Writer, appending, command, direct, group, inbox, message, reads, writing};
use crate::store::{Item, JournalPosition, Precondition, Store, Write};
use crate::{ConversationId, Seq};

const IN_ORDER: &str = "the store is in order";

/// Follows the journal from a position to its end: the furthest head told of each conversation, and
/// where it ended.
pub(super) async fn follow(
    store: &Arc<dyn Store>,
    from: &JournalPosition,
    limit: usize,
) -> (BTreeMap<ConversationId, Seq>, JournalPosition) {
    let (mut furthest, mut position) = (BTreeMap::new(), from.clone());
    loop {
        let page = store.journal(&position, limit).await.expect(IN_ORDER);
        for (conversation, seq) in page.moved {
            let told = furthest.entry(conversation).or_insert(seq);
            *told = seq.max(*told);
        }
        assert!(!page.more || page.position != position, "a page that is cut gets on");
        position = page.position;
        if !page.more {
            return (furthest, position);
        }
    }
}

/// Every conversation that committed entries moved is told, with the head that it reached.
pub async fn journal_is_complete_in_order(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let send = |place| appending([message(place, 1, "a")]);
    writer.commit(vec![send(direct(1, 2)), send(group(1)), send(direct(1, 2))]).await;
    writer.commit(vec![send(inbox(1)), send(group(1))]).await;
    let (told, position) = follow(&store, &JournalPosition::default(), 100).await;
    assert_eq!(told, BTreeMap::from([(direct(1, 2), 2), (group(1), 2), (inbox(1), 1)]));
    writer
        .commit(vec![send(group(1)), appending([message(group(2), 1, "a"), message(group(3), 1, "a")])])
        .await;
    let (told, position) = follow(&store, &position, 100).await;
    assert_eq!(told, BTreeMap::from([(group(1), 3), (group(2), 1), (group(3), 1)]));
    let (told, end) = follow(&store, &position, 100).await;
    assert_eq!((told, end), (BTreeMap::new(), position));
}

/// The end is where following begins to tell what comes after.
pub async fn journal_end_finds_everything_after_it_and_nothing_before(store: Arc<dyn Store>) {
    let (first, second) = (Writer::new(&store, 1), Writer::new(&store, 2));
    let empty = store.journal_end().await.expect(IN_ORDER);
    first.done(appending([message(group(1), 1, "a")])).await;
    assert_eq!(follow(&store, &empty, 10).await.0, BTreeMap::from([(group(1), 1)]));
    let end = store.journal_end().await.expect(IN_ORDER);
    assert_eq!(follow(&store, &end, 10).await.0, BTreeMap::new());
    first.done(appending([message(group(1), 1, "b")])).await;
    second.done(appending([message(group(2), 1, "c")])).await;
    assert_eq!(follow(&store, &end, 10).await.0, BTreeMap::from([(group(1), 2), (group(2), 1)]));
}

/// Each writer is followed from its own last row, however they take turns.
pub async fn journal_follows_every_writer(store: Arc<dyn Store>) {
    let writers: Vec<_> = [7, 1, u64::MAX].map(|id| Writer::new(&store, id)).into();
    let mut position = JournalPosition::default();
    for round in 1..=5 {
        for (index, writer) in writers.iter().enumerate() {
            let place = group(1 + index as u64);
            writer.done(appending([message(place, 1, "a")])).await;
            if round % 2 == 0 {
                let (told, end) = follow(&store, &position, 2).await;
                assert_eq!(told.get(&place), Some(&round), "round {round}, writer {index}");
                position = end;
            }
        }
    }
    let (told, end) = follow(&store, &position, 2).await;
    assert_eq!(told, BTreeMap::from([(group(1), 5), (group(2), 5), (group(3), 5)]));
    assert_eq!(follow(&store, &end, 2).await.0, BTreeMap::new());
}

/// Pages of any limit get on and lose nothing, over batches larger than a page too.
pub async fn journal_pages_always_get_on(store: Arc<dyn Store>) {
    let writers = [Writer::new(&store, 1), Writer::new(&store, 2)];
    for round in 0..6 {
        for writer in &writers {
            let entries = (1..=5).map(|number| message(group(number + round), 1, "a"));
            writer.done(appending(entries)).await;
        }
    }
    let whole = follow(&store, &JournalPosition::default(), 1_000).await;
    assert_eq!(whole.0.len(), 10);
    for limit in [0, 1, 2, 3, 7, 50] {
        assert_eq!(follow(&store, &JournalPosition::default(), limit).await, whole, "limit {limit}");
    }
}

/// A follower that was away finds a conversation whose entries have all been trimmed meanwhile.
pub async fn journal_shows_a_conversation_that_was_trimmed_to_its_end(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let start = store.journal_end().await.expect(IN_ORDER);
    writer.done(appending((0..5).map(|_| message(group(1), 1, "a")))).await;
    writer.done(writing([Write::Trim { conversation: group(1), first_seq: 6 }])).await;
    let (told, end) = follow(&store, &start, 10).await;
    assert_eq!(told, BTreeMap::from([(group(1), 5)]));
    writer.done(appending([message(group(2), 1, "b")])).await;
    let (told, _) = follow(&store, &end, 10).await;
    assert_eq!(told, BTreeMap::from([(group(2), 1)]), "positions are not used twice");
}

/// What moved no log is not in it.
pub async fn journal_holds_nothing_of_refused_and_repeated_items(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    let item = command(1, message(here, 1, "a"));
    writer.done(item.clone()).await;
    let end = store.journal_end().await.expect(IN_ORDER);
    let refused = Item { require: vec![Precondition::Rules(here, 9)], ..appending([message(here, 1, "b")]) };
    writer.commit(vec![item, refused, writing([reads(here, 1, 1), Write::RaiseRules(group(5))])]).await;
    assert_eq!(follow(&store, &end, 10).await.0, BTreeMap::new());
}
