//! **unread**: the number that anybody is told is what a recount of the log gives.

use super::super::record::{Evidence, Source, What};
use super::Finding;
use super::membership;
use crate::{ConversationId, Seq, UserId};

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    let users = membership::users(evidence);
    let mut findings = Vec::new();
    for fact in &evidence.facts {
        match &fact.what {
            What::State { client, source: Source::Sync, state, .. } if state.standing.is_member() => {
                let Some(user) = users.get(client) else { continue };
                let counted = count(evidence, state.conversation, *user, state.read, state.head);
                if counted != state.unread {
                    let words = format!(
                        "{client} is told {} unread from {} to {}, and there are {counted}",
                        state.unread, state.read, state.head
                    );
                    findings.push(Finding::at(state.conversation, words));
                }
            }
            What::Calm(calm) => {
                for (head, member) in calm.memberships.values().flatten() {
                    if !member.standing.is_member() {
                        continue;
                    }
                    let counted = count(evidence, head.conversation, member.user, member.read.seq, head.seq);
                    let stored = member.unread(head);
                    if counted != stored {
                        let words =
                            format!("user {} has {stored} unread, and there are {counted}", member.user);
                        findings.push(Finding::at(head.conversation, words));
                    }
                }
            }
            _ => {}
        }
    }
    findings
}

/// The messages of others after one entry, up to another.
fn count(evidence: &Evidence, of: ConversationId, user: UserId, read: Seq, head: Seq) -> u64 {
    let entries = evidence.logs.get(&of).map_or(&[][..], |log| log.entries.as_slice());
    let unread = entries
        .iter()
        .filter(|entry| entry.countable && entry.sender != user && entry.seq > read && entry.seq <= head);
    unread.count() as u64
}
