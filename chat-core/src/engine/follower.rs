//! What comes from other nodes: chunks by the bus, and by the journal whatever the bus did not bring.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::Inner;
use crate::EndReason;
use crate::bus::{Bus, BusEvent, Message, Payload};
use crate::store::{JournalPosition, StoreError};

/// A page of the journal names so many moves.
const PAGE: usize = 4_096;

/// So long after the journal could not be read it is tried again. It is all that a store's return may
/// have to wait for, and few enough attempts that a store is not held down by them.
const RETRY: Duration = Duration::from_millis(200);

/// How often it is looked whether the store holds another history.
const EPOCH_INTERVAL: Duration = Duration::from_secs(5);

/// Receives what other nodes publish.
pub(super) async fn receive(inner: Arc<Inner>, bus: Arc<dyn Bus>) {
    while let Some(event) = bus.receive().await {
        match event {
            BusEvent::Message(Message { origin, payload: Payload::Presence(presence) }) => {
                inner.hear(&origin, &presence);
            }
            // What this run of this node published has passed its gates already.
            BusEvent::Message(message) if message.origin == inner.origin => {
                #[cfg(feature = "planted-defects")]
                inner.echo(&message);
            }
            BusEvent::Message(message) => match message.payload {
                Payload::Chunk(chunk) => inner.hub.offer(chunk),
                Payload::Ephemeral(ephemeral) => inner.tell_here(ephemeral, None),
                Payload::Presence(_) => {}
            },
            BusEvent::Lagged => {
                inner.journal_wake.notify_one();
                inner.presence.lagged();
            }
        }
    }
}

/// Follows the journal: at intervals, at once when the bus may have lost something, and soon again
/// whenever it could not be read. This bounds how late anything can be, whatever happens to the bus or to
/// the node that wrote it; after an outage of the store it is counted from the store's return.
pub(super) async fn follow(inner: Arc<Inner>, start: JournalPosition) {
    let mut position = start;
    let mut look = Instant::now() + EPOCH_INTERVAL;
    let mut away = false;
    loop {
        if away {
            // What woke it before is due still, so that no wake is needed.
            tokio::time::sleep(RETRY).await;
        } else {
            let wake = inner.journal_wake.notified();
            // Cancel-safe: a wake that is dropped with the future comes when the journal is read anyway.
            let _ = tokio::time::timeout(inner.config.journal_interval, wake).await;
        }
        if Instant::now() >= look {
            look = Instant::now() + EPOCH_INTERVAL;
            if let Some(start) = start_over(&inner).await {
                position = start;
            }
        }
        match read_on(&inner, &mut position).await {
            Ok(()) if away => {
                away = false;
                tracing::info!("the journal is read again");
            }
            Ok(()) => {}
            Err(error) => {
                inner.counts.journal_errors.one();
                inner.watch.failed(&error);
                if !away {
                    tracing::warn!(%error, "the journal cannot be read: it is tried until it can");
                }
                away = true;
            }
        }
    }
}

/// Reads the journal to its end, and tells the gates what moved.
async fn read_on(inner: &Inner, position: &mut JournalPosition) -> Result<(), StoreError> {
    loop {
        let page = inner.store.journal(position, PAGE).await?;
        inner.counts.journal_rounds.one();
        inner.watch.read_journal();
        for (conversation, head) in &page.moved {
            inner.hub.note(conversation, *head);
        }
        *position = page.position;
        if !page.more {
            return Ok(());
        }
    }
}

/// When an operator has restored another history: forgets everything that was true of the one before,
/// and has clients come back to find out. Where the journal goes on, if so.
async fn start_over(inner: &Inner) -> Option<JournalPosition> {
    let epoch = inner.store.epoch().await.ok()?;
    if epoch.0 == inner.epoch.load(Ordering::Acquire) {
        return None;
    }
    // Whoever logs in from here on is told the new epoch. The position comes first: what is written
    // after it is followed.
    let position = inner.store.journal_end().await.ok()?;
    tracing::warn!("the store holds another history: everybody starts over");
    inner.epoch.store(epoch.0, Ordering::Release);
    inner.rules.clear();
    inner.hub.forget_gates();
    for session in inner.hub.all_sessions() {
        session.end(EndReason::Reset);
    }
    Some(position)
}
