//! Deterministic simulation: a whole cluster with its clients, from one seed, on one thread, in virtual
//! time; checked by an oracle that knows what everybody was told.
//!
//! ```text
//!   clients   log in, write, edit, react, read, join, leave, block … vanish, stall, come back elsewhere
//!     │ ▲       [Access]: sessions directly, or a wire between
//!   nodes     engines with clocks of their own that jump; they crash, forget everything and start again
//!    │ │
//!    │ └──▶ bus    loses, repeats, delays and reorders, is cut between nodes
//!    └────▶ store  slow, frozen, away, refusing; commits whose answer is lost, or late
//!                    │
//!   record ◀─────────┘ what the store wrote, what clients asked, were told, received and saw
//!     └──▶ oracle   one file for each promise: durable, once, ordered, complete, bounded, presence,
//!                   atomic, unread, cursors, private
//! ```
//!
//! A run begins in fair weather, and then storms and calms take turns. In a storm faults are drawn:
//! which, where, when and for how long. In a calm faults have ended, clients only finish what they
//! began, and after the time in which the design promises it everybody must have everything.
//!
//! Everything that is left to chance comes from the seed, so that the same seed gives the same run:
//! [`Report::trace_hash`] is a hash of all that happened, in order.
//!
//! ```
//! use chat_core::testkit::simulation::Simulation;
//!
//! let report = Simulation::new(1).run();
//! assert!(report.violations.is_empty(), "{report}");
//! ```
//!
//! # A store or a bus of one's own
//!
//! [`Simulation::store`] puts another store under all nodes, and [`Simulation::decorate_store`] and
//! [`Simulation::decorate_bus`] put something between a node and what it shares with others, anew at
//! each start of a node. Time is virtual and moves on whenever nothing can run: what waits for a
//! socket or a thread finds that hours have passed. A store that does belongs under the conformance
//! suite of [`testkit::store`](super::store) instead, or behind a double that does not.
//!
//! # Where the ideas come from
//!
//! Simulating a cluster on one thread from one seed, with faults drawn as well, is FoundationDB's
//! (Zhou et al., *FoundationDB: A Distributed Unbundled Transactional Key Value Store*, SIGMOD 2021);
//! checking all the time rather than in the end, and settings that are drawn, too, are TigerBeetle's
//! (its VOPR); an oracle of acknowledged writes with one file for each invariant is openraft's
//! (`tests-turmoil`).

mod access;
mod clients;
mod draw;
mod ground;
mod nodes;
mod oracle;
mod record;
mod report;
mod settings;
mod trace;
mod weather;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

pub use access::{Access, Answer, Command, Connection, Done, Entered, Entrance, InProcess, Question};
pub use report::{Act, Answers, ClientNumber, Counts, Fault, Invariant, NodeNumber, Report, Violation};
pub use settings::Settings;

use super::signal::Signal;
use crate::bus::Bus;
use crate::memory::MemoryStore;
use crate::store::Store;
use crate::{ConversationId, Direction, EngineBuilder, Epoch, Range, Seq, UserId};
use clients::{Client, Mind, Phase, Sea, World};
use draw::Draw;
use nodes::{Hooks, Nodes};
use oracle::Finding;
use record::{Calm, Evidence, Limits, Log, Record, What};
use weather::Weather;

/// A run that is about to be made.
pub struct Simulation {
    seed: u64,
    settings: Settings,
    store: Arc<dyn Store>,
    access: Arc<dyn Access>,
    hooks: Hooks,
    test: &'static str,
}

/// Within this time after the last commit everybody must have everything: the promised 2 s, and the
/// pause of a client that asks again.
const COMPLETE_WITHIN: Duration = Duration::from_millis(2_200);

/// Whoever has not come to rest after so long in a calm never will.
const REST_WITHIN: Duration = Duration::from_secs(60);

/// So many violations have their traces kept.
const TRACED: usize = 8;

