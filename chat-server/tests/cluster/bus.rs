//! Redis that is away, restarted, emptied, or not there at all.

use std::slice;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::connection::Connection;
use crate::load::Load;
use crate::requests::{direct, said, text};
use crate::server::Installation;
use crate::{LACKING, LEASE, PINGS, RARELY, mariadb, redis, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_dies_and_comes_back_and_nobody_misses_anything_or_is_seen_to_go() {
    let database = mariadb::shared().await.database().await;
    let mut redis = redis::Server::start();
    let installation = Installation::cluster(&database, Some(&redis.url()), &settings(&[PINGS]));
    let server = installation.start();
    let load = Load::start(slice::from_ref(&server.address)).await;
    for _ in 0..2 {
        redis.kill();
        load.goes_on().await;
        // Longer than nodes may be silent.
        tokio::time::sleep(2 * LEASE).await;
        load.goes_on().await;
        redis.restart();
        load.goes_on().await;
    }
    // The lease counts again when own messages come back.
    tokio::time::sleep(2 * LEASE).await;
    let report = load.finish().await;
    report.assert_on_time();
    report.assert_no_flicker();
    assert!(report.times_away.iter().all(|times| *times == 0), "connections go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_emptied_every_second_and_nobody_notices() {
    let database = mariadb::shared().await.database().await;
    let redis = redis::Server::start();
    let installation = Installation::cluster(&database, Some(&redis.url()), &settings(&[PINGS]));
    let server = installation.start();
    let load = Load::start(slice::from_ref(&server.address)).await;
    for _ in 0..6 {
        assert!(redis.command("FLUSHALL").starts_with("+OK"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        load.goes_on().await;
    }
    let report = load.finish().await;
    report.assert_on_time();
    report.assert_no_flicker();
    assert!(report.times_away.iter().all(|times| *times == 0), "connections go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_bus_the_journal_brings_everything_in_time() {
    let database = mariadb::shared().await.database().await;
    let installation = Installation::cluster(&database, None, &settings(&[PINGS]));
    let server = installation.start();
    let load = Load::start(slice::from_ref(&server.address)).await;
    for _ in 0..5 {
        load.goes_on().await;
    }
    load.finish().await.assert_on_time();
}

/// By then nodes have found Redis again (they look every two seconds at most), have subscribed and read
/// what they were not told, on a machine that is busy with other things.
const BACK: Duration = Duration::from_secs(2 + 13);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lacks_something_has_it_when_redis_is_back_though_nobody_sends_any_more() {
    let database = mariadb::shared().await.database().await;
    let mut redis = redis::Server::start();
    let installation = Installation::cluster(&database, Some(&redis.url()), &settings(&[RARELY]));
    let _server = installation.start();
    let nodes = installation.addresses();
    let (mut ada, ada_in) = Connection::join(&nodes[0], "ada").await;
    let (mut bob, bob_in) = Connection::join(&nodes[1], "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    for round in 1..=3 {
        redis.kill();
        // Nodes may not know yet that it is gone: what they publish now is lost all the same.
        let words = format!("in round {round}");
        ada.ask(text(round, conversation, words.clone())).await.expect("stored");
        let lacking = timeout(LACKING, bob.entries(conversation, 1)).await;
        assert!(lacking.is_err(), "nothing brings it without Redis: {lacking:?}");
        redis.restart();
        let back = Instant::now();
        assert_eq!(said(&bob.entries(conversation, 1).await[0]), words);
        let late = back.elapsed();
        println!("{late:?} after Redis was back");
        assert!(late < BACK, "{late:?} after Redis was back");
    }
}
