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

#[cfg(test)]
mod tests {
    use super::super::super::report::Invariant;
    use super::super::scene::{ADA, BOB, broken, group, pair, sound, the_calm};
    use super::*;

    #[test]
    fn whoever_lacks_the_end_of_a_conversation_or_all_of_it_is_found() {
        for position in [Some(1), None] {
            let mut evidence = sound();
            let known = the_calm(&mut evidence).clients.get_mut(&BOB).expect("online");
            known.positions.remove(&pair());
            known.positions.extend(position.map(|position| (pair(), position)));
            assert_eq!(broken(&evidence), [Invariant::Complete]);
        }
    }

    #[test]
    fn whoever_does_not_come_to_rest_is_found() {
        let mut evidence = sound();
        the_calm(&mut evidence).stuck.insert(ADA, "no answer".into());
        assert_eq!(broken(&evidence), [Invariant::Complete]);
    }

    #[test]
    fn former_members_are_due_the_entry_by_which_they_left_if_they_knew_the_group() {
        let evidence = sound();
        let log = &evidence.logs[&group()];
        let member = Member { standing: Standing::Former, left_seq: Some(2), ..log.members[1].clone() };
        assert_eq!(due(&log.head, &member, Some(1)), Some(2));
        assert_eq!(due(&log.head, &member, None), None);
    }
}
