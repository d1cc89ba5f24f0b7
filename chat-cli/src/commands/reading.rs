//! What is unread, and how far one has read.

use chat_core::{ConversationId, Seq};
use serde_json::json;

use crate::address::Address;
use crate::chat::Chat;
use crate::failure::Failure;
use crate::output::Output;
use crate::render::json;

pub(super) async fn unread(chat: &mut Chat, output: &mut Output) -> Result<(), Failure> {
    let states = chat.states().await?;
    let mut any = false;
    // The inbox holds notices, and none of them counts as a message.
    let counted = |conversation| !matches!(conversation, ConversationId::Inbox(_));
    for state in states.iter().filter(|state| state.unread > 0 && counted(state.conversation)) {
        any = true;
        let to = chat.names().address(state.conversation, chat.me());
        let title = chat.names().title(state.conversation, chat.me());
        output.result(|| format!("{title}  {} unread", state.unread), || json::unread(&to, state))?;
    }
    if any { Ok(()) } else { output.remark("nothing is unread") }
}

pub(super) async fn read(
    chat: &mut Chat,
    output: &mut Output,
    to: &Address,
    up_to: Option<Seq>,
) -> Result<(), Failure> {
    let conversation = chat.conversation(to).await?;
    let seq = match up_to {
        Some(seq) => seq,
        None => chat.state(conversation).await?.head,
    };
    if seq > 0 {
        chat.client().mark_read(conversation, seq).await.map_err(|error| chat.failure(error))?;
    }
    let to = chat.names().address(conversation, chat.me());
    output.result(|| format!("read {to} up to {seq}"), || json::done(json!({ "to": to, "read": seq })))
}
