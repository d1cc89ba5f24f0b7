//! Loss: allowed, and said.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;

use super::Endpoints;
use super::fixture::{all_arrive, number, numbered, publish, subscribe, user_topic};
use crate::bus::{BusEvent, Published};

/// An endpoint that was flooded gets every message that was taken, or is told that it fell behind,
/// and then gets later ones.
pub async fn loss_is_said_before_anything_published_later([a, b, _]: Endpoints) {
    const FLOOD: u64 = 100_000;
    let topic = user_topic(1);
    subscribe(&b, &[topic]).await;
    let mut missing: BTreeSet<u64> =
        (1..=FLOOD).filter(|number| a.publish(topic, numbered(*number)) == Published::Taken).collect();
    let mut told = false;
    // Later messages, until one of them has arrived: only then all that came before is past.
    let mut later = FLOOD;
    loop {
        later += 1;
        let _ = a.publish(topic, numbered(later));
        while let Ok(event) = timeout(Duration::from_millis(50), b.receive()).await {
            match event.expect("the endpoint is open") {
                BusEvent::Lagged => told = true,
                BusEvent::Message(message) if number(&message) > FLOOD => {
                    assert!(told || missing.is_empty(), "{} were lost without a word", missing.len());
                    return;
                }
                BusEvent::Message(message) => {
                    missing.remove(&number(&message));
                }
            }
        }
        assert!(later < FLOOD + 1_000, "nothing published later arrives");
    }
}

/// Whoever waits for an event among other things may stop waiting at any time.
pub async fn a_dropped_receive_loses_nothing([a, b, _]: Endpoints) {
    const MESSAGES: u64 = 500;
    subscribe(&b, &[user_topic(1)]).await;
    let mut missing: BTreeSet<u64> = (1..=MESSAGES).collect();
    for sent in 1..=MESSAGES {
        publish(&a, user_topic(1), numbered(sent));
        if let Ok(Some(BusEvent::Message(message))) =
            timeout(Duration::from_micros(sent % 7 * 20), b.receive()).await
        {
            missing.remove(&number(&message));
        }
    }
    all_arrive(&b, missing).await;
}
