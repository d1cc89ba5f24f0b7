//! From a send to its delivery within one process: 64 pairs, 16 sends in flight in each.

use chat_benches::world::{self, Ids};
use chat_core::memory::MemoryStore;
use chat_core::store::Store;
use chat_core::{ConversationId, Engine, Epoch, Event, LoggedIn};
use chat_store::sqlite::{SqliteOptions, SqliteStore};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

const PAIRS: usize = 64;
const IN_FLIGHT: usize = 16;
const ROUNDS: usize = 4;

struct Pairs {
    _engine: Engine,
    users: Vec<LoggedIn>,
    ids: Ids,
}

impl Pairs {
    async fn new(store: impl Store) -> Self {
        let (engine, mut ids) = (world::engine(store).await, Ids::default());
        let users = world::users(&engine, &mut ids, "user", PAIRS * 2).await;
        let mut pairs = Self { _engine: engine, users, ids };
        pairs.round().await;
        pairs
    }

    /// Every pair sends what fits in flight, all of it is acknowledged and received.
    async fn round(&mut self) {
        let mut pending = Vec::with_capacity(PAIRS * IN_FLIGHT);
        for pair in self.users.chunks(2) {
            let (from, to) = (&pair[0].session, &pair[1].session);
            let conversation = ConversationId::direct(from.user(), to.user()).expect("two users");
            for _ in 0..IN_FLIGHT {
                let send = world::text(&mut self.ids, conversation);
                pending.push(from.begin_send(send).await.expect("queued"));
            }
        }
        for send in pending {
            send.await.expect("stored");
        }
        for user in &mut self.users {
            let mut missing = IN_FLIGHT;
            while missing > 0 {
                if let Some(Event::Entries(chunk)) = user.events.next().await {
                    missing -= chunk.entries().iter().filter(|entry| entry.countable).count();
                }
            }
        }
    }
}

fn deliver(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = SqliteStore::open(folder.path(), &SqliteOptions::default()).expect("a new store");
    let mut group = c.benchmark_group("send to delivery, in process");
    group.throughput(Throughput::Elements((PAIRS * IN_FLIGHT * ROUNDS) as u64));
    group.sample_size(10);
    let mut memory = runtime.block_on(Pairs::new(MemoryStore::new(Epoch(1))));
    let mut sqlite = runtime.block_on(Pairs::new(sqlite));
    for (name, pairs) in [("memory", &mut memory), ("sqlite", &mut sqlite)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                runtime.block_on(async {
                    for _ in 0..ROUNDS {
                        pairs.round().await;
                    }
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, deliver);
criterion_main!(benches);
