//! **private**: nobody receives an entry or hears of anybody outside their memberships and contacts,
//! and nobody writes where they may not.

use std::collections::{BTreeMap, BTreeSet};

use super::super::record::{Evidence, What, Written};
use super::Finding;
use super::membership::{self, Membership};
use crate::{ContactEvent, Content, ConversationId, Ephemeral, Seq, UserId};

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    let (users, groups) = (membership::users(evidence), membership::of_groups(evidence));
    let mut findings = Vec::new();
    for (conversation, membership) in &groups {
        for (_, words) in &membership.wrong {
            findings.push(Finding::at(*conversation, words.clone()));
        }
    }
    let mut blocks = BTreeSet::new();
    for fact in &evidence.facts {
        let (client, conversation, seqs): (_, _, Vec<Seq>) = match &fact.what {
            What::Received { client, conversation, entry } => (client, conversation, vec![entry.seq]),
            What::Shown { client, conversation, entries } => {
                (client, conversation, entries.iter().map(|entry| entry.seq).collect())
            }
            What::Heard(client, ephemeral) => {
                let Some(user) = users.get(client) else { continue };
                if !may_hear(evidence, &groups, *user, *ephemeral) {
                    findings.push(Finding::anywhere(format!("{client} of user {user} hears {ephemeral:?}")));
                }
                continue;
            }
            What::Committed(_, written) => {
                findings.extend(against_block(&mut blocks, written));
                continue;
            }
            _ => continue,
        };
        let Some(user) = users.get(client) else { continue };
        for seq in seqs {
            if !may_read(&groups, *conversation, *user, seq) {
                let words = format!("{client} of user {user} received entry {seq}, which is not theirs");
                findings.push(Finding::at(*conversation, words));
            }
        }
    }
    findings
}

fn may_read(
    groups: &BTreeMap<ConversationId, Membership>,
    conversation: ConversationId,
    user: UserId,
    seq: Seq,
) -> bool {
    match conversation {
        ConversationId::Direct(pair) => pair.contains(user),
        ConversationId::Inbox(owner) => owner == user,
        ConversationId::Group(_) => groups.get(&conversation).is_some_and(|group| group.may_read(user, seq)),
    }
}

fn may_hear(
    evidence: &Evidence,
    groups: &BTreeMap<ConversationId, Membership>,
    user: UserId,
    ephemeral: Ephemeral,
) -> bool {
    match ephemeral {
        Ephemeral::Presence { user: other, .. } => were_contacts(evidence, user, other),
        Ephemeral::Typing { conversation, .. }
        | Ephemeral::Read { conversation, .. }
        | Ephemeral::Delivered { conversation, .. } => match conversation {
            ConversationId::Group(_) => {
                groups.get(&conversation).is_some_and(|group| group.readable.contains_key(&user))
            }
            other => may_read(groups, other, user, 1),
        },
    }
}

fn were_contacts(evidence: &Evidence, user: UserId, other: UserId) -> bool {
    let inbox = evidence.logs.get(&ConversationId::Inbox(user));
    inbox.is_some_and(|log| {
        log.entries.iter().any(|entry| {
            matches!(entry.decode_content(), Ok(Content::Contact { event: ContactEvent::Accepted, peer, .. })
                if peer == other)
        })
    })
}

/// What was written between two users of whom one had blocked the other. Blocks stand in no log that
/// both read: the order is that in which the store wrote.
fn against_block(blocks: &mut BTreeSet<(ConversationId, UserId)>, written: &Written) -> Option<Finding> {
    for (conversation, user, blocked) in &written.blocks {
        if *blocked {
            blocks.insert((*conversation, *user));
        } else {
            blocks.remove(&(*conversation, *user));
        }
    }
    written.appended.iter().find_map(|(conversation, seq, sender)| {
        let blocked = blocks.iter().any(|(blocked, _)| blocked == conversation);
        blocked.then(|| {
            Finding::at(*conversation, format!("user {sender} wrote entry {seq} in spite of a block"))
        })
    })
}
