//! What is on its way to the application: a bounded queue, and what one frame overfills it by.

use chat_core::{ConversationId, Epoch, Seq};

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
