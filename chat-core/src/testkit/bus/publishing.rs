//! Publishing: taken or dropped, at once, and known by its origin.

use std::time::Duration;

use tokio::time::Instant;

use super::Endpoints;
use super::fixture::{all_arrive, group_topic, next, numbered, origin, publish, subscribe, user_topic};
use crate::BootId;
use crate::bus::{Message, Origin};

/// However much is published to an endpoint that does not receive, publishing goes on at once.
pub async fn publishing_never_waits([a, b, _]: Endpoints) {
    const MESSAGES: u64 = 100_000;
    // Several times what carrying them in earnest takes: far from what waiting for a reader would.
    const WITHIN: Duration = Duration::from_secs(20);
    subscribe(&b, &[user_topic(1)]).await;
    let message = numbered(1);
    let begun = Instant::now();
    for _ in 0..MESSAGES {
        let _ = a.publish(user_topic(1), message.clone());
    }
    assert!(begun.elapsed() < WITHIN, "publishing took {:?}", begun.elapsed());
}

/// A topic without subscribers swallows what is published to it.
pub async fn publishing_to_nobody_is_no_error([a, b, _]: Endpoints) {
    publish(&a, user_topic(1), numbered(1));
    subscribe(&b, &[user_topic(2)]).await;
    publish(&a, user_topic(1), numbered(2));
    publish(&a, user_topic(2), numbered(3));
    all_arrive(&b, [3]).await;
}

/// **own messages come back** to an endpoint that is subscribed to their topic, among those of others.
pub async fn own_messages_come_back([a, b, _]: Endpoints) {
    let topics = [user_topic(1), group_topic(1)];
    subscribe(&a, &topics).await;
    subscribe(&b, &topics).await;
    for round in 0..20 {
        for (topic, first) in topics.into_iter().zip([4 * round + 1, 4 * round + 3]) {
            publish(&a, topic, numbered(first));
            publish(&b, topic, numbered(first + 1));
        }
        let numbers = 4 * round + 1..=4 * round + 4;
        all_arrive(&a, numbers.clone()).await;
        all_arrive(&b, numbers).await;
    }
}

/// The origin arrives as it was, node and boot, so that an endpoint knows its own messages, and
/// an earlier run's from its own.
pub async fn own_messages_are_recognised_by_their_origin([a, b, _]: Endpoints) {
    let earlier = Origin { boot: BootId(7), ..origin("ä node: {1}") };
    let own = Origin { boot: BootId(u64::MAX), ..earlier.clone() };
    let nameless = Origin { node: "".into(), boot: BootId(0) };
    subscribe(&b, &[user_topic(1)]).await;
    publish(&b, user_topic(1), Message { origin: own.clone(), ..numbered(1) });
    publish(&a, user_topic(1), Message { origin: earlier.clone(), ..numbered(2) });
    publish(&a, user_topic(1), Message { origin: nameless.clone(), ..numbered(3) });
    let mut foreign = Vec::new();
    while foreign.len() < 2 {
        let message = next(&b).await;
        if message.origin != own && !foreign.contains(&message.origin) {
            foreign.push(message.origin);
        }
    }
    assert!(foreign.contains(&earlier) && foreign.contains(&nameless), "{foreign:?}");
}
