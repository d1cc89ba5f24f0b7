//! Whether the peer is there, and whether it knows that we are. Decisions only.

/// So many ticks make a ping interval.
pub(super) const TICKS: u32 = 2;

/// What was heard and told since the last tick: flags, so that a message costs no look at a clock.
#[derive(Debug, Default)]
pub(super) struct Life {
    heard: bool,
    told: bool,
    silent_ticks: u32,
    idle_ticks: u32,
}

/// What a tick asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Nothing.
    Fine,
    /// Nothing was sent for an interval: a sign of life is due.
    Ping,
    /// Nothing was heard for two intervals.
    Silent,
}

impl Life {
    /// Something was received, or would not have been read.
    pub(super) fn heard(&mut self) {
        self.heard = true;
    }

    /// Something was sent.
    pub(super) fn told(&mut self) {
        self.told = true;
    }

    /// A tick has passed.
    pub(super) fn tick(&mut self) -> Sign {
        self.silent_ticks = if std::mem::take(&mut self.heard) { 0 } else { self.silent_ticks + 1 };
        self.idle_ticks = if std::mem::take(&mut self.told) { 0 } else { self.idle_ticks + 1 };
        if self.silent_ticks >= 2 * TICKS {
            Sign::Silent
        } else if self.idle_ticks >= TICKS {
            Sign::Ping
        } else {
            Sign::Fine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_noticed_after_two_intervals() {
        let mut life = Life::default();
        life.heard();
        assert_ne!(life.tick(), Sign::Silent);
        for _ in 1..2 * TICKS {
            life.told();
            assert_eq!(life.tick(), Sign::Fine);
        }
        life.told();
        assert_eq!(life.tick(), Sign::Silent);
    }

    #[test]
    fn a_ping_is_due_when_nothing_was_sent_for_an_interval() {
        let mut life = Life::default();
        life.told();
        for expected in [Sign::Fine, Sign::Fine, Sign::Ping] {
            life.heard();
            assert_eq!(life.tick(), expected);
        }
    }
}
