//! The nodes: they start over what they share, crash, and start again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::draw::Draw;
use super::ground::{Life, NodeBus, NodeStore};
use super::record::{Record, What};
use super::report::NodeNumber;
use super::settings::Settings;
use crate::bus::Bus;
use crate::memory::InProcessBus;
use crate::store::Store;
use crate::testkit::faults::{BusFaults, FaultyBus, FaultyStore, StoreFaults};
use crate::{BlockingInline, Clock, Engine, EngineBuilder, Timestamp, Unready};

/// What is made of something that a node is made of.
type Hook<T> = Arc<dyn Fn(T, NodeNumber) -> T + Send + Sync>;

/// What a simulation does to each node before it starts.
#[derive(Clone)]
pub(super) struct Hooks {
    pub(super) store: Hook<Arc<dyn Store>>,
    pub(super) bus: Hook<Arc<dyn Bus>>,
    pub(super) configure: Hook<EngineBuilder>,
}

/// The cluster.
pub(super) struct Nodes {
    store: Arc<dyn Store>,
    bus: InProcessBus,
    hooks: Hooks,
    settings: Settings,
    record: Record,
    clocks: Vec<NodeClock>,
    /// Who runs at present, and what the next start is seeded with. Held for one look at a time.
    state: Mutex<State>,
}

struct State {
    running: BTreeMap<NodeNumber, Node>,
    draw: Draw,
}

/// One run of a node.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) number: NodeNumber,
    pub(super) engine: Engine,
    pub(super) store: StoreFaults,
    pub(super) bus: BusFaults,
    pub(super) life: Arc<Life>,
}

impl Node {
    fn check(&self) {
        let failed = self.engine.health().reasons.contains(&Unready::Failed);
        assert!(!failed, "a part of {} has panicked", self.number);
    }
}

/// A node's clock: virtual time, off by what jumps have made of it.
#[derive(Clone, Debug)]
pub(super) struct NodeClock {
    start: Instant,
    off_millis: Arc<AtomicI64>,
}

/// The time of day at which every run begins.
const BEGINNING_MILLIS: i64 = 1_700_000_000_000;

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX);
        let now = BEGINNING_MILLIS + elapsed + self.off_millis.load(Ordering::Relaxed);
        Timestamp(u64::try_from(now).unwrap_or(0))
    }
}

impl Nodes {
    pub(super) fn new(
        seed: u64,
        store: Arc<dyn Store>,
        hooks: Hooks,
        settings: Settings,
        record: Record,
    ) -> Arc<Self> {
        let clock = || NodeClock { start: Instant::now(), off_millis: Arc::default() };
        let clocks = (0..settings.nodes).map(|_| clock()).collect();
        let state = Mutex::new(State { running: BTreeMap::new(), draw: Draw::new(seed, 2) });
        Arc::new(Self { store, bus: InProcessBus::new(), hooks, settings, record, clocks, state })
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = NodeNumber> + use<> {
        (0..self.settings.nodes).map(NodeNumber)
    }

    /// The name by which other nodes know a node.
    pub(super) fn name(node: NodeNumber) -> String {
        node.to_string()
    }

    /// The node, while it runs.
    pub(super) fn running(&self, node: NodeNumber) -> Option<Node> {
        self.lock().running.get(&node).cloned()
    }

    /// All that run.
    pub(super) fn all(&self) -> Vec<Node> {
        self.lock().running.values().cloned().collect()
    }

    /// Starts a node that does not run.
    pub(super) async fn start(&self, number: NodeNumber) {
        loop {
            let (bus_seed, seed) = {
                let draw = &mut self.lock().draw;
                (draw.number(), draw.number())
            };
            let life = Life::begin();
            let ground = NodeStore {
                store: Arc::clone(&self.store),
                node: number,
                life: Arc::clone(&life),
                record: self.record.clone(),
                writers: self.settings.writers,
            };
            let (store, store_faults) = FaultyStore::new(Arc::new(ground));
            store_faults.shards(self.settings.shards);
            let endpoint = NodeBus { bus: self.bus.endpoint(), life: Arc::clone(&life) };
            let (bus, bus_faults) = FaultyBus::new(endpoint, bus_seed);
            let mut config = self.settings.engine.clone();
            config.node = Self::name(number);
            let builder = Engine::builder_shared((self.hooks.store)(Arc::new(store), number))
                .bus_shared((self.hooks.bus)(Arc::new(bus), number))
                .config(config)
                .clock(self.clocks[number.0].clone())
                .blocking(BlockingInline)
                .seed(seed);
            if let Ok(engine) = (self.hooks.configure)(builder, number).start().await {
                self.record.put(What::Started(number));
                let node = Node { number, engine, store: store_faults, bus: bus_faults, life };
                self.lock().running.insert(number, node);
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Panics if a part of an engine has.
    pub(super) fn check(&self) {
        self.all().iter().for_each(Node::check);
    }

    /// Takes everything from a node that was only in its memory.
    pub(super) fn crash(&self, number: NodeNumber) {
        let running = self.lock().running.remove(&number);
        if let Some(node) = running {
            node.check();
            node.life.end();
            node.engine.crash();
        }
    }

    /// Moves a node's clock.
    pub(super) fn jump(&self, number: NodeNumber, millis: i64) {
        self.clocks[number.0].off_millis.store(millis, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
