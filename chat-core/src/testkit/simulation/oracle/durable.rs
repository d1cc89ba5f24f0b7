//! **durable**: what was acknowledged is stored, where it was said to be and as it was sent; what the
//! store wrote once is there in the end; and what was taken back is empty, with all its edits, and
//! nothing else is.

use std::collections::BTreeMap;

use super::super::access::{Command, Done};
use super::super::record::{Evidence, Log, Told, What};
use super::Finding;
use crate::{Body, ClientId, Content, ConversationId, Entry, GroupId, Outgoing, Receipt, Send, UserId};

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    let recalls =
        evidence.logs.iter().flat_map(|(of, log)| recalls(log).map(|words| Finding::at(*of, words)));
    let mut findings: Vec<_> = recalls.collect();
    let mut asked = BTreeMap::new();
    for (index, fact) in evidence.facts.iter().enumerate() {
        match &fact.what {
            What::Committed(_, written) => {
                for (conversation, seq, sender) in &written.appended {
                    let stored = entry(evidence, *conversation, *seq);
                    if stored.is_none_or(|entry| entry.sender != *sender) {
                        let words = format!("entry {seq} by user {sender} was written and is not there");
                        findings.push(Finding::at(*conversation, words));
                    }
                }
            }
            What::Asked { client, user, attempt, command, .. } => {
                asked.insert((*client, *attempt), (*user, command));
            }
            What::Answered { client, attempt, answer: Told::Acknowledged(done) } => {
                if let Some((user, command)) = asked.get(&(*client, *attempt))
                    && let Err(finding) = stands(evidence, *user, command, *done)
                {
                    findings.push(finding.until(index));
                }
            }
            _ => {}
        }
    }
    findings
}

/// Where a log is empty and should not be, and the other way round.
fn recalls(log: &Log) -> impl Iterator<Item = String> {
    let contents: Vec<_> = log.entries.iter().map(Entry::decode_content).collect();
    let mut taken_back = BTreeMap::new();
    for (entry, content) in log.entries.iter().zip(&contents) {
        if let (Ok(Content::Recall), Some(target)) = (content, entry.target) {
            taken_back.entry(target).or_insert(entry.seq);
        }
    }
    let judged = log.entries.iter().zip(contents).filter_map(move |(entry, content)| {
        let seq = entry.seq;
        let recall = taken_back.get(&seq);
        let of_target = entry.target.and_then(|target| taken_back.get(&target));
        match content {
            // Whatever emptied edits once said: only they refer to what was taken back and are empty.
            Ok(Content::Redacted) => (recall.is_none() && of_target.is_none())
                .then(|| format!("entry {seq} is empty, and nobody took it back")),
            Ok(Content::Edit(_)) => {
                of_target.map(|recall| format!("edit {seq} stands, though {recall} took back what it edits"))
            }
            _ => recall.map(|recall| format!("entry {seq} stands, though {recall} took it back")),
        }
    });
    judged.collect::<Vec<_>>().into_iter()
}

fn entry(evidence: &Evidence, conversation: ConversationId, seq: crate::Seq) -> Option<&Entry> {
    evidence.logs.get(&conversation)?.entry(seq)
}

/// Whether what was acknowledged is there.
fn stands(evidence: &Evidence, user: UserId, command: &Command, done: Done) -> Result<(), Finding> {
    let inbox = ConversationId::Inbox(user);
    match (command, done) {
        (Command::Send(send), Done::Receipt(receipt)) => {
            let stored = at(evidence, send.conversation, user, send.client_id, receipt);
            match stored {
                Some(stored) if says(stored, send) => Ok(()),
                _ => Err(lost(send.conversation, user, send.client_id, receipt)),
            }
        }
        (Command::Contact(id, ..) | Command::Revoke(id, _), Done::Receipt(receipt)) => {
            let stored = at(evidence, inbox, user, *id, receipt);
            stored.map(drop).ok_or_else(|| lost(inbox, user, *id, receipt))
        }
        (Command::Group(id, group, _), Done::Receipt(receipt)) => {
            let group = ConversationId::Group(*group);
            let stored = [group, inbox].into_iter().find_map(|of| at(evidence, of, user, *id, receipt));
            stored.map(drop).ok_or_else(|| lost(group, user, *id, receipt))
        }
        (Command::CreateGroup(create), Done::Group(created)) => {
            let group = ConversationId::Group(created.group);
            let exists = evidence.logs.get(&group).is_some_and(|log| !log.entries.is_empty());
            if exists && is_recorded(evidence, inbox, create.client_id, created.group) {
                Ok(())
            } else {
                Err(Finding::at(group, "a group was said to be created and is not there"))
            }
        }
        _ => Ok(()),
    }
}

