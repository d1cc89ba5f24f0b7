//! Nodes that die.

use std::slice;
use std::time::{Duration, Instant};

use crate::LEASE;
use crate::connection::Connection;
use crate::link::{Link, Way};
use crate::load::Load;
use crate::requests::{direct, said, text};
use crate::server::{Installation, Kind};
use crate::{mariadb, redis, settings};

/// What a busy machine may add to a bound.
const MARGIN: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_loses_nothing_and_only_its_users_are_seen_to_go() {
    let installation = Installation::with(Kind::Cluster, &settings(&[])).await;
    let mut server = installation.start();
    let load = Load::start(slice::from_ref(&server.address)).await;
    // Carol does not come back by herself.
    let (_carol, carol_in) = Connection::join(&installation.addresses()[0], "carol").await;
    let carol = carol_in.session.user;
    for one in &load.people {
        one.befriend(carol).await;
        one.saw(carol, true).await;
    }
    for round in 0..2 {
        let killed = Instant::now();
        server.nodes[0].kill();
        load.goes_on().await;
        if round == 0 {
            for one in &load.people {
                let seen = one.saw(carol, false).await - killed;
                println!("a killed node's user was seen to go after {seen:?}");
                assert!(seen < LEASE + Duration::from_secs(1) + MARGIN, "after {seen:?}");
            }
        }
        server.nodes[0] = installation.start_node(0);
        load.goes_on().await;
        // Some are on it again when it is killed once more.
        installation.balancer().reload(installation.addresses());
        load.goes_on().await;
    }
    let report = load.finish().await;
    report.assert_on_time();
    report.assert_no_flicker();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_committed_and_could_not_publish_before_it_died_arrives() {
    let database = mariadb::shared().await.database().await;
    let redis = redis::shared_server();
    for round in 0..3 {
        let link = Link::to(redis.port).await;
        let variables = settings(&[]);
        let database = if round == 0 { database.clone() } else { mariadb::shared().await.database().await };
        let mut installation = Installation::cluster(&database, Some(&redis.url()), &variables);
        installation.set_bus_of(0, &format!("redis://{}", link.address()));
        let mut server = installation.start();
        let (mut ada, ada_in) = Connection::join(&installation.addresses()[0], "ada").await;
        let (mut bob, bob_in) = Connection::join(&installation.addresses()[1], "bob").await;
        let conversation = direct(ada_in.session, bob_in.session);
        ada.ask(text(1, conversation, "by the bus")).await.expect("stored");
        assert_eq!(said(&bob.entries(conversation, 1).await[0]), "by the bus");
        // Nothing is published any more, and the node does not know.
        link.set(Way::Silent);
        ada.ask(text(2, conversation, "by the journal")).await.expect("stored");
        let acknowledged = Instant::now();
        server.nodes[0].kill();
        assert_eq!(said(&bob.entries(conversation, 1).await[0]), "by the journal");
        let late = acknowledged.elapsed();
        println!("after {late:?}");
        assert!(late < Duration::from_secs(2) + MARGIN, "after {late:?}");
    }
}
