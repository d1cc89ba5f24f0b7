//! How far an exchange is, for whoever watches standard error.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use chat_store::archive::{Counts, Progress};

/// How often it is told.
const EVERY: Duration = Duration::from_secs(1);

/// Tells about once a second: a line of its own each time, or on a terminal one that changes.
pub(super) struct Teller {
    done: &'static str,
    of_bytes: Option<u64>,
    told: Instant,
    is_terminal: bool,
}

impl Teller {
    pub(super) fn new(done: &'static str, of_bytes: Option<u64>) -> Self {
        Self { done, of_bytes, told: Instant::now(), is_terminal: io::stderr().is_terminal() }
    }

    pub(super) fn tell(&mut self, progress: Progress) {
        if self.told.elapsed() < EVERY {
            return;
        }
        self.told = Instant::now();
        let of = self.of_bytes.map(|all| format!(" of {}", mebibytes(all))).unwrap_or_default();
        let Progress { records, bytes } = progress;
        self.say(
            &format!("{} {records} records, {}{of} MiB", self.done, mebibytes(bytes)),
            !self.is_terminal,
        );
    }

    pub(super) fn end(&self, counts: &Counts) {
        self.say(&format!("{} {} records, all there are", self.done, counts.total()), true);
    }

    /// Standard error may be gone, and then there is nobody to tell.
    fn say(&self, line: &str, is_last: bool) {
        let (before, after) =
            (if self.is_terminal { "\r\x1b[K" } else { "" }, if is_last { "\n" } else { "" });
        let mut stderr = io::stderr();
        let _ = write!(stderr, "{before}{line}{after}").and_then(|()| stderr.flush());
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}
