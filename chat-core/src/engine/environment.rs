//! Where time, randomness and blocking work enter the engine.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};

use crate::Timestamp;

/// Tells the time of day. Spans are measured on tokio's clock, which tests can pause.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place where the time of day enters")]
        let now = std::time::SystemTime::now();
        let since_epoch = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(since_epoch.as_millis() as u64)
    }
}

/// A piece of work that occupies a thread.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs work that would hold up the async threads.
pub trait Blocking: Send + Sync + 'static {
    /// Runs a job somewhere, soon. It may be called on an async thread.
    fn run(&self, job: Job);
}

/// The runtime's threads for blocking work.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockingThreads;

impl Blocking for BlockingThreads {
    fn run(&self, job: Job) {
        #[expect(clippy::disallowed_methods, reason = "the one place where blocking work leaves")]
        drop(tokio::task::spawn_blocking(job));
    }
}

/// Runs every job at once, where it is: for replaying a run on one thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockingInline;

impl Blocking for BlockingInline {
    fn run(&self, job: Job) {
        job();
    }
}

/// The engine's source of randomness: of the operating system, or of a seed.
pub(crate) struct Random(Mutex<StdRng>);

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// # Panics
    /// Where the operating system has no randomness to give.
    pub(crate) fn from_system() -> Self {
        let source = StdRng::try_from_rng(&mut SysRng);
        Self(Mutex::new(source.expect("the operating system's source of randomness works")))
    }

    pub(crate) fn number(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        bytes
    }
}

/// All that the engine takes from outside and a test may replace.
#[derive(Clone)]
pub(crate) struct Environment {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) blocking: Arc<dyn Blocking>,
    pub(crate) random: Arc<Random>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}
