//! Faults of subscriptions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chat_core::UserId;
use chat_core::bus::{Bus, BusEvent, Message, Published, Topic};

use crate::bus::{Answer, Fault, Right, Subscribed, WrongBus, with};

pub(crate) const FAULTS: &[WrongBus] = &[
    WrongBus {
        fault: "is late with every tenth subscription",
        case: "once_subscribed_every_later_message_is_delivered",
        fresh: || with(SubscribesLate::default),
    },
    WrongBus {
        fault: "keeps only the topics of the last call",
        case: "topics_already_subscribed_to_stay_so",
        fresh: || with(KeepsTheLast::default),
    },
    WrongBus {
        fault: "ends a subscription that is made a second time",
        case: "topics_already_subscribed_to_stay_so",
        fresh: || with(Toggles::default),
    },
    WrongBus {
        fault: "gives a user and a group of the same number one channel",
        case: "messages_reach_only_those_subscribed_to_their_topic",
        fresh: || with(|| OneChannel),
    },
    WrongBus {
        fault: "brings everybody what nodes say",
        case: "messages_reach_only_those_subscribed_to_their_topic",
        fresh: || with(|| ListensToNodes),
    },
    WrongBus {
        fault: "never ends a subscription",
        case: "unsubscribed_topics_deliver_only_what_was_under_way",
        fresh: || with(|| NeverEnds),
    },
    WrongBus {
        fault: "counts how often a topic was subscribed to",
        case: "unsubscribed_topics_deliver_only_what_was_under_way",
        fresh: || with(Counts::default),
    },
    WrongBus {
        fault: "takes an empty list of topics to leave for all of them",
        case: "unsubscribing_what_is_not_subscribed_says_nothing",
        fresh: || with(LeavesAll::default),
    },
    WrongBus {
        fault: "hangs up when it is to leave what it has not entered",
        case: "unsubscribing_what_is_not_subscribed_says_nothing",
        fresh: || with(HangsUp::default),
    },
    WrongBus {
        fault: "ends subscriptions after those that were made later",
        case: "topics_can_be_subscribed_to_again",
        fresh: || with(LeavesLate::default),
    },
    WrongBus {
        fault: "gives up after a thousand topics of one call",
        case: "many_topics_are_subscribed_to_at_once",
        fresh: || with(|| GivesUp),
    },
    WrongBus {
        fault: "answers all who subscribe at once when the first of them is subscribed",
        case: "subscribing_at_the_same_time_subscribes_everyone",
        fresh: || with(AnswersAll::default),
    },
];

#[derive(Default)]
struct SubscribesLate {
    calls: AtomicU64,
}

#[async_trait]
impl Fault for SubscribesLate {
    async fn subscribe(&self, right: &Right, topics: &[Topic]) -> Answer {
        if self.calls.fetch_add(1, Ordering::Relaxed) % 10 != 9 {
            return right.subscribe(topics).await;
        }
        let (right, topics) = (Arc::clone(right), topics.to_vec());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            right.subscribe(&topics).await
        });
        Ok(())
    }
}

#[derive(Default)]
struct KeepsTheLast {
    last: Mutex<Vec<Topic>>,
}

#[async_trait]
impl Fault for KeepsTheLast {
    async fn subscribe(&self, right: &Right, topics: &[Topic]) -> Answer {
        let before = std::mem::replace(&mut *self.last.lock().expect("no panic"), topics.to_vec());
        right.unsubscribe(&before);
        right.subscribe(topics).await
    }
}

#[derive(Default)]
struct Toggles {
    subscribed: Subscribed,
}

#[async_trait]
impl Fault for Toggles {
    async fn subscribe(&self, right: &Right, topics: &[Topic]) -> Answer {
        let mut entered = Vec::new();
        for topic in topics {
            if self.subscribed.lock().insert(*topic) {
                entered.push(*topic);
            } else {
                self.unsubscribe(right, &[*topic]);
            }
        }
        right.subscribe(&entered).await
    }

    fn unsubscribe(&self, right: &Right, topics: &[Topic]) {
        self.subscribed.lock().retain(|topic| !topics.contains(topic));
        right.unsubscribe(topics);
    }
}

struct OneChannel;

fn channel(topic: Topic) -> Topic {
    match topic {
        Topic::Group(group) => Topic::User(UserId::new(group.number()).expect("within bounds")),
        topic => topic,
    }
}

fn channels(topics: &[Topic]) -> Vec<Topic> {
    topics.iter().copied().map(channel).collect()
}

