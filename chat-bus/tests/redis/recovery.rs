//! What happens when Redis, or the way to it, fails and returns.

use std::collections::BTreeSet;
use std::time::Duration;

use chat_bus::RedisBus;
use chat_core::bus::{Bus, BusState, BusUnavailable, Published};
use tokio::time::{Instant, timeout};

use crate::fixture::{Heard, PATIENCE, healthy, hear, namespace, numbered, options, reaches, settle, topic};
use crate::servers::{Cluster, Server, shared_cluster, shared_server, signal};

/// After a disturbance: publishes until something arrives, which has to come after a word of loss.
async fn returns(from: &RedisBus, to: &RedisBus, number: u64) {
    let mut lagged = false;
    reaches(from, BusState::Healthy).await;
    reaches(to, BusState::Healthy).await;
    assert_eq!(from.publish(topic(number), numbered(number)), Published::Taken);
    loop {
        match hear(to).await {
            Heard::Lagged => lagged = true,
            Heard::Number(heard) if heard == number => break,
            Heard::Number(_) => {}
        }
    }
    assert!(lagged, "subscriptions were made again without a word");
}

/// Publishes to topics up to this one until each has been heard; says whether a loss was told.
pub(crate) async fn all_speak(from: &RedisBus, to: &RedisBus, topics: u64) -> bool {
    let mut told = false;
    let mut missing: BTreeSet<_> = (1..=topics).collect();
    let deadline = Instant::now() + PATIENCE;
    while !missing.is_empty() {
        assert!(Instant::now() < deadline, "{} topics stay silent", missing.len());
        for number in &missing {
            let _ = from.publish(topic(*number), numbered(*number));
        }
        let arrive = async {
            while !missing.is_empty() {
                match hear(to).await {
                    Heard::Lagged => told = true,
                    Heard::Number(number) => drop(missing.remove(&number)),
                }
            }
        };
        let _ = timeout(Duration::from_millis(300), arrive).await;
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_degraded_and_all_subscriptions_are_back_when_it_returns() {
    let mut server = Server::start();
    let (a, b) = (healthy(options(server.url(), "t")).await, healthy(options(server.url(), "t")).await);
    let topics: Vec<_> = (1..=3_000).map(topic).collect();
    b.subscribe(&topics).await.expect("the bus is there");
    settle(&b).await;

    server.kill();
    reaches(&a, BusState::Degraded).await;
    reaches(&b, BusState::Degraded).await;
    assert_eq!(a.publish(topic(1), numbered(1)), Published::Dropped);
    assert_eq!(b.subscribe(&[topic(5_000)]).await, Err(BusUnavailable));
    b.unsubscribe(&[topic(2_999)]);

    server.restart();
    for number in [1, 1_500, 3_000, 5_000] {
        reaches(&a, BusState::Healthy).await;
        reaches(&b, BusState::Healthy).await;
        if number == 1 {
            returns(&a, &b, number).await;
        } else {
            assert_eq!(a.publish(topic(2_999), numbered(2_999)), Published::Taken);
            assert_eq!(a.publish(topic(number), numbered(number)), Published::Taken);
            while hear(&b).await != Heard::Number(number) {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_unproven_without_redis_and_joins_when_it_comes() {
    let mut server = Server::start();
    server.kill();
    let bus = RedisBus::connect(options(server.url(), "t")).expect("sound options");
    assert_eq!(bus.subscribe(&[topic(1)]).await, Err(BusUnavailable));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(bus.state(), BusState::Unproven);
    server.restart();
    returns(&bus, &bus, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_come_back_with_their_subscriptions() {
    let server = Server::start();
    let (a, b) = (healthy(options(server.url(), "t")).await, healthy(options(server.url(), "t")).await);
    for number in 1..=5 {
        b.subscribe(&[topic(number)]).await.expect("the bus is there");
        settle(&b).await;
        let before = b.counts().resubscribed;
        assert!(server.command("CLIENT KILL TYPE pubsub").starts_with(':'));
        while b.counts().resubscribed == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        returns(&a, &b, number).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_of_a_cluster_come_back_and_a_missing_master_is_degraded() {
    let mut cluster = Cluster::start();
    let (a, b) = (healthy(options(cluster.url(), "t")).await, healthy(options(cluster.url(), "t")).await);
    let topics: Vec<_> = (1..=300).map(topic).collect();
    b.subscribe(&topics).await.expect("the bus is there");
    settle(&b).await;
    for master in &cluster.masters {
        assert!(master.command("CLIENT KILL TYPE pubsub").starts_with(':'));
    }
    assert!(all_speak(&a, &b, 300).await, "subscriptions were made again without a word");

    // A master away, and with it its slots: the cluster says that it is failing, and so is the bus.
    cluster.masters[1].kill();
    reaches(&a, BusState::Degraded).await;
    reaches(&b, BusState::Degraded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_whose_slots_move_to_another_node_are_heard_there() {
    let cluster = Cluster::start();
    let (a, b) = (healthy(options(cluster.url(), "t")).await, healthy(options(cluster.url(), "t")).await);
    let topics: Vec<_> = (1..=300).map(topic).collect();
    b.subscribe(&topics).await.expect("the bus is there");
    settle(&b).await;
    cluster.reshard(1_500);
    assert!(all_speak(&a, &b, 300).await, "subscriptions were made again without a word");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_holds_nobody_up() {
    let server = Server::start();
    let mut options = options(server.url(), "t");
    options.command_timeout = Duration::from_millis(500);
    options.outgoing_limit_bytes = 1 << 20;
    let bus = healthy(options).await;
    bus.subscribe(&[topic(1)]).await.expect("the bus is there");
    let pid = server.pid();
    signal(&pid, "-STOP");
    // The server answers nothing before it goes on: whatever returns until then has not waited for it.
    for number in 1..=50_000 {
        let _ = bus.publish(topic(1), numbered(number));
    }
    let subscribed = timeout(Duration::from_secs(60), bus.subscribe(&[topic(2)])).await;
    assert_eq!(subscribed, Ok(Err(BusUnavailable)));
    reaches(&bus, BusState::Degraded).await;
    // Long enough for the connections to be given up as well.
    tokio::time::sleep(Duration::from_secs(4)).await;
    signal(&pid, "-CONT");
    returns(&bus, &bus, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emptying_redis_changes_nothing() {
    for (url, servers) in [
        (shared_server().url(), std::slice::from_ref(shared_server())),
        (shared_cluster().url(), &shared_cluster().masters[..]),
    ] {
        let bus = healthy(options(url, &namespace())).await;
        bus.subscribe(&[topic(1)]).await.expect("the bus is there");
        settle(&bus).await;
        for number in 1..=20 {
            for server in servers {
                assert!(server.command("FLUSHALL").starts_with("+OK"));
            }
            assert_eq!(bus.publish(topic(1), numbered(number)), Published::Taken);
            assert_eq!(hear(&bus).await, Heard::Number(number));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_is_counted_and_passed_over() {
    let server = shared_server();
    let namespace = namespace();
    let bus = healthy(options(server.url(), &namespace)).await;
    bus.subscribe(&[topic(1)]).await.expect("the bus is there");
    settle(&bus).await;
    for payload in ["rubbish", "\"\"", "\"\\x08\\x01\\x2a\\xff\"", "\"\\x08\\x01\\x22\\x00\""] {
        assert!(server.command(&format!("PUBLISH {namespace}:u:1 {payload}")).starts_with(":1"));
    }
    assert!(server.command(&format!("PUBLISH {namespace}:u:1 \"\\x08\\x09later\"")).starts_with(":1"));
    assert_eq!(bus.publish(topic(1), numbered(7)), Published::Taken);
    assert_eq!(hear(&bus).await, Heard::Number(7));
    assert_eq!((bus.counts().malformed, bus.counts().newer), (4, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_loses_nothing_without_a_word() {
    const FLOOD: u64 = 100_000;
    let server = shared_server();
    let namespace = namespace();
    let (a, b) =
        (healthy(options(server.url(), &namespace)).await, healthy(options(server.url(), &namespace)).await);
    b.subscribe(&[topic(1)]).await.expect("the bus is there");
    settle(&b).await;
    let receive = async {
        let (mut next, mut arrived, mut lagged) = (1, 0, false);
        while next <= FLOOD {
            match hear(&b).await {
                Heard::Lagged => lagged = true,
                Heard::Number(number) => {
                    assert!(number == next || lagged, "{next} to {number} were lost without a word");
                    (next, arrived, lagged) = (number + 1, arrived + 1, false);
                }
            }
        }
        arrived
    };
    let send = async {
        for number in 1..=FLOOD {
            // What is dropped here is known here: it is published again.
            while a.publish(topic(1), numbered(number)) == Published::Dropped {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if number.is_multiple_of(256) {
                tokio::task::yield_now().await;
            }
        }
    };
    let (arrived, ()) = tokio::join!(receive, send);
    assert_eq!((a.counts().failed, a.counts().taken), (0, FLOOD));
    assert!(arrived > 0);
}
