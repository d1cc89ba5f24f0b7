//! **ordered**: a log is gapless and its time never runs back; every client sees its entries in that
//! order, each once, without holes that its user's memberships do not explain.

use std::collections::BTreeMap;

use super::super::record::{Evidence, Flaw, Log, What};
use super::Finding;
use super::membership::{self, Membership};
use crate::{ConversationId, Entry, Seq, UserId};

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    let mut findings: Vec<_> = evidence
        .logs
        .iter()
        .filter_map(|(of, log)| fault(log).map(|words| Finding::at(*of, words)))
        .collect();
    let (users, groups) = (membership::users(evidence), membership::of_groups(evidence));
    let mut devices = BTreeMap::new();
    let mut last: BTreeMap<_, Seq> = BTreeMap::new();
    for (index, fact) in evidence.facts.iter().enumerate() {
        let mut found = |conversation: ConversationId, words: String| {
            findings.push(Finding::at(conversation, words).until(index));
        };
        match &fact.what {
            What::Entered { client, device, .. } => drop(devices.insert(*client, *device)),
            What::Received { client, conversation, entry } => {
                if let Some(words) = differs(evidence, *conversation, entry) {
                    found(*conversation, format!("{client} received {words}"));
                }
                let before = last.insert((*client, devices.get(client).copied(), *conversation), entry.seq);
                let (Some(before), Some(user)) = (before, users.get(client)) else { continue };
                if entry.seq <= before {
                    found(*conversation, format!("{client} took in {} after {before}", entry.seq));
                } else if entry.seq > before + 1 && !explained(&groups, *conversation, *user, entry.seq) {
                    found(*conversation, format!("{client} has no entry between {before} and {}", entry.seq));
                }
            }
            What::Flaw { client, conversation, flaw: Flaw::Gap(before, next) } => {
                let Some(user) = users.get(client) else { continue };
                let first = !last.contains_key(&(*client, devices.get(client).copied(), *conversation));
                if first && !explained(&groups, *conversation, *user, *next) {
                    found(
                        *conversation,
                        format!("{client} begins with {next} instead of what follows {before}"),
                    );
                }
            }
            What::Shown { client, conversation, entries } => {
                for entry in entries {
                    if let Some(words) = differs(evidence, *conversation, entry) {
                        found(*conversation, format!("{client} was shown {words}"));
                    }
                }
            }
            _ => {}
        }
    }
    findings
}

/// What is wrong with a log by itself, if anything is.
fn fault(log: &Log) -> Option<String> {
    let mut ordinal = 0;
    let mut time = crate::Timestamp(0);
    for (expected, entry) in (1..).zip(&log.entries) {
        ordinal += u64::from(entry.countable);
        if entry.seq != expected {
            return Some(format!("the log has {} where {expected} belongs", entry.seq));
        }
        if entry.ordinal != ordinal {
            return Some(format!("entry {expected} counts {} instead of {ordinal}", entry.ordinal));
        }
        if entry.time < time {
            return Some(format!("time runs back at {expected}"));
        }
        time = entry.time;
    }
    let end = (log.entries.len() as u64, ordinal);
    (end != (log.head.seq, log.head.ordinal))
        .then(|| format!("the log ends at {end:?}, its head says {:?}", (log.head.seq, log.head.ordinal)))
}

/// How an entry differs from the one in the log; its content may have been emptied since.
fn differs(evidence: &Evidence, conversation: ConversationId, entry: &Entry) -> Option<String> {
    let stored = evidence.logs.get(&conversation).and_then(|log| log.entry(entry.seq));
    let Some(stored) = stored else { return Some(format!("entry {} that is not in the log", entry.seq)) };
    let content = stored.content.is_none() || entry.content == stored.content;
    let same = Entry { content: stored.content.clone(), ..entry.clone() } == *stored;
    (!content || !same).then(|| format!("entry {} other than it is in the log", entry.seq))
}

fn explained(
    groups: &BTreeMap<ConversationId, Membership>,
    conversation: ConversationId,
    user: UserId,
    next: Seq,
) -> bool {
    groups.get(&conversation).is_some_and(|membership| membership.begins_anew(user, next))
}

#[cfg(test)]
mod tests {
    use super::super::super::report::Invariant;
    use super::super::scene::{BOB, broken, group, happens, pair, sound, text};
    use super::*;

    #[test]
    fn an_entry_that_a_client_has_not_or_has_twice_is_found() {
        let mut evidence = sound();
        evidence.facts.retain(|fact| {
            !matches!(&fact.what, What::Received { client, conversation, entry }
                if *client == BOB && *conversation == group() && entry.seq == 2)
        });
        assert_eq!(broken(&evidence), [Invariant::Ordered]);
        let mut evidence = sound();
        let entry = evidence.logs[&pair()].entries[1].clone();
        happens(&mut evidence, What::Received { client: BOB, conversation: pair(), entry });
        assert_eq!(broken(&evidence), [Invariant::Ordered]);
    }

    #[test]
    fn an_entry_other_than_it_is_stored_is_found() {
        let mut evidence = sound();
        let mut entry = evidence.logs[&pair()].entries[1].clone();
        entry.content = Some(text("something else").encode());
        happens(&mut evidence, What::Shown { client: BOB, conversation: pair(), entries: vec![entry] });
        assert_eq!(broken(&evidence), [Invariant::Ordered]);
    }

    #[test]
    fn a_log_with_a_hole_or_whose_time_runs_back_is_found() {
        let log = |change: fn(&mut Log)| {
            let mut log = sound().logs[&pair()].clone();
            change(&mut log);
            fault(&log)
        };
        assert_eq!(log(|_| {}), None);
        assert!(log(|log| drop(log.entries.remove(0))).is_some());
        assert!(log(|log| log.entries[1].time = crate::Timestamp(0)).is_some());
        assert!(log(|log| log.entries[1].ordinal = 1).is_some());
        assert!(log(|log| log.head.seq = 3).is_some());
    }
}
