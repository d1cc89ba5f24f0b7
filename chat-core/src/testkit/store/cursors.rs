//! Read cursors, delivered positions, and the unread counts that follow from them.

use std::sync::Arc;

use super::fixture::{
    Writer, appending, direct, enters, group, head, log, member, message, notice, reads, row, user, writing,
};
use crate::store::{SeqRef, Store, Write};
use crate::{ConversationId, Cursor, Entry, Member, Seq, Standing};

fn delivered(conversation: ConversationId, who: u64, to: Seq) -> Write {
    Write::Delivered { conversation, user: user(who), to: SeqRef::At(to) }
}

/// **cursors only move forward**, and never past the head; delivered positions alike.
pub async fn cursors_only_move_forward_and_never_past_the_head(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    writer.done(appending((0..5).map(|_| message(here, 1, "a")))).await;
    for (to, stands) in [(2, 2), (1, 2), (0, 2), (2, 2), (4, 4), (Seq::MAX, 5), (3, 5)] {
        writer.done(writing([reads(here, 1, to), delivered(here, 1, to)])).await;
        let found = row(&store, here, 1).await;
        assert_eq!((found.read.seq, found.delivered), (stands, stands), "moved to {to}");
        assert_eq!((found.read.ordinal, found.read.own), (stands, stands), "moved to {to}");
    }
    writer.done(appending([message(here, 2, "b")])).await;
    assert_eq!(row(&store, here, 1).await.read.seq, 5, "what was past the head is not remembered");
}

/// Without a row there is no cursor, and reading makes none.
pub async fn cursors_of_those_without_a_row_do_not_move(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    writer.done(writing([reads(here, 2, 1), delivered(here, 2, 1)])).await;
    writer.done(appending([message(here, 1, "a")])).await;
    writer.done(writing([reads(here, 2, 1), delivered(here, 2, 1)])).await;
    assert_eq!(member(&store, here, 2).await, None);
}

/// A cursor holds what was counted up to its entry, wherever in the log that is.
pub async fn cursors_hold_ordinal_and_own_of_the_entry_they_stand_on(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), group(1));
    let entries = [
        message(here, 1, "1"),
        notice(here, 1, "2"),
        message(here, 2, "3"),
        message(here, 1, "4"),
        message(here, 2, "5"),
        notice(here, 2, "6"),
        message(here, 1, "7"),
        message(here, 2, "8"),
    ];
    writer.done(appending(entries)).await;
    let expected = [(1, 1, 1), (2, 1, 1), (3, 2, 1), (4, 3, 2), (5, 4, 2), (6, 4, 2), (7, 5, 3), (8, 6, 3)];
    for (seq, ordinal, own) in expected {
        writer.done(writing([reads(here, 1, seq)])).await;
        assert_eq!(row(&store, here, 1).await.read, Cursor { seq, ordinal, own });
    }
    let (first, last) = (enters(here, 3, Standing::Member, SeqRef::At(5)), reads(here, 2, 4));
    writer.done(writing([first, last])).await;
    assert_eq!(row(&store, here, 3).await.read, Cursor { seq: 5, ordinal: 4, own: 0 });
    assert_eq!(row(&store, here, 2).await.read, Cursor { seq: 4, ordinal: 3, own: 1 });
}

/// A text that was queued offline must not mark as read what was never seen.
pub async fn sending_moves_no_cursor(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    writer.done(appending([message(here, 2, "a"), message(here, 1, "b"), message(here, 1, "c")])).await;
    let sender = row(&store, here, 1).await;
    assert_eq!((sender.read, sender.delivered), (Cursor::default(), 0));
    assert_eq!(sender.unread(&head(&store, here).await), 1);
}

/// Numbers that differ with every seed and are the same for one (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Unread is what a count of the log gives: countable entries of others after the cursor.
pub async fn unread_equals_a_recount_after_random_operations(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    for seed in 1..=4 {
        let here = group(seed);
        let mut numbers = Numbers(seed);
        for _ in 0..40 {
            let items = (0..numbers.below(6)).map(|_| {
                let who = 1 + numbers.below(3);
                match numbers.below(10) {
                    0..5 => appending([message(here, who, "a")]),
                    5 => appending([notice(here, who, "n"), message(here, who, "b")]),
                    6 => writing([enters(here, who, Standing::Member, SeqRef::At(numbers.below(30)))]),
                    _ => writing([reads(here, who, numbers.below(60))]),
                }
            });
            writer.commit(items.collect()).await;
        }
        let (entries, now) = (log(&store, here).await, head(&store, here).await);
        for who in 1..=3 {
            let found = row(&store, here, who).await;
            assert_eq!(found.unread(&now), recount(&entries, &found), "seed {seed}, user {who}");
            let own_until = |entry: &&Entry| entry.countable && entry.sender == found.user;
            assert_eq!(found.own, entries.iter().filter(own_until).count() as u64, "seed {seed}");
        }
    }
}

fn recount(entries: &[Entry], of: &Member) -> u64 {
    let unread = |entry: &&Entry| entry.seq > of.read.seq && entry.countable && entry.sender != of.user;
    entries.iter().filter(unread).count() as u64
}
