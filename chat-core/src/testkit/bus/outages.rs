//! Outages: what an endpoint that was cut off, and came back, still keeps.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use super::Interruptible;
use super::fixture::{
    all_arrive, event, falls_silent, group_topic, number, numbered, publish, subscribe, user_topic,
};
use crate::bus::{BusEvent, Topic};

/// How long a call may take that an outage must not hold up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Cuts the second of some [`Endpoints`](super::Endpoints) off from their bus, and lets it come back.
#[async_trait]
pub trait Outage: Send + Sync + 'static {
    /// Cuts it off: its connection is gone. It may come back by itself at any time, and the others may
    /// be cut off with it.
    async fn begin(&self);

    /// Lets all that were cut off come back, and returns once they have: what is published from then
    /// on gets through. It may begin again after that.
    async fn end(&self);
}

/// After an outage everything that was subscribed to is heard again, without being asked for again.
pub async fn topics_are_heard_after_an_outage_without_being_subscribed_again(
    ([a, b, _], outage): Interruptible,
) {
    const TOPICS: u64 = 300;
    let mut topics = vec![Topic::Nodes];
    topics.extend((1..TOPICS).map(|n| if n.is_multiple_of(2) { user_topic(n) } else { group_topic(n) }));
    let (some, others) = topics.split_at(100);
    subscribe(&b, some).await;
    subscribe(&b, others).await;
    for round in 0..2 {
        let first = 2 * round * TOPICS + 1;
        outage.begin().await;
        for (number, topic) in (first..).zip(&topics) {
            let _ = a.publish(*topic, numbered(number));
        }
        outage.end().await;
        let first = first + TOPICS;
        for (number, topic) in (first..).zip(&topics) {
            publish(&a, *topic, numbered(number));
        }
        all_arrive(&b, first..first + TOPICS).await;
    }
}

/// **loss is said when it is known**: an endpoint whose connection was away is told so before
/// anything that is published once it is back, each time.
pub async fn an_outage_is_said_before_anything_published_later(([a, b, _], outage): Interruptible) {
    const LOST: u64 = 50;
    let topic = user_topic(1);
    subscribe(&b, &[topic]).await;
    for round in 0..3 {
        let before = round * (LOST + 2) + 1;
        publish(&a, topic, numbered(before));
        // With it, what is said of earlier losses is past.
        all_arrive(&b, [before]).await;
        outage.begin().await;
        for number in before + 1..=before + LOST {
            let _ = a.publish(topic, numbered(number));
        }
        outage.end().await;
        let later = before + LOST + 1;
        publish(&a, topic, numbered(later));
        let mut told = false;
        loop {
            match event(&b).await {
                BusEvent::Lagged => told = true,
                BusEvent::Message(message) if number(&message) == later => break,
                BusEvent::Message(_) => {}
            }
        }
        assert!(told, "nothing was said of the outage");
    }
}

/// What is asked for while the bus is away is remembered, and subscribed to when it is back.
pub async fn topics_subscribed_to_during_an_outage_are_heard_after_it(([a, b, _], outage): Interruptible) {
    subscribe(&b, &[user_topic(1)]).await;
    outage.begin().await;
    // Refused, unless it has come back by itself.
    let asked = timeout(PATIENCE, b.subscribe(&[user_topic(2), group_topic(2)])).await;
    let _ = asked.expect("subscribing to a bus that is away is answered");
    outage.end().await;
    publish(&a, user_topic(1), numbered(1));
    publish(&a, user_topic(2), numbered(2));
    publish(&a, group_topic(2), numbered(3));
    all_arrive(&b, 1..=3).await;
}

/// What was left while the bus was away does not come back with it.
pub async fn topics_unsubscribed_from_during_an_outage_are_silent_after_it(
    ([a, b, _], outage): Interruptible,
) {
    let (left, kept) = (user_topic(1), user_topic(2));
    subscribe(&b, &[left, kept]).await;
    outage.begin().await;
    b.unsubscribe(&[left]);
    outage.end().await;
    falls_silent(&a, &b, left, kept).await;
}

/// What an endpoint publishes once it is back reaches the others, and itself.
pub async fn what_is_published_after_an_outage_arrives(([a, b, _], outage): Interruptible) {
    const TOPICS: u64 = 20;
    let topics: Vec<_> = (1..=TOPICS).map(user_topic).collect();
    subscribe(&a, &topics).await;
    subscribe(&b, &topics).await;
    outage.begin().await;
    for (number, topic) in (1..).zip(&topics) {
        let _ = b.publish(*topic, numbered(number));
    }
    outage.end().await;
    for (number, topic) in (TOPICS + 1..).zip(&topics) {
        publish(&b, *topic, numbered(number));
    }
    all_arrive(&a, TOPICS + 1..=2 * TOPICS).await;
    all_arrive(&b, TOPICS + 1..=2 * TOPICS).await;
}
