//! A short run in which nothing is wrong, for tests to doctor.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::access::{Command, Done};
use super::super::record::{Calm, Evidence, Fact, Known, Limits, Log, Source, Told, What};
use super::super::report::{Act, ClientNumber, Invariant, NodeNumber};
use crate::{
    Body, ClientId, ContactEvent, Content, ConversationId, ConversationState, CreateGroup, Cursor, DeviceId,
    DisplayName, Entry, Group, GroupEvent, GroupId, GroupProfile, Head, HistoryPolicy, JoinPolicy, Member,
    Outgoing, Receipt, Relation, Send, Seq, Standing, Timestamp, UserId,
};

pub(super) const ADA: ClientNumber = ClientNumber(0);
pub(super) const BOB: ClientNumber = ClientNumber(1);

pub(super) fn user(number: u64) -> UserId {
    UserId::new(number).expect("valid")
}

pub(super) fn pair() -> ConversationId {
    ConversationId::direct(user(1), user(2)).expect("two users")
}

pub(super) fn group() -> ConversationId {
    ConversationId::Group(group_id())
}

fn group_id() -> GroupId {
    GroupId::new(7).expect("valid")
}

pub(super) fn name(number: u8) -> ClientId {
    ClientId([number; 16])
}

fn profile() -> GroupProfile {
    GroupProfile {
        name: DisplayName::parse("all").expect("a name"),
        description: String::new(),
        handle: None,
        join: JoinPolicy::Invitation,
        history: HistoryPolicy::SinceJoin,
    }
}

pub(super) fn text(words: &str) -> Content {
    Content::Message(Body::Text(words.into()))
}

/// A log of these, each with its sender and perhaps a name.
pub(super) fn log(
    conversation: ConversationId,
    written: &[(u64, Option<u8>, Content)],
    members: Vec<Member>,
) -> Log {
    let mut ordinal = 0;
    let mut entries = Vec::new();
    for (seq, (sender, id, content)) in (1..).zip(written) {
        ordinal += u64::from(content.is_countable());
        entries.push(Entry {
            seq,
            time: Timestamp(seq),
            sender: user(*sender),
            client_id: id.map(name),
            countable: content.is_countable(),
            ordinal,
            target: None,
            kind: content.kind().expect("known"),
            content: Some(content.encode()),
        });
    }
    let seq = entries.len() as Seq;
    Log { head: Head { seq, ordinal, ..Head::empty(conversation) }, entries, members }
}

fn member(conversation: ConversationId, number: u64, standing: Standing) -> Member {
    let relation = match conversation {
        ConversationId::Direct(_) => Relation::Contact,
        _ => Relation::None,
    };
    Member { standing, relation, left_seq: None, ..Member::blank(conversation, user(number)) }
}

fn inbox(owner: u64, peer: u64) -> Log {
    let at = ConversationId::Inbox(user(owner));
    let accepted = Content::Contact { event: ContactEvent::Accepted, peer: user(peer), note: String::new() };
    let entered = Content::Group {
        event: GroupEvent::Entered,
        group: group_id(),
        user: user(owner),
        name: "all".into(),
    };
    log(at, &[(1, None, accepted), (1, None, entered)], vec![member(at, owner, Standing::Member)])
}

/// Two contacts who share a pair and a group, in both of which each said something that both have.
pub(super) fn sound() -> Evidence {
    let direct = log(
        pair(),
        &[(1, Some(1), text("hello")), (2, Some(2), text("hello yourself"))],
        vec![member(pair(), 1, Standing::Member), member(pair(), 2, Standing::Member)],
    );
    let created = Content::GroupCreated { profile: profile(), members: vec![user(1), user(2)] };
    let mut all = log(
        group(),
        &[(1, None, created), (1, Some(3), text("all of you")), (2, Some(4), text("yes"))],
        vec![member(group(), 1, Standing::Owner), member(group(), 2, Standing::Member)],
    );
    all.head.group = Some(Group { id: group_id(), profile: profile(), members: 2, dissolved: false });
    let mut evidence = Evidence {
        facts: Vec::new(),
        logs: [inbox(1, 2), inbox(2, 1), direct, all].map(|log| (log.head.conversation, log)).into(),
        limits: Limits { session_bytes: 1_000, commit_rows: 10 },
    };
    for (client, number) in [(ADA, 1), (BOB, 2)] {
        let device = DeviceId::new(number).expect("valid");
        happens(&mut evidence, What::Entered { client, node: NodeNumber(0), user: user(number), device });
    }
    let create = CreateGroup { client_id: name(9), profile: profile(), members: vec![user(2)] };
    let unheard = Told::Unknown(None);
    asks(&mut evidence, ADA, 1, Act::CreateGroup, Command::CreateGroup(create), unheard);
    for (client, number, id, at, seq, words) in [
        (ADA, 1, 1, pair(), 1, "hello"),
        (BOB, 2, 2, pair(), 2, "hello yourself"),
        (ADA, 1, 3, group(), 2, "all of you"),
        (BOB, 2, 4, group(), 3, "yes"),
    ] {
        sends(&mut evidence, client, number, id, at, words, acknowledged(seq));
    }
    for (client, number) in [(ADA, 1), (BOB, 2)] {
        for at in [pair(), group()] {
            for entry in evidence.logs[&at].entries.clone() {
                happens(&mut evidence, What::Received { client, conversation: at, entry });
            }
            let state = Box::new(state(&evidence, at, number));
            happens(&mut evidence, What::State { client, since: 0, source: Source::Sync, state });
        }
    }
    let calm = calm(&evidence);
    happens(&mut evidence, What::Calm(Box::new(calm)));
    evidence
}

