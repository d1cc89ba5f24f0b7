//! **cursors never go back**: whoever asks after a position was told or set sees it at least there, and
//! never past the end; and nobody has read what they did not say that they read.

use std::collections::BTreeMap;

use super::super::access::Command;
use super::super::record::{Evidence, Source, Told, What};
use super::Finding;
use super::membership;
use crate::{ConversationId, ConversationState, Seq, UserId};

/// How far somebody is known to have read and received, and since which fact.
#[derive(Default)]
struct Positions {
    read: Vec<(usize, Seq)>,
    delivered: Vec<(usize, Seq)>,
}

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    let users = membership::users(evidence);
    let mut findings = Vec::new();
    let mut known: BTreeMap<(UserId, ConversationId), Positions> = BTreeMap::new();
    let mut received: BTreeMap<(UserId, ConversationId), Seq> = BTreeMap::new();
    let mut asked = BTreeMap::new();
    let mut wanted: BTreeMap<(UserId, ConversationId), Seq> = BTreeMap::new();
    for (index, fact) in evidence.facts.iter().enumerate() {
        match &fact.what {
            What::Received { client, conversation, entry } => {
                if let Some(user) = users.get(client) {
                    let last = received.entry((*user, *conversation)).or_default();
                    *last = entry.seq.max(*last);
                }
            }
            What::Asked { client, user, attempt, command, .. } => {
                if let Some((at, seq)) = reads(command) {
                    let most = wanted.entry((*user, at)).or_default();
                    *most = seq.max(*most);
                }
                // What is beyond the end is cut to it: certain is only what the user has seen.
                let seen = |at: ConversationId| received.get(&(*user, at)).copied().unwrap_or(0);
                asked.insert((*client, *attempt), (*user, certain(command, seen)));
            }
            What::Answered { client, attempt, answer: Told::Acknowledged(_) } => {
                if let Some((user, Some((at, read, delivered)))) = asked.get(&(*client, *attempt)) {
                    let positions = known.entry((*user, *at)).or_default();
                    positions.read.push((index, *read));
                    positions.delivered.push((index, *delivered));
                }
            }
            What::State { client, since, source, state } => {
                let Some(user) = users.get(client) else { continue };
                let at = state.conversation;
                let own = known.entry((*user, at)).or_default();
                let seen = (state.read, state.delivered);
                let mut wrong = own.see(*since, index, seen);
                if let (Some(peer), ConversationId::Direct(pair)) = (state.peer, at)
                    && let Some(other) = pair.peer_of(*user)
                {
                    let other = known.entry((other, at)).or_default();
                    wrong = wrong.or_else(|| other.see(*since, index, (peer.read, peer.delivered)));
                }
                wrong = wrong.or_else(|| beyond(*source, state));
                findings.extend(wrong.map(|words| Finding::at(at, format!("{client} sees {words}"))));
            }
            _ => {}
        }
    }
    for (at, log) in &evidence.logs {
        for member in &log.members {
            let positions = known.entry((member.user, *at)).or_default();
            let seen = (member.read.seq, member.delivered);
            let end = evidence.facts.len();
            let past = member.read.seq > log.head.seq || member.delivered > log.head.seq;
            let past = past.then(|| "a position past the end".to_owned());
            // Whoever joins has read what was there before.
            let most = wanted.get(&(member.user, *at)).copied().unwrap_or(0).max(member.joined_seq);
            let unasked = (member.read.seq > most)
                .then(|| format!("read {} and never more than {most} said so", member.read.seq));
            let wrong = positions.see(end, end, seen).or(past).or(unasked);
            findings.extend(wrong.map(|words| Finding::at(*at, format!("user {} has {words}", member.user))));
        }
    }
    findings
}

/// How far a command moves read and delivered positions for certain.
fn certain(command: &Command, seen: impl Fn(ConversationId) -> Seq) -> Option<(ConversationId, Seq, Seq)> {
    match command {
        // The delivered position follows only where the read cursor moves.
        Command::MarkRead(at, seq) => Some((*at, (*seq).min(seen(*at)), 0)),
        Command::MarkDelivered(at, seq) => Some((*at, 0, (*seq).min(seen(*at)))),
        Command::Send(send) => {
            send.read_up_to.map(|seq| (send.conversation, seq.min(seen(send.conversation)), 0))
        }
        _ => None,
    }
}

