//! A readable trace: what happened in one conversation, and to the nodes meanwhile.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::access::{Command, Done};
use super::record::{Fact, Told, What};
use crate::ConversationId;

/// So many lines are shown, the last ones.
const LINES: usize = 160;

/// The trace of one conversation, or of everything that concerns none.
pub(super) fn of(facts: &[Fact], conversation: Option<ConversationId>) -> String {
    let mut asked = BTreeSet::new();
    let mut concerned = Vec::new();
    for fact in facts {
        let shown = match &fact.what {
            // What is answered is what was asked.
            What::Answered { client, attempt, answer } => {
                asked.contains(&(*client, *attempt)) || creates(answer, conversation)
            }
            what => concerns(what, conversation),
        };
        if let What::Asked { client, attempt, .. } = &fact.what
            && shown
        {
            asked.insert((*client, *attempt));
        }
        concerned.extend(shown.then_some(fact));
    }
    let mut trace = String::new();
    let skipped = concerned.len().saturating_sub(LINES);
    if skipped > 0 {
        let written = writeln!(trace, "  … {skipped} earlier lines");
        written.expect("a String takes everything");
    }
    for fact in &concerned[skipped..] {
        let written = writeln!(trace, "  {:>9.3}s {}", fact.at.as_secs_f64(), line(&fact.what));
        written.expect("a String takes everything");
    }
    trace
}

/// Whether it is this group that an answer says to have been created.
fn creates(answer: &Told, wanted: Option<ConversationId>) -> bool {
    matches!(answer, Told::Acknowledged(Done::Group(created))
        if wanted == Some(ConversationId::Group(created.group)))
}

fn concerns(what: &What, wanted: Option<ConversationId>) -> bool {
    let is = |conversation: ConversationId| wanted == Some(conversation);
    match what {
        What::Started(_) | What::Fault(..) | What::Entered { .. } | What::Vanished(_) => true,
        What::Committed(_, written) => {
            let blocked = written.blocks.iter().any(|(conversation, ..)| is(*conversation));
            blocked || written.appended.iter().any(|(conversation, ..)| is(*conversation))
        }
        What::Asked { command, user, .. }
            if matches!(**command, Command::LogOut(_) | Command::Revoke(..)) =>
        {
            wanted.is_none() || is(ConversationId::Inbox(*user))
        }
        What::Asked { command, user, .. } => command.conversation(Some(*user)).is_some_and(is),
        What::Answered { .. } | What::Waiting { .. } => false,
        What::Received { conversation, .. } | What::Shown { conversation, .. } => is(*conversation),
        What::Flaw { conversation, .. } => is(*conversation),
        What::State { state, .. } => is(state.conversation),
        What::Behind(_, at) => at.is_none_or(|(conversation, _)| is(conversation)),
        What::Heard(_, ephemeral) => {
            let presence = matches!(ephemeral, crate::Ephemeral::Presence { .. });
            presence && matches!(wanted, None | Some(ConversationId::Inbox(_)))
        }
        What::Calm(_) => true,
    }
}

fn line(what: &What) -> String {
    match what {
        What::Started(node) => format!("{node} starts"),
        What::Fault(fault, Some(node), Duration::MAX) => format!("{node}: {fault:?} until the next storm"),
        What::Fault(fault, Some(node), length) => format!("{node}: {fault:?} for {length:?}"),
        What::Fault(fault, None, length) => format!("a client: {fault:?} for {length:?}"),
        What::Committed(node, written) => {
            let entries = written.appended.iter();
            let entries: Vec<_> =
                entries.map(|(at, seq, sender)| format!("{at:?} {seq} by {sender}")).collect();
            let blocks = written.blocks.iter();
            let blocks: Vec<_> = blocks.map(|(_, user, on)| format!("{user} blocks: {on}")).collect();
            let name = written.client_id.map_or_else(String::new, |id| format!(" {id:?}"));
            format!("{node} commits{name}: {}", [entries, blocks].concat().join(", "))
        }
        What::Entered { client, node, user, device } => {
            format!("{client} comes in at {node} as user {user}, device {device}")
        }
        What::Vanished(client) => format!("{client} is gone"),
        What::Asked { client, attempt, command, .. } => format!("{client} asks #{attempt}: {command:?}"),
        What::Answered { client, attempt, answer } => format!("{client} is answered #{attempt}: {answer:?}"),
        What::Received { client, entry, .. } => {
            format!("{client} receives {} by {}: {:?}", entry.seq, entry.sender, entry.decode_content())
        }
        What::Shown { client, entries, .. } => {
            format!("{client} is shown {:?}", entries.iter().map(|entry| entry.seq).collect::<Vec<_>>())
        }
        What::State { client, state, .. } => format!(
            "{client} sees head {} read {} unread {} delivered {} from {} as {:?}",
            state.head, state.read, state.unread, state.delivered, state.first_seq, state.standing
        ),
        What::Heard(client, ephemeral) => format!("{client} hears {ephemeral:?}"),
        What::Behind(client, Some((_, upto))) => format!("{client} is behind up to {upto}"),
        What::Behind(client, None) => format!("{client} is behind everywhere"),
        What::Flaw { client, flaw, .. } => format!("{client} finds {flaw:?}"),
        What::Waiting { node, outbox_bytes, commit_rows, .. } => {
            format!("{node} holds {outbox_bytes} bytes for sessions, {commit_rows} rows to commit")
        }
        What::Calm(calm) => format!("calm; online: {:?}", calm.clients.keys().collect::<Vec<_>>()),
    }
}
