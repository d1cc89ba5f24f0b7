//! How long to wait before the next attempt.

use std::time::Duration;

use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng};

use super::config::Backoff;

/// The random waits of one client.
#[derive(Debug)]
pub(super) struct Waits {
    backoff: Backoff,
    attempts: u32,
    random: StdRng,
}

impl Waits {
    pub(super) fn new(backoff: Backoff, seed: Option<u64>) -> Self {
        let random = match seed {
            Some(seed) => StdRng::seed_from_u64(seed),
            None => StdRng::try_from_rng(&mut SysRng).expect("the operating system has randomness"),
        };
        Self { backoff, attempts: 0, random }
    }

    /// The wait before the next attempt to connect; the other side's wish comes on top, so that those
    /// who share it do not come back at the same moment.
    pub(super) fn reconnect(&mut self, not_before: Option<Duration>) -> Duration {
        let wait = self.repeat(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        wait + not_before.unwrap_or_default()
    }

    /// The connection has proven itself: the next break is a new one.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The wait before something is tried that was tried so many times before.
    pub(super) fn repeat(&mut self, tries: u32) -> Duration {
        let bound = bound(self.backoff, tries);
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.random.random_range(0..=nanos))
    }
}

fn bound(backoff: Backoff, tries: u32) -> Duration {
    let factor = 1_u32.checked_shl(tries).unwrap_or(u32::MAX);
    backoff.first.saturating_mul(factor).min(backoff.max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(5) };

    #[test]
    fn bounds_double_up_to_the_last() {
        let bounds: Vec<_> = (0..8).map(|tries| bound(BACKOFF, tries).as_millis()).collect();
        assert_eq!(bounds, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        for tries in [31, 32, 33, u32::MAX] {
            assert_eq!(bound(BACKOFF, tries), BACKOFF.max);
        }
    }

    #[test]
    fn waits_are_spread_over_the_whole_range_below_the_bound() {
        let mut waits = Waits::new(BACKOFF, Some(7));
        let drawn: Vec<_> = (0..1000).map(|_| waits.repeat(2)).collect();
        assert!(drawn.iter().all(|wait| *wait <= Duration::from_millis(400)));
        assert!(drawn.iter().any(|wait| *wait < Duration::from_millis(40)));
        assert!(drawn.iter().any(|wait| *wait > Duration::from_millis(360)));
    }

    #[test]
    fn one_seed_gives_the_same_waits() {
        let waits = || {
            let mut waits = Waits::new(BACKOFF, Some(3));
            (0..9).map(|_| waits.reconnect(None)).collect::<Vec<_>>()
        };
        assert_eq!(waits(), waits());
    }

    #[test]
    fn the_servers_wish_is_kept() {
        let mut waits = Waits::new(BACKOFF, Some(3));
        assert!(waits.reconnect(Some(Duration::from_secs(60))) >= Duration::from_secs(60));
    }
}
