//! The engine: everything that chat is, above a store and a bus.

mod accounts;
mod builder;
mod committer;
mod config;
mod contacts;
mod environment;
mod figures;
mod follower;
mod gate;
mod groups;
mod health;
mod hooks;
mod hub;
#[cfg(all(test, interleavings))]
mod interleavings;
mod login;
mod messages;
mod outbox;
mod passwords;
mod planted;
mod positions;
mod presence;
mod rate;
mod reading;
mod repair;
mod rules;
mod session;
mod slots;
mod sync;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

pub use builder::{EngineBuilder, StartError};
pub use config::{ContactPolicy, DevicePolicy, EngineConfig, WritePolicy};
pub use environment::{Blocking, BlockingInline, BlockingThreads, Clock, Job, SystemClock};
pub use figures::{
    BusFigures, CommitFigures, DeliveryFigures, Figures, Histogram, JournalFigures, QueueFigures,
    RepairFigures, SendFigures,
};
pub use health::{Health, Unready};
pub use hooks::{Authenticator, Hooks, Identity, Verdict};
pub use login::LoggedIn;
pub use messages::PendingSend;
pub use passwords::PasswordCost;
#[cfg(feature = "planted-defects")]
pub use planted::Defect;
pub use session::{Events, Session};

use crate::bus::{Bus, Origin};
use crate::store::{Digest, Item, Once, Outcome, Placed, Store};
use crate::{ClientId, ConversationId, Epoch, Error, ErrorKind, Receipt, Timestamp, UserId};
use committer::{Committers, Work, store_error};
use environment::Environment;
use figures::Counts;
use health::Watch;
use hub::Hub;
use outbox::OutboxLimits;
use passwords::Passwords;
use planted::Planted;
use presence::Presence;
use rules::RulesCache;
use slots::Slots;

/// A chat engine over one store: the entrance to everything. Cheap to clone.
///
/// Dropping the last clone, with all sessions, stops it at once; [`Engine::shutdown`] lets what is
/// under way finish.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use chat_core::{AccountName, ClientId, Engine, Epoch, Password, Register, memory::MemoryStore};
///
/// let engine = Engine::builder(MemoryStore::new(Epoch(1))).start().await?;
/// let ada = engine
///     .register(Register {
///         client_id: ClientId([1; 16]),
///         name: AccountName::parse("ada")?,
///         display_name: None,
///         password: Password::new("correct horse"),
///         device_label: "laptop".into(),
///     })
///     .await?;
/// println!("{} is user {}", "ada", ada.session.user());
/// engine.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Engine {
    core: Arc<Core>,
}

/// The engine's tasks and what they share; the tasks end with it.
pub(crate) struct Core {
    inner: Arc<Inner>,
    tasks: Mutex<Tasks>,
}

/// What runs for an engine. Dropping a set aborts its tasks.
#[derive(Default)]
struct Tasks {
    /// The committers, which end by themselves once closed and empty.
    writers: JoinSet<()>,
    /// All others, which may end at any moment.
    helpers: JoinSet<()>,
}

impl std::ops::Deref for Core {
    type Target = Arc<Inner>;

    fn deref(&self) -> &Arc<Inner> {
        &self.inner
    }
}

/// What the engine's tasks and sessions share.
pub(crate) struct Inner {
    config: EngineConfig,
    environment: Environment,
    store: Arc<dyn Store>,
    bus: Option<Arc<dyn Bus>>,
    origin: Origin,
    epoch: AtomicU64,
    hub: Hub,
    committers: Committers,
    rules: RulesCache,
    passwords: Passwords,
    presence: Arc<Presence>,
    authenticator: Option<Arc<dyn Authenticator>>,
    hooks: Option<Arc<dyn Hooks>>,
    outbox_limits: Arc<OutboxLimits>,
    next_session: AtomicU64,
    /// Sessions whose slot is being stored and that the hub does not know yet.
    arriving: Mutex<BTreeSet<u64>>,
    slots: Slots,
    journal_wake: Notify,
    counts: Counts,
    watch: Watch,
    planted: Planted,
}

impl Engine {
    /// A builder of an engine over this store.
    pub fn builder(store: impl Store) -> EngineBuilder {
        EngineBuilder::new(Arc::new(store))
    }

    /// A builder of an engine over a store that others hold too.
    pub fn builder_shared(store: Arc<dyn Store>) -> EngineBuilder {
        EngineBuilder::new(store)
    }

    /// The settings it was started with.
    pub fn config(&self) -> &EngineConfig {
        &self.core.config
    }

