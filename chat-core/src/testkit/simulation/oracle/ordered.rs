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
        .filter_map(|(of, log)| sound(log).map(|words| Finding::at(*of, words)))
        .collect();
    let (users, groups) = (membership::users(evidence), membership::of_groups(evidence));
    let mut devices = BTreeMap::new();
    let mut last: BTreeMap<_, Seq> = BTreeMap::new();
    for fact in &evidence.facts {
        match &fact.what {
            What::Entered { client, device, .. } => drop(devices.insert(*client, *device)),
            What::Received { client, conversation, entry } => {
                if let Some(words) = differs(evidence, *conversation, entry) {
                    findings.push(Finding::at(*conversation, format!("{client} received {words}")));
                }
                let before = last.insert((*client, devices.get(client).copied(), *conversation), entry.seq);
                let (Some(before), Some(user)) = (before, users.get(client)) else { continue };
                if entry.seq <= before {
                    let words = format!("{client} took in {} after {before}", entry.seq);
                    findings.push(Finding::at(*conversation, words));
                } else if entry.seq > before + 1 && !explained(&groups, *conversation, *user, entry.seq) {
                    let words = format!("{client} has no entry between {before} and {}", entry.seq);
                    findings.push(Finding::at(*conversation, words));
                }
            }
            What::Flaw { client, conversation, flaw: Flaw::Gap(before, next) } => {
                let Some(user) = users.get(client) else { continue };
                let first = !last.contains_key(&(*client, devices.get(client).copied(), *conversation));
                if first && !explained(&groups, *conversation, *user, *next) {
                    let words = format!("{client} begins with {next} instead of what follows {before}");
                    findings.push(Finding::at(*conversation, words));
                }
            }
            What::Shown { client, conversation, entries } => {
                for entry in entries {
                    if let Some(words) = differs(evidence, *conversation, entry) {
                        findings.push(Finding::at(*conversation, format!("{client} was shown {words}")));
                    }
                }
            }
            _ => {}
        }
    }
    findings
}

/// What is wrong with a log by itself.
fn sound(log: &Log) -> Option<String> {
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

/// How an entry differs from the one in the log; its content may have been emptied before or since.
fn differs(evidence: &Evidence, conversation: ConversationId, entry: &Entry) -> Option<String> {
    let stored = evidence.logs.get(&conversation).and_then(|log| log.entry(entry.seq));
    let Some(stored) = stored else { return Some(format!("entry {} that is not in the log", entry.seq)) };
    let content = entry.content.is_none() || stored.content.is_none() || entry.content == stored.content;
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
