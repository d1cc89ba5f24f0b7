//! Writing: messages, and changes of messages.

use std::io::Read;

use chat_core::{Body, Outgoing, Send, Seq};

use crate::address::Address;
use crate::chat::Chat;
use crate::failure::Failure;
use crate::output::Output;
use crate::render::json;

/// Whether a reaction is set or taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    On,
    Off,
}

pub(super) async fn send(
    chat: &mut Chat,
    output: &mut Output,
    to: &Address,
    reply_to: Option<Seq>,
    text: &[String],
) -> Result<(), Failure> {
    let body = body(text)?;
    write(chat, output, to, Outgoing::Message { body, reply_to }).await
}

pub(super) async fn edit(
    chat: &mut Chat,
    output: &mut Output,
    to: &Address,
    target: Seq,
    text: &[String],
) -> Result<(), Failure> {
    let body = body(text)?;
    write(chat, output, to, Outgoing::Edit { target, body }).await
}

pub(super) async fn recall(
    chat: &mut Chat,
    output: &mut Output,
    to: &Address,
    target: Seq,
) -> Result<(), Failure> {
    write(chat, output, to, Outgoing::Recall { target }).await
}

pub(super) async fn react(
    chat: &mut Chat,
    output: &mut Output,
    to: &Address,
    target: Seq,
    symbol: String,
    reaction: Reaction,
) -> Result<(), Failure> {
    let set = reaction == Reaction::On;
    write(chat, output, to, Outgoing::Reaction { target, symbol, set }).await
}

async fn write(chat: &mut Chat, output: &mut Output, to: &Address, message: Outgoing) -> Result<(), Failure> {
    let conversation = chat.conversation(to).await?;
    let client = chat.client();
    let send = Send { client_id: client.new_id(), conversation, message, read_up_to: None };
    let receipt = client.send(send).await.map_err(|error| chat.failure(error))?;
    let to = chat.names().address(conversation, chat.me());
    output.result(|| format!("stored as {} in {to}", receipt.seq), || json::receipt(&to, &receipt))
}

/// The words as one text; a lone `-` stands for standard input.
fn body(words: &[String]) -> Result<Body, Failure> {
    let text = match words {
        [dash] if dash == "-" => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| {
                Failure::Usage(format!("cannot read the text from standard input: {error}"))
            })?;
            if text.ends_with('\n') {
                text.pop();
            }
            text
        }
        words => words.join(" "),
    };
    if text.is_empty() {
        return Err(Failure::Usage("there is nothing to write".into()));
    }
    Ok(Body::Text(text))
}
