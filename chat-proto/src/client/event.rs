//! What a client tells the application without being asked.

use std::sync::Arc;
use std::time::Duration;

use chat_core::{ConversationId, ConversationState, EndReason, Entry, Ephemeral};
use tokio::sync::mpsc;

use super::acknowledged::Acknowledged;
use super::deliveries::Delivery;
use super::error::ClientError;

/// One event of a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// A connection is there.
    Connected,
    /// The connection is gone.
    Disconnected {
        /// When the next attempt is made; `None` when there is no account to act for, and none will be
        /// made until a command needs it.
        retry_in: Option<Duration>,
    },
    /// An entry: each once, and in order within its conversation.
    Entry {
        /// Where.
        conversation: ConversationId,
        /// What.
        entry: Entry,
    },
    /// How a conversation stands: of every one after a log-in, of those that appear later when they
    /// do. Its new entries follow.
    Conversation(Box<ConversationState>),
    /// Everything that was written before the (re)connection has been delivered.
    CaughtUp,
    /// Something that is true now and stored nowhere; dropped when the application is slow.
    Ephemeral(Ephemeral),
    /// The server's history is another one than before: what was delivered so far is void, and
    /// history starts over.
    EpochChanged,
    /// The session has ended for good; the last event.
    Ended(EndReason),
    /// Client and server cannot go on with each other for another reason: the token is not accepted
    /// any more, or they have no version in common; the last event.
    GaveUp(ClientError),
}

/// The events of a [`Client`](super::Client). The client goes on without them when they are dropped,
/// and entries are then neither kept nor acknowledged.
#[derive(Debug)]
pub struct ClientEvents {
    deliveries: mpsc::Receiver<Delivery>,
    acknowledged: Arc<Acknowledged>,
}

impl ClientEvents {
    pub(super) fn new(deliveries: mpsc::Receiver<Delivery>, acknowledged: Arc<Acknowledged>) -> Self {
        Self { deliveries, acknowledged }
    }

    /// The next event, `None` once the client was closed or has ended.
    ///
    /// An entry counts as delivered when it leaves here: [`Client::cursors`](super::Client::cursors)
    /// has it from then on, and its sender is told.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        loop {
            let delivery = self.deliveries.recv().await?;
            if let Some(event) = self.hand_over(delivery) {
                return Some(event);
            }
        }
    }

    /// The next event if there is one already.
    pub fn try_next(&mut self) -> Option<ClientEvent> {
        loop {
            let delivery = self.deliveries.try_recv().ok()?;
            if let Some(event) = self.hand_over(delivery) {
                return Some(event);
            }
        }
    }

    fn hand_over(&self, delivery: Delivery) -> Option<ClientEvent> {
        match delivery {
            Delivery::Event(event) => {
                if let ClientEvent::Entry { conversation, entry } = &event {
                    self.acknowledged.handed_over(*conversation, entry);
                }
                Some(event)
            }
            Delivery::Passed { conversation, upto } => {
                self.acknowledged.passed(conversation, upto);
                None
            }
            Delivery::Epoch(epoch) => {
                self.acknowledged.start_over(epoch);
                Some(ClientEvent::EpochChanged)
            }
        }
    }
}