fn at(
    evidence: &Evidence,
    conversation: ConversationId,
    sender: UserId,
    id: ClientId,
    receipt: Receipt,
) -> Option<&Entry> {
    let found = entry(evidence, conversation, receipt.seq)?;
    (found.sender == sender && found.client_id == Some(id) && found.time == receipt.time).then_some(found)
}

fn lost(conversation: ConversationId, user: UserId, id: ClientId, receipt: Receipt) -> Finding {
    let seq = receipt.seq;
    Finding::at(conversation, format!("{id:?} of user {user} was acknowledged as {seq} and is not there"))
}

fn is_recorded(evidence: &Evidence, inbox: ConversationId, id: ClientId, created: GroupId) -> bool {
    let entries = evidence.logs.get(&inbox).map_or(&[][..], |log| log.entries.as_slice());
    let names = |entry: &&Entry| matches!(entry.decode_content(), Ok(Content::Group { group, .. }) if group == created);
    entries.iter().filter(|entry| entry.client_id == Some(id)).any(|entry| names(&entry))
}

/// Whether an entry is what was sent, unless it was emptied since.
fn says(stored: &Entry, send: &Send) -> bool {
    let text = |body: &Body| match body {
        Body::Text(text) => Some(text.clone()),
        Body::Data { .. } => None,
    };
    match (stored.decode_content(), &send.message) {
        (Ok(Content::Redacted), _) => true,
        (Ok(Content::Message(said)), Outgoing::Message { body, reply_to }) => {
            text(&said) == text(body) && stored.target == *reply_to
        }
        (Ok(Content::Edit(said)), Outgoing::Edit { body, target }) => {
            text(&said) == text(body) && stored.target == Some(*target)
        }
        (Ok(Content::Recall), Outgoing::Recall { target }) => stored.target == Some(*target),
        (Ok(Content::Reaction { set: said, .. }), Outgoing::Reaction { target, set, .. }) => {
            said == *set && stored.target == Some(*target)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::report::Invariant;
    use super::super::scene::{ADA, acknowledged, broken, group, log, pair, sends, sound, text};
    use super::*;

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_found() {
        let mut evidence = sound();
        sends(&mut evidence, ADA, 1, 9, pair(), "lost", acknowledged(3));
        assert_eq!(broken(&evidence), [Invariant::Durable]);
    }

    #[test]
    fn what_says_something_else_than_was_sent_is_found() {
        let mut evidence = sound();
        let log = evidence.logs.get_mut(&group()).expect("there");
        log.entries[1].content = Some(text("something else").encode());
        assert!(broken(&evidence).contains(&Invariant::Durable));
    }

    /// A pair's log of which the last entry takes back the first, and the one between may edit it.
    fn recalled(edit: Content, emptied: &[usize]) -> Evidence {
        let mut evidence = sound();
        let members = evidence.logs[&pair()].members.clone();
        let written = [(1, None, text("hello")), (1, None, edit), (1, None, Content::Recall)];
        let mut changed = log(pair(), &written, members);
        changed.entries[1].target = Some(1);
        changed.entries[2].target = Some(1);
        emptied.iter().for_each(|index| changed.entries[*index].content = None);
        evidence.logs.insert(pair(), changed);
        evidence
    }

    fn of_recalls(evidence: &Evidence) -> Vec<String> {
        evidence.logs.values().flat_map(recalls).collect()
    }

    #[test]
    fn what_was_taken_back_is_empty_with_its_edits_and_nothing_else_is() {
        let edit = || Content::Edit(Body::Text("hello all".into()));
        let reaction = || Content::Reaction { symbol: "+1".into(), set: true };
        assert_eq!(of_recalls(&recalled(edit(), &[0, 1])), Vec::<String>::new());
        assert_eq!(of_recalls(&recalled(reaction(), &[0])), Vec::<String>::new());
        assert_eq!(of_recalls(&recalled(edit(), &[0])), ["edit 2 stands, though 3 took back what it edits"]);
        assert_eq!(of_recalls(&recalled(reaction(), &[])), ["entry 1 stands, though 3 took it back"]);
        let mut evidence = sound();
        evidence.logs.get_mut(&group()).expect("there").entries[1].content = None;
        assert_eq!(broken(&evidence), [Invariant::Durable]);
        assert_eq!(of_recalls(&evidence), ["entry 2 is empty, and nobody took it back"]);
    }
}
