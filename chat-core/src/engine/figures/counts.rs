//! What is counted, and where: relaxed atomics next to what is counted, so that nobody waits for them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{CommitFigures, Histogram};
use crate::engine::gate::Step;
use crate::store::{Outcome, StoreError, StoreErrorKind};
use crate::{Error, ErrorKind};

/// The bounds of batch sizes, in items.
const BATCH_SIZES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024];

/// The bounds of how long a commit takes, in nanoseconds: from 100 µs to 10 s.
const COMMIT_TIMES: &[u64] = &[
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

const NANOSECONDS: f64 = 1e9;

/// A number that grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted rarely, for the whole engine.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) refusals: Refusals,
    /// Sends that were known to be repetitions before they reached a committer.
    pub(crate) known: Count,
    pub(crate) holes_read: Count,
    pub(crate) journal_rounds: Count,
    pub(crate) journal_errors: Count,
}

/// Refused commands by kind.
#[derive(Debug, Default)]
pub(crate) struct Refusals([Count; ErrorKind::ALL.len()]);

impl Refusals {
    pub(crate) fn one(&self, kind: ErrorKind) {
        self.0[place(kind)].one();
    }

    pub(crate) fn of(&self, kind: ErrorKind) -> u64 {
        self.0[place(kind)].read()
    }
}

/// Numbers of kinds begin with 1 and have no hole.
fn place(kind: ErrorKind) -> usize {
    kind.number() as usize - 1
}

/// What was queued to sessions: added once for all listeners of a chunk.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Delivered {
    pub(crate) entries: Count,
    pub(crate) chunks: Count,
    /// Times that a gate passed entries over.
    pub(crate) passed_over: Count,
}

impl Delivered {
    /// What a gate released was queued to so many sessions.
    pub(crate) fn count(&self, step: &Step, sessions: usize) {
        match step {
            Step::Chunk(chunk) => {
                self.chunks.add(sessions);
                self.entries.add(sessions * chunk.entries().len());
            }
            Step::Behind(_) => self.passed_over.one(),
        }
    }
}

/// What was not, which is rare.
#[derive(Debug, Default)]
pub(crate) struct OutboxCounts {
    pub(crate) collapses: Count,
    pub(crate) ephemerals_dropped: Count,
}

/// What one committer does. Each has its own and shares their cache line with nobody.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct CommitCounts {
    pub(crate) accepted: Count,
    pub(crate) committed: Count,
    pub(crate) duplicates: Count,
    pub(crate) refusals: Refusals,
    batch_size: Buckets,
    times: Buckets,
    ambiguous: Count,
    unavailable: Count,
    invalid: Count,
}

impl CommitCounts {
    pub(crate) fn new() -> Self {
        Self {
            accepted: Count::default(),
            committed: Count::default(),
            duplicates: Count::default(),
            refusals: Refusals::default(),
            batch_size: Buckets::new(BATCH_SIZES),
            times: Buckets::new(COMMIT_TIMES),
            ambiguous: Count::default(),
            unavailable: Count::default(),
            invalid: Count::default(),
        }
    }

    /// One attempt to commit so many items.
    pub(crate) fn attempt<T>(&self, result: &Result<T, StoreError>, items: usize, took: Duration) {
        self.times.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        match result.as_ref().map_err(StoreError::kind) {
            Ok(_) => self.batch_size.record(items as u64),
            Err(StoreErrorKind::Ambiguous) => self.ambiguous.one(),
            Err(StoreErrorKind::Unavailable | StoreErrorKind::ReadOnly) => self.unavailable.one(),
            Err(StoreErrorKind::Invalid | StoreErrorKind::Trimmed) => self.invalid.one(),
        }
    }

    /// What a sender is told.
    pub(crate) fn answer(&self, outcome: &Result<Outcome, Error>) {
        match outcome {
            Ok(Outcome::Committed(_)) => self.committed.one(),
            Ok(Outcome::Duplicate(_)) => self.duplicates.one(),
            Ok(Outcome::Conflict) => self.refusals.one(ErrorKind::Conflict),
            Ok(Outcome::Stale | Outcome::Taken) => self.refusals.one(ErrorKind::NotAllowed),
            Err(error) => self.refusals.one(error.kind()),
        }
    }

    pub(crate) fn figures(&self) -> CommitFigures {
        let batch_size = self.batch_size.read(1.0);
        CommitFigures {
            batches: batch_size.count(),
            items: self.batch_size.sum.read(),
            batch_size,
            seconds: self.times.read(NANOSECONDS),
            ambiguous: self.ambiguous.read(),
            unavailable: self.unavailable.read(),
            invalid: self.invalid.read(),
        }
    }
}

/// A histogram that is being filled, in whole units.
#[derive(Debug)]
struct Buckets {
    bounds: &'static [u64],
    counts: Vec<Count>,
    sum: Count,
}

impl Buckets {
    fn new(bounds: &'static [u64]) -> Self {
        Self { bounds, counts: (0..=bounds.len()).map(|_| Count::default()).collect(), sum: Count::default() }
    }

    fn record(&self, value: u64) {
        self.counts[self.bounds.partition_point(|bound| *bound < value)].one();
        self.sum.0.fetch_add(value, Ordering::Relaxed);
    }

    /// What it holds, so many units making one.
    fn read(&self, units: f64) -> Histogram {
        Histogram {
            bounds: self.bounds.iter().map(|bound| *bound as f64 / units).collect(),
            counts: self.counts.iter().map(Count::read).collect(),
            sum: self.sum.read() as f64 / units,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_under_the_least_bound_that_it_does_not_exceed() {
        let buckets = Buckets::new(&[1, 2, 4]);
        for value in [0, 1, 2, 3, 4, 5, 100] {
            buckets.record(value);
        }
        let read = buckets.read(1.0);
        assert_eq!(read.counts, [2, 1, 2, 2]);
        assert_eq!((read.count(), read.sum), (7, 115.0));
    }

    #[test]
    fn every_kind_has_a_place_of_its_own() {
        let refusals = Refusals::default();
        ErrorKind::ALL.iter().for_each(|kind| refusals.one(*kind));
        assert!(ErrorKind::ALL.iter().all(|kind| refusals.of(*kind) == 1));
    }

    #[test]
    fn bounds_of_seconds_are_the_decimals_that_they_stand_for() {
        let bounds = Buckets::new(COMMIT_TIMES).read(NANOSECONDS).bounds;
        assert_eq!((bounds[0], bounds[4], bounds[15]), (0.0001, 0.0025, 10.0));
    }
}