/// A run that takes longer, in virtual time, never ends.
const ENDS_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// How often it is looked at how much waits in memory.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl Simulation {
    /// A run of this seed, with everything drawn from it: the memory store, clients in the process.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            settings: Settings::drawn(seed),
            store: Arc::new(MemoryStore::new(Epoch(1))),
            access: Arc::new(InProcess),
            hooks: Hooks {
                store: Arc::new(|store, _| store),
                bus: Arc::new(|bus, _| bus),
                configure: Arc::new(|builder, _| builder),
            },
            test: "-p chat-core --test simulation",
        }
    }

    /// Which test of `cargo test` a failing seed is to be replayed by. Default: this crate's own.
    #[must_use]
    pub fn replayed_by(mut self, test: &'static str) -> Self {
        self.test = test;
        self
    }

    /// Changes what was drawn.
    #[must_use]
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// The store that all nodes share, empty. Default: a [`MemoryStore`].
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = store;
        self
    }

    /// How clients reach nodes. Default: [`InProcess`].
    #[must_use]
    pub fn access(mut self, access: impl Access) -> Self {
        self.access = Arc::new(access);
        self
    }

    /// Puts something between each node and its store, outside of the faults; called at each start.
    #[must_use]
    pub fn decorate_store(
        mut self,
        decorate: impl Fn(Arc<dyn Store>, NodeNumber) -> Arc<dyn Store> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.store = Arc::new(decorate);
        self
    }

    /// Puts something between each node and its bus, likewise.
    #[must_use]
    pub fn decorate_bus(
        mut self,
        decorate: impl Fn(Arc<dyn Bus>, NodeNumber) -> Arc<dyn Bus> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.bus = Arc::new(decorate);
        self
    }

    /// Changes each engine before it starts; called at each start.
    #[must_use]
    pub fn configure(
        mut self,
        configure: impl Fn(EngineBuilder, NodeNumber) -> EngineBuilder + Send + Sync + 'static,
    ) -> Self {
        self.hooks.configure = Arc::new(configure);
        self
    }

    /// Makes the run, on a runtime of its own whose clock is paused.
    ///
    /// # Panics
    /// Within another runtime's task; when a part of an engine panics, or a client; when a run never
    /// ends. The seed and how to replay it are printed then.
    pub fn run(self) -> Report {
        let _named = Named(report::replay_command(self.seed, self.test));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let run = async { tokio::time::timeout(ENDS_WITHIN, self.play()).await.expect("a run ends") };
        runtime.expect("a runtime without drivers").block_on(run)
    }

    async fn play(self) -> Report {
        let Self { seed, settings, store, access, hooks, test } = self;
        let record = Record::begin();
        let nodes = Nodes::new(seed, Arc::clone(&store), hooks, settings.clone(), record.clone());
        for number in nodes.numbers() {
            nodes.start(number).await;
        }
        let world = Arc::new(World {
            nodes: Arc::clone(&nodes),
            record: record.clone(),
            settings: settings.clone(),
            access,
            phase: Signal::new(Phase::Acting(Sea::Fair)),
            directory: clients::directory(),
        });
        let mut run = Run { world, store, minds: Vec::new(), draw: Draw::new(seed, 4) };
        let mut tasks = JoinSet::new();
        for number in 0..settings.users * settings.clients_per_user {
            let user = number / settings.clients_per_user;
            let client = Client::new(ClientNumber(number), user, seed, Arc::clone(&run.world));
            run.minds.push((user, client.mind()));
            tasks.spawn(client.run());
        }
        tasks.spawn(watch_memory(Arc::clone(&run.world)));
        let mut weather = Weather::new(seed, nodes, record.clone(), settings.clone());
        tokio::time::sleep(settings.prelude).await;
        run.calm().await;
        for storm in &settings.storms {
            run.world.phase.set(Phase::Acting(Sea::Stormy));
            weather.storm(*storm).await;
            run.calm().await;
        }
        run.world.phase.set(Phase::Over);
        while let Some(ended) = tasks.join_next().await {
            if let Err(panic) = ended.map_err(tokio::task::JoinError::try_into_panic)
                && let Ok(panic) = panic
            {
                std::panic::resume_unwind(panic);
            }
        }
        run.world.nodes.check();
        run.world.access.check().await;
        let evidence = run.evidence().await;
        run.report(seed, test, evidence)
    }
}

/// Says how to replay a run that panics.
struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay: {}", self.0);
        }
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("seed", &self.seed)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A run under way.
struct Run {
    world: Arc<World>,
    store: Arc<dyn Store>,
    /// Of all clients, each with the number of its user.
    minds: Vec<(usize, Arc<Mind>)>,
    draw: Draw,
}