pub(super) fn acknowledged(seq: Seq) -> Told {
    Told::Acknowledged(Done::Receipt(Receipt { seq, time: Timestamp(seq) }))
}

/// Adds a fact.
pub(super) fn happens(evidence: &mut Evidence, what: What) {
    let at = Duration::from_millis(evidence.facts.len() as u64);
    evidence.facts.push(Fact { at, what });
}

/// Adds a send and what it was answered.
pub(super) fn sends(
    evidence: &mut Evidence,
    client: ClientNumber,
    number: u64,
    id: u8,
    conversation: ConversationId,
    words: &str,
    answer: Told,
) {
    let message = Outgoing::Message { body: Body::Text(words.into()), reply_to: None };
    let send = Send { client_id: name(id), conversation, message, read_up_to: None };
    asks(evidence, client, number, Act::Text, Command::Send(send), answer);
}

/// Adds a command and what it was answered.
pub(super) fn asks(
    evidence: &mut Evidence,
    client: ClientNumber,
    number: u64,
    act: Act,
    command: Command,
    answer: Told,
) {
    let attempt = evidence.facts.len() as u64;
    let command = Box::new(command);
    happens(evidence, What::Asked { client, user: user(number), attempt, act, command });
    happens(evidence, What::Answered { client, attempt, answer });
}

/// How a conversation stands for a user who has read nothing.
pub(super) fn state(evidence: &Evidence, at: ConversationId, number: u64) -> ConversationState {
    let log = &evidence.logs[&at];
    let unread = log.entries.iter().filter(|entry| entry.countable && entry.sender != user(number));
    ConversationState {
        conversation: at,
        head: log.head.seq,
        time: log.head.time,
        first_seq: 1,
        read: 0,
        unread: unread.count() as u64,
        delivered: 0,
        standing: Standing::Member,
        relation: Relation::None,
        blocked: false,
        muted_until: None,
        peer: None,
        group: None,
    }
}

fn calm(evidence: &Evidence) -> Calm {
    let mut calm = Calm::default();
    for (client, number, peer) in [(ADA, 1, 2), (BOB, 2, 1)] {
        let mut memberships = Vec::new();
        for log in evidence.logs.values() {
            let own = log.members.iter().filter(|member| member.user == user(number)).cloned();
            memberships.extend(own.map(|member| {
                // Both wrote one message in each of them.
                let wrote = !matches!(log.head.conversation, ConversationId::Inbox(_));
                let read = Cursor::default();
                (log.head.clone(), Member { own: u64::from(wrote), read, ..member })
            }));
        }
        let positions = memberships.iter().map(|(head, _)| (head.conversation, head.seq)).collect();
        calm.memberships.insert(user(number), memberships);
        let contacts = vec![(user(peer), Relation::Contact, Some(true))];
        let seen_online = Some(BTreeSet::from([user(peer)]));
        calm.clients.insert(client, Known { user: user(number), positions, contacts, seen_online });
    }
    calm
}

/// The calm of [`sound`].
pub(super) fn the_calm(evidence: &mut Evidence) -> &mut Calm {
    let calm = evidence.facts.iter_mut().find_map(|fact| match &mut fact.what {
        What::Calm(calm) => Some(&mut **calm),
        _ => None,
    });
    calm.expect("there is one")
}

/// The promises that the oracle finds broken, each once.
pub(super) fn broken(evidence: &Evidence) -> Vec<Invariant> {
    let broken: BTreeSet<_> = super::judge(evidence).into_iter().map(|(invariant, _)| invariant).collect();
    broken.into_iter().collect()
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(super::judge(&sound()), []);
}
