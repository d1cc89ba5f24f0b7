//! Users who are moved from node to node.

use std::slice;

use crate::load::Load;
use crate::server::{Installation, Kind};
use crate::{PINGS, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_whom_the_balancer_moves_keep_chatting() {
    let installation = Installation::with(Kind::Cluster, &settings(&[PINGS])).await;
    let server = installation.start();
    let load = Load::start(slice::from_ref(&server.address)).await;
    installation.balancer().reload(&installation.addresses()[1..]);
    load.goes_on().await;
    installation.balancer().reload(&installation.addresses()[..1]);
    load.goes_on().await;
    installation.balancer().reload(installation.addresses());
    load.goes_on().await;
    let report = load.finish().await;
    report.assert_on_time();
    report.assert_no_flicker();
    assert!(report.times_away.iter().all(|times| *times > 0), "everybody was moved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_in_order_hands_its_users_over() {
    let installation = Installation::with(Kind::Cluster, &settings(&[PINGS])).await;
    let mut server = installation.start();
    let load = Load::start(slice::from_ref(&server.address)).await;
    server.nodes[0].signal("TERM");
    assert!(server.nodes[0].ended().await.success());
    load.goes_on().await;
    let report = load.finish().await;
    report.assert_on_time();
    report.assert_no_flicker();
    // The balancer gives each node the next client.
    let moved: Vec<_> = report.times_away.iter().map(|times| *times > 0).collect();
    assert_eq!(moved, [true, false, false, true, false, false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_restarted_one_after_another_under_load() {
    let installation = Installation::with(Kind::Cluster, &settings(&[PINGS])).await;
    let mut server = installation.start();
    let load = Load::start(slice::from_ref(&server.address)).await;
    for node in 0..server.nodes.len() {
        server.nodes[node].signal("TERM");
        assert!(server.nodes[node].ended().await.success());
        load.goes_on().await;
        server.nodes[node] = installation.start_node(node);
        load.goes_on().await;
    }
    let report = load.finish().await;
    report.assert_on_time();
    report.assert_no_flicker();
    assert!(report.times_away.iter().all(|times| *times > 0), "everybody was moved");
}
