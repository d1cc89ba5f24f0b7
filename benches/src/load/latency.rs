//! How long things took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest time that is told apart from longer ones, in microseconds: ten minutes.
const LONGEST_US: u64 = 600_000_000;

/// So many histograms share the recording, so that clients on different cores seldom wait for each other.
const SHARDS: usize = 8;

/// Times recorded by many clients at once, in microseconds (an HDR histogram with three digits).
#[derive(Debug)]
pub struct Latencies {
    shards: Vec<Mutex<Histogram<u64>>>,
    lower_bounds: AtomicU64,
}

/// What was recorded, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many times were recorded.
    pub count: u64,
    /// How many of them are of what had not come about in the end: at least so long it would have taken.
    pub lower_bounds: u64,
    /// Their mean.
    pub mean: f64,
    /// Half of them were no longer.
    pub p50: u64,
    /// Nine in ten.
    pub p90: u64,
    /// 99 in 100.
    pub p99: u64,
    /// 999 in 1,000.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(histogram())).collect();
        Self { shards, lower_bounds: AtomicU64::new(0) }
    }
}

impl Latencies {
    /// Records one time.
    pub fn record(&self, client: u32, micros: u64) {
        let shard = &self.shards[client as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros.max(1));
    }

    /// Records for how long something had been waited for when no more time was given to it. Leaving it out
    /// would make a server look the faster, the more it leaves unanswered.
    pub fn record_lower_bound(&self, client: u32, micros: u64) {
        self.lower_bounds.fetch_add(1, Ordering::Relaxed);
        self.record(client, micros);
    }

    /// What was recorded so far.
    pub fn percentiles(&self) -> Percentiles {
        let mut all = histogram();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            all.add(&*shard).expect("they have the same bounds");
        }
        if all.is_empty() {
            return Percentiles::default();
        }
        let at = |quantile| all.value_at_quantile(quantile);
        let (p50, p90, p99, p999) = (at(0.5), at(0.9), at(0.99), at(0.999));
        let lower_bounds = self.lower_bounds.load(Ordering::Relaxed);
        Percentiles { count: all.len(), lower_bounds, mean: all.mean(), p50, p90, p99, p999, max: all.max() }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("these bounds are valid")
}
