//! Faults of publishing, and of what is told of losses.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use async_trait::async_trait;
use chat_core::bus::{Bus, BusEvent, Message, Payload, Published, Topic};
use chat_core::{BootId, Chunk};

use crate::bus::{Answer, Fault, Rewrites, Right, Subscribed, WrongBus, with};

pub(crate) const FAULTS: &[WrongBus] = &[
    WrongBus {
        fault: "waits for its receivers when much is under way",
        case: "publishing_never_waits",
        fresh: || {
            let under_way = Arc::new(AtomicU64::new(0));
            with(|| Waits { under_way: Arc::clone(&under_way) })
        },
    },
    WrongBus {
        fault: "drops what nobody is subscribed to, and says so",
        case: "publishing_to_nobody_is_no_error",
        fresh: || {
            let subscribed = Arc::new(Subscribed::default());
            with(|| WantsReceivers { subscribed: Arc::clone(&subscribed) })
        },
    },
    WrongBus {
        fault: "does not bring an endpoint what it published itself",
        case: "own_messages_come_back",
        fresh: || with(SwallowsItsOwn::default),
    },
    WrongBus {
        fault: "forgets which run of a node published a message",
        case: "own_messages_are_recognised_by_their_origin",
        fresh: || with(|| Rewrites(|message| message.origin.boot = BootId(0))),
    },
    WrongBus {
        fault: "says nothing of a loss",
        case: "loss_is_said_before_anything_published_later",
        fresh: || with(|| HidesLoss),
    },
    WrongBus {
        fault: "loses what it has taken out for a receiver that stops waiting",
        case: "a_dropped_receive_loses_nothing",
        fresh: || with(|| TakesEarly),
    },
];

/// More than any case leaves unreceived that is not about a flood.
const MUCH: u64 = 10_000;

struct Waits {
    /// Published to any endpoint, and not received.
    under_way: Arc<AtomicU64>,
}

#[async_trait]
impl Fault for Waits {
    fn publish(&self, right: &Right, topic: Topic, message: Message) -> Published {
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= MUCH {
            pass(Duration::from_millis(1));
        }
        right.publish(topic, message)
    }

    async fn receive(&self, right: &Right) -> Option<BusEvent> {
        let event = right.receive().await;
        let one_less = |under_way: u64| under_way.checked_sub(1);
        let _ = self.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        event
    }
}

/// Lets time pass on a paused clock, as it does for a thread that is blocked.
fn pass(time: Duration) {
    // The first poll moves the clock; what follows would let others run.
    let _ = pin!(tokio::time::advance(time)).poll(&mut Context::from_waker(Waker::noop()));
}

struct WantsReceivers {
    /// What any endpoint has ever subscribed to.
    subscribed: Arc<Subscribed>,
}

#[async_trait]
impl Fault for WantsReceivers {
    fn publish(&self, right: &Right, topic: Topic, message: Message) -> Published {
        if self.subscribed.lock().contains(&topic) {
            right.publish(topic, message)
        } else {
            Published::Dropped
        }
    }

    async fn subscribe(&self, right: &Right, topics: &[Topic]) -> Answer {
        self.subscribed.lock().extend(topics);
        right.subscribe(topics).await
    }
}

/// Within a process the very same chunk comes back.
#[derive(Default)]
struct SwallowsItsOwn {
    own: Mutex<Vec<Arc<Chunk>>>,
}

impl SwallowsItsOwn {
    fn is_own(&self, message: &Message) -> bool {
        let Payload::Chunk(arrived) = &message.payload else { return false };
        self.own.lock().expect("no panic").iter().any(|published| Arc::ptr_eq(published, arrived))
    }
}

#[async_trait]
impl Fault for SwallowsItsOwn {
    fn publish(&self, right: &Right, topic: Topic, message: Message) -> Published {
        if let Payload::Chunk(chunk) = &message.payload {
            self.own.lock().expect("no panic").push(Arc::clone(chunk));
        }
        right.publish(topic, message)
    }

    async fn receive(&self, right: &Right) -> Option<BusEvent> {
        loop {
            match right.receive().await {
                Some(BusEvent::Message(message)) if self.is_own(&message) => {}
                event => return event,
            }
        }
    }
}

struct HidesLoss;

#[async_trait]
impl Fault for HidesLoss {
    async fn receive(&self, right: &Right) -> Option<BusEvent> {
        loop {
            match right.receive().await {
                Some(BusEvent::Lagged) => {}
                event => return event,
            }
        }
    }
}

struct TakesEarly;

#[async_trait]
impl Fault for TakesEarly {
    async fn receive(&self, right: &Right) -> Option<BusEvent> {
        let event = right.receive().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        event
    }
}
