//! Buses that are wrong in one thing, and one that brings as little as a bus may.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::Defect;
use crate::bus::{Bus, BusCounts, BusEvent, BusState, BusUnavailable, Message, Payload, Published, Topic};

/// A node's endpoint of the bus, as from one start on.
pub(super) fn bus(defect: Defect, bus: Arc<dyn Bus>) -> Arc<dyn Bus> {
    match defect {
        Defect::ResubscriptionGivesUp => Arc::new(GivesUp { bus, given_up: AtomicBool::new(false) }),
        // The bus brings nearly everything in time, and hides what is wrong with what stands behind it.
        Defect::JournalSkipsWhatIsVisibleLate
        | Defect::JournalResumesAtItsEnd
        | Defect::ChunkGoesOnAfterRemoval => losing(bus),
        _ => bus,
    }
}

/// A bus that loses all entries, as every bus may: no defect.
pub(super) fn losing(bus: Arc<dyn Bus>) -> Arc<dyn Bus> {
    Arc::new(Losing { bus })
}

/// [`Defect::ResubscriptionGivesUp`]: when the bus is back, the attempt to subscribe again fails, as it
/// may that early, and is the last.
struct GivesUp {
    bus: Arc<dyn Bus>,
    given_up: AtomicBool,
}

impl GivesUp {
    fn has_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Bus for GivesUp {
    fn publish(&self, topic: Topic, message: Message) -> Published {
        self.bus.publish(topic, message)
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<(), BusUnavailable> {
        if self.has_given_up() { Err(BusUnavailable) } else { self.bus.subscribe(topics).await }
    }

    fn unsubscribe(&self, topics: &[Topic]) {
        self.bus.unsubscribe(topics);
    }

    async fn receive(&self) -> Option<BusEvent> {
        loop {
            match self.bus.receive().await {
                Some(BusEvent::Lagged) => {
                    self.given_up.store(true, Ordering::Relaxed);
                    return Some(BusEvent::Lagged);
                }
                Some(BusEvent::Message(_)) if self.has_given_up() => {}
                other => return other,
            }
        }
    }

    fn state(&self) -> BusState {
        self.bus.state()
    }

    fn counts(&self) -> BusCounts {
        self.bus.counts()
    }

    async fn close(&self) {
        self.bus.close().await;
    }
}

struct Losing {
    bus: Arc<dyn Bus>,
}

#[async_trait]
impl Bus for Losing {
    fn publish(&self, topic: Topic, message: Message) -> Published {
        match message.payload {
            Payload::Chunk(_) => Published::Dropped,
            _ => self.bus.publish(topic, message),
        }
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

    fn state(&self) -> BusState {
        self.bus.state()
    }

    fn counts(&self) -> BusCounts {
        self.bus.counts()
    }

    async fn close(&self) {
        self.bus.close().await;
    }
}
