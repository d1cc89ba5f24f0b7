//! What the tests are written with: endpoints in namespaces of their own, and numbered messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chat_bus::{RedisBus, RedisBusOptions};
use chat_core::bus::{Bus, BusEvent, BusState, Message, Origin, Payload, Topic};
use chat_core::{BootId, ConversationId, Ephemeral, UserId};
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Options that notice changes fast.
pub(crate) fn options(url: impl Into<String>, namespace: &str) -> RedisBusOptions {
    let mut options = RedisBusOptions::new(url);
    options.namespace = namespace.into();
    options.proof_interval = Duration::from_millis(100);
    options
}

/// A namespace that nobody else uses on a shared server.
pub(crate) fn namespace() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) async fn healthy(options: RedisBusOptions) -> RedisBus {
    let bus = RedisBus::connect(options).expect("sound options");
    reaches(&bus, BusState::Healthy).await;
    bus
}

pub(crate) async fn endpoints(url: &str) -> [Arc<dyn Bus>; 3] {
    let namespace = namespace();
    let [a, b, c] = [(); 3].map(|()| healthy(options(url, &namespace)));
    let (a, b, c) = tokio::join!(a, b, c);
    [Arc::new(a), Arc::new(b), Arc::new(c)]
}

pub(crate) async fn reaches(bus: &RedisBus, state: BusState) {
    let mut watch = bus.watch();
    let reached = timeout(PATIENCE, watch.wait_for(|now| *now == state)).await;
    assert!(matches!(reached, Ok(Ok(_))), "the bus stays {:?}, not {state:?}", bus.state());
}

pub(crate) fn user(number: u64) -> UserId {
    UserId::new(number).expect("within bounds")
}

pub(crate) fn topic(number: u64) -> Topic {
    Topic::User(user(number))
}

/// A message that is recognised by its number.
pub(crate) fn numbered(seq: u64) -> Message {
    let origin = Origin { node: "n".into(), boot: BootId(1) };
    let (user, conversation) = (user(1), ConversationId::Inbox(user(1)));
    Message { origin, payload: Payload::Ephemeral(Ephemeral::Read { conversation, user, seq }) }
}

/// What an endpoint was told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Heard {
    Number(u64),
    Lagged,
}

pub(crate) async fn hear(bus: &RedisBus) -> Heard {
    match timeout(PATIENCE, bus.receive()).await.expect("nothing arrives") {
        Some(BusEvent::Message(Message {
            payload: Payload::Ephemeral(Ephemeral::Read { seq, .. }), ..
        })) => Heard::Number(seq),
        Some(BusEvent::Lagged) => Heard::Lagged,
        other => panic!("unexpected: {other:?}"),
    }
}

/// Takes the word of loss that an endpoint begins with.
pub(crate) async fn settle(bus: &RedisBus) {
    while timeout(Duration::from_millis(50), bus.receive()).await.is_ok() {}
}
