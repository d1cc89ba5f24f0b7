//! When messages are sent: in a closed loop as soon as few enough are under way, in an open loop at their
//! time, whatever the server does.
//!
//! In an open loop a time counts from when a message was *to be* sent. A sender that a slow server held up
//! sends what is overdue at once, and those waits are part of the figures: otherwise a server that stalls
//! for a second would be asked, and found slow, once instead of a thousand times.
//!
//! Source: Gil Tene, "How NOT to Measure Latency" (2013), where leaving them out is called *coordinated
//! omission*; his wrk2 is the model.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How a sender goes about it.
#[derive(Debug)]
pub enum Pace {
    /// So many messages are under way.
    Closed {
        /// How many.
        window: usize,
    },
    /// At these times.
    Open {
        /// Which.
        turns: Turns,
        /// Wakes the sender when one has come.
        wake: Arc<Notify>,
    },
}

/// The times at which one of several senders sends who share a rate and take turns.
#[derive(Clone, Debug)]
pub struct Turns {
    rate: f64,
    sender: u64,
    senders: u64,
    taken: u64,
    /// By all senders.
    all_taken: Arc<AtomicU64>,
}

impl Turns {
    /// Those of each sender.
    pub fn shared(rate: f64, senders: usize) -> Vec<Self> {
        let all_taken = Arc::default();
        let turns = |sender| Self {
            rate,
            sender: sender as u64,
            senders: senders as u64,
            taken: 0,
            all_taken: Arc::clone(&all_taken),
        };
        (0..senders).map(turns).collect()
    }

    /// The next time, from the beginning.
    pub fn next(&self) -> Duration {
        time(self.rate, self.taken * self.senders + self.sender)
    }

    /// Takes the next turn if its time has come; says when that was.
    pub fn take(&mut self, now: Duration) -> Option<Duration> {
        let next = self.next();
        if next > now {
            return None;
        }
        self.taken += 1;
        self.all_taken.fetch_add(1, Ordering::Relaxed);
        Some(next)
    }

    /// How many turns of all senders before this time were not taken so far.
    pub fn left(&self, until: Duration) -> u64 {
        // Multiplied and divided, times may differ in their last digits.
        let mut due = (until.as_secs_f64() * self.rate) as u64;
        while due > 0 && time(self.rate, due - 1) >= until {
            due -= 1;
        }
        while time(self.rate, due) < until {
            due += 1;
        }
        due.saturating_sub(self.all_taken.load(Ordering::Relaxed))
    }
}

/// When the turn with this number has come, of all senders' turns.
fn time(rate: f64, turn: u64) -> Duration {
    Duration::from_secs_f64(turn as f64 / rate)
}

/// Wakes senders at their times, from a thread of its own: the runtime's timers are a millisecond coarse,
/// which a message on an idle server does not take.
#[derive(Debug)]
pub struct Pacer {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

/// The thread looks so often whether it is to stop.
const NAP: Duration = Duration::from_millis(50);

impl Pacer {
    /// Wakes these senders in turn from `begin` on, and all of them at `end`.
    ///
    /// # Errors
    /// There can be no further thread.
    pub fn start(
        rate: f64,
        senders: Vec<Arc<Notify>>,
        begin: Instant,
        end: Instant,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let run = move || {
            for turn in 0.. {
                let at = begin + time(rate, turn);
                if at >= end || !sleep_until(at, &stopped) {
                    break;
                }
                senders[turn as usize % senders.len()].notify_one();
            }
            sleep_until(end, &stopped);
            senders.iter().for_each(|sender| sender.notify_one());
        };
        let thread = thread::Builder::new().name("pacer".into()).spawn(run)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and there is nobody to tell if it did.
            let _ = thread.join();
        }
    }
}

/// Sleeps; whether it was to the end.
fn sleep_until(at: Instant, stop: &AtomicBool) -> bool {
    loop {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(NAP));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn senders_share_the_rate_and_take_turns() {
        let mut turns = Turns::shared(10.0, 2);
        let mut times = Vec::new();
        for _ in 0..3 {
            times.extend(turns.iter_mut().filter_map(|turns| turns.take(ms(10_000))));
        }
        assert_eq!(times, [0, 100, 200, 300, 400, 500].map(ms));
    }

    #[test]
    fn a_sender_that_was_held_up_keeps_the_times_at_which_it_should_have_sent() {
        let mut turns = Turns::shared(1_000.0, 1).remove(0);
        assert_eq!(turns.take(ms(0)), Some(ms(0)));
        assert_eq!(turns.take(ms(0)), None, "not before its time");
        // Nothing could be sent for a second.
        let overdue: Vec<_> = std::iter::from_fn(|| turns.take(ms(1_000))).collect();
        assert_eq!(overdue, (1..=1_000).map(ms).collect::<Vec<_>>());
    }

    #[test]
    fn turns_that_nobody_took_are_counted() {
        let mut turns = Turns::shared(100.0, 2);
        assert_eq!(turns[0].left(ms(100)), 10);
        turns[1].take(ms(50));
        assert_eq!(turns[0].left(ms(100)), 9, "whoever took them");
        assert_eq!(turns[0].left(ms(101)), 10);
        assert_eq!(turns[0].left(ms(0)), 0);
        for rate in [3.0, 7.0, 0.1, 1e6 / 3.0] {
            let counted = (0..).take_while(|turn| time(rate, *turn) < ms(3_000)).count() as u64;
            assert_eq!(Turns::shared(rate, 1)[0].left(ms(3_000)), counted, "{rate}");
        }
    }
}
