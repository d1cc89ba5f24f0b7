//! Pages of the log and of history.

use std::sync::Arc;

use super::fixture::{EVERYTHING, Writer, appending, group, message, notice, reaction, seqs};
use crate::store::Store;
use crate::{ConversationId, Direction, Entry, History, Range, Seq};

const IN_ORDER: &str = "the store is in order";
const BOTH: [Direction; 2] = [Direction::Forward, Direction::Backward];

/// Reads a range page by page and returns the seqs in log order.
async fn walk(store: &Arc<dyn Store>, of: ConversationId, whole: Range) -> Vec<Seq> {
    let (mut range, mut found) = (whole, Vec::new());
    while range.from <= range.to {
        let page = store.entries(of, &range).await.expect(IN_ORDER);
        assert!(page.len() <= range.limit);
        let (Some(first), Some(last)) = (page.first(), page.last()) else { break };
        match range.direction {
            Direction::Forward => {
                range.from = last.seq + 1;
                found.extend(seqs(&page));
            }
            Direction::Backward => {
                range.to = first.seq - 1;
                found.splice(0..0, seqs(&page));
            }
        }
    }
    found
}

/// **pages are gapless** from where they start, oldest first in both directions.
pub async fn pages_are_gapless_in_both_directions(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), group(1));
    let entries = (0..20).map(|n| if n % 3 == 0 { notice(here, 1, "n") } else { message(here, 1, "m") });
    writer.done(appending(entries)).await;
    writer.done(appending([message(group(2), 1, "other")])).await;
    for direction in BOTH {
        for limit in [1, 3, 7, 20, 50] {
            for (from, to) in [(1, 20), (0, Seq::MAX), (5, 17), (9, 9)] {
                let range = Range { from, to, direction, limit, ..EVERYTHING };
                let expected: Vec<_> = (from.max(1)..=to.min(20)).collect();
                assert_eq!(walk(&store, here, range).await, expected, "{range:?}");
            }
        }
    }
    let range = |direction| Range { from: 5, to: 17, direction, limit: 3, ..EVERYTHING };
    let page = store.entries(here, &range(Direction::Forward)).await.expect(IN_ORDER);
    assert_eq!(seqs(&page), [5, 6, 7]);
    let page = store.entries(here, &range(Direction::Backward)).await.expect(IN_ORDER);
    assert_eq!(seqs(&page), [15, 16, 17]);
}

/// A page ends early rather than exceed its bytes, **but is never empty** while there is something.
pub async fn pages_keep_to_their_bytes_but_are_never_empty(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), group(1));
    let text = "x".repeat(1_000);
    writer.done(appending((0..10).map(|_| message(here, 1, &text)))).await;
    let size = |entries: &[Entry]| entries.iter().map(Entry::size_bytes).sum::<usize>();
    for direction in BOTH {
        let limited = |limit_bytes| Range { direction, limit_bytes, ..EVERYTHING };
        for tiny in [0, 1, 1_000] {
            assert_eq!(store.entries(here, &limited(tiny)).await.expect(IN_ORDER).len(), 1);
            assert_eq!(store.history(here, &limited(tiny)).await.expect(IN_ORDER).entries.len(), 1);
        }
        let page = store.entries(here, &limited(3_500)).await.expect(IN_ORDER);
        assert_eq!(page.len(), 3);
        assert!(size(&page) <= 3_500);
        let history = store.history(here, &limited(3_500)).await.expect(IN_ORDER);
        assert_eq!(history.entries, page);
        assert!(history.more);
        assert_eq!(walk(&store, here, limited(2_500)).await, (1..=10).collect::<Vec<_>>());
        let none = Range { limit: 0, ..limited(1 << 20) };
        assert_eq!(store.entries(here, &none).await.expect(IN_ORDER).len(), 1, "at least one entry");
    }
}

/// A page ends where an entry does not fit, though a smaller one behind it would.
pub async fn pages_are_gapless_at_their_byte_limit(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), group(1));
    let sizes = [10, 2_000, 10, 10, 2_000, 10, 3_000, 10, 10];
    writer.done(appending(sizes.map(|size| message(here, 1, &"x".repeat(size))))).await;
    for direction in BOTH {
        for limit_bytes in [200, 1_000, 2_200, 2_500, 4_500] {
            let range = Range { direction, limit_bytes, ..EVERYTHING };
            assert_eq!(walk(&store, here, range).await, (1..=9).collect::<Vec<_>>(), "{range:?}");
            let page = store.entries(here, &range).await.expect(IN_ORDER);
            let history = store.history(here, &range).await.expect(IN_ORDER);
            assert_eq!(history.entries, page, "{range:?}");
            let expected: Vec<_> = match direction {
                Direction::Forward => (1..=page.len() as u64).collect(),
                Direction::Backward => (10 - page.len() as u64..=9).collect(),
            };
            assert_eq!(seqs(&page), expected, "{range:?}");
        }
    }
}

