//! The end of a run: everybody is given time to have everything, the history is read, all is compared.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::{ConversationId, Direction, Range, Seq};
use chat_proto::client::ClientError;

use super::cast::at_once;
use super::participant::is_momentary;
use super::scenario::Run;
use super::verify::Violation;
use crate::measure::Failure;

/// How many entries are read at once.
const PAGE_ENTRIES: usize = 500;
/// How many bytes are read at once.
const PAGE_BYTES: usize = 256 * 1024;

/// Higher than the seq of any entry, and within what JSON parsers hold exactly.
const END: Seq = (1 << 53) - 1;

/// Waits, reads and compares.
///
/// # Errors
/// The history cannot be read in the time that is given.
pub(super) async fn settle(run: &Run) -> Result<Vec<Violation>, Failure> {
    let patience = Duration::from_secs(run.options.settle);
    run.witness.no_more_answers();
    everybody_has_everything(run, Instant::now() + patience).await;
    let reading = tokio::time::timeout(patience.max(Duration::from_secs(10)), read_all(run));
    reading.await.map_err(|_| "the history could not be read in time")??;
    // The history may hold what nobody was told of.
    everybody_has_everything(run, Instant::now() + patience).await;
    Ok(run.witness.verdict())
}

/// Until then, or until nobody is behind; who is, is told by the verdict.
async fn everybody_has_everything(run: &Run, until: Instant) {
    let mut place = 0;
    while let Some(behind) = run.witness.behind(place) {
        place = behind;
        if Instant::now() >= until {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn read_all(run: &Run) -> Result<(), Failure> {
    let places = run.cast.venues.iter().zip(0..);
    at_once(places, |(venue, place)| {
        let witness = Arc::clone(&run.witness);
        let members = venue.members.iter().map(|member| Arc::clone(&run.cast.participants[*member as usize]));
        let mut readers = members.collect::<Vec<_>>().into_iter().cycle();
        let (conversation, base) = (venue.conversation, venue.base);
        async move {
            let (mut last, mut reader) = (base, readers.next());
            loop {
                let client = reader.as_ref().and_then(|reader| reader.present());
                let page = match &client {
                    Some(client) => page(client, conversation, last + 1).await,
                    None => Err(ClientError::Closed),
                };
                match page {
                    Ok(entries) if entries.is_empty() => break,
                    Ok(entries) => {
                        witness.stored(place, &entries);
                        last = last.max(entries[entries.len() - 1].seq);
                    }
                    Err(ClientError::Refused(error)) if !is_momentary(error.kind()) => {
                        return Err(format!("the history cannot be read: {error}").into());
                    }
                    // Another member tries; the caller limits for how long.
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        reader = readers.next();
                    }
                }
            }
            witness.read(place, last);
            Ok(())
        }
    })
    .await?;
    Ok(())
}

async fn page(
    client: &chat_proto::client::Client,
    conversation: ConversationId,
    from: Seq,
) -> Result<Vec<chat_core::Entry>, ClientError> {
    let direction = Direction::Forward;
    let range = Range { from, to: END, direction, limit: PAGE_ENTRIES, limit_bytes: PAGE_BYTES };
    client.entries(conversation, &range).await
}
