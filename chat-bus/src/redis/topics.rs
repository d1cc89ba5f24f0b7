//! Which topics are wanted, and what of that is still to be told to Redis.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chat_core::bus::{BusUnavailable, Topic};
use tokio::sync::{Notify, oneshot};

/// The wanted topics. Those who subscribe while Redis is there wait until it has confirmed; the
/// others are refused, and their topics subscribed with the rest once it is back.
#[derive(Debug, Default)]
pub(super) struct Topics {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    up: bool,
    closed: bool,
    wanted: BTreeSet<Topic>,
    /// Wanted since [`Topics::down`], and not subscribed yet.
    missed: BTreeSet<Topic>,
    work: Work,
}

/// What callers have asked for since it was last taken: subscribe first, then unsubscribe. Of a topic
/// in both, the end came last.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) asks: Vec<Ask>,
    pub(super) leaving: BTreeSet<Topic>,
}

/// Someone who waits for topics. Dropped unanswered, it tells that the bus is unavailable.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) topics: Vec<Topic>,
    pub(super) subscribed: oneshot::Sender<()>,
}

impl Topics {
    pub(super) async fn subscribe(&self, topics: &[Topic]) -> Result<(), BusUnavailable> {
        let (subscribed, confirmation) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.closed {
                return Err(BusUnavailable);
            }
            state.wanted.extend(topics);
            for topic in topics {
                state.work.leaving.remove(topic);
            }
            if !state.up {
                state.missed.extend(topics);
                return Err(BusUnavailable);
            }
            state.work.asks.push(Ask { topics: topics.into(), subscribed });
        }
        self.wake.notify_one();
        confirmation.await.map_err(|_| BusUnavailable)
    }

    pub(super) fn unsubscribe(&self, topics: &[Topic]) {
        let mut state = self.lock();
        for topic in topics {
            state.missed.remove(topic);
            if state.wanted.remove(topic) {
                state.work.leaving.insert(*topic);
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Refuses all from now on, those who wait too.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.work.asks.clear();
    }

    /// Whether what is wanted is subscribed.
    pub(super) fn is_up(&self) -> bool {
        self.lock().up
    }

    /// Subscriptions are gone: refuses those who wait. Gives what has to be subscribed.
    pub(super) fn down(&self) -> Vec<Topic> {
        let mut state = self.lock();
        state.up = false;
        state.missed.clear();
        state.work.asks.clear();
        state.wanted.iter().copied().collect()
    }

    /// What is wanted.
    pub(super) fn wanted(&self) -> Vec<Topic> {
        self.lock().wanted.iter().copied().collect()
    }

    /// What came to be wanted since [`Topics::down`]; when that is nothing, subscriptions are up.
    pub(super) fn up_unless_missed(&self) -> BTreeSet<Topic> {
        let mut state = self.lock();
        if state.missed.is_empty() {
            state.up = true;
        }
        std::mem::take(&mut state.missed)
    }

    /// What callers ask for, once they do.
    ///
    /// # Cancel safety
    /// Work is taken only when the future completes.
    pub(super) async fn work(&self) -> Work {
        loop {
            {
                let mut state = self.lock();
                if !state.work.asks.is_empty() || !state.work.leaving.is_empty() {
                    return std::mem::take(&mut state.work);
                }
            }
            self.wake.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
