//! Faults while messages flow: what is lost is told before anything newer, and nothing else is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chat_bus::RedisBus;
use chat_core::bus::{Bus, BusState, Message, Origin, Payload, Published};
use chat_core::{BootId, Chunk, ConversationId, Entry, Kind, Timestamp};
use tokio::time::{Instant, sleep};

use crate::fixture::{Heard, healthy, hear, namespace, numbered, options, reaches, settle, topic, user};
use crate::servers::{Server, shared_cluster, shared_server, signal, wait_until};

/// How many messages follow when all is well again.
const AFTERWARDS: u64 = 200;

/// What came of messages that were published around a fault.
struct Outcome {
    taken: u64,
    heard: u64,
    /// How often a loss was told.
    told: u64,
}

/// Publishes one number after the other while the fault runs, and some more when both endpoints are
/// healthy after it. Insists that numbers are missing only where a loss was told first, and none of
/// those published in health.
async fn around(a: &RedisBus, b: &RedisBus, fault: impl Future<Output = ()>) -> Outcome {
    b.subscribe(&[topic(1)]).await.expect("the bus is there");
    settle(b).await;
    let (over, spoken) = (AtomicBool::new(false), AtomicU64::new(0));
    let (last, healthy_from) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    // What is taken while the path is not proven may be lost on its way to Redis: the publisher knows,
    // and no receiver can.
    let unproven = AtomicU64::new(0);
    let disturb = async {
        fault.await;
        over.store(true, Ordering::Relaxed);
    };
    let speak = async {
        let mut number = 0;
        while !over.load(Ordering::Relaxed) {
            match a.publish(topic(1), numbered(number + 1)) {
                Published::Taken => {
                    number += 1;
                    if a.state() != BusState::Healthy {
                        unproven.store(number, Ordering::Relaxed);
                    }
                }
                // Who went on at once would hold up what ends this, in the same task.
                Published::Dropped => sleep(Duration::from_millis(1)).await,
            }
            spoken.store(number, Ordering::Relaxed);
            if number.is_multiple_of(8) {
                sleep(Duration::from_millis(1)).await;
            }
        }
        reaches(a, BusState::Healthy).await;
        reaches(b, BusState::Healthy).await;
        healthy_from.store(number + 1, Ordering::Relaxed);
        last.store(number + AFTERWARDS, Ordering::Relaxed);
        for number in number + 1..=number + AFTERWARDS {
            assert_eq!(a.publish(topic(1), numbered(number)), Published::Taken);
        }
    };
    let listen = async {
        let (mut next, mut heard, mut told, mut lagged) = (1, 0, 0, false);
        // A word of loss is about what was published until then, and overtakes what still waits.
        let mut about = 0;
        loop {
            match hear(b).await {
                Heard::Lagged => {
                    (told, lagged, about) = (told + 1, true, spoken.load(Ordering::Relaxed));
                }
                Heard::Number(number) => {
                    let well = healthy_from.load(Ordering::Relaxed);
                    assert!(number >= next, "{number} comes after {next}");
                    let known_to_the_publisher = number <= unproven.load(Ordering::Relaxed) + 1;
                    let told_of = lagged || number <= about + 1 || known_to_the_publisher;
                    assert!(number == next || told_of, "{next} to {number} were lost without a word");
                    assert!(number == next || number <= well, "{next} to {number} were lost in health");
                    (next, heard, lagged) = (number + 1, heard + 1, false);
                    if number == last.load(Ordering::Relaxed) {
                        return (heard, told);
                    }
                }
            }
        }
    };
    let ((), (), (heard, told)) = tokio::join!(disturb, speak, listen);
    Outcome { taken: last.load(Ordering::Relaxed), heard, told }
}

