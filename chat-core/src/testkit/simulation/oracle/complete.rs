//! **complete**: 2 s after the last commit of a calm, every client that is online has every entry of
//! its conversations; and everybody came to rest.

use super::super::record::{Evidence, Flaw, What};
use super::Finding;
use crate::{Head, Member, Seq, Standing};

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    for fact in &evidence.facts {
        if let What::Flaw { client, conversation, flaw: Flaw::Nothing(..) | Flaw::Epoch } = &fact.what {
            let words = format!("{client} could not read on at {:?}", fact.at);
            findings.push(Finding::at(*conversation, words));
        }
    }
    for (index, calm) in evidence.calms() {
        for (client, why) in &calm.stuck {
            findings.push(Finding::anywhere(format!("{client} did not come to rest: {why}")).until(index));
        }
        for (client, known) in &calm.clients {
            for (head, member) in calm.memberships.get(&known.user).into_iter().flatten() {
                let position = known.positions.get(&head.conversation).copied();
                let Some(due) = due(head, member, position) else { continue };
                if position.is_none_or(|position| position < due) {
                    let words = format!("{client} has got to {position:?}, not to {due}");
                    findings.push(Finding::at(head.conversation, words).until(index));
                }
            }
        }
    }
    findings
}

/// How far a client must have got: who was removed hears that, if they knew of the group at all.
fn due(head: &Head, member: &Member, position: Option<Seq>) -> Option<Seq> {
    match member.standing {
        Standing::Invited | Standing::Asking => None,
        Standing::Former => position.and(member.left_seq),
        _ => Some(head.seq).filter(|seq| *seq > 0),
    }
}
