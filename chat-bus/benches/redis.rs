//! What carrying messages through [`RedisBus`] costs, beside the client under it.
//!
//! Both publish the same payloads to a channel on the same servers, in turns: two endpoints of the bus,
//! and two bare clients of fred with its defaults but for its queues. The message that is carried is a
//! chunk of one entry with 100 bytes.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chat_bus::{RedisBus, RedisBusOptions};
use chat_core::bus::{Bus, BusEvent, BusState, Message, Origin, Payload, Published, Topic};
use chat_core::{BootId, Chunk, ClientId, ConversationId, Entry, GroupId, Kind, Timestamp, UserId};
use fred::clients::Client;
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::config::Config;
use fred::types::{Builder, Message as Arrived, RespVersion, Value};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::broadcast::Receiver;

use servers::{Cluster, Server};

#[expect(dead_code, reason = "what the tests start servers with, used in part")]
#[path = "../tests/redis/servers.rs"]
mod servers;

#[expect(dead_code, reason = "what the tests start servers with, used in part")]
#[path = "../tests/redis/authority.rs"]
mod authority;

/// What is private to the crate, as it stands.
#[expect(dead_code, reason = "used in part")]
#[path = "../src"]
mod source {
    pub(crate) mod envelope;
}

/// How long each of the two is measured in its turn, and how many turns they have: many short ones, so
/// that both meet the same machine, whatever else it does. The median counts.
const SPAN: Duration = Duration::from_millis(200);
const ROUNDS: usize = 25;

const NAMESPACE: &str = "bench";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // Under `cargo test --benches` it only has to build.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    encodings();
    let server = Server::start();
    compare("one server", &server.url(), Way::Plain).await;
    drop(server);
    let cluster = Cluster::start();
    compare("cluster of 3", &cluster.url(), Way::Sharded).await;
}

/// How a bare client publishes.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Plain,
    Sharded,
}

fn group() -> GroupId {
    GroupId::new(77).expect("within bounds")
}

fn message(entries: u64) -> Message {
    let entry = |seq| Entry {
        seq,
        time: Timestamp(1_700_000_000_000),
        sender: UserId::new(1_234_567).expect("within bounds"),
        client_id: Some(ClientId(u128::from(seq).to_be_bytes())),
        countable: true,
        ordinal: seq,
        target: None,
        kind: Kind::new(900).expect("within bounds"),
        content: Some(Bytes::from_static(&[b'x'; 100])),
    };
    let entries = (1_000..1_000 + entries).map(entry).collect();
    let chunk = Chunk::new(ConversationId::Group(group()), entries).expect("consecutive entries");
    Message {
        origin: Origin { node: "node-1".into(), boot: BootId(u64::MAX / 3) },
        payload: Payload::Chunk(Arc::new(chunk)),
    }
}

/// Writing and reading a message.
fn encodings() {
    for entries in [1, 16] {
        const CALLS: u32 = 20_000;
        let mut seal = Vec::new();
        let mut open = Vec::new();
        for _ in 0..ROUNDS {
            // Each is a message of its own, since a chunk keeps its bytes.
            let messages: Vec<_> = (0..CALLS).map(|_| message(entries)).collect();
            let begun = Instant::now();
            let sealed: Vec<_> = messages.iter().map(source::envelope::seal).collect();
            seal.push(begun.elapsed() / CALLS);
            let sealed: Vec<_> = sealed.into_iter().map(|bytes| bytes.expect("a known payload")).collect();
            let begun = Instant::now();
            for bytes in &sealed {
                black_box(source::envelope::open(bytes.clone()).expect("sound"));
            }
            open.push(begun.elapsed() / CALLS);
        }
        let again = message(entries);
        let bytes = source::envelope::seal(&again).map_or(0, |bytes| bytes.len());
        let begun = Instant::now();
        for _ in 0..CALLS {
            black_box(source::envelope::seal(&again));
        }
        println!(
            "envelope of {entries} entries, {bytes} bytes: sealed {:?}, sealed again {:?}, opened {:?}",
            median(seal),
            begun.elapsed() / CALLS,
            median(open)
        );
    }
}

async fn compare(name: &str, url: &str, way: Way) {
    let (publisher, subscriber) = tokio::join!(endpoint(url), endpoint(url));
    let topic = Topic::Group(group());
    let channel = format!("{NAMESPACE}:g:{}", group());
    subscriber.subscribe(&[topic]).await.expect("the bus is there");
    let bare = Bare::connect(url, way, channel).await;

    let mut arrivals = bare.arrivals();
    assert_eq!(publisher.publish(topic, message(1)), Published::Taken);
    let payload = match arrivals.recv().await.expect("connected").value {
        Value::Bytes(bytes) => bytes,
        Value::String(text) => text.into_inner(),
        other => panic!("no payload: {other:?}"),
    };
    drop(arrivals);

    println!("{name}: messages of {} bytes", payload.len());
    for window in [1, 64, 512] {
        let (mut through_bus, mut through_bare) = (Turns::default(), Turns::default());
        let mut ratios = Vec::new();
        for _ in 0..ROUNDS {
            settle(&subscriber).await;
            let bus = through_bus.take(bus_rate(&publisher, &subscriber, topic, window)).await;
            let bare = through_bare.take(bare.rate(&payload, window)).await;
            ratios.push(bus / bare);
        }
        let ratio = median(ratios);
        println!("  window {window:>3}: bus {through_bus}; fred {through_bare}; ratio of rates {ratio:.2}");
    }
    let (mut through_bus, mut through_bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        settle(&subscriber).await;
        bus_latencies(&publisher, &subscriber, topic, &mut through_bus).await;
        bare.latencies(&payload, &mut through_bare).await;
    }
    for (name, times) in [("bus", &mut through_bus), ("fred", &mut through_bare)] {
        times.sort_unstable();
        let at = |share: f64| times[(times.len() as f64 * share) as usize];
        println!("  one at a time, {name}: p50 {:?}, p99 {:?}", at(0.5), at(0.99));
    }
    publisher.close().await;
    subscriber.close().await;
}

