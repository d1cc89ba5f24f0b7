//! What a peer says before anything is made wrong of it: every kind of request, about itself, its like, and
//! people who want nothing of it.

use chat_core::{
    AccountName, ClientId, ContactAction, ConversationId, DeviceId, DisplayName, GroupAction, GroupId,
    Handle, LeftMessages, Outgoing, Password, Send, Standing, Sync, Timestamp, Token, UserId,
};
use chat_proto::message::Request;

use super::random::Random;
use crate::requests::{self, PASSWORD, credentials, group_of, hello, id, login, register};

/// Who and what there is to talk about.
pub(super) struct World {
    /// People who chat among themselves.
    pub(super) honest: Vec<UserId>,
    /// Where they do.
    pub(super) theirs: Vec<ConversationId>,
    /// A group that is theirs.
    pub(super) group: GroupId,
    /// Those who mean harm, with tokens that were good once.
    pub(super) hostile: Vec<(String, UserId, Token)>,
}

/// The requests of one connection, in an order that makes sense.
pub(super) fn script(random: &mut Random, world: &World, name: &str) -> Vec<Request> {
    let mut script = opening(random, world, name);
    for _ in 0..random.below(14) {
        script.push(command(random, world));
    }
    script
}

fn opening(random: &mut Random, world: &World, name: &str) -> Vec<Request> {
    let (known, _, token) = random.one_of(&world.hostile);
    match random.below(8) {
        0 => Vec::new(),
        1 => vec![hello(None)],
        2 => vec![hello(None), login(known)],
        3 | 4 => vec![hello(None), register(name)],
        _ => vec![hello(Some(*token))],
    }
}

fn command(random: &mut Random, world: &World) -> Request {
    let client_id = ClientId(std::array::from_fn(|_| random.draw() as u8));
    let user = user(random, world);
    let conversation = conversation(random, world);
    let seq = 1 + random.below(20) as u64;
    match random.below(30) {
        0 => Request::Ping,
        1 => Request::MarkRead { conversation, seq },
        2 => Request::MarkDelivered(vec![(conversation, seq); random.below(4)]),
        3 => Request::Typing(conversation),
        4 => Request::Sync(Sync {
            cursors: vec![(conversation, seq)],
            after: None,
            until: None,
            limit: random.below(300),
            entries_limit: random.below(600),
        }),
        5 => requests::sync(),
        6 => requests::entries(conversation, seq, requests::END),
        7 => Request::History { conversation, range: requests::range(seq, requests::END) },
        8 => Request::Conversation(conversation),
        9 if random.once_in(4) => Request::LogOut(client_id),
        10 => Request::ChangePassword {
            client_id,
            current: Password::new(PASSWORD),
            new: Password::new(PASSWORD),
        },
        11 => Request::ChangeDisplayName { client_id, name: display_name() },
        12 if random.once_in(8) => Request::DeleteAccount {
            client_id,
            password: Password::new(PASSWORD),
            left: LeftMessages::Redact,
        },
        13 => Request::Devices,
        14 => Request::RevokeDevice { client_id, device: DeviceId::from_random(random.draw()) },
        15 => Request::FindUser(AccountName::parse("honest0").expect("a name")),
        16 => Request::Profiles(vec![user; random.below(250)]),
        17 => Request::Contacts { after: None, limit: random.below(500) },
        18 => Request::CreateGroup(group_of(random.draw(), vec![user; random.below(3)])),
        19 => Request::FindGroup(Handle::parse("theirs").expect("a handle")),
        20 => Request::Roster { group: world.group, standing: None, after: None, limit: random.below(300) },
        21 | 22 => Request::Contact { client_id, user, action: contact(random) },
        23 | 24 => Request::Group { client_id, group: world.group, action: group(random, user) },
        25 => Request::Login(credentials("honest0", "not their password")),
        _ => Request::Send(Send {
            client_id: if random.once_in(4) { id(7) } else { client_id },
            conversation,
            message: outgoing(random, seq),
            read_up_to: random.once_in(4).then_some(seq),
        }),
    }
}

fn outgoing(random: &mut Random, target: u64) -> Outgoing {
    let body = chat_core::Body::Text("from somebody who means harm".repeat(1 + random.below(40)));
    match random.below(6) {
        0 => Outgoing::Edit { target, body },
        1 => Outgoing::Recall { target },
        2 => Outgoing::Reaction { target, symbol: "!".into(), set: random.once_in(2) },
        3 => Outgoing::Message { body, reply_to: Some(target) },
        _ => Outgoing::Message { body, reply_to: None },
    }
}

fn user(random: &mut Random, world: &World) -> UserId {
    match random.below(3) {
        0 => *random.one_of(&world.honest),
        1 => UserId::from_random(random.draw()),
        _ => random.one_of(&world.hostile).1,
    }
}

fn conversation(random: &mut Random, world: &World) -> ConversationId {
    let (one, other) = (user(random, world), user(random, world));
    match random.below(4) {
        0 => *random.one_of(&world.theirs),
        1 => ConversationId::Inbox(one),
        2 => ConversationId::Group(GroupId::from_random(random.draw())),
        _ => ConversationId::direct(one, other).unwrap_or(ConversationId::Inbox(one)),
    }
}

fn contact(random: &mut Random) -> ContactAction {
    match random.below(7) {
        0 => ContactAction::Accept,
        1 => ContactAction::Decline,
        2 => ContactAction::Withdraw,
        3 => ContactAction::Remove,
        4 => ContactAction::Block,
        5 => ContactAction::Unblock,
        _ => ContactAction::Request { note: "let me in".into() },
    }
}

fn group(random: &mut Random, user: UserId) -> GroupAction {
    match random.below(10) {
        0 => GroupAction::Join,
        1 => GroupAction::Leave,
        2 => GroupAction::Invite(user),
        3 => GroupAction::AcceptInvitation,
        4 => GroupAction::Approve(user),
        5 => GroupAction::Add(vec![user]),
        6 => GroupAction::Remove(user),
        7 => GroupAction::SetRole(user, Standing::Owner),
        8 => GroupAction::Mute(user, Timestamp(u64::MAX)),
        _ => GroupAction::Dissolve,
    }
}

fn display_name() -> DisplayName {
    DisplayName::parse("Somebody Else").expect("a name")
}
