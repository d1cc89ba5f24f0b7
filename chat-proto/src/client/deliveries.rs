//! What is on its way to the application: a bounded queue, and what one answer overfills it by.

use std::collections::VecDeque;

use chat_core::{ConversationId, Epoch, Seq};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::catch_up::Room;
use super::event::ClientEvent;

/// One element of the queue between the connection task and the application.
#[derive(Clone, Debug)]
pub(super) enum Delivery {
    /// The application sees it.
    Event(ClientEvent),
    /// Entries up to this one are not to be delivered: they were read before, or are kept no more.
    Passed {
        /// Where.
        conversation: ConversationId,
        /// The last one.
        upto: Seq,
    },
    /// The application is told to start over in this epoch.
    Epoch(Epoch),
}

/// The connection task's end of the queue.
///
/// What does not fit into the queue waits in the overflow. While something does, the task keeps no
/// pushed entries, drops what is ephemeral and asks for nothing, so that the overflow holds no more
/// than the answers that were on their way.
#[derive(Debug)]
pub(super) struct Deliveries {
    queue: mpsc::Sender<Delivery>,
    overflow: VecDeque<Delivery>,
}

impl Deliveries {
    pub(super) fn new(queue: mpsc::Sender<Delivery>) -> Self {
        Self { queue, overflow: VecDeque::new() }
    }

    /// Whether somebody listens.
    pub(super) fn is_heard(&self) -> bool {
        !self.queue.is_closed()
    }

    /// Whether there is room for what need not be delivered now.
    pub(super) fn room(&self) -> Room {
        if self.overflow.is_empty() { Room::Free } else { Room::Full }
    }

    /// Appends what must be delivered.
    pub(super) fn push(&mut self, delivery: Delivery) {
        if let Delivery::Epoch(_) = delivery {
            // What is void need not be delivered any more.
            self.overflow.clear();
        }
        self.overflow.push_back(delivery);
        self.advance();
    }

    /// Appends that the connection came or went, in place of what the application was not told of that
    /// yet: a connection that flaps while nobody listens takes no memory.
    pub(super) fn connection(&mut self, event: ClientEvent) {
        let is_stale = |delivery: &Delivery| {
            let Delivery::Event(event) = delivery else { return false };
            matches!(event, ClientEvent::Connected | ClientEvent::Disconnected { .. } | ClientEvent::CaughtUp)
        };
        self.overflow.retain(|delivery| !is_stale(delivery));
        self.push(Delivery::Event(event));
    }

    /// Moves on what there is room for.
    pub(super) fn advance(&mut self) {
        while let Some(delivery) = self.overflow.pop_front() {
            match self.queue.try_send(delivery) {
                Ok(()) => {}
                Err(TrySendError::Full(delivery)) => {
                    self.overflow.push_front(delivery);
                    return;
                }
                Err(TrySendError::Closed(_)) => {
                    self.overflow.clear();
                    return;
                }
            }
        }
    }

    /// Waits until the queue has room for the overflow; for ever when there is none.
    ///
    /// # Cancel safety
    /// Nothing is taken.
    pub(super) async fn has_room(&self) {
        if self.overflow.is_empty() {
            std::future::pending::<()>().await;
        }
        // When nobody listens any more, `advance` finds out.
        drop(self.queue.reserve().await);
    }

    /// Waits until nobody listens.
    ///
    /// # Cancel safety
    /// Nothing is taken.
    pub(super) async fn unheard(&self) {
        self.queue.closed().await;
    }

    /// Hands on everything, however long the application takes.
    pub(super) async fn finish(mut self) {
        while !self.overflow.is_empty() {
            self.has_room().await;
            self.advance();
        }
    }
}