async fn endpoint(url: &str) -> RedisBus {
    let mut options = RedisBusOptions::new(url);
    options.namespace = NAMESPACE.into();
    let bus = RedisBus::connect(options).expect("sound options");
    bus.watch().wait_for(|state| *state == BusState::Healthy).await.expect("the bus is kept");
    bus
}

/// Takes what is left of the round before.
async fn settle(bus: &RedisBus) {
    while tokio::time::timeout(Duration::from_millis(50), bus.receive()).await.is_ok() {}
}

async fn hear(bus: &RedisBus) {
    match bus.receive().await.expect("the bus is open") {
        BusEvent::Message(message) => drop(black_box(message)),
        BusEvent::Lagged => panic!("the bus lost messages within a window"),
    }
}

/// What one of the two has done in its turns.
#[derive(Default)]
struct Turns {
    rates: Vec<f64>,
    messages: u64,
    processor: Duration,
}

impl Turns {
    /// Measures a turn; gives its rate.
    async fn take(&mut self, turn: impl Future<Output = u64>) -> f64 {
        let (begun, before) = (Instant::now(), processor_time());
        let messages = turn.await;
        let rate = messages as f64 / begun.elapsed().as_secs_f64();
        self.processor += processor_time().saturating_sub(before);
        self.messages += messages;
        self.rates.push(rate);
        rate
    }
}

impl std::fmt::Display for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each = self.processor.as_secs_f64() * 1e6 / self.messages as f64;
        write!(f, "{:.0}/s, {each:.2} µs of processor each", median(self.rates.clone()))
    }
}

/// What this process has used of the processors, in steps of 10 ms (proc(5), `utime` and `stime`).
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    Duration::from_millis(10 * fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>())
}

/// Publishes, with so many on their way; gives how many were delivered.
async fn bus_rate(publisher: &RedisBus, subscriber: &RedisBus, topic: Topic, window: usize) -> u64 {
    let begun = Instant::now();
    let (mut under_way, mut delivered) = (0, 0u64);
    while begun.elapsed() < SPAN {
        while under_way < window {
            // A chunk of its own, as each commit makes one.
            assert_eq!(publisher.publish(topic, message(1)), Published::Taken);
            under_way += 1;
        }
        hear(subscriber).await;
        under_way -= 1;
        delivered += 1;
    }
    delivered
}

async fn bus_latencies(publisher: &RedisBus, subscriber: &RedisBus, topic: Topic, times: &mut Vec<Duration>) {
    let span = Instant::now();
    while span.elapsed() < SPAN {
        let begun = Instant::now();
        assert_eq!(publisher.publish(topic, message(1)), Published::Taken);
        hear(subscriber).await;
        times.push(begun.elapsed());
    }
}

/// Two bare clients, one of them subscribed to a channel.
struct Bare {
    way: Way,
    channel: String,
    publisher: Client,
    subscriber: Client,
}

impl Bare {
    async fn connect(url: &str, way: Way, channel: String) -> Self {
        let client = || async {
            let mut config = Config::from_url(url).expect("a url");
            config.version = RespVersion::RESP3;
            let client = Builder::from_config(config)
                .with_performance_config(|performance| performance.broadcast_channel_capacity = 8_192)
                .build()
                .expect("sound settings");
            client.init().await.expect("connected");
            client
        };
        let (publisher, subscriber) = (client().await, client().await);
        match way {
            Way::Plain => subscriber.subscribe(channel.clone()).await.expect("subscribed"),
            Way::Sharded => subscriber.ssubscribe(channel.clone()).await.expect("subscribed"),
        }
        Self { way, channel, publisher, subscriber }
    }

    fn arrivals(&self) -> Receiver<Arrived> {
        self.subscriber.message_rx()
    }

    async fn publish(&self, payload: Bytes) {
        match self.way {
            Way::Plain => self.publisher.publish::<(), _, _>(self.channel.clone(), payload).await,
            Way::Sharded => self.publisher.spublish::<(), _, _>(self.channel.clone(), payload).await,
        }
        .expect("published");
    }

    async fn rate(&self, payload: &Bytes, window: usize) -> u64 {
        let mut arrivals = self.arrivals();
        let mut answers = FuturesUnordered::new();
        let begun = Instant::now();
        let (mut under_way, mut delivered) = (0, 0u64);
        while begun.elapsed() < SPAN {
            while under_way < window {
                answers.push(self.publish(payload.clone()));
                under_way += 1;
            }
            tokio::select! {
                biased;
                arrived = arrivals.recv() => {
                    black_box(arrived.expect("nothing is lost within a window"));
                    under_way -= 1;
                    delivered += 1;
                }
                Some(()) = answers.next() => {}
            }
        }
        while under_way > 0 {
            tokio::select! {
                biased;
                arrived = arrivals.recv() => under_way -= arrived.map_or(0, |_| 1),
                Some(()) = answers.next() => {}
            }
        }
        delivered
    }

    async fn latencies(&self, payload: &Bytes, times: &mut Vec<Duration>) {
        let mut arrivals = self.arrivals();
        let span = Instant::now();
        while span.elapsed() < SPAN {
            let begun = Instant::now();
            let (arrived, ()) = tokio::join!(arrivals.recv(), self.publish(payload.clone()));
            black_box(arrived.expect("arrived"));
            times.push(begun.elapsed());
        }
    }
}

fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable_by(|a, b| a.partial_cmp(b).expect("figures"));
    values[values.len() / 2]
}
