//! Topics: what a subscription promises, and what its end does.

use futures_util::future::join_all;

use super::Endpoints;
use super::fixture::{
    all_arrive, falls_silent, group_topic, number, numbered, publish, subscribe, user_topic,
};
use crate::bus::Topic;

/// Once `subscribe` has returned, what is published after that arrives, from the first message on.
pub async fn once_subscribed_every_later_message_is_delivered([a, b, _]: Endpoints) {
    for round in 1..=50 {
        let topic = user_topic(round);
        subscribe(&b, &[topic]).await;
        publish(&a, topic, numbered(round));
        all_arrive(&b, [round]).await;
    }
}

/// Subscribing to more, or to the same again, leaves what there was.
pub async fn topics_already_subscribed_to_stay_so([a, b, _]: Endpoints) {
    subscribe(&b, &[user_topic(1), group_topic(1)]).await;
    subscribe(&b, &[user_topic(2)]).await;
    subscribe(&b, &[user_topic(1)]).await;
    subscribe(&b, &[]).await;
    publish(&a, user_topic(1), numbered(1));
    publish(&a, group_topic(1), numbered(2));
    publish(&a, user_topic(2), numbered(3));
    all_arrive(&b, 1..=3).await;
}

/// A message reaches every endpoint that is subscribed to its topic, and no other: a user and a
/// group of the same number are two topics, and what nodes say is for those who listen to it.
pub async fn messages_reach_only_those_subscribed_to_their_topic([a, b, c]: Endpoints) {
    subscribe(&b, &[user_topic(1), user_topic(9)]).await;
    subscribe(&c, &[user_topic(1), group_topic(1)]).await;
    publish(&a, user_topic(1), numbered(1));
    publish(&a, group_topic(1), numbered(2));
    publish(&a, group_topic(9), numbered(3));
    publish(&a, user_topic(9), numbered(4));
    publish(&a, Topic::Nodes, numbered(6));
    publish(&a, user_topic(1), numbered(5));
    let at_b = all_arrive(&b, [1, 4, 5]).await;
    assert!(at_b.iter().all(|message| [1, 4, 5].contains(&number(message))), "{at_b:?}");
    let at_c = all_arrive(&c, [1, 2, 5]).await;
    assert!(at_c.iter().all(|message| [1, 2, 5].contains(&number(message))), "{at_c:?}");
}

/// After `unsubscribe` a topic falls silent as soon as what was under way has arrived, however often
/// it was subscribed to.
pub async fn unsubscribed_topics_deliver_only_what_was_under_way([a, b, _]: Endpoints) {
    let (left, kept) = (user_topic(1), user_topic(2));
    subscribe(&b, &[left, kept]).await;
    subscribe(&b, &[left]).await;
    b.unsubscribe(&[left]);
    falls_silent(&a, &b, left, kept).await;
}

/// Ending subscriptions that do not exist disturbs nothing.
pub async fn unsubscribing_what_is_not_subscribed_says_nothing([a, b, _]: Endpoints) {
    b.unsubscribe(&[user_topic(1), group_topic(1)]);
    subscribe(&b, &[user_topic(2)]).await;
    b.unsubscribe(&[user_topic(1), group_topic(2)]);
    b.unsubscribe(&[]);
    publish(&a, user_topic(2), numbered(1));
    all_arrive(&b, [1]).await;
}

/// A subscription made after the end of one to the same topic holds, however close the two are.
pub async fn topics_can_be_subscribed_to_again([a, b, _]: Endpoints) {
    let topic = group_topic(1);
    for round in 1..=50 {
        subscribe(&b, &[topic]).await;
        b.unsubscribe(&[topic]);
        subscribe(&b, &[topic]).await;
        publish(&a, topic, numbered(round));
        all_arrive(&b, [round]).await;
        b.unsubscribe(&[topic]);
    }
}

/// Thousands of topics in one call, as after a restart, are all heard.
pub async fn many_topics_are_subscribed_to_at_once([a, b, _]: Endpoints) {
    const TOPICS: u64 = 5_000;
    let topics: Vec<_> =
        (1..=TOPICS).map(|n| if n.is_multiple_of(2) { user_topic(n) } else { group_topic(n) }).collect();
    subscribe(&b, &topics).await;
    for (number, topic) in (1..).zip(&topics) {
        publish(&a, *topic, numbered(number));
    }
    all_arrive(&b, 1..=TOPICS).await;
}

/// Many sessions that begin at once each have their topic once their own call has returned.
pub async fn subscribing_at_the_same_time_subscribes_everyone([a, b, _]: Endpoints) {
    const SESSIONS: u64 = 500;
    join_all((1..=SESSIONS).map(|session| {
        let (a, b) = (&a, &b);
        async move {
            subscribe(b, &[user_topic(session)]).await;
            publish(a, user_topic(session), numbered(session));
        }
    }))
    .await;
    all_arrive(&b, 1..=SESSIONS).await;
}