#[async_trait]
impl Fault for OneChannel {
    fn publish(&self, right: &Right, topic: Topic, message: Message) -> Published {
        right.publish(channel(topic), message)
    }

    async fn subscribe(&self, right: &Right, topics: &[Topic]) -> Answer {
        right.subscribe(&channels(topics)).await
    }

    fn unsubscribe(&self, right: &Right, topics: &[Topic]) {
        right.unsubscribe(&channels(topics));
    }
}

struct ListensToNodes;

#[async_trait]
impl Fault for ListensToNodes {
    async fn subscribe(&self, right: &Right, topics: &[Topic]) -> Answer {
        right.subscribe(&[topics, &[Topic::Nodes]].concat()).await
    }
}

struct NeverEnds;

impl Fault for NeverEnds {
    fn unsubscribe(&self, _: &Right, _: &[Topic]) {}
}

#[derive(Default)]
struct Counts {
    times: Mutex<BTreeMap<Topic, u64>>,
}

#[async_trait]
impl Fault for Counts {
    async fn subscribe(&self, right: &Right, topics: &[Topic]) -> Answer {
        for topic in topics {
            *self.times.lock().expect("no panic").entry(*topic).or_default() += 1;
        }
        right.subscribe(topics).await
    }

    fn unsubscribe(&self, right: &Right, topics: &[Topic]) {
        let mut times = self.times.lock().expect("no panic");
        for topic in topics {
            let left = times.entry(*topic).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                right.unsubscribe(&[*topic]);
            }
        }
    }
}

#[derive(Default)]
struct LeavesAll {
    subscribed: Subscribed,
}

#[async_trait]
impl Fault for LeavesAll {
    async fn subscribe(&self, right: &Right, topics: &[Topic]) -> Answer {
        self.subscribed.lock().extend(topics);
        right.subscribe(topics).await
    }

    fn unsubscribe(&self, right: &Right, topics: &[Topic]) {
        if topics.is_empty() {
            right.unsubscribe(&std::mem::take(&mut *self.subscribed.lock()).into_iter().collect::<Vec<_>>());
        } else {
            right.unsubscribe(topics);
        }
    }
}

#[derive(Default)]
struct HangsUp {
    subscribed: Subscribed,
}

#[async_trait]
impl Fault for HangsUp {
    async fn subscribe(&self, right: &Right, topics: &[Topic]) -> Answer {
        self.subscribed.lock().extend(topics);
        right.subscribe(topics).await
    }

    fn unsubscribe(&self, right: &Right, topics: &[Topic]) {
        let mut subscribed = self.subscribed.lock();
        let known = topics.iter().all(|topic| subscribed.remove(topic));
        right.unsubscribe(topics);
        if !known {
            right.unsubscribe(&std::mem::take(&mut *subscribed).into_iter().collect::<Vec<_>>());
        }
    }
}

#[derive(Default)]
struct LeavesLate {
    leaving: Mutex<Vec<Topic>>,
}

impl LeavesLate {
    fn leave(&self, right: &Right) {
        right.unsubscribe(&std::mem::take(&mut *self.leaving.lock().expect("no panic")));
    }
}

#[async_trait]
impl Fault for LeavesLate {
    async fn subscribe(&self, right: &Right, topics: &[Topic]) -> Answer {
        let answer = right.subscribe(topics).await;
        self.leave(right);
        answer
    }

    fn unsubscribe(&self, _: &Right, topics: &[Topic]) {
        self.leaving.lock().expect("no panic").extend(topics);
    }

    async fn receive(&self, right: &Right) -> Option<BusEvent> {
        self.leave(right);
        right.receive().await
    }
}

struct GivesUp;

#[async_trait]
impl Fault for GivesUp {
    async fn subscribe(&self, right: &Right, topics: &[Topic]) -> Answer {
        right.subscribe(&topics[..topics.len().min(1_000)]).await
    }
}

#[derive(Default)]
struct AnswersAll {
    busy: AtomicBool,
    others: Mutex<Vec<Topic>>,
}

#[async_trait]
impl Fault for AnswersAll {
    async fn subscribe(&self, right: &Right, topics: &[Topic]) -> Answer {
        if self.busy.swap(true, Ordering::Relaxed) {
            self.others.lock().expect("no panic").extend(topics);
            return Ok(());
        }
        tokio::task::yield_now().await;
        self.busy.store(false, Ordering::Relaxed);
        right.subscribe(topics).await?;
        let others = std::mem::take(&mut *self.others.lock().expect("no panic"));
        right.subscribe(&others).await
    }
}
