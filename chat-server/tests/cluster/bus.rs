//! Redis that is away, restarted, emptied, or not there at all.

use std::slice;
use std::time::Duration;

use crate::load::Load;
use crate::server::Installation;
use crate::{LEASE, PINGS, mariadb, redis, settings};

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
