//! An endpoint of the bus that remembers what its node published to.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chat_core::bus::{Bus, BusEvent, BusUnavailable, Message, Published, Topic};
use chat_core::memory::InProcessEndpoint;

pub(crate) struct Recorded {
    bus: InProcessEndpoint,
    published: PublishedTo,
}

/// The topics that were published to, in order.
#[derive(Clone, Default)]
pub(crate) struct PublishedTo(Arc<Mutex<Vec<Topic>>>);

impl Recorded {
    pub(crate) fn new(bus: InProcessEndpoint) -> (Self, PublishedTo) {
        let published = PublishedTo::default();
        (Self { bus, published: published.clone() }, published)
    }
}

impl PublishedTo {
    /// Those since the last call.
    pub(crate) fn take(&self) -> Vec<Topic> {
        std::mem::take(&mut *self.0.lock().expect("no test panics with it"))
    }
}

#[async_trait]
impl Bus for Recorded {
    fn publish(&self, topic: Topic, message: Message) -> Published {
        self.published.0.lock().expect("no test panics with it").push(topic);
        self.bus.publish(topic, message)
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<(), BusUnavailable> {
        self.bus.subscribe(topics).await
    }

    fn unsubscribe(&self, topics: &[Topic]) {
        self.bus.unsubscribe(topics);
    }

    async fn receive(&self) -> Option<BusEvent> {
        self.bus.receive().await
    }
}
