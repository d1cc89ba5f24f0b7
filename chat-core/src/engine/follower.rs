//! What comes from other nodes: chunks by the bus, and by the journal whatever the bus did not bring.

use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use crate::bus::{Bus, BusEvent, Payload};
use crate::store::JournalPosition;

/// A page of the journal names so many moves.
const PAGE: usize = 4_096;

/// Receives what other nodes publish.
pub(super) async fn receive(inner: Arc<Inner>, bus: Arc<dyn Bus>) {
    while let Some(event) = bus.receive().await {
        match event {
            // What this run of this node published has passed its gates already.
            BusEvent::Message(message) if message.origin == inner.origin => {}
            BusEvent::Message(message) => match message.payload {
                Payload::Chunk(chunk) => inner.hub.offer(chunk),
                Payload::Ephemeral(ephemeral) => inner.tell_here(ephemeral, None),
                Payload::Presence(_) => {}
            },
            BusEvent::Lagged => inner.journal_wake.notify_one(),
        }
    }
}

/// Follows the journal: at intervals, and at once when the bus may have lost something. This bounds
/// how late anything can be, whatever happens to the bus or to the node that wrote it.
pub(super) async fn follow(inner: Arc<Inner>, start: JournalPosition) {
    let mut position = start;
    loop {
        let wake = inner.journal_wake.notified();
        // Cancel-safe: a wake that is dropped with the future comes when the journal is read anyway.
        let _ = tokio::time::timeout(inner.config.journal_interval, wake).await;
        loop {
            match inner.store.journal(&position, PAGE).await {
                Ok(page) => {
                    inner.counts.journal_rounds.one();
                    inner.watch.read_journal();
                    for (conversation, head) in &page.moved {
                        inner.hub.note(conversation, *head);
                    }
                    position = page.position;
                    if !page.more {
                        break;
                    }
                }
                Err(error) => {
                    inner.counts.journal_errors.one();
                    inner.watch.failed(&error);
                    tracing::warn!(%error, "the journal cannot be read yet");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    break;
                }
            }
        }
    }
}
