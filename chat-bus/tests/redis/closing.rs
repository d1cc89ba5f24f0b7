//! What closing an endpoint waits for, and what it leaves.

use std::collections::BTreeSet;
use std::time::Duration;

use chat_bus::RedisBus;
use chat_core::bus::{Bus, BusUnavailable, Published};
use tokio::time::{Instant, timeout};

use crate::fixture::{Heard, PATIENCE, healthy, hear, namespace, numbered, options, settle, topic};
use crate::servers::{Server, shared_cluster, shared_server, signal, wait_until};

/// Beyond the second for which closing waits: what ending the tasks may take on a busy machine.
const BOUND: Duration = Duration::from_secs(6);

async fn is_closed(bus: &RedisBus) {
    assert_eq!(bus.publish(topic(1), numbered(1)), Published::Dropped);
    assert_eq!(bus.subscribe(&[topic(1)]).await, Err(BusUnavailable));
    bus.unsubscribe(&[topic(1)]);
    for _ in 0..2 {
        assert!(timeout(PATIENCE, bus.receive()).await.expect("answered").is_none());
    }
}

async fn everything_arrives(url: &str) {
    const MESSAGES: u64 = 1_000;
    let namespace = namespace();
    let (a, b) = tokio::join!(healthy(options(url, &namespace)), healthy(options(url, &namespace)));
    let topics: Vec<_> = (1..=10).map(topic).collect();
    b.subscribe(&topics).await.expect("the bus is there");
    settle(&b).await;
    for number in 1..=MESSAGES {
        assert_eq!(a.publish(topic(number % 10 + 1), numbered(number)), Published::Taken);
    }
    let begun = Instant::now();
    timeout(BOUND, a.close()).await.expect("closed within its bound");
    // A machine may be so busy that a second does not suffice; then it was waited for the whole of it.
    let failed = a.counts().failed;
    assert!(failed == 0 || begun.elapsed() >= Duration::from_secs(1), "{failed} were given up early");
    assert_eq!(a.counts().taken, MESSAGES);
    is_closed(&a).await;
    let mut missing: BTreeSet<_> = (1..=MESSAGES).collect();
    while missing.len() as u64 > failed {
        match hear(&b).await {
            Heard::Number(number) => assert!(missing.remove(&number), "{number} arrives twice"),
            Heard::Lagged => panic!("lost on a quiet bus"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_taken_before_closing_arrives() {
    everything_arrives(&shared_server().url()).await;
    everything_arrives(&shared_cluster().url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_an_event_is_told_of_the_end() {
    let bus = healthy(options(shared_server().url(), &namespace())).await;
    settle(&bus).await;
    let close = async {
        // First the other future waits.
        tokio::task::yield_now().await;
        bus.close().await;
    };
    let (event, ()) =
        timeout(PATIENCE, async { tokio::join!(biased; bus.receive(), close) }).await.expect("told");
    assert!(event.is_none());
    is_closed(&bus).await;
    // Closing twice is closing once.
    timeout(BOUND, bus.close()).await.expect("closed within its bound");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_does_not_hold_up_closing() {
    let server = Server::start();
    let bus = healthy(options(server.url(), "t")).await;
    let pid = server.pid();
    signal(&pid, "-STOP");
    for number in 1..=1_000 {
        assert_eq!(bus.publish(topic(1), numbered(number)), Published::Taken);
    }
    assert!(bus.counts().outgoing_bytes >= 1_000, "each has more than a byte");
    timeout(BOUND, bus.close()).await.expect("closed within its bound");
    assert_eq!((bus.counts().taken, bus.counts().failed), (1_000, 1_000));
    assert_eq!(bus.counts().outgoing_bytes, 0, "what was given up waits no more");
    is_closed(&bus).await;
    signal(&pid, "-CONT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_the_connections() {
    let server = Server::start();
    let buses = [healthy(options(server.url(), "t")).await, healthy(options(server.url(), "u")).await];
    // The one that asks is a client as well.
    assert!(server.says("INFO clients", "connected_clients:5"));
    for bus in &buses {
        bus.close().await;
    }
    assert!(wait_until(|| server.says("INFO clients", "connected_clients:1")), "connections are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_never_found_redis_closes_at_once() {
    let mut server = Server::start();
    let url = server.url();
    server.kill();
    let bus = RedisBus::connect(options(url, "t")).expect("sound options");
    timeout(BOUND, bus.close()).await.expect("closed within its bound");
    is_closed(&bus).await;
}
