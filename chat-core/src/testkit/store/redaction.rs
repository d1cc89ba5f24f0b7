//! Redaction: what an entry said is gone, the entry stays.

use std::sync::Arc;

use super::fixture::{
    EVERYTHING, Writer, appending, command, direct, head, log, message, notice, reaction, row, seqs, user,
    writing,
};
use crate::store::{RedactTarget, Store, Write};
use crate::{ConversationId, Entry, Kind, Seq};

fn redact(conversation: ConversationId, target: RedactTarget) -> crate::store::Item {
    writing([Write::Redact { conversation, target }])
}

fn empty(entries: &[Entry]) -> Vec<Seq> {
    entries.iter().filter(|entry| entry.content.is_none()).map(|entry| entry.seq).collect()
}

/// Seq, kind, sender, time, ordinal and client id stay, as do the counts.
pub async fn redaction_empties_the_content_and_keeps_the_entry(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    writer.commit((1..=3).map(|number| command(number, message(here, 1, "secret"))).collect()).await;
    let (before, head_before) = (log(&store, here).await, head(&store, here).await);
    writer.done(redact(here, RedactTarget::Entry(2))).await;
    let after = log(&store, here).await;
    assert_eq!(after[1], Entry { content: None, ..before[1].clone() });
    assert_eq!([&after[0], &after[2]], [&before[0], &before[2]]);
    assert_eq!(head(&store, here).await, head_before);
    assert_eq!(row(&store, here, 1).await.own, 3);
    let history = store.history(here, &EVERYTHING).await.expect("the store is in order");
    assert_eq!(history.entries, after, "history shows that something was there");
}

/// Of one sender: countable entries, edits and reactions, up to a seq; nothing else.
pub async fn redaction_of_a_sender_spares_others_and_what_is_later(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    let edit = crate::store::Append { kind: Kind::EDIT, ..reaction(here, 1, 1) };
    let entries = [
        message(here, 1, "1"),
        message(here, 2, "2"),
        reaction(here, 1, 2),
        edit,
        notice(here, 1, "5"),
        reaction(here, 2, 1),
        message(here, 1, "7"),
        message(here, 1, "8"),
    ];
    writer.done(appending(entries.clone())).await;
    let elsewhere = direct(1, 3);
    writer.done(appending([message(elsewhere, 1, "x")])).await;
    writer.done(redact(here, RedactTarget::SentBy(user(1), 7))).await;
    assert_eq!(empty(&log(&store, here).await), [1, 3, 4, 7]);
    assert_eq!(empty(&log(&store, elsewhere).await), []);
    assert_eq!(seqs(&log(&store, here).await), (1..=8).collect::<Vec<_>>());
    writer.done(redact(here, RedactTarget::SentBy(user(1), Seq::MAX))).await;
    assert_eq!(empty(&log(&store, here).await), [1, 3, 4, 7, 8]);
}

/// Entries that were trimmed, are not yet written, or were redacted before.
pub async fn redaction_of_what_does_not_exist_changes_nothing(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    for seq in [0, 1, Seq::MAX] {
        writer.done(redact(here, RedactTarget::Entry(seq))).await;
        writer.done(redact(here, RedactTarget::SentBy(user(1), seq))).await;
    }
    writer.done(appending([message(here, 1, "a")])).await;
    writer.done(redact(here, RedactTarget::Entry(2))).await;
    assert_eq!(empty(&log(&store, here).await), []);
    writer.done(appending([message(here, 1, "b")])).await;
    assert_eq!(empty(&log(&store, here).await), []);
}