async fn pair(url: &str, namespace: &str) -> (RedisBus, RedisBus) {
    tokio::join!(healthy(options(url, namespace)), healthy(options(url, namespace)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emptying_redis_all_the_time_loses_nothing() {
    for (url, servers) in [
        (shared_server().url(), std::slice::from_ref(shared_server())),
        (shared_cluster().url(), &shared_cluster().masters[..]),
    ] {
        let (a, b) = pair(&url, &namespace()).await;
        let flush = async {
            for _ in 0..20 {
                for server in servers {
                    assert!(server.command("FLUSHALL").starts_with("+OK"));
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        let outcome = around(&a, &b, flush).await;
        assert_eq!((outcome.heard, outcome.told), (outcome.taken, 0));
        assert!(outcome.taken > AFTERWARDS, "nothing flowed meanwhile");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_under_traffic_is_told_of_before_anything_newer() {
    let mut server = Server::start();
    let (a, b) = pair(&server.url(), "t").await;
    let crash = async {
        for _ in 0..3 {
            sleep(Duration::from_millis(100)).await;
            signal(&server.pid(), "-KILL");
            reaches(&a, BusState::Degraded).await;
            reaches(&b, BusState::Degraded).await;
            server.restart();
            reaches(&a, BusState::Healthy).await;
            reaches(&b, BusState::Healthy).await;
        }
    };
    let outcome = around(&a, &b, crash).await;
    assert!(outcome.told >= 3, "told {} times", outcome.told);
    assert!(outcome.heard > AFTERWARDS, "nothing flowed before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_subscriptions_are_told_of_before_anything_newer() {
    let server = Server::start();
    let (a, b) = pair(&server.url(), "t").await;
    let kill = async {
        for _ in 0..10 {
            let before = [a.counts().resubscribed, b.counts().resubscribed];
            assert!(server.command("CLIENT KILL TYPE pubsub").starts_with(":2"));
            while a.counts().resubscribed == before[0] || b.counts().resubscribed == before[1] {
                sleep(Duration::from_millis(1)).await;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let outcome = around(&a, &b, kill).await;
    assert!(outcome.told >= 1);
    assert!(outcome.heard > AFTERWARDS, "nothing flowed meanwhile");
}

/// A message with this many bytes of content.
fn bulky(bytes: usize) -> Message {
    let entry = Entry {
        seq: 1,
        time: Timestamp(1),
        sender: user(1),
        client_id: None,
        countable: true,
        ordinal: 1,
        target: None,
        kind: Kind::new(900).expect("within bounds"),
        content: Some(Bytes::from(vec![b'x'; bytes])),
    };
    let chunk = Chunk::new(ConversationId::Inbox(user(1)), vec![entry]).expect("one entry");
    let origin = Origin { node: "n".into(), boot: BootId(1) };
    Message { origin, payload: Payload::Chunk(Arc::new(chunk)) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_published_to_within_the_bound_in_bytes() {
    const LIMIT: usize = 1 << 20;
    const SIZE: usize = 32 << 10;
    let server = Server::start();
    let mut options = options(server.url(), "t");
    options.command_timeout = Duration::from_millis(300);
    options.outgoing_limit_bytes = LIMIT;
    let bus = healthy(options).await;
    bus.subscribe(&[topic(1)]).await.expect("the bus is there");
    settle(&bus).await;
    let pid = server.pid();
    signal(&pid, "-STOP");

    let mut taken = 0;
    while bus.publish(topic(2), bulky(SIZE)) == Published::Taken {
        taken += 1;
        // As much as it likes goes to the client meanwhile.
        tokio::task::yield_now().await;
    }
    assert!(taken > 1 && taken * SIZE <= LIMIT, "{taken} of {SIZE} bytes were taken");
    // Longer than it takes for commands to be given up, and then for connections.
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        taken += usize::from(bus.publish(topic(2), bulky(SIZE)) == Published::Taken);
        sleep(Duration::from_millis(1)).await;
    }
    // What was given up makes room once; what the client holds meanwhile grows by single messages.
    assert!(taken * SIZE <= 4 * LIMIT, "{taken} of {SIZE} bytes were taken");

    signal(&pid, "-CONT");
    reaches(&bus, BusState::Healthy).await;
    assert_eq!(bus.publish(topic(1), numbered(7)), Published::Taken);
    let mut told = false;
    loop {
        match hear(&bus).await {
            Heard::Lagged => told = true,
            Heard::Number(number) => break assert_eq!(number, 7),
        }
    }
    assert!(told, "subscriptions were made again without a word");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_arrived_is_counted_until_it_is_received() {
    let bus = healthy(options(shared_server().url(), &namespace())).await;
    bus.subscribe(&[topic(1)]).await.expect("the bus is there");
    settle(&bus).await;
    assert_eq!(bus.counts().incoming_bytes, 0);
    for number in 1..=10 {
        assert_eq!(bus.publish(topic(1), numbered(number)), Published::Taken);
    }
    assert!(wait_until(|| bus.counts().received == 10), "all arrive");
    let all = bus.counts().incoming_bytes;
    assert!(all > 0);
    for number in 1..=10 {
        assert_eq!(hear(&bus).await, Heard::Number(number));
        assert!(bus.counts().incoming_bytes < all, "less with each");
    }
    let counts = bus.counts();
    assert_eq!((counts.incoming_bytes, counts.outgoing_bytes), (0, 0));
}
