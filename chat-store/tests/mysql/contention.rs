//! Several stores over one database.

use std::error::Error;
use std::sync::Arc;

use chat_core::store::Store;

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
