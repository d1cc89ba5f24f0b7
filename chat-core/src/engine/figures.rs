//! What an engine has done since it started and holds at present: numbers for operators, free of any
//! library of metrics.

mod counts;

use std::time::Duration;

pub(crate) use counts::{CommitCounts, Counts, Delivered, OutboxCounts};

use super::{Engine, Inner};
use crate::bus::{BusCounts, BusState};
use crate::{Error, ErrorKind};

/// The figures of an engine at one moment, from [`Engine::figures`].
///
/// What is counted grows from the engine's start and never falls. Each number is exact; two of them
/// that are read while the engine works need not be of the same instant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Figures {
    /// Sessions at present.
    pub sessions: usize,
    /// Users with a session on this node at present.
    pub users: usize,
    /// What became of sends.
    pub sends: SendFigures,
    /// What was queued to sessions.
    pub deliveries: DeliveryFigures,
    /// Refused commands by kind, log-ins and sends included: every kind once, in the order of their
    /// numbers.
    pub refusals: Vec<(ErrorKind, u64)>,
    /// What became of batches.
    pub commits: CommitFigures,
    /// What waits at present.
    pub queues: QueueFigures,
    /// What was missing at gates.
    pub repairs: RepairFigures,
    /// How the journal was followed; `None` over a store that no other node writes to.
    pub journal: Option<JournalFigures>,
    /// Whether the store answers and takes writes, as far as [`Engine::health`] knows.
    pub store_ready: bool,
    /// The bus; `None` for an engine without one.
    pub bus: Option<BusFigures>,
}

/// What became of sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendFigures {
    /// Taken into a committer's queue.
    pub accepted: u64,
    /// Stored, and acknowledged as such.
    pub committed: u64,
    /// Repetitions, acknowledged with their first result.
    pub duplicates: u64,
}

/// What was queued to sessions, and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryFigures {
    /// Entries queued, one for each session.
    pub entries: u64,
    /// Chunks queued, one for each session.
    pub chunks: u64,
    /// Times that a session's queue was full and became marks of where it is behind.
    pub collapses: u64,
    /// Ephemeral events dropped for want of room.
    pub ephemerals_dropped: u64,
}

/// What became of batches.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CommitFigures {
    /// Batches that the store has taken.
    pub batches: u64,
    /// The items in them, whatever became of each.
    pub items: u64,
    /// The sizes of those batches, in items.
    pub batch_size: Histogram,
    /// How long the store took for each attempt, in seconds, failed ones included.
    pub seconds: Histogram,
    /// Attempts of which it was unknown whether they committed.
    pub ambiguous: u64,
    /// Attempts that failed since the store was away or read-only.
    pub unavailable: u64,
    /// Attempts that the store could not make sense of.
    pub invalid: u64,
}

/// What waits at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueFigures {
    /// Commands in the queues of all committers.
    pub commit_rows: usize,
    /// Their bytes.
    pub commit_bytes: usize,
    /// Bytes of events in the queues of all sessions.
    pub outbox_bytes: usize,
    /// The most that these may be together.
    pub outbox_limit_bytes: usize,
    /// Passwords that wait to be hashed; those that are being hashed wait no more.
    pub password_hashes: usize,
}

/// What was missing at gates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairFigures {
    /// Pages that were read from the store to fill holes.
    pub holes_read: u64,
    /// Holes that were too large, or were trimmed: sessions were told that they are behind.
    pub holes_given_up: u64,
}

/// How the journal was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalFigures {
    /// Pages read.
    pub rounds: u64,
    /// Attempts that failed.
    pub errors: u64,
    /// How long ago it was read, or its end was when the engine started.
    pub age: Duration,
}

/// The bus, as it speaks of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusFigures {
    /// Whether messages get through.
    pub state: BusState,
    /// What became of them, and what waits.
    pub counts: BusCounts,
}

/// How values are distributed over fixed buckets.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// The greatest value of each bucket but the last, which has none; ascending.
    pub bounds: Vec<f64>,
    /// How many values are in each bucket: one number more than there are bounds.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: f64,
}

impl Histogram {
    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Engine {
    /// What it has done since it started and holds at present. Costs a look at every user who is
    /// online, so that it is for asking every few seconds.
    pub fn figures(&self) -> Figures {
        self.core.figures()
    }
}

impl Inner {
    /// Passes on the answer to a command, and counts it if it is a refusal. Every command of a session
    /// and every log-in passes here once; sends that were queued are counted by their committer.
    pub(super) fn count_refused<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if let Err(refusal) = &answer {
            self.counts.refusals.one(refusal.kind());
        }
        answer
    }

    fn figures(&self) -> Figures {
        let counts = &self.counts;
        let (users, sessions) = self.hub.census();
        let commits = self.committers.counts();
        let (commit_rows, commit_bytes) = self.committers.waiting();
        let limits = &self.outbox_limits;
        let refusals = |kind: &ErrorKind| counts.refusals.of(*kind) + commits.refusals.of(*kind);
        Figures {
            sessions,
            users,
            sends: SendFigures {
                accepted: commits.accepted.read(),
                committed: commits.committed.read(),
                duplicates: commits.duplicates.read() + counts.known.read(),
            },
            deliveries: DeliveryFigures {
                entries: self.hub.delivered.entries.read(),
                chunks: self.hub.delivered.chunks.read(),
                collapses: limits.counts.collapses.read(),
                ephemerals_dropped: limits.counts.ephemerals_dropped.read(),
            },
            refusals: ErrorKind::ALL.iter().map(|kind| (*kind, refusals(kind))).collect(),
            commits: commits.figures(),
            queues: QueueFigures {
                commit_rows,
                commit_bytes,
                outbox_bytes: limits.used_bytes.load(std::sync::atomic::Ordering::Relaxed),
                outbox_limit_bytes: limits.total_bytes,
                password_hashes: self.passwords.waiting(),
            },
            repairs: RepairFigures {
                holes_read: counts.holes_read.read(),
                holes_given_up: self.hub.delivered.passed_over.read(),
            },
            journal: self.store.is_shared().then(|| JournalFigures {
                rounds: counts.journal_rounds.read(),
                errors: counts.journal_errors.read(),
                age: self.watch.journal_age(),
            }),
            store_ready: self.watch.trouble().is_none(),
            bus: self.bus.as_ref().map(|bus| BusFigures { state: bus.state(), counts: bus.counts() }),
        }
    }
}
