//! Something stands still while everything else goes on: the server, or somebody who holds a lock.

use std::error::Error;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use chat_core::store::{Store, StoreErrorKind};
use chat_store::mysql::MysqlOptions;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::time::{Instant, timeout};

use crate::faults::{check, load};
use crate::fixture::{batch, group, message, numbers, seqs};
use crate::server::{Server, address, connect, shared};

/// What this process has open to a port, as the kernel lists it: state 01 is an open connection.
fn open_connections(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/tcp").expect("the kernel lists them");
    let remote = format!("0100007F:{port:04X}");
    let is_open = |line: &&str| {
        let mut columns = line.split_whitespace().skip(2);
        columns.next() == Some(remote.as_str()) && columns.next() == Some("01")
    };
    table.lines().filter(is_open).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_server_is_said_within_the_deadline_and_loses_nothing() -> Result<(), Box<dyn Error>> {
    const FREEZE: Duration = Duration::from_secs(10);
    let server = Server::start().await;
    let options = MysqlOptions::default();
    let limit = options.writers + options.readers;
    let store = Arc::new(connect(&server.database().await).await);
    let stop = Arc::new(AtomicBool::new(false));
    let tasks = load(&store, &stop);
    while store.heads(&[group(1)]).await?[0].seq < 100 {
        tokio::task::yield_now().await;
    }
    server.freeze();
    let frozen = Instant::now();
    // The deadline of a call is 5 seconds; twice as long is never.
    let never = 2 * options.deadline;
    let commits = batch(90, 1, vec![message(90_000_000, group(1))]);
    while frozen.elapsed() < FREEZE {
        let committing = timeout(never, store.commit(&commits)).await.expect("it is told in time");
        let kind = committing.expect_err("the server is frozen").kind();
        assert!(matches!(kind, StoreErrorKind::Unavailable | StoreErrorKind::Ambiguous), "{kind:?}");
        let reading = timeout(never, store.heads(&[group(1)])).await.expect("it is told in time");
        assert_eq!(reading.expect_err("the server is frozen").kind(), StoreErrorKind::Unavailable);
        let open = open_connections(server.port());
        assert!(open <= limit, "{open} connections");
    }
    server.thaw();
    // Everybody goes on: what was in doubt is settled, and more is written.
    let patience = Instant::now() + Duration::from_secs(60);
    while let Err(error) = store.commit(&commits).await {
        assert!(Instant::now() < patience, "{error}");
    }
    let reached = store.heads(&[group(1)]).await?[0].seq;
    while store.heads(&[group(1)]).await?[0].seq < reached + 100 {
        assert!(Instant::now() < patience, "the others go on");
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Relaxed);
    check(&*store, tasks, [90_000_000]).await?;
    // The server has let go of those that were given up meanwhile.
    let mut admin = server.admin().await;
    let sessions = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'chat'";
    while admin.query_first::<usize, _>(sessions).await? > Some(limit) {
        assert!(Instant::now() < patience, "connections are left behind");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_head_holds_its_own_conversation_only() -> Result<(), Box<dyn Error>> {
    let server = shared().await;
    let database = server.make_database().await;
    let url = address(&database, server.port());
    let store = connect(&url).await;
    store.commit(&batch(1, 1, vec![message(1, group(1)), message(2, group(2))])).await?;
    // Not a session of a store, whose transactions the server would end.
    let mut holder = Conn::from_url(&url).await?;
    holder.query_drop("BEGIN").await?;
    let held = "SELECT seq FROM head WHERE conversation = ? FOR UPDATE";
    let seq: Option<u64> = holder.exec_first(held, (group(1).key().to_vec(),)).await?;
    assert_eq!(seq, Some(1));
    let waiting = batch(2, 1, vec![message(3, group(1))]);
    let mut committing = store.commit(&waiting);
    let mut admin = server.admin().await;
    let lock_waits = format!(
        "SELECT COUNT(*) FROM information_schema.innodb_trx
         JOIN information_schema.processlist ON id = trx_mysql_thread_id
         WHERE trx_state = 'LOCK WAIT' AND db = '{database}'"
    );
    let mut number = 0;
    // While one waits, others commit, in conversations old and new; readers see the held one.
    while number < 20 || admin.query_first::<u64, _>(&lock_waits).await? == Some(0) {
        let step = poll_fn(|context| Poll::Ready(committing.as_mut().poll(context)));
        assert!(step.await.is_pending(), "the head is held");
        number += 1;
        let items = vec![message(100 + 2 * number, group(2)), message(101 + 2 * number, group(2 + number))];
        store.commit(&batch(3, number, items)).await?;
        assert_eq!(store.heads(&[group(1)]).await?[0].seq, 1);
    }
    // Who waits for longer than its deadline is told; nothing of it is written.
    let error = committing.await.expect_err("the head is held");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    holder.query_drop("ROLLBACK").await?;
    assert_eq!(numbers(&store, group(1)).await?, [1]);
    assert_eq!(seqs(&store.commit(&waiting).await?), [2]);
    Ok(())
}
