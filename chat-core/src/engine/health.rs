//! Whether a node can serve: its store answers and takes writes, and its bus was proven.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::{Engine, Inner};
use crate::bus::BusState;
use crate::store::{StoreError, StoreErrorKind};

/// How often a shared store is probed to which nothing is written, and any store in trouble.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// A store that does not answer a probe by then counts as away.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// Whether a node should be given work, from [`Engine::health`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether it should: there is nothing against it.
    pub ready: bool,
    /// What is against it.
    pub reasons: Vec<Unready>,
    /// Whether its bus does not carry messages at present, though it did. The node is ready all the
    /// same: what other nodes write comes by the journal, later.
    pub bus_degraded: bool,
}

/// Why a node should not be given work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unready {
    /// It is shutting down.
    ShuttingDown,
    /// A part of it has panicked: what that part did, nobody does any more. Only another start helps.
    Failed,
    /// The store does not answer.
    StoreAway,
    /// The store answers and takes no writes.
    StoreReadOnly,
    /// No message has come back through the bus since the start.
    BusUnproven,
}

impl Unready {
    /// A stable word for it, in snake case.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ShuttingDown => "shutting_down",
            Self::Failed => "failed",
            Self::StoreAway => "store_away",
            Self::StoreReadOnly => "store_read_only",
            Self::BusUnproven => "bus_unproven",
        }
    }
}

impl Engine {
    /// Whether it should be given work, from what it knows: nothing is asked and nothing waited for.
    ///
    /// A store that goes away or read-only is noticed with the next write to it; where other nodes
    /// share it, within three seconds also without one. That it has come back is noticed within a
    /// second.
    pub fn health(&self) -> Health {
        let inner = &self.core;
        let bus = inner.bus.as_ref().map(|bus| bus.state());
        let mut reasons = Vec::new();
        reasons.extend(inner.committers.is_closed().then_some(Unready::ShuttingDown));
        reasons.extend(inner.watch.has_lost_a_part().then_some(Unready::Failed));
        reasons.extend(inner.watch.trouble());
        reasons.extend((bus == Some(BusState::Unproven)).then_some(Unready::BusUnproven));
        Health { ready: reasons.is_empty(), reasons, bus_degraded: bus == Some(BusState::Degraded) }
    }

    /// Waits until a part of the engine has panicked. What that part did, nobody does any more, and
    /// conversations whose commits it had in hand stand still; what is stored is not concerned. So the
    /// process is best ended and started again, as one that crashed.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn failed(&self) {
        let mut lost = self.core.watch.lost.subscribe();
        // The sender lives as long as the engine.
        let _ = lost.wait_for(|lost| *lost).await;
    }
}

/// Runs a part of the engine, and takes notice if it panics.
pub(super) async fn watched(inner: Arc<Inner>, part: impl Future<Output = ()>) {
    let _noticed = Noticed(inner);
    part.await;
}

struct Noticed(Arc<Inner>);

impl Drop for Noticed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a part of the engine has panicked: it is not ready any more");
            self.0.watch.lost.send_replace(true);
        }
    }
}

const FINE: u8 = 0;
const AWAY: u8 = 1;
const READ_ONLY: u8 = 2;

/// What is known of the store from what it answers.
#[derive(Debug)]
pub(crate) struct Watch {
    started: Instant,
    trouble: AtomicU8,
    /// When it last took a write or passed a probe, in milliseconds since the start.
    wrote: AtomicU64,
    /// When it last answered anything, likewise.
    answered: AtomicU64,
    /// When the journal was last read, likewise.
    journal: AtomicU64,
    /// Trouble has begun.
    wake: Notify,
    /// Whether a part of the engine has panicked.
    lost: watch::Sender<bool>,
}

impl Watch {
    /// Of a store that has answered just now.
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            trouble: AtomicU8::new(FINE),
            wrote: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            journal: AtomicU64::new(0),
            wake: Notify::new(),
            lost: watch::Sender::new(false),
        }
    }

    fn has_lost_a_part(&self) -> bool {
        *self.lost.borrow()
    }

    /// What keeps the store from taking writes.
    pub(crate) fn trouble(&self) -> Option<Unready> {
        match self.trouble.load(Ordering::Relaxed) {
            FINE => None,
            READ_ONLY => Some(Unready::StoreReadOnly),
            _ => Some(Unready::StoreAway),
        }
    }

    pub(crate) fn journal_age(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.journal.load(Ordering::Relaxed)))
    }

    /// It has taken a write, or would have.
    pub(crate) fn wrote(&self) {
        let now = self.now();
        self.wrote.store(now, Ordering::Relaxed);
        self.answered.store(now, Ordering::Relaxed);
        self.trouble.store(FINE, Ordering::Relaxed);
    }

    /// A page of the journal was read.
    pub(crate) fn read_journal(&self) {
        let now = self.now();
        self.journal.store(now, Ordering::Relaxed);
        self.answered.store(now, Ordering::Relaxed);
    }

    /// It could not do what it was asked.
    pub(crate) fn failed(&self, error: &StoreError) {
        match error.kind() {
            StoreErrorKind::Unavailable | StoreErrorKind::Ambiguous => self.begin(AWAY),
            StoreErrorKind::ReadOnly => self.begin(READ_ONLY),
            // It is there, and of another opinion.
            StoreErrorKind::Trimmed | StoreErrorKind::Invalid => {}
        }
    }

    /// What a commit says.
    pub(crate) fn committed<T>(&self, result: &Result<T, StoreError>) {
        match result {
            Ok(_) => self.wrote(),
            Err(error) => self.failed(error),
        }
    }

    /// A probe that began then says it is away, or nothing: too many reads at once may be the
    /// cause, and then others were answered meanwhile.
    fn missed(&self, began: u64) {
        if self.answered.load(Ordering::Relaxed) <= began {
            self.begin(AWAY);
        }
    }

    fn begin(&self, trouble: u8) {
        if self.trouble.swap(trouble, Ordering::Relaxed) == FINE {
            self.wake.notify_one();
        }
    }

    fn is_fresh(&self) -> bool {
        let age = self.now().saturating_sub(self.wrote.load(Ordering::Relaxed));
        self.trouble().is_none() && u128::from(age) < PROBE_EVERY.as_millis()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Probes the store when nothing else tells how it is. One that no other node uses and that has
/// failed nobody is left alone.
pub(super) async fn run(inner: Arc<Inner>) {
    let (store, watch) = (&inner.store, &inner.watch);
    loop {
        let wake = watch.wake.notified();
        if store.is_shared() || watch.trouble().is_some() {
            // Cancel-safe: a wake that is dropped with the future stands for trouble, which the look
            // below finds.
            let _ = timeout(PROBE_EVERY, wake).await;
        } else {
            wake.await;
        }
        if watch.is_fresh() {
            continue;
        }
        let began = watch.now();
        match timeout(PROBE_PATIENCE, store.probe()).await {
            Ok(Ok(())) => watch.wrote(),
            Ok(Err(error)) if error.kind() == StoreErrorKind::Unavailable => watch.missed(began),
            Ok(Err(error)) => watch.failed(&error),
            Err(_) => watch.missed(began),
        }
    }
}
