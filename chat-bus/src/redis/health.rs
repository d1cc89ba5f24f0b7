//! Whether messages get through, as proven by those that the endpoint sends to itself.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_core::bus::BusState;
use tokio::sync::watch;
use tokio::time::Instant;

/// How many intervals may pass without a proof.
const LAPSE_INTERVALS: u32 = 3;

#[derive(Debug)]
pub(super) struct Health {
    lapse: Duration,
    facts: Mutex<Facts>,
    state: watch::Sender<BusState>,
    /// Why Redis was last out of reach, since it was last in reach.
    reason: Mutex<Option<String>>,
}

#[derive(Clone, Copy, Debug)]
struct Facts {
    subscribed: bool,
    cluster: ClusterHealth,
    /// When a message last came back on the subscriptions that are held now.
    returned: Option<Instant>,
}

/// What a cluster says of itself; one server has nothing to say and is fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClusterHealth {
    Fine,
    Failing,
}

impl Health {
    pub(super) fn new(proof_interval: Duration) -> Self {
        let facts = Facts { subscribed: false, cluster: ClusterHealth::Fine, returned: None };
        Self {
            lapse: proof_interval * LAPSE_INTERVALS,
            facts: Mutex::new(facts),
            state: watch::Sender::new(BusState::Unproven),
            reason: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> BusState {
        *self.state.borrow()
    }

    pub(super) fn watch(&self) -> watch::Receiver<BusState> {
        self.state.subscribe()
    }

    /// Every topic is subscribed.
    pub(super) fn subscribed(&self) {
        self.lock().subscribed = true;
        self.judge();
    }

    /// Subscriptions are gone or being made again.
    pub(super) fn unsubscribed(&self) {
        let mut facts = self.lock();
        facts.subscribed = false;
        facts.returned = None;
        drop(facts);
        self.judge();
    }

    pub(super) fn cluster(&self, cluster: ClusterHealth) {
        self.lock().cluster = cluster;
        self.judge();
    }

    /// A message that was sent to itself came back. Says nothing while subscriptions are being made:
    /// it may be left over from the connection before.
    pub(super) fn returned(&self) {
        let mut facts = self.lock();
        if facts.subscribed {
            facts.returned = Some(Instant::now());
        }
        drop(facts);
        self.judge();
    }

    /// Time has passed.
    pub(super) fn refresh(&self) {
        self.judge();
    }

    pub(super) fn last_returned(&self) -> Option<Instant> {
        self.lock().returned
    }

    /// Redis cannot be reached, or refuses: warns of each reason once, not at each attempt.
    pub(super) fn complain(&self, error: &fred::error::Error) {
        // Given up by the client since it is not connected: why not, another error says.
        if error.is_canceled() {
            return;
        }
        let text = error.to_string();
        let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if reason.as_ref() == Some(&text) {
            tracing::debug!(%error, "redis is still out of reach");
        } else {
            tracing::warn!(%error, "redis is out of reach");
            *reason = Some(text);
        }
    }

    fn judge(&self) {
        // Held while the verdict is published, so that an older one never replaces a newer.
        let facts = self.lock();
        self.state.send_if_modified(|state| {
            let now = facts.judge(*state, Instant::now(), self.lapse);
            let before = std::mem::replace(state, now);
            if before != now {
                tracing::info!(?before, ?now, "the bus changed its state");
                if now == BusState::Healthy {
                    *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
            }
            before != now
        });
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Facts {
    fn judge(&self, before: BusState, now: Instant, lapse: Duration) -> BusState {
        let proven = self.subscribed
            && self.cluster == ClusterHealth::Fine
            && self.returned.is_some_and(|at| now.saturating_duration_since(at) <= lapse);
        match before {
            _ if proven => BusState::Healthy,
            BusState::Unproven => BusState::Unproven,
            BusState::Healthy | BusState::Degraded => BusState::Degraded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_recent_return_on_complete_subscriptions_of_a_sound_cluster_is_a_proof() {
        let lapse = Duration::from_secs(3);
        let now = Instant::now() + Duration::from_secs(60);
        let sound = Facts { subscribed: true, cluster: ClusterHealth::Fine, returned: Some(now - lapse) };
        assert_eq!(sound.judge(BusState::Unproven, now, lapse), BusState::Healthy);
        assert_eq!(sound.judge(BusState::Degraded, now, lapse), BusState::Healthy);
        let late = now + Duration::from_millis(1);
        for (unsound, at) in [
            (sound, late),
            (Facts { subscribed: false, ..sound }, now),
            (Facts { cluster: ClusterHealth::Failing, ..sound }, now),
            (Facts { returned: None, ..sound }, now),
        ] {
            assert_eq!(unsound.judge(BusState::Unproven, at, lapse), BusState::Unproven);
            assert_eq!(unsound.judge(BusState::Healthy, at, lapse), BusState::Degraded);
        }
    }
}
