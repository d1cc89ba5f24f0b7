//! Pages of history.

use chat_core::{ConversationId, Direction, Entry, History, Range, Seq};
use serde_json::json;

use crate::address::Address;
use crate::chat::Chat;
use crate::failure::Failure;
use crate::output::Output;
use crate::render::{history, json};
use crate::sanitise::Breaks;

/// The most bytes asked for at once: fits every server's frames.
const PAGE_BYTES: usize = 128 * 1024;

/// The most entries asked for at once, and the most that are looked through between messages.
const PAGE: usize = 200;
const BETWEEN_LIMIT: usize = 1_000;

pub(super) async fn print(
    chat: &mut Chat,
    output: &mut Output,
    address: &Address,
    limit: usize,
    before: Option<Seq>,
) -> Result<(), Failure> {
    let conversation = chat.conversation(address).await?;
    let state = chat.state(conversation).await?;
    let last = before.map_or(state.head, |before| before.saturating_sub(1).min(state.head));
    let first = state.first_seq.max(1);
    let page = match conversation {
        ConversationId::Inbox(_) => notices(chat, conversation, first, last, limit).await?,
        _ => messages(chat, conversation, first, last, limit).await?,
    };
    chat.learn_entries(conversation, page.history.referring.iter()).await?;
    let folded = history::fold(page.history, page.between);
    chat.learn_entries(conversation, folded.iter().map(|folded| &folded.entry)).await?;
    for message in &folded {
        output.result(
            || chat.reader(Breaks::Indented).folded_line(message),
            || json::folded(chat.names(), chat.me(), conversation, message),
        )?;
    }
    let to = chat.names().address(conversation, chat.me());
    let oldest = folded.first().map(|oldest| oldest.entry.seq);
    let older = oldest.filter(|_| page.more);
    output.result(
        || match older {
            Some(seq) => format!("({to}: earlier ones with --before {seq})"),
            None if folded.is_empty() => format!("({to}: nothing)"),
            None => format!("({to}: nothing before these)"),
        },
        || json!({ "type": "page", "to": to, "more": page.more, "before": older }),
    )
}

/// What a page is printed from.
#[derive(Default)]
struct Page {
    history: History,
    between: Vec<Entry>,
    more: bool,
}

/// The last `limit` messages of a range, with what was told between them where that matters.
async fn messages(
    chat: &Chat,
    conversation: ConversationId,
    first: Seq,
    last: Seq,
    limit: usize,
) -> Result<Page, Failure> {
    let mut page = Page::default();
    let mut to = last;
    while to >= first && page.history.entries.len() < limit {
        let range = Range {
            from: first,
            to,
            direction: Direction::Backward,
            limit: (limit - page.history.entries.len()).min(PAGE),
            limit_bytes: PAGE_BYTES,
        };
        let older = chat.client().history(conversation, &range).await.map_err(|error| chat.failure(error))?;
        page.more = older.more;
        let Some(oldest) = older.entries.first() else { break };
        to = oldest.seq - 1;
        page.history.entries.splice(0..0, older.entries);
        page.history.referring.splice(0..0, older.referring);
        if !page.more {
            break;
        }
    }
    if matches!(conversation, ConversationId::Group(_)) {
        let oldest = page.history.entries.first().map(|entry| entry.seq);
        let from = if page.more { oldest.unwrap_or(first) } else { first };
        page.between = between(chat, conversation, from, last).await?;
    }
    Ok(page)
}

/// What was told between messages, such as changes of a group's members: the latest of it.
async fn between(
    chat: &Chat,
    conversation: ConversationId,
    first: Seq,
    last: Seq,
) -> Result<Vec<Entry>, Failure> {
    let mut told = Vec::new();
    let (mut to, mut seen) = (last, 0);
    while to >= first && seen < BETWEEN_LIMIT {
        let entries = backward(chat, conversation, first, to, PAGE).await?;
        let Some(oldest) = entries.first() else { break };
        (to, seen) = (oldest.seq - 1, seen + entries.len());
        told.extend(entries.into_iter().filter(|entry| !entry.countable && entry.target.is_none()));
    }
    Ok(told)
}

/// The last entries of an inbox, in which nothing counts as a message.
async fn notices(
    chat: &Chat,
    conversation: ConversationId,
    first: Seq,
    last: Seq,
    limit: usize,
) -> Result<Page, Failure> {
    let mut page = Page { more: last >= first, ..Page::default() };
    let mut to = last;
    while page.more && page.between.len() < limit {
        let wanted = (limit - page.between.len()).min(PAGE);
        let entries = backward(chat, conversation, first, to, wanted).await?;
        let Some(oldest) = entries.first() else {
            page.more = false;
            break;
        };
        to = oldest.seq - 1;
        page.more = to >= first;
        page.between.splice(0..0, entries);
    }
    Ok(page)
}

async fn backward(
    chat: &Chat,
    conversation: ConversationId,
    from: Seq,
    to: Seq,
    limit: usize,
) -> Result<Vec<Entry>, Failure> {
    let range = Range { from, to, direction: Direction::Backward, limit, limit_bytes: PAGE_BYTES };
    chat.client().entries(conversation, &range).await.map_err(|error| chat.failure(error))
}
