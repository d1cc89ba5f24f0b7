//! An endpoint of the bus that remembers what its node asked of it.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use chat_core::bus::{Bus, BusEvent, BusUnavailable, Message, Published, Topic};
use chat_core::memory::InProcessEndpoint;

pub(crate) struct Recorded {
    bus: InProcessEndpoint,
    asked: Asked,
}

/// What was asked of the endpoint.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    published: Vec<Topic>,
    subscribed: Vec<Vec<Topic>>,
}

impl Recorded {
    pub(crate) fn new(bus: InProcessEndpoint) -> (Self, Asked) {
        let asked = Asked::default();
        (Self { bus, asked: asked.clone() }, asked)
    }
}

impl Asked {
    /// The topics that were published to since the last call, in order.
    pub(crate) fn take(&self) -> Vec<Topic> {
        std::mem::take(&mut self.lock().published)
    }

    /// The topics that were subscribed to since the last call, those of each call to the endpoint.
    pub(crate) fn take_subscribed(&self) -> Vec<Vec<Topic>> {
        std::mem::take(&mut self.lock().subscribed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with it")
    }
}

#[async_trait]
impl Bus for Recorded {
    fn publish(&self, topic: Topic, message: Message) -> Published {
        self.asked.lock().published.push(topic);
        self.bus.publish(topic, message)
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<(), BusUnavailable> {
        self.asked.lock().subscribed.push(topics.to_vec());
        self.bus.subscribe(topics).await
    }

    fn unsubscribe(&self, topics: &[Topic]) {
        self.bus.unsubscribe(topics);
    }

    async fn receive(&self) -> Option<BusEvent> {
        self.bus.receive().await
    }
}