/// Up to where a command says that its user has read.
fn reads(command: &Command) -> Option<(ConversationId, Seq)> {
    match command {
        Command::MarkRead(at, seq) => Some((*at, *seq)),
        Command::Send(send) => send.read_up_to.map(|seq| (send.conversation, seq)),
        _ => None,
    }
}

fn beyond(source: Source, state: &ConversationState) -> Option<String> {
    let past = source == Source::Sync
        && state.standing.is_member()
        && (state.read > state.head || state.delivered > state.head);
    past.then(|| format!("read {} and delivered {} of {}", state.read, state.delivered, state.head))
}

impl Positions {
    /// Takes in what was asked for when `since` facts were known, and answered now.
    fn see(&mut self, since: usize, now: usize, (read, delivered): (Seq, Seq)) -> Option<String> {
        let before = |known: &[(usize, Seq)]| {
            known.iter().filter(|(at, _)| *at < since).map(|(_, seq)| *seq).max().unwrap_or(0)
        };
        let (was_read, was_delivered) = (before(&self.read), before(&self.delivered));
        self.read.push((now, read));
        self.delivered.push((now, delivered));
        if read < was_read {
            Some(format!("read {read} after {was_read}"))
        } else if delivered < was_delivered {
            Some(format!("delivered {delivered} after {was_delivered}"))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::report::{Act, Invariant};
    use super::super::scene::{ADA, BOB, acknowledged, asks, broken, group, happens, pair, sound, state};
    use super::*;

    fn seen(evidence: &mut Evidence, since: usize, read: Seq) {
        let mut state = Box::new(state(evidence, group(), 1));
        (state.read, state.unread) = (read, u64::from(read < 3));
        happens(evidence, What::State { client: ADA, since, source: Source::Sync, state });
    }

    /// As [`sound`], with everything of the group read in the end.
    fn read() -> Evidence {
        let mut evidence = sound();
        let log = evidence.logs.get_mut(&group()).expect("there");
        log.members.iter_mut().for_each(|member| member.read.seq = 3);
        for (client, number) in [(ADA, 1), (BOB, 2)] {
            let read = Command::MarkRead(group(), 3);
            asks(&mut evidence, client, number, Act::MarkRead, read, Told::Unknown(None));
        }
        evidence
    }

    #[test]
    fn a_position_behind_one_that_was_seen_before_is_found() {
        let mut evidence = read();
        seen(&mut evidence, 0, 3);
        let since = evidence.facts.len();
        // Asked for before that one was seen.
        seen(&mut evidence, 0, 2);
        assert_eq!(broken(&evidence), []);
        seen(&mut evidence, since, 2);
        assert_eq!(broken(&evidence), [Invariant::Cursors]);
    }

    #[test]
    fn a_position_behind_one_that_was_set_is_found() {
        let mut evidence = read();
        asks(&mut evidence, ADA, 1, Act::MarkRead, Command::MarkRead(group(), 3), acknowledged(0));
        let since = evidence.facts.len();
        seen(&mut evidence, since, 2);
        assert_eq!(broken(&evidence), [Invariant::Cursors]);
    }

    #[test]
    fn a_position_that_nobody_set_is_found() {
        let mut evidence = read();
        assert_eq!(broken(&evidence), []);
        let log = evidence.logs.get_mut(&pair()).expect("there");
        (log.members[0].read.seq, log.members[0].delivered) = (1, 1);
        assert_eq!(broken(&evidence), [Invariant::Cursors]);
    }

    #[test]
    fn a_position_past_the_end_is_found() {
        let mut evidence = read();
        evidence.logs.get_mut(&group()).expect("there").members[0].read.seq = 4;
        assert_eq!(broken(&evidence), [Invariant::Cursors]);
    }
}
