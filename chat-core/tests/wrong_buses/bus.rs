//! A bus with one fault: the right one, but for what the fault does differently.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use chat_core::bus::{Bus, BusEvent, BusUnavailable, Message, Published, Topic};
use chat_core::memory::InProcessBus;
use chat_core::testkit::bus::{Interruptible, Outage};

use crate::connection::Connection;

pub(crate) type Answer = Result<(), BusUnavailable>;

/// What a fault may fall back on.
pub(crate) type Right = Arc<Connection>;

/// A line of the table: a fault, the case that has to find it, and a fresh bus that has it.
pub(crate) struct WrongBus {
    pub(crate) fault: &'static str,
    pub(crate) case: &'static str,
    pub(crate) fresh: fn() -> Interruptible,
}

/// What an endpoint does otherwise than the right one. What a fault leaves out is right.
#[async_trait]
pub(crate) trait Fault: Send + Sync + 'static {
    fn publish(&self, right: &Right, topic: Topic, message: Message) -> Published {
        right.publish(topic, message)
    }

    async fn subscribe(&self, right: &Right, topics: &[Topic]) -> Answer {
        right.subscribe(topics).await
    }

    fn unsubscribe(&self, right: &Right, topics: &[Topic]) {
        right.unsubscribe(topics);
    }

    async fn receive(&self, right: &Right) -> Option<BusEvent> {
        right.receive().await
    }

    async fn close(&self, right: &Right) {
        right.close().await;
    }

    /// An outage begins.
    fn lose(&self, right: &Right) {
        right.lose();
    }

    /// An outage ends.
    async fn regain(&self, right: &Right) {
        right.regain(&right.wanted()).await;
        right.lag();
    }
}

/// No fault: what makes a bus wrong is the fault alone.
pub(crate) struct Nothing;

impl Fault for Nothing {}

/// Every message is rewritten before it is published.
pub(crate) struct Rewrites(pub(crate) fn(&mut Message));

impl Fault for Rewrites {
    fn publish(&self, right: &Right, topic: Topic, mut message: Message) -> Published {
        self.0(&mut message);
        right.publish(topic, message)
    }
}

/// What this holds for is taken and lost.
pub(crate) struct Loses(pub(crate) fn(Topic, &Message) -> bool);

impl Fault for Loses {
    fn publish(&self, right: &Right, topic: Topic, message: Message) -> Published {
        if self.0(topic, &message) { Published::Taken } else { right.publish(topic, message) }
    }
}

/// The topics that an endpoint is subscribed to, for faults that need to know.
#[derive(Default)]
pub(crate) struct Subscribed(Mutex<BTreeSet<Topic>>);

impl Subscribed {
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeSet<Topic>> {
        self.0.lock().expect("no panic")
    }
}

/// Endpoints of one bus, each with a fault of its own.
pub(crate) fn with<F: Fault>(fault: impl Fn() -> F) -> Interruptible {
    let bus = InProcessBus::new();
    let faulty = || Arc::new(Faulty { right: Arc::new(Connection::new(bus.endpoint())), fault: fault() });
    let second = faulty();
    ([faulty(), Arc::clone(&second) as Arc<dyn Bus>, faulty()], Arc::new(Cut(second)))
}

struct Faulty<F> {
    right: Right,
    fault: F,
}

#[async_trait]
impl<F: Fault> Bus for Faulty<F> {
    fn publish(&self, topic: Topic, message: Message) -> Published {
        self.fault.publish(&self.right, topic, message)
    }

    async fn subscribe(&self, topics: &[Topic]) -> Answer {
        self.fault.subscribe(&self.right, topics).await
    }

    fn unsubscribe(&self, topics: &[Topic]) {
        self.fault.unsubscribe(&self.right, topics);
    }

    async fn receive(&self) -> Option<BusEvent> {
        self.fault.receive(&self.right).await
    }

    async fn close(&self) {
        self.fault.close(&self.right).await;
    }
}

struct Cut<F>(Arc<Faulty<F>>);

#[async_trait]
impl<F: Fault> Outage for Cut<F> {
    async fn begin(&self) {
        self.0.fault.lose(&self.0.right);
    }

    async fn end(&self) {
        self.0.fault.regain(&self.0.right).await;
    }
}
