//! What a server can do to a batch: die, end the connection, refuse to write.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chat_core::store::{Store, StoreErrorKind};
use mysql_async::prelude::Queryable;

use crate::fixture::{batch, group, message, numbers, seqs};
use crate::server::{Server, connect};

/// Commits batches until told to stop, each until it is settled. Returns what was acknowledged.
pub(crate) fn load(store: &Arc<impl Store>, stop: &Arc<AtomicBool>) -> tokio::task::JoinSet<BTreeSet<u64>> {
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4 {
        let (store, stop) = (Arc::clone(store), Arc::clone(stop));
        tasks.spawn(async move {
            let mut acknowledged = BTreeSet::new();
            for number in 1.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let commands: Vec<u64> = (0..10).map(|n| task * 1_000_000 + number * 10 + n).collect();
                let items = commands.iter().map(|command| message(*command, group(1 + command % 3)));
                let batch = batch(task, number, items.collect());
                loop {
                    match store.commit(&batch).await {
                        Ok(outcomes) => {
                            seqs(&outcomes);
                            acknowledged.extend(commands);
                            break;
                        }
                        Err(error) => assert!(
                            matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::Ambiguous),
                            "{error}: {:?}",
                            std::error::Error::source(&error).map(ToString::to_string)
                        ),
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            acknowledged
        });
    }
    tasks
}

/// Waits for the load, and compares what is there with what was acknowledged to it and to others.
pub(crate) async fn check(
    store: &impl Store,
    tasks: tokio::task::JoinSet<BTreeSet<u64>>,
    others: impl IntoIterator<Item = u64>,
) -> Result<(), Box<dyn Error>> {
    let mut acknowledged: BTreeSet<u64> = tasks.join_all().await.into_iter().flatten().collect();
    assert!(!acknowledged.is_empty());
    acknowledged.extend(others);
    let mut found = BTreeSet::new();
    for place in 1..=3 {
        for number in numbers(store, group(place)).await? {
            assert!(found.insert(number), "message {number} is there once");
        }
    }
    // Every batch was settled, so that there is nothing beside them.
    assert_eq!(found, acknowledged);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_entries_survive_kill_9_of_the_server() -> Result<(), Box<dyn Error>> {
    let mut server = Server::start().await;
    let store = Arc::new(connect(&server.database().await).await);
    let stop = Arc::new(AtomicBool::new(false));
    let tasks = load(&store, &stop);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        server.kill_and_restart().await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    check(&*store, tasks, []).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_whose_connections_are_killed_are_settled_by_running_them_again() -> Result<(), Box<dyn Error>>
{
    settled_although_killed("CONNECTION").await
}

/// In the middle of a statement or between two of a packet, before its commit or within it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_whose_statements_are_killed_are_settled_by_running_them_again() -> Result<(), Box<dyn Error>>
{
    settled_although_killed("QUERY").await
}

/// Kills something of all sessions again and again under a load.
async fn settled_although_killed(what: &str) -> Result<(), Box<dyn Error>> {
    let server = Server::start().await;
    let store = Arc::new(connect(&server.database().await).await);
    let stop = Arc::new(AtomicBool::new(false));
    let tasks = load(&store, &stop);
    let mut admin = server.admin().await;
    let mut killed = 0;
    for _ in 0..200 {
        let sessions = "SELECT id FROM information_schema.processlist WHERE user = 'chat'";
        let sessions: Vec<u64> = admin.query(sessions).await?;
        for session in sessions {
            // It may have ended meanwhile.
            killed += u64::from(admin.query_drop(format!("KILL {what} {session}")).await.is_ok());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(killed > 100, "{killed}");
    stop.store(true, Ordering::Relaxed);
    check(&*store, tasks, []).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_only_reads_says_so_and_the_store_goes_on_when_it_writes_again()
-> Result<(), Box<dyn Error>> {
    let server = Server::start().await;
    let store = connect(&server.database().await).await;
    store.commit(&batch(1, 1, vec![message(1, group(1))])).await?;
    let mut admin = server.admin().await;
    admin.query_drop("SET GLOBAL read_only = 1").await?;
    for place in [group(1), group(2)] {
        let refused = store.commit(&batch(1, 2, vec![message(2, place)])).await;
        assert_eq!(refused.expect_err("it only reads").kind(), StoreErrorKind::ReadOnly);
    }
    assert_eq!(store.probe().await.expect_err("it only reads").kind(), StoreErrorKind::ReadOnly);
    assert_eq!(numbers(&store, group(1)).await?, [1]);
    admin.query_drop("SET GLOBAL read_only = 0").await?;
    store.probe().await?;
    assert_eq!(seqs(&store.commit(&batch(1, 2, vec![message(2, group(1))])).await?), [2]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_is_away_is_unavailable_within_the_deadline() -> Result<(), Box<dyn Error>> {
    let server = Server::start().await;
    let store = connect(&server.database().await).await;
    store.commit(&batch(1, 1, vec![message(1, group(1))])).await?;
    drop(server);
    let refused = store.commit(&batch(1, 2, vec![message(2, group(1))])).await;
    assert_eq!(refused.expect_err("it is away").kind(), StoreErrorKind::Unavailable);
    let refused = store.heads(&[group(1)]).await;
    assert_eq!(refused.expect_err("it is away").kind(), StoreErrorKind::Unavailable);
    assert_eq!(store.probe().await.expect_err("it is away").kind(), StoreErrorKind::Unavailable);
    Ok(())
}
