//! Printing what is new until stopped.

use chat_core::{ConversationId, Entry};
use chat_proto::client::{ClientEvent, ClientEvents};

use crate::address::Address;
use crate::chat::Chat;
use crate::failure::Failure;
use crate::output::Output;
use crate::profile::Autosave;
use crate::render::json;
use crate::sanitise::Breaks;
use crate::signals::Signals;

/// Prints entries as they arrive, missed ones first, of one conversation or of all.
pub(crate) async fn run(
    chat: &mut Chat,
    events: &mut ClientEvents,
    output: &mut Output,
    only: Option<&Address>,
) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::Usage(error.to_string()))?;
    let only = match only {
        Some(address) => Some(chat.conversation(address).await?),
        None => None,
    };
    let mut autosave = Autosave::default();
    loop {
        // Each branch waits for a message or a point in time and takes nothing before it is chosen.
        let event = tokio::select! {
            biased;
            () = signals.next() => return Ok(()),
            () = autosave.due() => {
                chat.profile.save()?;
                continue;
            }
            event = events.next() => event,
        };
        match event {
            Some(ClientEvent::Entry { conversation, entry }) => {
                if only.is_none_or(|only| only == conversation) {
                    print(chat, output, conversation, &entry).await?;
                    autosave.changed();
                }
            }
            Some(ClientEvent::Conversation(state)) => chat.learn_state(&state),
            Some(ClientEvent::EpochChanged) => chat.start_over(),
            Some(ClientEvent::Disconnected { .. }) => eprintln!("the connection is lost; trying again"),
            Some(ClientEvent::Ended(reason)) => return Err(chat.ended(reason)),
            Some(ClientEvent::GaveUp(error)) => return Err(chat.failure(error)),
            Some(_) => {}
            None => return Err(chat.lost()),
        }
    }
}

async fn print(
    chat: &mut Chat,
    output: &mut Output,
    conversation: ConversationId,
    entry: &Entry,
) -> Result<(), Failure> {
    chat.learn_entries(conversation, std::iter::once(entry)).await?;
    output.result(
        || chat.reader(Breaks::Marked).line_in(conversation, entry),
        || json::entry(chat.names(), chat.me(), conversation, entry),
    )?;
    chat.profile.state.show(conversation, entry.seq);
    Ok(())
}
