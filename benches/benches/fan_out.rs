//! From a commit to the queues of 1,000 sessions of a group, in process, and what it costs: encodings
//! and allocations per chunk.

use std::time::{Duration, Instant};

use chat_benches::world::{self, Ids};
use chat_core::memory::MemoryStore;
use chat_core::{ConversationId, Engine, Epoch, Event, LoggedIn};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};

const MEMBERS: usize = 1_000;

struct Crowd {
    _engine: Engine,
    members: Vec<LoggedIn>,
    ids: Ids,
    conversation: ConversationId,
}

impl Crowd {
    async fn new() -> Self {
        let (engine, mut ids) = (world::engine(MemoryStore::new(Epoch(1))).await, Ids::default());
        let members = world::users(&engine, &mut ids, "member", MEMBERS).await;
        let group = world::group(&mut ids, &members).await;
        let mut crowd = Self { _engine: engine, members, ids, conversation: ConversationId::Group(group) };
        // Listening to a new group begins in the background.
        crowd.settle().await;
        crowd
    }

    async fn settle(&mut self) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for member in &mut self.members {
            while member.events.try_next().is_some() {}
        }
    }

    /// One member sends so many messages at once; everyone receives them.
    async fn round(&mut self, messages: usize) {
        let mut pending = Vec::with_capacity(messages);
        for _ in 0..messages {
            let send = world::text(&mut self.ids, self.conversation);
            pending.push(self.members[0].session.begin_send(send).await.expect("queued"));
        }
        for send in pending {
            send.await.expect("stored");
        }
        for member in &mut self.members {
            let mut missing = messages;
            while missing > 0 {
                match member.events.next().await {
                    Some(Event::Entries(chunk)) => missing -= chunk.entries().len(),
                    other => panic!("unexpected {other:?}"),
                }
            }
        }
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn fan_out(c: &mut Criterion) {
    let runtime = runtime();
    let mut crowd = runtime.block_on(Crowd::new());
    let mut group = c.benchmark_group("fan-out to 1,000 sessions");
    group.sample_size(20).measurement_time(Duration::from_secs(5));
    for messages in [1, 16] {
        group.throughput(Throughput::Elements((MEMBERS * messages) as u64));
        group.bench_function(BenchmarkId::new("messages at once", messages), |b| {
            b.iter(|| runtime.block_on(crowd.round(messages)));
        });
    }
    group.finish();
}

/// Not a timing: counts what one chunk costs, and prints it.
fn count_costs(_: &mut Criterion) {
    let runtime = runtime();
    let mut crowd = runtime.block_on(Crowd::new());
    for messages in [1, 16] {
        runtime.block_on(crowd.round(messages));
        let started = Instant::now();
        let counted = allocation_counter::measure(|| runtime.block_on(crowd.round(messages)));
        let deliveries = (MEMBERS * messages) as u64;
        println!(
            "fan-out of {messages} messages to {MEMBERS} sessions: {} allocations ({:.2} per delivery, of \
             which each session's own queue is one per chunk), {:.1} ms",
            counted.count_total,
            counted.count_total as f64 / deliveries as f64,
            started.elapsed().as_secs_f64() * 1e3,
        );
        let send = world::text(&mut crowd.ids, crowd.conversation);
        let encodings = runtime.block_on(async {
            crowd.members[0].session.send(send).await.expect("stored");
            let mut encodings = 0;
            for member in &mut crowd.members {
                let Some(Event::Entries(chunk)) = member.events.next().await else { continue };
                chunk.encoded(chat_core::WireFormat::Protobuf, |_| {
                    encodings += 1;
                    bytes::Bytes::new()
                });
            }
            encodings
        });
        println!("encodings of one chunk for {MEMBERS} sessions: {encodings}");
    }
}

criterion_group!(benches, fan_out, count_costs);
criterion_main!(benches);
