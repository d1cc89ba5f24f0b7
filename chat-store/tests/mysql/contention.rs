//! Several stores over one database.

use std::error::Error;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use chat_core::Timestamp;
use chat_core::store::{JournalPosition, Store};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::time::Instant;

use crate::fixture::{batch, group, message, numbers, seqs};
use crate::server::{connect, shared};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_on_one_hot_conversation_both_get_on_without_a_hole() -> Result<(), Box<dyn Error>> {
    const BATCHES: u64 = 50;
    const ITEMS: u64 = 20;
    let url = shared().await.database().await;
    let mut nodes = tokio::task::JoinSet::new();
    for node in 0..2 {
        let store = connect(&url).await;
        nodes.spawn(async move {
            for number in 1..=BATCHES {
                let first = node * 1_000_000 + number * ITEMS;
                // The hot one, and others in opposite orders.
                let place = |index: u64| match (index % 2, node) {
                    (0, _) => group(50),
                    (_, 0) => group(1 + index),
                    _ => group(1 + ITEMS - index),
                };
                let items = (0..ITEMS).map(|index| message(first + index, place(index))).collect();
                store.commit(&batch(node, number, items)).await.expect("both get on");
            }
        });
    }
    nodes.join_all().await;
    let store = connect(&url).await;
    assert_eq!(numbers(&store, group(50)).await?.len() as u64, BATCHES * ITEMS);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_is_frozen_inside_a_transaction_holds_the_others_for_less_than_two_seconds()
-> Result<(), Box<dyn Error>> {
    let url = shared().await.database().await;
    let (frozen, other) = (connect(&url).await, connect(&url).await);
    frozen.commit(&batch(1, 1, vec![message(1, group(1))])).await?;
    let next = batch(1, 2, vec![message(2, group(1))]);
    let mut frozen_commit = frozen.commit(&next);
    let mut probe = Conn::from_url(&url).await?;
    // It goes on by single steps until its lock is there, and then no further.
    while probe.query_drop("SELECT seq FROM head FOR UPDATE NOWAIT").await.is_ok() {
        let step = poll_fn(|context| Poll::Ready(frozen_commit.as_mut().poll(context)));
        assert!(step.await.is_pending(), "it is seen inside its transaction");
    }
    let started = Instant::now();
    assert_eq!(seqs(&other.commit(&batch(2, 1, vec![message(3, group(1))])).await?), [2]);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // When it thaws its transaction is gone; what it had to write is written after all.
    assert_eq!(seqs(&frozen_commit.await?), [3]);
    assert_eq!(numbers(&other, group(1)).await?, [1, 3, 2]);
    Ok(())
}

#[tokio::test]
async fn pruning_the_journal_takes_old_rows_only() -> Result<(), Box<dyn Error>> {
    let store = connect(&shared().await.database().await).await;
    for number in 1..=5 {
        store.commit(&batch(1, number, vec![message(number, group(number))])).await?;
    }
    assert_eq!(store.prune_journal(Timestamp(4), 2).await?, 2);
    assert_eq!(store.prune_journal(Timestamp(4), 2).await?, 1);
    assert_eq!(store.prune_journal(Timestamp(4), 2).await?, 0);
    let page = store.journal(&JournalPosition::default(), 10).await?;
    assert_eq!(page.moved, [(group(4), 1), (group(5), 1)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_batches_than_writers_wait_for_their_turn() -> Result<(), Box<dyn Error>> {
    let store = Arc::new(connect(&shared().await.database().await).await);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..32 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let items = vec![message(task, group(1 + task))];
            seqs(&store.commit(&batch(task, 1, items)).await.expect("its turn comes"))
        });
    }
    assert!(tasks.join_all().await.iter().all(|seqs| *seqs == [1]));
    Ok(())
}