/// 1 to 12: messages at 2, 3, 6, 7, 10, 11, each followed from afar by what refers to it.
async fn mixed(store: &Arc<dyn Store>) -> ConversationId {
    let (writer, here) = (Writer::new(store, 1), group(1));
    let entries = [
        notice(here, 1, "1"),
        message(here, 1, "2"),
        message(here, 2, "3"),
        reaction(here, 2, 2),
        notice(here, 1, "5"),
        message(here, 1, "6"),
        crate::store::Append { target: Some(2), ..message(here, 1, "7: an answer to 2") },
        reaction(here, 1, 7),
        reaction(here, 1, 2),
        message(here, 1, "10"),
        message(here, 1, "11"),
        reaction(here, 2, 11),
    ];
    writer.done(appending(entries)).await;
    writer.done(appending([message(group(2), 1, "other"), reaction(group(2), 1, 2)])).await;
    here
}

/// A page of history has `limit` countable entries, whatever stands between them.
pub async fn history_pages_by_countable_entries_in_both_directions(store: Arc<dyn Store>) {
    let here = mixed(&store).await;
    let page = |direction, from, to, limit| {
        let (store, range) = (Arc::clone(&store), Range { from, to, direction, limit, ..EVERYTHING });
        async move { seqs(&store.history(here, &range).await.expect(IN_ORDER).entries) }
    };
    assert_eq!(page(Direction::Backward, 1, Seq::MAX, 2).await, [10, 11]);
    assert_eq!(page(Direction::Backward, 1, 9, 3).await, [3, 6, 7]);
    assert_eq!(page(Direction::Backward, 3, 9, 10).await, [3, 6, 7]);
    assert_eq!(page(Direction::Forward, 1, Seq::MAX, 2).await, [2, 3]);
    assert_eq!(page(Direction::Forward, 4, 10, 10).await, [6, 7, 10]);
    assert_eq!(page(Direction::Forward, 8, 9, 10).await, []);
}

/// What refers to an entry of the page comes with it, from beyond the page and the range too;
/// countable entries stand for themselves.
pub async fn history_folds_in_what_refers_to_the_page(store: Arc<dyn Store>) {
    let here = mixed(&store).await;
    for direction in BOTH {
        let first = Range { from: 1, to: 3, direction, ..EVERYTHING };
        let history = store.history(here, &first).await.expect(IN_ORDER);
        assert_eq!(seqs(&history.entries), [2, 3]);
        assert_eq!(seqs(&history.referring), [4, 9]);
        assert!(history.referring.iter().all(|entry| entry.target == Some(2) && !entry.countable));
        let all = store.history(here, &Range { direction, ..EVERYTHING }).await.expect(IN_ORDER);
        assert_eq!(seqs(&all.entries), [2, 3, 6, 7, 10, 11]);
        assert_eq!(seqs(&all.referring), [4, 8, 9, 12]);
    }
    let last = Range { limit: 2, direction: Direction::Backward, ..EVERYTHING };
    let history = store.history(here, &last).await.expect(IN_ORDER);
    assert_eq!(seqs(&history.referring), [12]);
}

/// `more` speaks of countable entries in the range, in the page's direction.
pub async fn history_says_whether_there_is_more(store: Arc<dyn Store>) {
    let here = mixed(&store).await;
    let cases = [
        (Direction::Forward, 1, Seq::MAX, 5, true),
        (Direction::Forward, 1, Seq::MAX, 6, false),
        (Direction::Forward, 1, 10, 4, true),
        (Direction::Forward, 1, 9, 4, false),
        (Direction::Forward, 11, 12, 1, false),
        (Direction::Forward, 12, 12, 1, false),
        (Direction::Backward, 1, Seq::MAX, 5, true),
        (Direction::Backward, 1, Seq::MAX, 6, false),
        (Direction::Backward, 0, 3, 1, true),
        (Direction::Backward, 3, 9, 3, false),
        (Direction::Backward, 4, 9, 2, false),
        (Direction::Backward, 1, 2, 1, false),
    ];
    for (direction, from, to, limit, more) in cases {
        let range = Range { from, to, direction, limit, ..EVERYTHING };
        assert_eq!(store.history(here, &range).await.expect(IN_ORDER).more, more, "{range:?}");
    }
}

/// A page stays bounded: of too many entries that refer to it, the newest come.
pub async fn history_keeps_the_newest_of_too_many_referring_entries(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), group(1));
    writer.done(appending([message(here, 1, "1"), message(here, 1, "2"), reaction(here, 1, 2)])).await;
    writer.done(appending((0..History::REFERRING_LIMIT).map(|_| reaction(here, 2, 1)))).await;
    let history = store.history(here, &EVERYTHING).await.expect(IN_ORDER);
    let newest: Vec<_> = (4..4 + History::REFERRING_LIMIT as u64).collect();
    assert_eq!(seqs(&history.referring), newest);
}

/// A range without a seq, or beyond the head, has nothing in it.
pub async fn empty_ranges_give_empty_pages(store: Arc<dyn Store>) {
    let here = mixed(&store).await;
    for direction in BOTH {
        for (from, to) in [(5, 4), (1, 0), (Seq::MAX, 0), (13, 20), (Seq::MAX, Seq::MAX)] {
            let range = Range { from, to, direction, ..EVERYTHING };
            assert_eq!(store.entries(here, &range).await.expect(IN_ORDER), [], "{range:?}");
            assert_eq!(store.history(here, &range).await.expect(IN_ORDER), History::default(), "{range:?}");
        }
    }
}
