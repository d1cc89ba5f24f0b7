//! A client that sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use chat_core::{Outgoing, Seq};
use tokio::task::JoinSet;

use super::participant::Participant;
use super::schedule::Pace;

/// One thing that a client does.
#[derive(Debug)]
pub enum Act {
    /// Writes into a place.
    Send {
        /// Where.
        place: u32,
        /// What.
        outgoing: Outgoing,
        /// Who is told as which entry, once it is acknowledged; the highest stays.
        tell: Vec<Arc<AtomicU64>>,
    },
    /// Says how far it has read.
    MarkRead {
        /// Where.
        place: u32,
        /// Up to which entry.
        seq: Seq,
    },
    /// Says that it is typing.
    Typing {
        /// Where.
        place: u32,
    },
}

/// What a client does, one thing after the other.
pub type Script = Box<dyn FnMut() -> Act + Send>;

/// Acts at this pace from `begin` to `until`, and waits for all answers.
pub async fn act(who: Arc<Participant>, mut script: Script, mut pace: Pace, begin: Instant, until: Instant) {
    let mut under_way = JoinSet::new();
    loop {
        while under_way.try_join_next().is_some() {}
        let now = Instant::now();
        let at = match &mut pace {
            _ if now >= until => break,
            Pace::Open { turns, wake } => match turns.take(now.saturating_duration_since(begin)) {
                Some(due) => begin + due,
                None => {
                    wake.notified().await;
                    continue;
                }
            },
            Pace::Closed { window } if under_way.len() >= *window => {
                under_way.join_next().await;
                continue;
            }
            Pace::Closed { .. } => now,
        };
        match script() {
            Act::Send { place, outgoing, tell } => {
                let sending = who.begin(place, outgoing, at).await;
                under_way.spawn(async move {
                    if let Some(seq) = sending.answered().await {
                        for told in tell {
                            told.fetch_max(seq, Ordering::Relaxed);
                        }
                    }
                });
            }
            // What passes may fail: nobody relies on it.
            Act::MarkRead { place, seq } => {
                let (client, place) = (who.client().await, who.conversation(place));
                under_way.spawn(async move { drop(client.mark_read(place, seq).await) });
            }
            Act::Typing { place } => {
                let (client, place) = (who.client().await, who.conversation(place));
                under_way.spawn(async move { drop(client.typing(place).await) });
            }
        }
    }
    while under_way.join_next().await.is_some() {}
}