impl Run {
    /// Lets everybody come to rest and takes down how everything stands.
    async fn calm(&mut self) {
        self.world.nodes.check();
        self.world.access.check().await;
        let users = self.world.settings.users;
        let absent: BTreeSet<_> = (0..users).filter(|_| self.draw.happens(30)).collect();
        let began = Instant::now();
        self.world.phase.set(Phase::Calm(absent.clone()));
        let minds = self.minds.iter().filter(|(user, _)| !absent.contains(user));
        let present: Vec<_> = minds.map(|(_, mind)| Arc::clone(mind)).collect();
        present.iter().for_each(|mind| mind.is_to_ask());
        let mut calm = Calm::default();
        wait_until(REST_WITHIN, || present.iter().all(|mind| mind.unrest().is_none())).await;
        for mind in &present {
            if let Some(why) = mind.unrest() {
                calm.stuck.insert(mind.number(), why);
            }
        }
        while self.world.record.wrote().elapsed() < COMPLETE_WITHIN {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Who was told where they are behind has the time that the store takes to answer.
        wait_until(REST_WITHIN, || present.iter().all(|mind| mind.is_done())).await;
        let mut known: BTreeMap<_, _> =
            present.iter().filter_map(|m| Some((m.number(), m.known()?))).collect();
        for user in self.world.directory.users().into_values() {
            calm.memberships.insert(user, self.memberships(user).await);
        }
        let engine = &self.world.settings.engine;
        // Silence proves a death once own words have come back for a lease, and the first of them may
        // come a third of one after the bus is well again.
        let lease = engine.presence_lease * 4 / 3;
        tokio::time::sleep_until(began + lease + engine.presence_debounce).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.world.phase.set(Phase::Telling(absent));
        wait_until(REST_WITHIN, || present.iter().all(|mind| mind.has_told())).await;
        for mind in &present {
            if let (Some(before), Some(now)) = (known.get_mut(&mind.number()), mind.known()) {
                before.contacts = now.contacts;
                before.seen_online = now.seen_online;
            }
        }
        calm.clients = known;
        for node in self.world.nodes.all() {
            calm.outbox_bytes.insert(node.number, node.engine.figures().queues.outbox_bytes);
        }
        self.world.record.put(What::Calm(Box::new(calm)));
    }

    async fn memberships(&self, user: UserId) -> Vec<(crate::Head, crate::Member)> {
        let all = self.store.memberships(user, None, 10_000).await;
        all.expect("the store under the simulation has no faults")
    }

    /// Gathers what is judged.
    async fn evidence(&self) -> (Evidence, [u8; 32], Counts) {
        let (facts, hash, counts) = self.world.record.end();
        let mut conversations = BTreeSet::new();
        for fact in &facts {
            if let What::Committed(_, written) = &fact.what {
                conversations.extend(written.appended.iter().map(|(conversation, ..)| *conversation));
            }
        }
        let mut members: BTreeMap<ConversationId, Vec<_>> = BTreeMap::new();
        for user in self.world.directory.users().into_values() {
            for (head, member) in self.memberships(user).await {
                conversations.insert(head.conversation);
                members.entry(head.conversation).or_default().push(member);
            }
        }
        let mut logs = BTreeMap::new();
        for conversation in conversations {
            let log = self.log(conversation, members.remove(&conversation).unwrap_or_default()).await;
            logs.insert(conversation, log);
        }
        let engine = &self.world.settings.engine;
        let limits = Limits {
            session_bytes: engine.session_queue_bytes,
            // What the queue takes, and what committers give back to be decided again.
            commit_rows: engine.commit_queue_rows + engine.commit_batch_rows * self.world.settings.writers,
        };
        (Evidence { facts, logs, limits }, hash, counts)
    }

    async fn log(&self, conversation: ConversationId, members: Vec<crate::Member>) -> Log {
        let sound = "the store under the simulation has no faults";
        let head = self.store.heads(&[conversation]).await.expect(sound).remove(0);
        let (mut entries, mut from) = (Vec::new(), 1);
        loop {
            let range = Range {
                from,
                to: Seq::MAX,
                direction: Direction::Forward,
                limit: 1_000,
                limit_bytes: 1 << 30,
            };
            let page = self.store.entries(conversation, &range).await.expect(sound);
            let Some(last) = page.last() else { break };
            from = last.seq + 1;
            entries.extend(page);
        }
        Log { head, entries, members }
    }

    fn report(
        &self,
        seed: u64,
        test: &'static str,
        (evidence, trace_hash, counts): (Evidence, [u8; 32], Counts),
    ) -> Report {
        let mut violations = Vec::new();
        for (invariant, finding) in oracle::judge(&evidence) {
            let Finding { conversation, words: evidence_in_words, until } = finding;
            // Those beyond a few are mostly consequences of the first.
            let trace = if violations.len() < TRACED {
                let facts = &evidence.facts[..until.map_or(evidence.facts.len(), |last| last + 1)];
                trace::of(facts, conversation)
            } else {
                String::new()
            };
            violations.push(Violation { invariant, conversation, evidence: evidence_in_words, trace });
        }
        Report { seed, test, trace_hash, counts, violations }
    }
}

/// Waits until something holds, at most so long.
async fn wait_until(at_most: Duration, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + at_most;
    while !holds() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Looks again and again how much waits in memory.
async fn watch_memory(world: Arc<World>) {
    while world.phase.now() != Phase::Over {
        for node in world.nodes.all() {
            let figures = node.engine.figures();
            world.record.put(What::Waiting {
                node: node.number,
                sessions: figures.sessions,
                outbox_bytes: figures.queues.outbox_bytes,
                commit_rows: figures.queues.commit_rows,
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
