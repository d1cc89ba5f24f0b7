//! A replica takes its master's place; and very many topics come back.

use std::collections::BTreeSet;
use std::time::Duration;

use chat_bus::RedisBus;
use chat_core::bus::{Bus, BusState, Published};
use tokio::time::sleep;

use crate::fixture::{Heard, healthy, hear, options, reaches, settle, topic};
use crate::recovery::all_speak;
use crate::servers::{Cluster, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_of_a_killed_master_are_heard_at_the_replica_that_takes_its_place() {
    let mut cluster = Cluster::with_replicas();
    let (a, b) = tokio::join!(healthy(options(cluster.url(), "t")), healthy(options(cluster.url(), "t")));
    let topics: Vec<_> = (1..=300).map(topic).collect();
    b.subscribe(&topics).await.expect("the bus is there");
    settle(&b).await;

    cluster.masters[1].kill();
    let sound = |server: &Server| server.says("CLUSTER INFO", "cluster_state:ok");
    for bus in [&a, &b] {
        reaches(bus, BusState::Degraded).await;
    }
    for bus in [&a, &b] {
        reaches(bus, BusState::Healthy).await;
        let others = [&cluster.masters[0], &cluster.masters[2]];
        assert!(others.into_iter().any(sound), "healthy in a cluster that is failing");
    }
    let promoted = |server: &Server| server.says("INFO replication", "role:master");
    assert!(cluster.replicas.iter().any(promoted), "no replica took over");
    assert!(all_speak(&a, &b, 300).await, "subscriptions were made again without a word");
    reaches(&a, BusState::Healthy).await;
    reaches(&b, BusState::Healthy).await;
}

const MANY: u64 = 20_000;

/// After its subscriptions were killed, an endpoint hears on each of very many topics.
async fn many_come_back(url: &str, servers: &[Server]) {
    let (a, b) = tokio::join!(healthy(options(url, "t")), healthy(options(url, "t")));
    let topics: Vec<_> = (1..=MANY).map(topic).collect();
    b.subscribe(&topics).await.expect("the bus is there");
    settle(&b).await;
    let before = [a.counts().resubscribed, b.counts().resubscribed];
    for server in servers {
        assert!(server.command("CLIENT KILL TYPE pubsub").starts_with(':'));
    }
    while a.counts().resubscribed == before[0] || b.counts().resubscribed == before[1] {
        sleep(Duration::from_millis(5)).await;
    }
    reaches(&a, BusState::Healthy).await;
    reaches(&b, BusState::Healthy).await;
    assert_eq!(hear(&b).await, Heard::Lagged);
    each_is_heard(&a, &b).await;
}

async fn each_is_heard(a: &RedisBus, b: &RedisBus) {
    let mut missing: BTreeSet<_> = (1..=MANY).collect();
    let speak = async {
        for number in 1..=MANY {
            while a.publish(topic(number), crate::fixture::numbered(number)) == Published::Dropped {
                sleep(Duration::from_millis(1)).await;
            }
            if number.is_multiple_of(128) {
                tokio::task::yield_now().await;
            }
        }
    };
    let listen = async {
        while !missing.is_empty() {
            if let Heard::Number(number) = hear(b).await {
                missing.remove(&number);
            }
        }
    };
    tokio::join!(speak, listen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_topics_come_back() {
    let server = Server::start();
    many_come_back(&server.url(), std::slice::from_ref(&server)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_topics_of_a_cluster_come_back() {
    let cluster = Cluster::start();
    many_come_back(&cluster.url(), &cluster.masters).await;
}
