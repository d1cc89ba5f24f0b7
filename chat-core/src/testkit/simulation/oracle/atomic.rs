//! **atomic**: members, their number, the log and the notices in everybody's inbox agree; contacts are
//! contacts of each other.

use std::collections::BTreeMap;

use super::super::record::{Evidence, Log};
use super::Finding;
use super::membership::{self, Membership};
use crate::{ContactEvent, Content, ConversationId, GroupEvent, GroupId, Pair, Relation, UserId};

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    let groups = membership::of_groups(evidence);
    let mut findings = Vec::new();
    for (conversation, log) in &evidence.logs {
        let words = match conversation {
            ConversationId::Group(group) => match groups.get(conversation) {
                Some(membership) => group_agrees(evidence, *group, log, membership),
                None => Vec::new(),
            },
            ConversationId::Direct(pair) => pair_agrees(evidence, *pair, log),
            ConversationId::Inbox(_) => Vec::new(),
        };
        findings.extend(words.into_iter().map(|words| Finding::at(*conversation, words)));
    }
    findings
}

fn group_agrees(evidence: &Evidence, id: GroupId, log: &Log, membership: &Membership) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(group) = &log.head.group else { return vec!["a group has no settings".into()] };
    let rows: BTreeMap<_, _> = log
        .members
        .iter()
        .filter(|member| member.standing.is_member())
        .map(|member| (member.user, member.standing))
        .collect();
    if !group.dissolved && rows != membership.standings {
        wrong.push(format!("the log says {:?}, the members are {rows:?}", membership.standings));
    }
    if !group.dissolved && group.members as usize != rows.len() {
        wrong.push(format!("{} members are counted, {} are there", group.members, rows.len()));
    }
    for (event, times) in [(GroupEvent::Entered, &membership.joins), (GroupEvent::Left, &membership.leaves)] {
        for (user, times) in times {
            let told = notices(evidence, *user, |content| {
                matches!(content, Content::Group { event: told, group, user: whom, .. }
                    if *told == event && *group == id && whom == user)
            });
            if told != *times {
                wrong.push(format!("user {user} was told {event:?} {told} times, and it was {times} times"));
            }
        }
    }
    wrong
}

fn pair_agrees(evidence: &Evidence, pair: Pair, log: &Log) -> Vec<String> {
    let relation = |of: UserId| {
        let row = log.members.iter().find(|member| member.user == of);
        row.map_or(Relation::None, |member| member.relation)
    };
    let both = (relation(pair.low()), relation(pair.high()));
    let agree = matches!(
        both,
        (Relation::None, Relation::None)
            | (Relation::Contact, Relation::Contact)
            | (Relation::Outgoing, Relation::Incoming)
            | (Relation::Incoming, Relation::Outgoing)
    );
    let mut wrong = Vec::new();
    if !agree {
        wrong.push(format!("the two are {both:?} to each other"));
    }
    let accepted = |of: UserId| {
        notices(evidence, of, |content| {
            matches!(content, Content::Contact { event: ContactEvent::Accepted, peer, .. }
                if pair.peer_of(of) == Some(*peer))
        })
    };
    let times = (accepted(pair.low()), accepted(pair.high()));
    if times.0 != times.1 {
        wrong.push(format!("the two became contacts {times:?} times, as they were told"));
    }
    wrong
}

fn notices(evidence: &Evidence, user: UserId, wanted: impl Fn(&Content) -> bool) -> usize {
    let inbox = evidence.logs.get(&ConversationId::Inbox(user));
    let entries = inbox.map_or(&[][..], |log| log.entries.as_slice());
    entries.iter().filter(|entry| entry.decode_content().is_ok_and(|content| wanted(&content))).count()
}
