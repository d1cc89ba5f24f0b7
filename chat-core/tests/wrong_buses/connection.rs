//! A right endpoint whose connection to the bus within the process can be lost, as one to a server can.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use chat_core::bus::{Bus, BusEvent, BusUnavailable, Message, Published, Topic};
use chat_core::memory::InProcessEndpoint;
use tokio::sync::Notify;

pub(crate) struct Connection {
    endpoint: InProcessEndpoint,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    away: bool,
    lagged: bool,
    wanted: BTreeSet<Topic>,
}

impl Connection {
    pub(crate) fn new(endpoint: InProcessEndpoint) -> Self {
        Self { endpoint, state: Mutex::default(), wake: Notify::new() }
    }

    /// The connection is gone, and with it the subscriptions.
    pub(crate) fn lose(&self) {
        self.lock().away = true;
        self.endpoint.unsubscribe(&self.wanted());
    }

    /// There is a connection again, subscribed to these topics.
    pub(crate) async fn regain(&self, topics: &[Topic]) {
        self.endpoint.subscribe(topics).await.expect("nobody has closed it");
        self.lock().away = false;
    }

    /// Tells its receiver of a loss, ahead of everything that waits.
    pub(crate) fn lag(&self) {
        self.lock().lagged = true;
        self.wake.notify_one();
    }

    pub(crate) fn is_away(&self) -> bool {
        self.lock().away
    }

    /// What it is to be subscribed to.
    pub(crate) fn wanted(&self) -> Vec<Topic> {
        self.lock().wanted.iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }
}

#[async_trait]
impl Bus for Connection {
    fn publish(&self, topic: Topic, message: Message) -> Published {
        if self.is_away() { Published::Dropped } else { self.endpoint.publish(topic, message) }
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<(), BusUnavailable> {
        self.lock().wanted.extend(topics);
        if self.is_away() { Err(BusUnavailable) } else { self.endpoint.subscribe(topics).await }
    }

    fn unsubscribe(&self, topics: &[Topic]) {
        self.lock().wanted.retain(|topic| !topics.contains(topic));
        self.endpoint.unsubscribe(topics);
    }

    async fn receive(&self) -> Option<BusEvent> {
        loop {
            if std::mem::take(&mut self.lock().lagged) {
                return Some(BusEvent::Lagged);
            }
            tokio::select! {
                biased;
                // Cancel-safe, both: the loss is looked for again, and events are taken when they are given.
                () = self.wake.notified() => {}
                event = self.endpoint.receive() => return event,
            }
        }
    }

    async fn close(&self) {
        self.endpoint.close().await;
    }
}
