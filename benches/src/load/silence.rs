//! For how long nothing was acknowledged although something was under way.

/// Follows what is under way; times are microseconds since the run began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silence {
    under_way: u64,
    /// When something was acknowledged last, or was sent after nothing had been under way.
    since_us: u64,
    longest_us: u64,
}

impl Silence {
    /// Something is sent.
    pub fn sent(&mut self, now_us: u64) {
        if self.under_way == 0 {
            self.since_us = now_us;
        }
        self.under_way += 1;
    }

    /// Something is acknowledged.
    pub fn acknowledged(&mut self, now_us: u64) {
        self.unacknowledged(now_us);
        self.since_us = self.since_us.max(now_us);
    }

    /// Something is refused, or has no answer and will have none: the silence goes on.
    pub fn unacknowledged(&mut self, now_us: u64) {
        self.longest_us = self.longest_us.max(now_us.saturating_sub(self.since_us));
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// The longest so far that has an end.
    pub fn longest_us(&self) -> u64 {
        self.longest_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_time_between_two_acknowledgements_is_kept() {
        let mut silence = Silence::default();
        (0..3).for_each(|_| silence.sent(100));
        silence.acknowledged(150);
        silence.acknowledged(400);
        silence.acknowledged(420);
        assert_eq!(silence.longest_us(), 250);
    }

    #[test]
    fn while_nothing_is_under_way_nobody_is_silent() {
        let mut silence = Silence::default();
        for begun in [100, 9_000] {
            silence.sent(begun);
            silence.acknowledged(begun + 10);
        }
        assert_eq!(silence.longest_us(), 10);
    }

    #[test]
    fn a_refusal_and_no_answer_at_all_are_silence() {
        let mut silence = Silence::default();
        (0..3).for_each(|_| silence.sent(100));
        silence.unacknowledged(300);
        silence.acknowledged(400);
        assert_eq!(silence.longest_us(), 300);
        silence.unacknowledged(9_000);
        assert_eq!(silence.longest_us(), 8_600);
    }
}
