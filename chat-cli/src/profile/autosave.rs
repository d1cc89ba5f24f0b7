//! When to write down what was shown, while entries arrive.

use std::time::Duration;

use tokio::time::Instant;

/// What a crash within this time forgets is shown again.
const INTERVAL: Duration = Duration::from_secs(1);

/// Gathers changes, so that a busy conversation does not write a file per entry.
#[derive(Debug, Default)]
pub(crate) struct Autosave {
    at: Option<Instant>,
}

impl Autosave {
    /// Something is to be written down before long.
    pub(crate) fn changed(&mut self) {
        self.at.get_or_insert_with(|| Instant::now() + INTERVAL);
    }

    /// Waits until it is time to write; for ever while nothing has changed.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub(crate) async fn due(&mut self) {
        match self.at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
        self.at = None;
    }
}
