//! The bus on Redis.
//!
//! ```text
//! publish ─→ outbox (bytes) ─→ pump ═══ PUBLISH, SPUBLISH ══→ Redis
//!                                                               │
//! receive ←─ inbox (bytes) ←─ arrivals ←─ the client's queue ←══╧══ SUBSCRIBE, SSUBSCRIBE
//!                  └ Lagged when any of it overflowed, or subscriptions were made again
//! ```
//!
//! - `options`, `channels`: how Redis is reached, and what topics are called there.
//! - `topics`: what is wanted; `session`: the tasks that keep it subscribed; `link`: the commands.
//! - `outbox`, `inbox`: the bounds. `health`: the proof of the path. `counts`: figures.

mod channels;
mod counts;
mod health;
mod inbox;
mod link;
mod options;
mod outbox;
mod session;
mod tls;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chat_core::bus::{Bus, BusCounts, BusEvent, BusState, BusUnavailable, Message, Published, Topic};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use self::options::{ConnectError, RedisBusOptions};

use self::counts::Counters;
use self::health::Health;
use self::inbox::Inbox;
use self::options::Setup;
use self::outbox::Outbox;
use self::topics::Topics;
use crate::envelope;

/// How long closing waits for what was taken.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// A node's endpoint of a bus that Redis carries: one server, or a cluster with sharded
/// publish-subscribe, so that each topic costs one node of it alone.
///
/// It connects in the background, again whenever it has to, and ends when it is closed or dropped;
/// only closing it waits for what was taken.
#[derive(Debug)]
pub struct RedisBus {
    shared: Arc<Shared>,
    keeper: JoinHandle<()>,
    /// Closed when the keeper has ended.
    ended: watch::Receiver<()>,
}

/// What the endpoint and its tasks share.
struct Shared {
    setup: Setup,
    /// The channel of messages to itself.
    proof: String,
    topics: Topics,
    outbox: Outbox,
    inbox: Inbox,
    health: Health,
    counters: Counters,
    /// Subscriptions have become complete: time for a proof.
    subscribed: Notify,
    /// Subscriptions may have ended unheard: time to make them again.
    doubted: Notify,
    /// The endpoint is closed: time for its tasks to end.
    ending: Notify,
}

impl RedisBus {
    /// An endpoint that begins to connect. Whether it has is told by [`Bus::state`].
    ///
    /// # Errors
    /// Settings that cannot be meant. A Redis that is away is no error.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn connect(options: RedisBusOptions) -> Result<Self, ConnectError> {
        let setup = Setup::new(options)?;
        let shared = Arc::new(Shared {
            proof: setup.channels.proof(link::random()),
            topics: Topics::default(),
            outbox: Outbox::new(setup.options.outgoing_limit_bytes),
            inbox: Inbox::new(setup.options.incoming_limit_bytes),
            health: Health::new(setup.options.proof_interval),
            counters: Counters::default(),
            subscribed: Notify::new(),
            doubted: Notify::new(),
            ending: Notify::new(),
            setup,
        });
        let (alive, ended) = watch::channel(());
        let kept = Arc::clone(&shared);
        let keeper = tokio::spawn(async move {
            session::keep(&kept).await;
            drop(alive);
        });
        Ok(Self { shared, keeper, ended })
    }

    /// Tells each change of [`Bus::state`].
    pub fn watch(&self) -> watch::Receiver<BusState> {
        self.shared.health.watch()
    }
}

#[async_trait]
impl Bus for RedisBus {
    fn publish(&self, topic: Topic, message: Message) -> Published {
        let shared = &self.shared;
        // While the bus is away nothing is kept for later: the journal has it.
        let published = match shared.topics.is_up().then(|| envelope::seal(&message)).flatten() {
            Some(payload) => shared.outbox.push(shared.setup.channels.of(topic), payload),
            None => Published::Dropped,
        };
        match published {
            Published::Taken => shared.counters.taken.add(1),
            Published::Dropped => shared.counters.dropped.add(1),
        }
        published
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<(), BusUnavailable> {
        self.shared.topics.subscribe(topics).await
    }

    fn unsubscribe(&self, topics: &[Topic]) {
        self.shared.topics.unsubscribe(topics);
    }

    async fn receive(&self) -> Option<BusEvent> {
        self.shared.inbox.receive().await
    }

    fn state(&self) -> BusState {
        self.shared.health.state()
    }

    fn counts(&self) -> BusCounts {
        let mut counts = self.shared.counters.counts();
        counts.outgoing_bytes = self.shared.outbox.bytes();
        counts.incoming_bytes = self.shared.inbox.bytes();
        counts
    }

    async fn close(&self) {
        let shared = &self.shared;
        shared.outbox.close();
        shared.topics.close();
        shared.inbox.end();
        if timeout(CLOSE_PATIENCE, shared.outbox.drained()).await.is_err() {
            tracing::warn!("the bus is closed before redis has taken everything");
        }
        shared.ending.notify_one();
        let mut ended = self.ended.clone();
        while ended.changed().await.is_ok() {}
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Shared {
    fn channels(&self, topics: &[Topic]) -> Vec<String> {
        topics.iter().map(|topic| self.setup.channels.of(*topic)).collect()
    }

    /// The channels of topics, and that of messages to itself.
    fn with_proof(&self, topics: &[Topic]) -> Vec<String> {
        let mut channels = self.channels(topics);
        channels.push(self.proof.clone());
        channels
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("options", &self.setup.options).finish_non_exhaustive()
    }
}
