//! Faults of the end of an endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chat_core::bus::{Bus, BusEvent, Message, Published, Topic};

use crate::bus::{Fault, Right, WrongBus, with};

pub(crate) const FAULTS: &[WrongBus] = &[
    WrongBus {
        fault: "takes messages when it is closed",
        case: "closed_takes_nothing",
        fresh: || with(|| TakesWhenClosed),
    },
    WrongBus {
        fault: "does not tell its receiver that it is closed",
        case: "closed_takes_nothing",
        fresh: || with(|| NeverRunsDry),
    },
    WrongBus {
        fault: "loses what it has taken when it is closed",
        case: "closed_endpoint_leaves_the_others_alone",
        fresh: || with(|| PublishesLate),
    },
    WrongBus {
        fault: "takes nothing more when any endpoint is closed",
        case: "closed_endpoint_leaves_the_others_alone",
        fresh: || {
            let closed = Arc::new(AtomicBool::new(false));
            with(|| ClosesAll { closed: Arc::clone(&closed) })
        },
    },
];

struct TakesWhenClosed;

impl Fault for TakesWhenClosed {
    fn publish(&self, right: &Right, topic: Topic, message: Message) -> Published {
        let _ = right.publish(topic, message);
        Published::Taken
    }
}

struct NeverRunsDry;

#[async_trait]
impl Fault for NeverRunsDry {
    async fn receive(&self, right: &Right) -> Option<BusEvent> {
        match right.receive().await {
            None => std::future::pending().await,
            event => event,
        }
    }
}

struct PublishesLate;

impl Fault for PublishesLate {
    fn publish(&self, right: &Right, topic: Topic, message: Message) -> Published {
        let right = Arc::clone(right);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            right.publish(topic, message)
        });
        Published::Taken
    }
}

struct ClosesAll {
    closed: Arc<AtomicBool>,
}

#[async_trait]
impl Fault for ClosesAll {
    fn publish(&self, right: &Right, topic: Topic, message: Message) -> Published {
        if self.closed.load(Ordering::Relaxed) {
            return Published::Dropped;
        }
        right.publish(topic, message)
    }

    async fn close(&self, right: &Right) {
        self.closed.store(true, Ordering::Relaxed);
        right.close().await;
    }
}
