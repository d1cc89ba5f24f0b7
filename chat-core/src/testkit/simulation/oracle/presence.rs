//! **convergent presence**: a lease and a second after faults ended, every node says of every contact
//! whether they are online, and the events that clients heard say the same.

use std::collections::BTreeSet;

use super::super::record::{Calm, Evidence, Known};
use super::super::report::ClientNumber;
use super::Finding;
use crate::{ConversationId, Relation, UserId};

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, calm) in evidence.calms() {
        findings.extend(judge(calm).into_iter().map(|finding| finding.until(index)));
    }
    findings
}

fn judge(calm: &Calm) -> Vec<Finding> {
    let online: BTreeSet<_> = calm.clients.values().map(|known| known.user).collect();
    let mut findings = Vec::new();
    for (client, known) in &calm.clients {
        for (peer, relation, said) in &known.contacts {
            let truth = (*relation == Relation::Contact).then(|| online.contains(peer));
            if *said != truth {
                findings.push(wrong(*client, known, *peer, &format!("reads {said:?}, true is {truth:?}")));
            }
        }
        let Some(seen) = &known.seen_online else { continue };
        for peer in contacts(calm, known.user) {
            let (seen, truth) = (seen.contains(&peer), online.contains(&peer));
            if seen != truth {
                findings.push(wrong(*client, known, peer, &format!("last heard {seen}, true is {truth}")));
            }
        }
    }
    findings
}

fn contacts(calm: &Calm, user: UserId) -> Vec<UserId> {
    let rows = calm.memberships.get(&user).into_iter().flatten();
    rows.filter(|(_, member)| member.relation == Relation::Contact)
        .filter_map(|(head, _)| match head.conversation {
            ConversationId::Direct(pair) => pair.peer_of(user),
            _ => None,
        })
        .collect()
}

fn wrong(client: ClientNumber, known: &Known, peer: UserId, what: &str) -> Finding {
    // What made the two contacts stands in the inbox.
    let inbox = ConversationId::Inbox(known.user);
    Finding::at(inbox, format!("whether user {peer} is online, {client} of user {} {what}", known.user))
}
