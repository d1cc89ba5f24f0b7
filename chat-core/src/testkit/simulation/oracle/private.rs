//! **private**: nobody receives an entry or hears of anybody outside their memberships and contacts,
//! nobody writes where they may not, and a device that was given up is let in no more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::access::Command;
use super::super::record::{Evidence, Told, What, Written};
use super::super::report::ClientNumber;
use super::Finding;
use super::membership::{self, Membership};
use crate::{ContactEvent, Content, ConversationId, DeviceId, Ephemeral, Seq, UserId};

/// A log-in that is under way while its device is given up may be told so much later that it succeeded:
/// no request takes longer.
const UNDER_WAY: Duration = Duration::from_secs(20);

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    let (users, groups) = (membership::users(evidence), membership::of_groups(evidence));
    let mut findings = Vec::new();
    for (conversation, membership) in &groups {
        for (_, words) in &membership.wrong {
            findings.push(Finding::at(*conversation, words.clone()));
        }
    }
    let (mut blocks, mut devices) = (BTreeSet::new(), Devices::default());
    for (index, fact) in evidence.facts.iter().enumerate() {
        findings.extend(devices.take(fact.at, &fact.what).map(|finding| finding.until(index)));
        let (client, conversation, seqs): (_, _, Vec<Seq>) = match &fact.what {
            What::Received { client, conversation, entry } => (client, conversation, vec![entry.seq]),
            What::Shown { client, conversation, entries } => {
                (client, conversation, entries.iter().map(|entry| entry.seq).collect())
            }
            What::Heard(client, ephemeral) => {
                let Some(user) = users.get(client) else { continue };
                if !may_hear(evidence, &groups, *user, *ephemeral) {
                    let words = format!("{client} of user {user} hears {ephemeral:?}");
                    findings.push(Finding::anywhere(words).until(index));
                }
                continue;
            }
            What::Committed(_, written) => {
                findings.extend(against_block(&mut blocks, written).map(|finding| finding.until(index)));
                continue;
            }
            _ => continue,
        };
        let Some(user) = users.get(client) else { continue };
        for seq in seqs {
            if !may_read(&groups, *conversation, *user, seq) {
                let words = format!("{client} of user {user} received entry {seq}, which is not theirs");
                findings.push(Finding::at(*conversation, words).until(index));
            }
        }
    }
    findings
}

/// Which devices clients are on, and when some were given up.
#[derive(Default)]
struct Devices {
    current: BTreeMap<ClientNumber, DeviceId>,
    /// Commands that give one up, by client and attempt.
    asked: BTreeMap<(ClientNumber, u64), DeviceId>,
    given_up: BTreeMap<DeviceId, Duration>,
}

impl Devices {
    fn take(&mut self, at: Duration, what: &What) -> Option<Finding> {
        match what {
            What::Entered { client, user, device, .. } => {
                self.current.insert(*client, *device);
                let given_up = *self.given_up.get(device)?;
                let words = format!("device {device} was given up at {given_up:?} and let in at {at:?}");
                (at > given_up + UNDER_WAY).then(|| Finding::at(ConversationId::Inbox(*user), words))
            }
            What::Asked { client, attempt, command, .. } => {
                let device = match &**command {
                    Command::LogOut(_) => self.current.get(client).copied(),
                    Command::Revoke(_, device) => Some(*device),
                    _ => None,
                };
                device.and_then(|device| self.asked.insert((*client, *attempt), device));
                None
            }
            What::Answered { client, attempt, answer: Told::Acknowledged(_) } => {
                if let Some(device) = self.asked.remove(&(*client, *attempt)) {
                    self.given_up.entry(device).or_insert(at);
                }
                None
            }
            _ => None,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::super::super::access::Done;
    use super::super::super::report::{Act, Invariant, NodeNumber};
    use super::super::scene::{ADA, asks, broken, group, happens, pair, sound, text, user};
    use super::*;
    use crate::ClientId;

    const EVE: ClientNumber = ClientNumber(2);

    fn with_eve() -> Evidence {
        let mut evidence = sound();
        let device = DeviceId::new(3).expect("valid");
        happens(&mut evidence, What::Entered { client: EVE, node: NodeNumber(0), user: user(3), device });
        evidence
    }

    #[test]
    fn an_entry_that_reaches_an_outsider_is_found() {
        for at in [pair(), group(), ConversationId::Inbox(user(1))] {
            let mut evidence = with_eve();
            let entry = evidence.logs[&at].entries[0].clone();
            happens(&mut evidence, What::Received { client: EVE, conversation: at, entry });
            assert_eq!(broken(&evidence), [Invariant::Private]);
        }
    }

    #[test]
    fn presence_of_strangers_and_what_is_typed_elsewhere_is_found() {
        let told = [
            Ephemeral::Presence { user: user(1), online: true },
            Ephemeral::Typing { conversation: group(), user: user(1) },
            Ephemeral::Read { conversation: pair(), user: user(1), seq: 1 },
        ];
        for ephemeral in told {
            let mut evidence = with_eve();
            happens(&mut evidence, What::Heard(EVE, ephemeral));
            assert_eq!(broken(&evidence), [Invariant::Private]);
        }
        let mut evidence = sound();
        happens(&mut evidence, What::Heard(ADA, Ephemeral::Presence { user: user(2), online: true }));
        assert_eq!(broken(&evidence), []);
    }

    #[test]
    fn device_that_comes_in_long_after_it_was_given_up_is_found() {
        for (command, late) in [(0, true), (1, true), (1, false)] {
            let mut evidence = with_eve();
            let (device, id) = (DeviceId::new(3).expect("valid"), ClientId([7; 16]));
            let command = if command == 0 { Command::LogOut(id) } else { Command::Revoke(id, device) };
            let answer = Told::Acknowledged(Done::Nothing);
            asks(&mut evidence, EVE, 3, Act::LogOut, command, answer);
            happens(&mut evidence, What::Entered { client: EVE, node: NodeNumber(0), user: user(3), device });
            if late {
                evidence.facts.last_mut().expect("a fact").at += UNDER_WAY;
            }
            let found = check(&evidence).iter().any(|finding| finding.words.contains("was given up"));
            assert_eq!(found, late);
        }
    }

    #[test]
    fn what_an_outsider_wrote_is_found() {
        let mut evidence = sound();
        let log = evidence.logs.get_mut(&group()).expect("there");
        log.entries[2].sender = user(3);
        log.entries[2].content = Some(text("yes").encode());
        assert!(broken(&evidence).contains(&Invariant::Private));
    }

    #[test]
    fn what_was_written_in_spite_of_a_block_is_found() {
        let written = |appended, blocks| Written { client_id: None, appended, blocks };
        let mut blocks = BTreeSet::new();
        let entry = || vec![(pair(), 2, user(2))];
        assert_eq!(against_block(&mut blocks, &written(entry(), Vec::new())), None);
        assert_eq!(against_block(&mut blocks, &written(Vec::new(), vec![(pair(), user(1), true)])), None);
        assert!(against_block(&mut blocks, &written(entry(), Vec::new())).is_some());
        assert_eq!(against_block(&mut blocks, &written(entry(), vec![(pair(), user(1), false)])), None);
    }
}
