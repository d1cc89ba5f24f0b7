//! Redis that is away, restarted, emptied, or not there at all.

use std::slice;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::connection::Connection;
use crate::load::Load;
use crate::requests::{direct, said, text};
use crate::server::{Installation, LOOK, in_time};
use crate::{LACKING, LEASE, PINGS, RARELY, mariadb, redis, settings};

/// What carries events: one server, or the masters of a cluster.
struct Redis {
    url: String,
    servers: Vec<redis::Server>,
    /// For how long nodes may be silent while others are heard.
    lease: Duration,
    further: &'static [(&'static str, &'static str)],
}

/// Nodes find a cluster again one after the other, seconds apart: who is back hears nothing of the others
/// until then, and must not take them for dead.
const PATIENT: Duration = Duration::from_secs(10);

impl Redis {
    fn single() -> Self {
        let server = redis::Server::start();
        Self { url: server.url(), servers: vec![server], lease: LEASE, further: &[PINGS] }
    }

    fn cluster() -> Self {
        let cluster = redis::Cluster::start();
        let further = &[PINGS, ("CHAT_PRESENCE_LEASE_MS", "10000")];
        Self { url: cluster.url(), servers: cluster.masters, lease: PATIENT, further }
    }

    /// Starts so many again that were killed, and waits until all of them serve.
    async fn restart(&mut self, killed: usize) {
        self.servers[..killed].iter_mut().for_each(redis::Server::restart);
        let down = |server: &redis::Server| server.says("CLUSTER INFO", "cluster_state:fail");
        in_time("Redis serves", async {
            while self.servers.iter().any(down) {
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
    }
}

/// So many of the servers are killed in each round. Where one of a cluster is missing, it serves nobody.
async fn redis_dies_and_comes_back(mut redis: Redis, rounds: [usize; 2]) {
    let database = mariadb::shared().await.database().await;
    let installation = Installation::cluster(&database, Some(&redis.url), &settings(redis.further));
    let server = installation.start();
    let load = Load::start(slice::from_ref(&server.address)).await;
    for killed in rounds {
        redis.servers[..killed].iter_mut().for_each(redis::Server::kill);
        load.goes_on().await;
        // Longer than nodes may be silent.
        tokio::time::sleep(redis.lease + LEASE).await;
        load.goes_on().await;
        redis.restart(killed).await;
        load.goes_on().await;
    }
    // The lease counts again when own messages come back.
    tokio::time::sleep(redis.lease + LEASE).await;
    let report = load.finish().await;
    report.assert_on_time();
    report.assert_no_flicker();
    assert!(report.times_away.iter().all(|times| *times == 0), "connections go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_dies_and_comes_back_and_nobody_misses_anything_or_is_seen_to_go() {
    redis_dies_and_comes_back(Redis::single(), [1, 1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_cluster_dies_and_comes_back_and_nobody_misses_anything_or_is_seen_to_go() {
    redis_dies_and_comes_back(Redis::cluster(), [3, 1]).await;
}

async fn redis_is_emptied(redis: Redis) {
    let database = mariadb::shared().await.database().await;
    let installation = Installation::cluster(&database, Some(&redis.url), &settings(redis.further));
    let server = installation.start();
    let load = Load::start(slice::from_ref(&server.address)).await;
    for _ in 0..6 {
        for server in &redis.servers {
            assert!(server.command("FLUSHALL").starts_with("+OK"));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        load.goes_on().await;
    }
    let report = load.finish().await;
    report.assert_on_time();
    report.assert_no_flicker();
    assert!(report.times_away.iter().all(|times| *times == 0), "connections go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_emptied_every_second_and_nobody_notices() {
    redis_is_emptied(Redis::single()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_cluster_is_emptied_every_second_and_nobody_notices() {
    redis_is_emptied(Redis::cluster()).await;
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
