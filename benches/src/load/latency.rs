//! How long things took.

use std::sync::{Mutex, PoisonError};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest time that is told apart from longer ones, in microseconds: ten minutes.
const LONGEST_US: u64 = 600_000_000;

/// So many histograms share the recording, so that clients on different cores seldom wait for each other.
const SHARDS: usize = 8;

/// Times recorded by many clients at once, in microseconds (an HDR histogram with three digits).
#[derive(Debug)]
pub struct Latencies(Vec<Mutex<Histogram<u64>>>);

/// What was recorded, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many times were recorded.
    pub count: u64,
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
        Self((0..SHARDS).map(|_| Mutex::new(histogram())).collect())
    }
}

impl Latencies {
    /// Records one time.
    pub fn record(&self, client: u32, micros: u64) {
        let shard = &self.0[client as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros.max(1));
    }

    /// What was recorded so far.
    pub fn percentiles(&self) -> Percentiles {
        let mut all = histogram();
        for shard in &self.0 {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            all.add(&*shard).expect("they have the same bounds");
        }
        if all.is_empty() {
            return Percentiles::default();
        }
        let at = |quantile| all.value_at_quantile(quantile);
        let (p50, p90, p99, p999) = (at(0.5), at(0.9), at(0.99), at(0.999));
        Percentiles { count: all.len(), mean: all.mean(), p50, p90, p99, p999, max: all.max() }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("these bounds are valid")
}