    /// Which history its store holds. Changes when an operator has restored another one.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.core.epoch.load(Ordering::Acquire))
    }

    /// The time by its clock.
    pub fn now(&self) -> Timestamp {
        self.core.environment.clock.now()
    }

    /// How many sessions it has at present.
    pub fn sessions(&self) -> usize {
        self.core.hub.census().1
    }

    /// Ends all sessions, writes what was accepted, and closes the store. What takes longer than the
    /// commit deadline is given up.
    pub async fn shutdown(&self) {
        let inner = &self.core.inner;
        for session in inner.hub.all_sessions() {
            session.end(crate::EndReason::ShuttingDown);
            inner.release_slot(&session);
        }
        inner.committers.close();
        let mut tasks = std::mem::take(&mut *self.core.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let finished = async { while tasks.writers.join_next().await.is_some() {} };
        if tokio::time::timeout(inner.config.commit_deadline, finished).await.is_err() {
            tracing::warn!("commits were still under way at the deadline");
        }
        tasks.helpers.shutdown().await;
        if let Some(bus) = &inner.bus {
            inner.say_farewell();
            bus.close().await;
        }
        inner.store.close().await;
    }

    /// Stops it as the loss of its process would: in the middle of whatever it does, without a word to
    /// anyone. Commands that are under way are never answered; whoever waits for them must be dropped.
    #[cfg(feature = "testkit")]
    pub fn crash(&self) {
        *self.core.tasks.lock().unwrap_or_else(PoisonError::into_inner) = Tasks::default();
    }
}

/// What became of a command that was carried out through [`Inner::settle`].
pub(crate) enum Settled {
    /// Now: where its entries stand.
    Now(Vec<Placed>),
    /// Before: what was recorded then.
    Before(crate::store::Stored),
}

impl Settled {
    /// What the session is told.
    pub(crate) fn receipt(&self) -> Receipt {
        match self {
            Self::Now(placed) => placed.first().map_or(Receipt { seq: 0, time: Timestamp(0) }, |placed| {
                Receipt { seq: placed.seq, time: placed.time }
            }),
            Self::Before(stored) => Receipt { seq: stored.seq, time: stored.time },
        }
    }
}

/// So often a command is decided again when others change what it was decided on.
const ATTEMPTS: u32 = 32;

impl Inner {
    /// The number of a new session.
    fn draw_session(&self) -> u64 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }

    /// Commits one item through the committer of a conversation.
    pub(crate) async fn commit(&self, at: &ConversationId, item: Item) -> Result<Outcome, Error> {
        let outcome = self.committers.submit(at, Work::Item(Box::new(item)))?;
        outcome.await.map_err(|_| Error::new(ErrorKind::Ended, "shutting down"))?
    }

    /// Carries out a command: loads and decides, commits, and starts again when what it was decided
    /// on has changed. A repetition of a command that was carried out gets its first result, also
    /// when it would be refused by now.
    pub(crate) async fn settle<Decide, Decided>(
        &self,
        once: Once,
        digest: Digest,
        decide: Decide,
    ) -> Result<Settled, Error>
    where
        Decide: Fn() -> Decided,
        Decided: Future<Output = Result<Item, Error>>,
    {
        for attempt in 0..ATTEMPTS {
            let mut item = match decide().await {
                Ok(item) => item,
                Err(refusal) => return self.first_result(once, digest).await?.ok_or(refusal),
            };
            item.once = Some((once, digest));
            match self.commit(&once.conversation, item).await? {
                Outcome::Committed(placed) => return Ok(Settled::Now(placed)),
                Outcome::Duplicate(stored) => return Ok(Settled::Before(stored)),
                Outcome::Conflict => return Err(conflict()),
                Outcome::Taken => {
                    let taken = Error::new(ErrorKind::Taken, "the name is taken");
                    return self.first_result(once, digest).await?.ok_or(taken);
                }
                Outcome::Stale => tokio::time::sleep(Duration::from_millis(u64::from(attempt))).await,
            }
        }
        let busy = Error::new(ErrorKind::Overloaded, "too many changes at the same time");
        Err(busy.retry_after(Duration::from_millis(500)))
    }

    /// The result of a command that was carried out before.
    async fn first_result(&self, once: Once, digest: Digest) -> Result<Option<Settled>, Error> {
        let recorded = self.store.recorded(&[once]).await.map_err(|error| store_error(&error))?;
        match recorded.into_iter().next().flatten() {
            Some(stored) if stored.digest == digest => Ok(Some(Settled::Before(stored))),
            Some(_) => Err(conflict()),
            None => Ok(None),
        }
    }

    /// The rules of an inbox or of a pair: their `rules_seq`.
    pub(crate) async fn rules_seq(&self, of: &[ConversationId]) -> Result<Vec<u64>, Error> {
        let heads = self.store.heads(of).await.map_err(|error| store_error(&error))?;
        Ok(heads.into_iter().map(|head| head.rules_seq).collect())
    }
}

/// The key of a command that is recorded in its sender's inbox.
pub(crate) fn inbox_once(client_id: ClientId, sender: UserId) -> Once {
    Once { client_id, sender, conversation: ConversationId::Inbox(sender) }
}

fn conflict() -> Error {
    Error::new(ErrorKind::Conflict, "the id was used for another command")
}
