//! A token bucket: so many commands a second, and so many saved up.

use std::time::Duration;

use tokio::time::Instant;

/// The rate of one session.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: u32,
    burst: u32,
    /// In millionths of a command.
    available: u64,
    filled: Instant,
}

const WHOLE: u64 = 1_000_000;

impl Bucket {
    /// A full bucket. A rate of 0 never refuses.
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = burst.max(1);
        Self { per_second, burst, available: u64::from(burst) * WHOLE, filled: now }
    }

    /// Takes one, or says after which time there will be one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        if self.per_second == 0 {
            return Ok(());
        }
        let passed = now.saturating_duration_since(self.filled);
        let micros = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        let gained = micros.saturating_mul(u64::from(self.per_second));
        self.available = self.available.saturating_add(gained).min(u64::from(self.burst) * WHOLE);
        self.filled = now;
        if self.available >= WHOLE {
            self.available -= WHOLE;
            Ok(())
        } else {
            let missing = WHOLE - self.available;
            Err(Duration::from_micros(missing.div_ceil(u64::from(self.per_second))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 3, start);
        let at = |millis| start + Duration::from_millis(millis);
        assert!((0..3).all(|_| bucket.take(at(0)).is_ok()));
        assert_eq!(bucket.take(at(0)), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(at(60)), Err(Duration::from_millis(40)));
        assert_eq!(bucket.take(at(100)), Ok(()));
        assert!((0..3).all(|_| bucket.take(at(60_000)).is_ok()));
        assert!(bucket.take(at(60_000)).is_err(), "no more is saved up than the burst");
    }
}
