//! One timer for all that a connection waits for.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The points in time at which something is due. The sleep is moved only to an earlier one: waking
/// up too early now and then costs less than moving it with every message.
pub(super) struct Timer {
    sleep: Pin<Box<Sleep>>,
    tick: Duration,
    next_tick: Instant,
    write: Option<Instant>,
    look: Option<Instant>,
    stage: Option<Instant>,
}

/// How long a peer that takes nothing has at least, if others need the room.
const LOOK: Duration = Duration::from_secs(1);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Half a ping interval has passed.
    Tick,
    /// The peer has taken nothing for too long.
    Write,
    /// The peer has taken nothing for another [`LOOK`].
    Look,
    /// The stage of the connection has lasted too long.
    Stage,
}

impl Timer {
    /// A timer that ticks.
    pub(super) fn new(tick: Duration) -> Self {
        // A tick without length would be due for ever.
        let tick = tick.max(Duration::from_millis(1));
        let next_tick = after(tick);
        Self {
            sleep: Box::pin(sleep_until(next_tick)),
            tick,
            next_tick,
            write: None,
            look: None,
            stage: None,
        }
    }

    /// Sets the deadline of the stage of the connection.
    pub(super) fn stage(&mut self, within: Option<Duration>) {
        self.stage = within.map(after);
        self.rearm();
    }

    /// The peer takes nothing: from now on, if it took something until now.
    pub(super) fn write_blocked(&mut self, within: Duration) {
        if self.write.is_none() {
            self.write = Some(after(within));
            self.look = Some(after(LOOK));
            self.rearm();
        }
    }

    /// The peer has taken something.
    pub(super) fn write_progressed(&mut self) {
        self.write = None;
        self.look = None;
    }

    /// The next thing that is due; each is told once.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            if self.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            let due = if self.stage.take_if(|at| *at <= now).is_some() {
                Some(Due::Stage)
            } else if self.write.take_if(|at| *at <= now).is_some() {
                Some(Due::Write)
            } else if self.look.is_some_and(|at| at <= now) {
                self.look = Some(after(LOOK));
                Some(Due::Look)
            } else if self.next_tick <= now {
                self.next_tick = after(self.tick);
                Some(Due::Tick)
            } else {
                None
            };
            self.rearm();
            if let Some(due) = due {
                return Poll::Ready(due);
            }
        }
    }

    fn rearm(&mut self) {
        let next =
            [self.write, self.look, self.stage].into_iter().flatten().fold(self.next_tick, Instant::min);
        if self.sleep.is_elapsed() || next < self.sleep.deadline() {
            self.sleep.as_mut().reset(next);
        }
    }
}

/// A span that no clock can hold never ends.
fn after(span: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    let now = Instant::now();
    now.checked_add(span.min(NEVER)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn everything_is_due_in_its_time_and_once() {
        let begun = Instant::now();
        let mut timer = Timer::new(Duration::from_secs(10));
        timer.stage(Some(Duration::from_secs(25)));
        timer.write_blocked(Duration::from_secs(4));
        timer.write_blocked(Duration::from_secs(400));
        let mut heard = Vec::new();
        while heard.len() < 5 {
            let due = poll_fn(|cx| timer.poll_due(cx)).await;
            if due == Due::Look {
                continue;
            }
            heard.push((begun.elapsed().as_secs(), due));
        }
        let expected = [(4, Due::Write), (10, Due::Tick), (20, Due::Tick), (25, Due::Stage), (30, Due::Tick)];
        assert_eq!(heard, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_looked_at_every_second() {
        let begun = Instant::now();
        let mut timer = Timer::new(Duration::from_secs(10));
        timer.write_blocked(Duration::from_secs(4));
        let mut looks = Vec::new();
        while poll_fn(|cx| timer.poll_due(cx)).await == Due::Look {
            looks.push(begun.elapsed().as_secs());
        }
        assert_eq!(looks, [1, 2, 3]);
        timer.write_progressed();
        assert_eq!(poll_fn(|cx| timer.poll_due(cx)).await, Due::Tick);
    }

    #[tokio::test(start_paused = true)]
    async fn what_progressed_in_time_is_not_due() {
        let begun = Instant::now();
        let mut timer = Timer::new(Duration::from_secs(10));
        timer.write_blocked(Duration::from_secs(4));
        timer.write_progressed();
        assert_eq!(poll_fn(|cx| timer.poll_due(cx)).await, Due::Tick);
        assert_eq!(begun.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn spans_without_sense_do_no_harm() {
        let mut timer = Timer::new(Duration::ZERO);
        timer.stage(Some(Duration::MAX));
        assert_eq!(poll_fn(|cx| timer.poll_due(cx)).await, Due::Tick);
    }
}
