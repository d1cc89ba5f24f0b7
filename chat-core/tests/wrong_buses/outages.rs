//! Faults of an endpoint whose connection was lost.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use chat_core::bus::{Bus, BusEvent, BusUnavailable, Message, Published, Topic};
use tokio::sync::watch;

use crate::bus::{Answer, Fault, Right, WrongBus, with};

pub(crate) const FAULTS: &[WrongBus] = &[
    WrongBus {
        fault: "does not subscribe again after an outage",
        case: "topics_are_heard_after_an_outage_without_being_subscribed_again",
        fresh: || with(|| StaysSilent),
    },
    WrongBus {
        fault: "subscribes again after the first outage alone",
        case: "topics_are_heard_after_an_outage_without_being_subscribed_again",
        fresh: || with(ReturnsOnce::default),
    },
    WrongBus {
        fault: "subscribes again to a hundred topics at most",
        case: "topics_are_heard_after_an_outage_without_being_subscribed_again",
        fresh: || with(|| ReturnsInPart),
    },
    WrongBus {
        fault: "closes an endpoint whose connection is lost",
        case: "topics_are_heard_after_an_outage_without_being_subscribed_again",
        fresh: || with(Closes::default),
    },
    WrongBus {
        fault: "says nothing of an outage",
        case: "an_outage_is_said_before_anything_published_later",
        fresh: || with(|| SaysNothing),
    },
    WrongBus {
        fault: "says nothing of further outages",
        case: "an_outage_is_said_before_anything_published_later",
        fresh: || with(SaysOnce::default),
    },
    WrongBus {
        fault: "says of an outage after the first message that follows it",
        case: "an_outage_is_said_before_anything_published_later",
        fresh: || with(SaysLate::default),
    },
    WrongBus {
        fault: "forgets what was asked for during an outage",
        case: "topics_subscribed_to_during_an_outage_are_heard_after_it",
        fresh: || with(|| Forgets),
    },
    WrongBus {
        fault: "lets whoever subscribes during an outage wait for its end",
        case: "topics_subscribed_to_during_an_outage_are_heard_after_it",
        fresh: || with(LetsWait::default),
    },
    WrongBus {
        fault: "subscribes again to what was left during an outage",
        case: "topics_unsubscribed_from_during_an_outage_are_silent_after_it",
        fresh: || with(Remembers::default),
    },
    WrongBus {
        fault: "goes on publishing into the connection that was lost",
        case: "what_is_published_after_an_outage_arrives",
        fresh: || with(PublishesNowhere::default),
    },
];

struct StaysSilent;

#[async_trait]
impl Fault for StaysSilent {
    async fn regain(&self, right: &Right) {
        right.regain(&[]).await;
        right.lag();
    }
}

#[derive(Default)]
struct ReturnsOnce {
    outages: AtomicU64,
}

#[async_trait]
impl Fault for ReturnsOnce {
    async fn regain(&self, right: &Right) {
        let first = self.outages.fetch_add(1, Ordering::Relaxed) == 0;
        right.regain(&if first { right.wanted() } else { Vec::new() }).await;
        right.lag();
    }
}

struct ReturnsInPart;

#[async_trait]
impl Fault for ReturnsInPart {
    async fn regain(&self, right: &Right) {
        let wanted = right.wanted();
        right.regain(&wanted[..wanted.len().min(100)]).await;
        right.lag();
    }
}

#[derive(Default)]
struct Closes {
    closed: AtomicBool,
}

#[async_trait]
impl Fault for Closes {
    fn lose(&self, right: &Right) {
        self.closed.store(true, Ordering::Relaxed);
        right.lose();
    }

    async fn receive(&self, right: &Right) -> Option<BusEvent> {
        if self.closed.load(Ordering::Relaxed) { None } else { right.receive().await }
    }
}

struct SaysNothing;

#[async_trait]
impl Fault for SaysNothing {
    async fn regain(&self, right: &Right) {
        right.regain(&right.wanted()).await;
    }
}

#[derive(Default)]
struct SaysOnce {
    said: AtomicBool,
}

#[async_trait]
impl Fault for SaysOnce {
    async fn regain(&self, right: &Right) {
        right.regain(&right.wanted()).await;
        if !self.said.swap(true, Ordering::Relaxed) {
            right.lag();
        }
    }
}

#[derive(Default)]
struct SaysLate {
    to_say: AtomicBool,
}

#[async_trait]
impl Fault for SaysLate {
    async fn regain(&self, right: &Right) {
        right.regain(&right.wanted()).await;
        self.to_say.store(true, Ordering::Relaxed);
    }

    async fn receive(&self, right: &Right) -> Option<BusEvent> {
        let event = right.receive().await;
        if self.to_say.swap(false, Ordering::Relaxed) {
            right.lag();
        }
        event
    }
}

struct Forgets;

#[async_trait]
impl Fault for Forgets {
    async fn subscribe(&self, right: &Right, topics: &[Topic]) -> Answer {
        if right.is_away() { Err(BusUnavailable) } else { right.subscribe(topics).await }
    }
}

/// Whether the connection is there.
struct LetsWait {
    there: watch::Sender<bool>,
}

impl Default for LetsWait {
    fn default() -> Self {
        Self { there: watch::Sender::new(true) }
    }
}

#[async_trait]
impl Fault for LetsWait {
    async fn subscribe(&self, right: &Right, topics: &[Topic]) -> Answer {
        let mut there = self.there.subscribe();
        there.wait_for(|there| *there).await.map_err(|_| BusUnavailable)?;
        right.subscribe(topics).await
    }

    fn lose(&self, right: &Right) {
        self.there.send_replace(false);
        right.lose();
    }

    async fn regain(&self, right: &Right) {
        right.regain(&right.wanted()).await;
        right.lag();
        self.there.send_replace(true);
    }
}

#[derive(Default)]
struct Remembers {
    at_its_begin: Mutex<Vec<Topic>>,
}

#[async_trait]
impl Fault for Remembers {
    fn lose(&self, right: &Right) {
        *self.at_its_begin.lock().expect("no panic") = right.wanted();
        right.lose();
    }

    async fn regain(&self, right: &Right) {
        let before = std::mem::take(&mut *self.at_its_begin.lock().expect("no panic"));
        right.regain(&[before, right.wanted()].concat()).await;
        right.lag();
    }
}

#[derive(Default)]
struct PublishesNowhere {
    lost: AtomicBool,
}

#[async_trait]
impl Fault for PublishesNowhere {
    fn publish(&self, right: &Right, topic: Topic, message: Message) -> Published {
        if self.lost.load(Ordering::Relaxed) { Published::Taken } else { right.publish(topic, message) }
    }

    fn lose(&self, right: &Right) {
        self.lost.store(true, Ordering::Relaxed);
        right.lose();
    }
}
