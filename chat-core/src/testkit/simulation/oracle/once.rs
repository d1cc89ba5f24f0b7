//! **once**: a command is carried out once and always answered the same; another command under its
//! name is a conflict; what was refused is not done; and each event of a connection tells something new.

use std::collections::BTreeMap;

use super::super::access::{Command, Done};
use super::super::record::{Evidence, Flaw, Told, What};
use super::super::report::Act;
use super::Finding;
use crate::{ClientId, Content, ConversationId, ErrorKind, UserId};

/// What became of all attempts at one command.
struct Attempts<'a> {
    user: UserId,
    act: Act,
    command: &'a Command,
    attempts: usize,
    done: Vec<Done>,
    refused: Vec<ErrorKind>,
}

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = repeated(evidence);
    let mut asked = BTreeMap::new();
    let mut commands: BTreeMap<_, Vec<Attempts<'_>>> = BTreeMap::new();
    for (index, fact) in evidence.facts.iter().enumerate() {
        match &fact.what {
            What::Flaw { client, conversation, flaw: Flaw::Repeated(before, again) } => {
                let words = format!("{client} was told up to {again} again, after {before}");
                findings.push(Finding::at(*conversation, words).until(index));
            }
            What::Asked { client, user, attempt, act, command } => {
                let Some(id) = command.client_id() else { continue };
                let same = commands.entry((*user, id)).or_default();
                let index = same.iter().position(|known| known.command == &**command);
                let index = index.unwrap_or_else(|| {
                    let (attempts, done, refused) = (0, Vec::new(), Vec::new());
                    same.push(Attempts { user: *user, act: *act, command, attempts, done, refused });
                    same.len() - 1
                });
                same[index].attempts += 1;
                asked.insert((*client, *attempt), (*user, id, index));
            }
            What::Answered { client, attempt, answer } => {
                let Some((user, id, index)) = asked.get(&(*client, *attempt)) else { continue };
                let known = commands.get_mut(&(*user, *id)).map(|known| &mut known[*index]);
                match (known, answer) {
                    (Some(known), Told::Acknowledged(done)) => known.done.push(*done),
                    (Some(known), Told::Refused(kind)) => known.refused.push(*kind),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    for ((_, id), attempts) in &commands {
        findings.extend(attempts.iter().flat_map(|one| one.judge(evidence, *id)));
    }
    findings
}

impl Attempts<'_> {
    fn judge(&self, evidence: &Evidence, id: ClientId) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut say = |words: String| {
            let conversation = self.command.conversation(Some(self.user));
            let words = format!("{id:?} of user {}: {words}", self.user);
            findings.push(Finding { conversation, words, until: None });
        };
        if self.done.windows(2).any(|pair| pair[0] != pair[1]) {
            say(format!("answered in different ways: {:?}", self.done));
        }
        if self.act == Act::Reuse {
            if !self.done.is_empty() {
                say("another command under the same name was taken".into());
            }
        } else if self.refused.contains(&ErrorKind::Conflict) {
            say("a repetition was taken for another command".into());
        } else if !self.done.is_empty() && !self.refused.is_empty() {
            say(format!("acknowledged and refused as {:?}", self.refused));
        }
        let refused = self.done.is_empty() && self.refused.len() == self.attempts && self.act != Act::Reuse;
        if refused && stored(evidence, self.user, self.command, id) {
            say(format!("refused as {:?} and done", self.refused));
        }
        findings
    }
}

fn stored(evidence: &Evidence, user: UserId, command: &Command, id: ClientId) -> bool {
    let places = [command.conversation(Some(user)), Some(ConversationId::Inbox(user))];
    let logs = places.into_iter().flatten().filter_map(|of| evidence.logs.get(&of));
    let mut entries = logs.flat_map(|log| &log.entries);
    entries.any(|entry| entry.client_id == Some(id) && entry.sender == user)
}

/// What stands twice in a log, and groups that nobody asked for.
fn repeated(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (conversation, log) in &evidence.logs {
        let mut seen = BTreeMap::new();
        for entry in &log.entries {
            if let Some(id) = entry.client_id
                && let Some(first) = seen.insert((id, entry.sender), entry.seq)
            {
                let words = format!("{id:?} of user {} stands at {first} and {}", entry.sender, entry.seq);
                findings.push(Finding::at(*conversation, words));
            }
        }
    }
    let created = evidence.logs.iter().filter(|(_, log)| {
        let first = log.entries.first().map(crate::Entry::decode_content);
        matches!(first, Some(Ok(Content::GroupCreated { .. })))
    });
    let wanted: std::collections::BTreeSet<_> = evidence
        .facts
        .iter()
        .filter_map(|fact| match &fact.what {
            What::Asked { user, command, .. } => match &**command {
                Command::CreateGroup(create) => Some((*user, create.client_id)),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let created = created.count();
    if created > wanted.len() {
        let words = format!("{created} groups exist, {} were asked for", wanted.len());
        findings.push(Finding::anywhere(words));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::super::report::Invariant;
    use super::super::scene::{ADA, acknowledged, broken, happens, log, pair, sends, sound, text};
    use super::*;

    #[test]
    fn what_stands_twice_is_found() {
        let mut evidence = sound();
        let written =
            [(1, Some(1), text("hello")), (2, Some(2), text("hello yourself")), (1, Some(1), text("hello"))];
        let members = evidence.logs[&pair()].members.clone();
        evidence.logs.insert(pair(), log(pair(), &written, members));
        assert!(check(&evidence).iter().any(|finding| finding.words.contains("stands at 1 and 3")));
    }

    #[test]
    fn two_answers_to_one_command_are_found() {
        let mut evidence = sound();
        sends(&mut evidence, ADA, 1, 1, pair(), "hello", acknowledged(2));
        assert!(broken(&evidence).contains(&Invariant::Once));
    }

    #[test]
    fn what_was_refused_and_is_there_is_found_and_so_is_a_repetition_that_is_refused() {
        for (id, words) in [(2, "hello yourself"), (1, "hello")] {
            let mut evidence = sound();
            let answer = Told::Refused(ErrorKind::NotAllowed);
            evidence.facts.retain(|fact| {
                id == 1 || !matches!(&fact.what, What::Answered { attempt, .. } if *attempt == 4)
            });
            let number = if id == 1 { 1 } else { 2 };
            evidence.facts.retain(|fact| !matches!(&fact.what, What::Asked { attempt: 4, .. } if id == 2));
            sends(&mut evidence, ADA, number, id, pair(), words, answer);
            assert_eq!(broken(&evidence), [Invariant::Once]);
        }
    }

    #[test]
    fn what_a_connection_tells_again_is_found() {
        let mut evidence = sound();
        let flaw = Flaw::Repeated(2, 2);
        happens(&mut evidence, What::Flaw { client: ADA, conversation: pair(), flaw });
        assert_eq!(broken(&evidence), [Invariant::Once]);
    }
}
