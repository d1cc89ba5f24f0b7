//! What the cases are written with: names for topics, numbered messages, and a patient receiver.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use crate::bus::{Bus, BusEvent, Message, Origin, Payload, Published, Topic};
use crate::{BootId, Chunk, ClientId, ConversationId, Entry, GroupId, Kind, Seq, Timestamp, UserId};

/// How long a case waits for a message before it takes it for lost.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn user(number: u64) -> UserId {
    UserId::new(number).expect("within bounds")
}

pub(super) fn group(number: u64) -> GroupId {
    GroupId::new(number).expect("within bounds")
}

pub(super) fn user_topic(number: u64) -> Topic {
    Topic::User(user(number))
}

pub(super) fn group_topic(number: u64) -> Topic {
    Topic::Group(group(number))
}

pub(super) fn origin(node: &str) -> Origin {
    Origin { node: node.into(), boot: BootId(0xfedc_ba98_7654_3210) }
}

pub(super) fn entry(seq: Seq, content: impl Into<Bytes>) -> Entry {
    Entry {
        seq,
        time: Timestamp(1_700_000_000_000 + seq % 1_000),
        sender: user(11),
        client_id: Some(ClientId(u128::from(seq).to_be_bytes())),
        countable: true,
        ordinal: seq,
        target: None,
        kind: Kind::new(900).expect("within bounds"),
        content: Some(content.into()),
    }
}

pub(super) fn message(conversation: ConversationId, entries: Vec<Entry>) -> Message {
    let chunk = Chunk::new(conversation, entries).expect("consecutive entries");
    Message { origin: origin("node"), payload: Payload::Chunk(Arc::new(chunk)) }
}

/// A small message that is recognised by its number.
pub(super) fn numbered(number: u64) -> Message {
    message(ConversationId::Group(group(1)), vec![entry(number, "hello")])
}

/// The number of a message made by [`numbered`].
pub(super) fn number(message: &Message) -> u64 {
    chunk(message).first()
}

pub(super) fn chunk(message: &Message) -> &Chunk {
    match &message.payload {
        Payload::Chunk(chunk) => chunk,
        other => panic!("a chunk was published, and {other:?} arrived"),
    }
}

pub(super) async fn subscribe(bus: &Arc<dyn Bus>, topics: &[Topic]) {
    bus.subscribe(topics).await.expect("the bus is there");
}

/// Publishes, and insists that a quiet bus takes it.
pub(super) fn publish(bus: &Arc<dyn Bus>, topic: Topic, message: Message) {
    assert_eq!(bus.publish(topic, message), Published::Taken, "a quiet bus dropped a message");
}

pub(super) async fn event(bus: &Arc<dyn Bus>) -> BusEvent {
    timeout(PATIENCE, bus.receive()).await.expect("nothing arrives").expect("the endpoint is open")
}

/// The next message.
pub(super) async fn next(bus: &Arc<dyn Bus>) -> Message {
    loop {
        if let BusEvent::Message(message) = event(bus).await {
            return message;
        }
    }
}

/// Receives until all of these numbers have arrived, in whatever order, and gives everything that did.
pub(super) async fn all_arrive(bus: &Arc<dyn Bus>, numbers: impl IntoIterator<Item = u64>) -> Vec<Message> {
    let mut missing: std::collections::BTreeSet<_> = numbers.into_iter().collect();
    let mut arrived = Vec::new();
    while !missing.is_empty() {
        let message = next(bus).await;
        missing.remove(&number(&message));
        arrived.push(message);
    }
    arrived
}

/// Publishes to both topics until nothing has been heard on the first for long, while the second goes on.
pub(super) async fn falls_silent(from: &Arc<dyn Bus>, to: &Arc<dyn Bus>, left: Topic, kept: Topic) {
    // Numbers that nothing else in a case has.
    const FIRST: u64 = 1 << 32;
    let mut silent = 0;
    for round in 0..500 {
        let (unwanted, wanted) = (FIRST + 2 * round, FIRST + 2 * round + 1);
        publish(from, left, numbered(unwanted));
        publish(from, kept, numbered(wanted));
        let arrived = all_arrive(to, [wanted]).await;
        let heard = arrived.iter().map(number).any(|number| number >= FIRST && number.is_multiple_of(2));
        silent = if heard { 0 } else { silent + 1 };
        if silent == 20 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the topic that was left is still heard");
}
