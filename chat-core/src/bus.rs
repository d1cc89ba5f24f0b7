//! What carries chunks and ephemeral events between nodes: the contract that buses keep.
//!
//! # Contract
//!
//! A bus is a **hint**. Nothing but latency is lost when it loses, repeats or reorders messages, or
//! is gone: whoever needs certainty follows the store's journal.
//!
//! - **subscribed means subscribed**: once `subscribe` returns `Ok`, every message published after
//!   that to one of the topics is delivered to this endpoint, unless it is lost as below.
//! - **loss is said when it is known**: an endpoint that fell behind, or whose connection was away,
//!   receives [`BusEvent::Lagged`] before anything published later.
//! - **publishing never waits**: a message is taken or dropped.
//! - **own messages come back**: an endpoint receives what it published to a topic that it is
//!   subscribed to, as every other; receivers recognise their own by its [`Origin`]. That one came
//!   back proves the path.
//! - a topic that was unsubscribed may still deliver what was under way.

mod nodes;

use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::{BootId, Chunk, Ephemeral, GroupId, UserId};

pub use nodes::{NodePresence, NodeSaid};

/// An endpoint of a bus: what one node holds of it.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Publishes without waiting: takes the message or drops it.
    fn publish(&self, topic: Topic, message: Message) -> Published;

    /// Subscribes to topics; those already subscribed to stay so.
    ///
    /// # Errors
    /// The bus cannot be reached. What was asked for is remembered and subscribed when it returns,
    /// which is told by [`BusEvent::Lagged`].
    async fn subscribe(&self, topics: &[Topic]) -> Result<(), BusUnavailable>;

    /// Ends subscriptions, without a word about those that do not exist.
    fn unsubscribe(&self, topics: &[Topic]);

    /// The next event; `None` once the endpoint is closed. There is one receiver.
    ///
    /// # Cancel safety
    /// A dropped future loses nothing.
    async fn receive(&self) -> Option<BusEvent>;

    /// Whether messages get through at present.
    fn state(&self) -> BusState {
        BusState::Healthy
    }

    /// What became of messages since the start, and what waits.
    fn counts(&self) -> BusCounts {
        BusCounts::default()
    }

    /// Delivers what was taken, as far as a second suffices, and closes the endpoint: it takes nothing
    /// more, and [`Bus::receive`] answers `None`.
    async fn close(&self) {}
}

/// Whether a bus carries messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BusState {
    /// No message has come back since the start: the node is not ready.
    Unproven,
    /// Messages sent to itself come back, and all topics are subscribed.
    Healthy,
    /// They did once, and do not now: what other nodes write comes by the journal alone.
    Degraded,
}

/// What became of an endpoint's messages since the start, and what of them waits at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusCounts {
    /// Taken for publishing.
    pub taken: u64,
    /// Dropped instead: too much waited, or the bus was away.
    pub dropped: u64,
    /// Taken, and lost on the way.
    pub failed: u64,
    /// Received.
    pub received: u64,
    /// Received and passed over: of a newer version.
    pub newer: u64,
    /// Received and passed over: no message at all.
    pub malformed: u64,
    /// Times that arriving messages were too many to be taken in.
    pub overrun: u64,
    /// Times that all subscriptions were made again.
    pub resubscribed: u64,
    /// Bytes that wait to be published at present, or whose publication was not confirmed yet.
    pub outgoing_bytes: usize,
    /// Bytes that have arrived and wait to be received at present.
    pub incoming_bytes: usize,
}

/// What messages are published to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// What nodes tell each other; every node subscribes to it.
    Nodes,
    /// A user's direct conversations and inbox, and what concerns the user's sessions.
    User(UserId),
    /// A group.
    Group(GroupId),
}

/// Who published a message: a node, and which run of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The node's name.
    pub node: Arc<str>,
    /// Which run.
    pub boot: BootId,
}

/// What is published.
#[derive(Clone, Debug)]
pub struct Message {
    /// By whom.
    pub origin: Origin,
    /// What.
    pub payload: Payload,
}

/// The content of a [`Message`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Payload {
    /// Entries that were committed.
    Chunk(Arc<Chunk>),
    /// What is true now and stored nowhere.
    Ephemeral(Ephemeral),
    /// Who is online on a node.
    Presence(NodePresence),
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The bus has taken it.
    Taken,
    /// It was dropped: too much waits, or the bus is away.
    Dropped,
}

/// What an endpoint receives.
#[derive(Clone, Debug)]
pub enum BusEvent {
    /// A message.
    Message(Message),
    /// Messages may have been lost before this moment: follow the journal.
    Lagged,
}

/// The bus cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("bus unavailable")]
pub struct BusUnavailable;
