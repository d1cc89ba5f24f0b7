//! Retention: **trimmed is said**, and what remains stays exact.

use std::sync::Arc;

use super::fixture::{
    EVERYTHING, Writer, appending, command, direct, enters, head, log, message, reaction, reads, row, seqs,
    writing,
};
use crate::store::{Store, StoreErrorKind, Write};
use crate::{ConversationId, Cursor, Direction, Range, Seq, Standing};

fn trim(conversation: ConversationId, first_seq: Seq) -> crate::store::Item {
    writing([Write::Trim { conversation, first_seq }])
}

/// Six entries of two users, of which the first three are trimmed.
async fn trimmed(store: &Arc<dyn Store>) -> (Writer, ConversationId) {
    let (writer, here) = (Writer::new(store, 1), direct(1, 2));
    writer.commit((1..=6).map(|number| command(number, message(here, 1 + number % 2, "a"))).collect()).await;
    writer.done(trim(here, 4)).await;
    (writer, here)
}

/// Reading entries below `first_seq` is an error of its own, in both directions.
pub async fn trimmed_is_said_where_a_range_begins_below_first_seq(store: Arc<dyn Store>) {
    let (_, here) = trimmed(&store).await;
    assert_eq!(head(&store, here).await.first_seq, 4);
    for direction in [Direction::Forward, Direction::Backward] {
        for (from, to) in [(0, 3), (1, 6), (3, 3), (3, Seq::MAX)] {
            let range = Range { from, to, direction, ..EVERYTHING };
            let error = store.entries(here, &range).await.expect_err("begins below");
            assert_eq!(error.kind(), StoreErrorKind::Trimmed, "{from} to {to}");
        }
        let kept = Range { from: 4, direction, ..EVERYTHING };
        assert_eq!(seqs(&store.entries(here, &kept).await.expect("kept")), [4, 5, 6]);
        let untouched = Range { from: 0, direction, ..EVERYTHING };
        assert_eq!(store.entries(direct(1, 3), &untouched).await.expect("nothing was trimmed"), []);
    }
}

/// History is asked for in pages from the end: it starts where the log does.
pub async fn trimmed_history_is_said_only_when_all_of_it_is_gone(store: Arc<dyn Store>) {
    let (writer, here) = trimmed(&store).await;
    writer.done(appending([reaction(here, 1, 2), reaction(here, 1, 5)])).await;
    for direction in [Direction::Forward, Direction::Backward] {
        let history = store.history(here, &Range { direction, ..EVERYTHING }).await.expect("some is kept");
        assert_eq!(seqs(&history.entries), [4, 5, 6]);
        assert_eq!(seqs(&history.referring), [8]);
        assert!(!history.more);
        let gone = Range { to: 3, direction, ..EVERYTHING };
        let error = store.history(here, &gone).await.expect_err("all of it is gone");
        assert_eq!(error.kind(), StoreErrorKind::Trimmed);
        let one = Range { limit: 1, to: 4, direction, ..EVERYTHING };
        assert!(!store.history(here, &one).await.expect("one is kept").more);
    }
}

/// `first_seq` never falls and is at most one past the head.
pub async fn trimming_only_moves_forward_and_at_most_one_past_the_head(store: Arc<dyn Store>) {
    let (writer, here) = trimmed(&store).await;
    for (to, stands) in [(2, 4), (0, 4), (5, 5), (100, 7)] {
        writer.done(trim(here, to)).await;
        assert_eq!(head(&store, here).await.first_seq, stands, "trimmed to {to}");
    }
    writer.done(trim(direct(1, 9), 5)).await;
    assert_eq!(head(&store, direct(1, 9)).await.first_seq, 1);
}

/// Seqs, ordinals and times go on as if all were there.
pub async fn trimmed_conversation_goes_on_with_its_numbers(store: Arc<dyn Store>) {
    let (writer, here) = trimmed(&store).await;
    let before = head(&store, here).await;
    writer.done(trim(here, Seq::MAX)).await;
    let after = head(&store, here).await;
    assert_eq!((after.seq, after.ordinal, after.time, after.first_seq), (6, 6, before.time, 7));
    let all = Range { from: 7, ..EVERYTHING };
    assert_eq!(store.entries(here, &all).await.expect("begins at first_seq"), []);
    let placed = writer.commit_at(5, vec![appending([message(here, 1, "b")])]).await;
    let placed = super::fixture::committed(&placed[0])[0];
    assert_eq!((placed.seq, placed.ordinal, placed.time), (7, 7, before.time));
    assert_eq!(seqs(&store.entries(here, &all).await.expect("kept")), [7]);
    assert_eq!(log(&store, direct(1, 3)).await, []);
}

/// A cursor that is moved over what was trimmed stands on the last trimmed entry, with exact counts.
pub async fn cursors_over_trimmed_entries_stay_exact(store: Arc<dyn Store>) {
    let (writer, here) = trimmed(&store).await;
    writer.done(writing([reads(here, 1, 0)])).await;
    assert_eq!(row(&store, here, 1).await.read, Cursor::default(), "0 is no move");
    writer.done(writing([reads(here, 1, 2)])).await;
    let read = row(&store, here, 1).await.read;
    assert_eq!(read, Cursor { seq: 3, ordinal: 3, own: 1 });
    assert_eq!(row(&store, here, 1).await.unread(&head(&store, here).await), 1);
    writer.done(writing([reads(here, 2, 5)])).await;
    assert_eq!(row(&store, here, 2).await.read, Cursor { seq: 5, ordinal: 5, own: 3 });
    writer.done(trim(here, 7)).await;
    writer.done(writing([enters(here, 3, Standing::Member, crate::store::SeqRef::At(1))])).await;
    assert_eq!(row(&store, here, 3).await.read, Cursor { seq: 6, ordinal: 6, own: 0 });
    writer.done(writing([reads(here, 1, 4)])).await;
    assert_eq!(row(&store, here, 1).await.read, Cursor { seq: 6, ordinal: 6, own: 3 });
}
