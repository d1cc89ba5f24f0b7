//! The in-process bus keeps the bus contract; buses that break one clause fail the case named after it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chat_core::bus::{Bus, BusEvent, BusUnavailable, Message, Payload, Published, Topic};
use chat_core::memory::{InProcessBus, InProcessEndpoint};
use chat_core::testkit::bus::{CASES, Endpoints};
use chat_core::{BootId, Chunk, Entry, Ephemeral, GroupId};

fn endpoints(wrap: impl Fn(InProcessEndpoint) -> Arc<dyn Bus>) -> Endpoints {
    let bus = InProcessBus::new();
    [(); 3].map(|()| wrap(bus.endpoint()))
}

chat_core::bus_conformance!(async { (endpoints(|endpoint| Arc::new(endpoint)), ()) });

/// While nothing is done to it, the bus that can fail is a right one.
mod unspoiled {
    use std::sync::Arc;

    use chat_core::testkit::faults::FaultyBus;

    chat_core::bus_conformance!(async {
        (super::endpoints(|endpoint| Arc::new(FaultyBus::new(endpoint, 1).0)), ())
    });
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    SubscribesLater,
    ForgetsEarlierTopics,
    GivesUpOnManyTopics,
    PublishesToTheWrongTopic,
    NeverUnsubscribes,
    ForgetsTheOrigin,
    HidesLoss,
    DropsWhatNobodyWaitedFor,
    LosesTargets,
    TurnsPresenceAround,
    DropsLargeChunks,
    SwallowsItsOwn,
    TakesWhenClosed,
    NeverSaysThatItIsClosed,
    LosesWhatItTook,
}

const FAULTS: &[(Fault, &str)] = &[
    (Fault::SubscribesLater, "once_subscribed_every_later_message_is_delivered"),
    (Fault::SubscribesLater, "subscribing_at_the_same_time_subscribes_everyone"),
    (Fault::ForgetsEarlierTopics, "topics_already_subscribed_to_stay_so"),
    (Fault::GivesUpOnManyTopics, "many_topics_are_subscribed_to_at_once"),
    (Fault::PublishesToTheWrongTopic, "messages_reach_only_those_subscribed_to_their_topic"),
    (Fault::NeverUnsubscribes, "unsubscribed_topics_deliver_only_what_was_under_way"),
    (Fault::ForgetsTheOrigin, "own_messages_are_recognised_by_their_origin"),
    (Fault::HidesLoss, "loss_is_said_before_anything_published_later"),
    (Fault::DropsWhatNobodyWaitedFor, "a_dropped_receive_loses_nothing"),
    (Fault::LosesTargets, "chunks_read_back_equal"),
    (Fault::TurnsPresenceAround, "ephemerals_read_back_equal"),
    (Fault::DropsLargeChunks, "large_chunks_read_back_equal"),
    (Fault::SwallowsItsOwn, "own_messages_come_back"),
    (Fault::TakesWhenClosed, "closed_takes_nothing"),
    (Fault::NeverSaysThatItIsClosed, "closed_takes_nothing"),
    (Fault::LosesWhatItTook, "closed_endpoint_leaves_the_others_alone"),
];

/// What is waited for in vain costs no time on a paused clock.
#[tokio::test(start_paused = true)]
async fn buses_that_break_a_clause_fail_its_case() {
    for (fault, name) in FAULTS {
        let case = CASES.iter().find(|case| case.name == *name).expect("a case of this name");
        let wrong = endpoints(|right| Arc::new(WrongBus::new(right, *fault)));
        let failed = tokio::spawn((case.run)(wrong)).await.is_err_and(|error| error.is_panic());
        assert!(failed, "a bus with the fault {fault:?} passes {name}");
    }
}

/// A bus with one fault.
struct WrongBus {
    right: Arc<InProcessEndpoint>,
    fault: Fault,
    /// What this endpoint has published: within a process the very same chunk comes back.
    own: Mutex<Vec<Arc<Chunk>>>,
}

impl WrongBus {
    fn new(right: InProcessEndpoint, fault: Fault) -> Self {
        Self { right: Arc::new(right), fault, own: Mutex::default() }
    }

    fn is_own(&self, message: &Message) -> bool {
        let Payload::Chunk(arrived) = &message.payload else { return false };
        self.own.lock().expect("no panic").iter().any(|published| Arc::ptr_eq(published, arrived))
    }
}

#[async_trait]
impl Bus for WrongBus {
    fn publish(&self, topic: Topic, mut message: Message) -> Published {
        let topic = match topic {
            Topic::User(user) if self.fault == Fault::PublishesToTheWrongTopic => {
                Topic::Group(GroupId::new(user.number()).expect("within bounds"))
            }
            topic => topic,
        };
        if self.fault == Fault::ForgetsTheOrigin {
            message.origin.boot = BootId(0);
        }
        match &mut message.payload {
            Payload::Chunk(chunk) if self.fault == Fault::LosesTargets => {
                let entries = chunk.entries().iter().map(|entry| Entry { target: None, ..entry.clone() });
                *chunk = Arc::new(Chunk::new(chunk.conversation(), entries.collect()).expect("as it was"));
            }
            Payload::Chunk(chunk)
                if self.fault == Fault::DropsLargeChunks && chunk.size_bytes() > 1 << 20 =>
            {
                return Published::Taken;
            }
            Payload::Ephemeral(Ephemeral::Presence { online, .. })
                if self.fault == Fault::TurnsPresenceAround =>
            {
                *online = !*online;
            }
            _ => {}
        }
        if self.fault == Fault::LosesWhatItTook {
            let right = Arc::clone(&self.right);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                right.publish(topic, message)
            });
            return Published::Taken;
        }
        if let Payload::Chunk(chunk) = &message.payload
            && self.fault == Fault::SwallowsItsOwn
        {
            self.own.lock().expect("no panic").push(Arc::clone(chunk));
        }
        match self.right.publish(topic, message) {
            Published::Dropped if self.fault == Fault::TakesWhenClosed => Published::Taken,
            published => published,
        }
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<(), BusUnavailable> {
        match self.fault {
            Fault::SubscribesLater => {
                let (right, topics) = (Arc::clone(&self.right), topics.to_vec());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    right.subscribe(&topics).await
                });
                Ok(())
            }
            Fault::ForgetsEarlierTopics => {
                self.right.unsubscribe(&[1, 2].map(|n| Topic::Group(GroupId::new(n).expect("valid"))));
                self.right.subscribe(topics).await
            }
            Fault::GivesUpOnManyTopics => self.right.subscribe(&topics[..topics.len().min(1_000)]).await,
            _ => self.right.subscribe(topics).await,
        }
    }

    fn unsubscribe(&self, topics: &[Topic]) {
        if self.fault != Fault::NeverUnsubscribes {
            self.right.unsubscribe(topics);
        }
    }

    async fn receive(&self) -> Option<BusEvent> {
        loop {
            let Some(event) = self.right.receive().await else {
                if self.fault == Fault::NeverSaysThatItIsClosed {
                    std::future::pending::<()>().await;
                }
                return None;
            };
            match (self.fault, &event) {
                (Fault::SwallowsItsOwn, BusEvent::Message(message)) if self.is_own(message) => {}
                (Fault::HidesLoss, BusEvent::Lagged) => {}
                (Fault::DropsWhatNobodyWaitedFor, _) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    return Some(event);
                }
                _ => return Some(event),
            }
        }
    }
    async fn close(&self) {
        self.right.close().await;
    }
}
