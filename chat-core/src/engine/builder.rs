//! Putting an engine together.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::committer::{Bounds, Committers};
use super::environment::{Blocking, BlockingThreads, Clock, Environment, Random, SystemClock};
use super::figures::{Counts, OutboxCounts};
use super::health::{self, Watch, watched};
use super::hub::Hub;
use super::outbox::OutboxLimits;
use super::passwords::Passwords;
use super::planted::Planted;
use super::presence::Presence;
use super::rules::RulesCache;
use super::slots::Slots;
use super::sync::AtomicUsize;
use super::{
    Authenticator, Core, Engine, EngineConfig, Hooks, Inner, Tasks, committer, follower, presence, repair,
    slots,
};
use crate::bus::{Bus, Origin};
use crate::store::{Store, StoreError};
use crate::{BootId, Error};

/// Tasks that deliver to large groups.
const FAN_OUT_TASKS: usize = 2;

/// Collects what an engine is made of. Everything but the store has a default.
pub struct EngineBuilder {
    store: Arc<dyn Store>,
    bus: Option<Arc<dyn Bus>>,
    config: EngineConfig,
    clock: Arc<dyn Clock>,
    blocking: Arc<dyn Blocking>,
    seed: Option<u64>,
    authenticator: Option<Arc<dyn Authenticator>>,
    hooks: Option<Arc<dyn Hooks>>,
    planted: Planted,
}

impl EngineBuilder {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            bus: None,
            config: EngineConfig::default(),
            clock: Arc::new(SystemClock),
            blocking: Arc::new(BlockingThreads),
            seed: None,
            authenticator: None,
            hooks: None,
            planted: Planted::default(),
        }
    }

    /// The settings. Default: [`EngineConfig::default`].
    #[must_use]
    pub fn config(mut self, config: EngineConfig) -> Self {
        self.config = config;
        self
    }

    /// This node's endpoint of the bus that connects it to others over the same store. Default: none;
    /// nodes then hear of each other's writes through the journal.
    #[must_use]
    pub fn bus(mut self, bus: impl Bus) -> Self {
        self.bus = Some(Arc::new(bus));
        self
    }

    /// As [`EngineBuilder::bus`], for an endpoint that others hold too.
    #[must_use]
    pub fn bus_shared(mut self, bus: Arc<dyn Bus>) -> Self {
        self.bus = Some(bus);
        self
    }

    /// Who tells the time of day. Default: the system.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Who runs blocking work. Default: the runtime's blocking threads.
    #[must_use]
    pub fn blocking(mut self, blocking: impl Blocking) -> Self {
        self.blocking = Arc::new(blocking);
        self
    }

    /// Draws all randomness from this seed, ids and tokens included: for replaying a run, never for
    /// service. Default: the operating system's randomness.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Who admits users by proofs other than passwords. Default: nobody.
    #[must_use]
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Some(Arc::new(authenticator));
        self
    }

    /// Who sees messages on their way. Default: nobody.
    #[must_use]
    pub fn hooks(mut self, hooks: impl Hooks) -> Self {
        self.hooks = Some(Arc::new(hooks));
        self
    }

    /// Plants a defect into the engine: for tests of what should find it, never for service. Those that
    /// are a store's or a bus's are none of the engine's.
    #[cfg(feature = "planted-defects")]
    #[must_use]
    pub fn plant(mut self, defect: super::Defect) -> Self {
        self.planted = Planted::with(defect);
        self
    }

    /// Starts the engine on the current tokio runtime.
    ///
    /// # Errors
    /// The store cannot be read, or a setting is out of bounds.
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub async fn start(self) -> Result<Engine, StartError> {
        let random = Arc::new(self.seed.map_or_else(Random::from_system, Random::seeded));
        let environment = Environment { clock: self.clock, blocking: self.blocking, random };
        let config = self.config;
        let passwords =
            Passwords::new(config.password_cost, config.password_hashes_at_once, environment.clone())
                .map_err(StartError::Setting)?;
        let epoch = self.store.epoch().await.map_err(StartError::Store)?;
        let outbox_limits = Arc::new(OutboxLimits {
            session_bytes: config.session_queue_bytes,
            behind_marks: config.session_behind_limit,
            total_bytes: config.queues_limit_bytes,
            used_bytes: AtomicUsize::new(0),
            counts: OutboxCounts::default(),
            planted: self.planted,
        });
        let origin =
            Origin { node: config.node.as_str().into(), boot: BootId(environment.random.number() >> 1) };
        let presence = Arc::new(Presence::new(config.presence_debounce, config.presence_lease, self.planted));
        let bounds = Bounds {
            rows: config.commit_queue_rows,
            bytes: config.commit_queue_bytes,
            batch_rows: config.commit_batch_rows,
            batch_bytes: config.commit_batch_bytes,
            batches: self.store.writers().max(1),
        };
        let inner = Arc::new(Inner {
            hub: Hub::new(config.gate_queue_bytes, Arc::clone(&presence), self.planted),
            committers: Committers::new(bounds, config.commit_deadline),
            rules: RulesCache::new(),
            presence,
            store: self.store,
            bus: self.bus,
            origin,
            epoch: AtomicU64::new(epoch.0),
            passwords,
            authenticator: self.authenticator,
            hooks: self.hooks,
            outbox_limits,
            next_session: AtomicU64::new(1),
            arriving: Mutex::default(),
            slots: Slots::default(),
            journal_wake: Notify::new(),
            counts: Counts::default(),
            watch: Watch::new(),
            planted: self.planted,
            environment,
            config,
        });
        let mut tasks = Tasks::default();
        let shared = || Arc::clone(&inner);
        for _ in 0..bounds.batches {
            let queue = Arc::clone(inner.committers.queue());
            tasks.writers.spawn(watched(shared(), committer::run(shared(), queue)));
        }
        for _ in 0..FAN_OUT_TASKS {
            tasks.helpers.spawn(watched(shared(), repair::fan_out(shared())));
        }
        tasks.helpers.spawn(watched(shared(), repair::fill_holes(shared())));
        tasks.helpers.spawn(watched(shared(), repair::attach_entered(shared())));
        tasks.helpers.spawn(watched(shared(), repair::end_superseded(shared())));
        tasks.helpers.spawn(watched(shared(), repair::release_topics(shared())));
        tasks.helpers.spawn(watched(shared(), presence::run(shared())));
        tasks.helpers.spawn(watched(shared(), health::run(shared())));
        tasks.helpers.spawn(watched(shared(), slots::run(shared())));
        if let Some(bus) = &inner.bus {
            tasks.helpers.spawn(watched(shared(), follower::receive(shared(), Arc::clone(bus))));
            tasks.helpers.spawn(watched(shared(), presence::announce(shared())));
        }
        if inner.store.is_shared() {
            let start = inner.store.journal_end().await.map_err(StartError::Store)?;
            tasks.helpers.spawn(watched(shared(), follower::follow(shared(), start)));
        }
        Ok(Engine { core: Arc::new(Core { inner, tasks: Mutex::new(tasks) }) })
    }
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Why an engine could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[source] StoreError),
    /// A setting is out of bounds.
    #[error("a setting is out of bounds")]
    Setting(#[source] Error),
}
