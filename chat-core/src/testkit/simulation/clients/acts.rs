//! What a client does next: drawn, and likely enough to be allowed that much of it is.

use super::super::access::{Command, Question};
use super::super::draw::Draw;
use super::super::report::Act;
use super::World;
use super::mind::{Mind, State};
use crate::{
    Body, ContactAction, ConversationId, CreateGroup, Direction, DisplayName, GroupAction, GroupId,
    GroupProfile, Handle, HistoryPolicy, JoinPolicy, Outgoing, Range, Send, Seq, Standing, Sync, Timestamp,
    UserId,
};

/// Something to be done.
pub(super) enum Deed {
    /// These, in order and without waiting for each other.
    Do(Vec<(Act, Command)>),
    Ask(Act, Question),
    Reconnect,
}

/// How often each act is drawn, among the sum of all.
const WEIGHTS: &[(Act, usize)] = &[
    (Act::Text, 300),
    (Act::Reply, 30),
    (Act::Edit, 50),
    (Act::Recall, 25),
    (Act::React, 40),
    (Act::Reuse, 8),
    (Act::Repeat, 25),
    (Act::MarkRead, 60),
    (Act::MarkDelivered, 40),
    (Act::Typing, 20),
    (Act::Request, 40),
    (Act::Accept, 40),
    (Act::Decline, 6),
    (Act::RemoveContact, 8),
    (Act::Block, 8),
    (Act::Unblock, 20),
    (Act::CreateGroup, 30),
    (Act::Join, 25),
    (Act::Leave, 8),
    (Act::Invite, 15),
    (Act::AcceptInvitation, 25),
    (Act::Approve, 20),
    (Act::Add, 25),
    (Act::RemoveMember, 12),
    (Act::SetRole, 8),
    (Act::Mute, 6),
    (Act::ChangeProfile, 6),
    (Act::History, 30),
    (Act::Entries, 20),
    (Act::Sync, 15),
    (Act::State, 25),
    (Act::LogOut, 5),
    (Act::Revoke, 4),
    (Act::Reconnect, 25),
];

/// Draws what to do; nothing where what was drawn makes no sense yet.
pub(super) fn choose(draw: &mut Draw, mind: &Mind, world: &World, number: usize) -> Option<Deed> {
    let mut left = draw.below(WEIGHTS.iter().map(|(_, weight)| weight).sum());
    let (act, _) = WEIGHTS.iter().find(|(_, weight)| {
        let found = left < *weight;
        left = left.saturating_sub(*weight);
        found
    })?;
    let (user, users) = (world.directory.user(number)?, world.directory.users());
    let others: Vec<_> = users.into_values().filter(|other| *other != user).collect();
    let scene = Scene { user, others, groups: world.directory.groups(), act: *act, mind };
    scene.choose(draw, world)
}

struct Scene<'a> {
    user: UserId,
    others: Vec<UserId>,
    groups: Vec<GroupId>,
    act: Act,
    mind: &'a Mind,
}

impl Scene<'_> {
    fn choose(&self, draw: &mut Draw, world: &World) -> Option<Deed> {
        match self.act {
            Act::Text | Act::Reply | Act::Edit | Act::Recall | Act::React | Act::Reuse => self.send(draw),
            Act::MarkRead | Act::MarkDelivered | Act::Typing => self.position(draw),
            Act::Request | Act::Accept | Act::Decline | Act::RemoveContact | Act::Block | Act::Unblock => {
                self.contact(draw)
            }
            Act::CreateGroup => self.create(draw, world),
            Act::Repeat => {
                let done: Vec<_> = (0..self.mind.look().done.len()).collect();
                let index = draw.any_of(&done)?;
                let command = self.mind.look().done[index].clone();
                Some(self.one(command))
            }
            Act::History | Act::Entries | Act::Sync | Act::State => self.ask(draw),
            Act::LogOut => Some(self.one(Command::LogOut(self.mind.new_id()))),
            Act::Revoke => {
                let devices: Vec<_> = self.mind.look().log.devices.iter().copied().collect();
                let device = draw.any_of(&devices)?;
                Some(self.one(Command::Revoke(self.mind.new_id(), device)))
            }
            Act::Reconnect => Some(Deed::Reconnect),
            _ => self.group(draw),
        }
    }

    fn one(&self, command: Command) -> Deed {
        Deed::Do(vec![(self.act, command)])
    }

    /// A conversation to do something in, seldom one that is not known.
    fn place(&self, draw: &mut Draw) -> Option<ConversationId> {
        let known: Vec<_> = {
            let state = self.mind.look();
            let inbox = |of: &&ConversationId| matches!(of, ConversationId::Inbox(_));
            state.log.positions.keys().filter(|of| !inbox(of)).copied().collect()
        };
        if !known.is_empty() && draw.happens(85) {
            return draw.any_of(&known);
        }
        if draw.happens(40) && !self.groups.is_empty() {
            return draw.any_of(&self.groups).map(ConversationId::Group);
        }
        ConversationId::direct(self.user, draw.any_of(&self.others)?)
    }

    /// An entry of a conversation to refer to: a message, or one of the user's own.
    fn target(&self, draw: &mut Draw, at: ConversationId, own: bool) -> Seq {
        let state = self.mind.look();
        let recent = state.log.recent.get(&at);
        let fits = |entry: &&super::mind::Remembered| entry.countable && (!own || entry.sender == self.user);
        let fitting: Vec<_> = recent.into_iter().flatten().filter(fits).map(|entry| entry.seq).collect();
        // Also one that may not exist.
        draw.any_of(&fitting).filter(|_| draw.happens(95)).unwrap_or_else(|| 1 + draw.number() % 20)
    }

    fn send(&self, draw: &mut Draw) -> Option<Deed> {
        let at = self.place(draw)?;
        let mut client_id = self.mind.new_id();
        let message = match self.act {
            Act::Reply => {
                let reply_to = Some(self.target(draw, at, false));
                Outgoing::Message { body: self.words(draw), reply_to }
            }
            Act::Edit => {
                let own = draw.happens(90);
                Outgoing::Edit { target: self.target(draw, at, own), body: self.words(draw) }
            }
            Act::Recall => {
                let own = draw.happens(70);
                Outgoing::Recall { target: self.target(draw, at, own) }
            }
            Act::React => {
                let (target, set) = (self.target(draw, at, false), draw.happens(70));
                Outgoing::Reaction { target, symbol: "+1".into(), set }
            }
            Act::Reuse => {
                let (used, conversation) = self.mind.look().used()?;
                client_id = used;
                let body = Body::Text("another text under a used id".into());
                let message = Outgoing::Message { body, reply_to: None };
                let send = Send { client_id, conversation, message, read_up_to: None };
                return Some(self.one(Command::Send(send)));
            }
            _ => return Some(self.burst(draw, at)),
        };
        let send = Send { client_id, conversation: at, message, read_up_to: None };
        Some(self.one(Command::Send(send)))
    }

    /// One message or several at once.
    fn burst(&self, draw: &mut Draw, at: ConversationId) -> Deed {
        let many = if draw.happens(25) { 2 + draw.below(5) } else { 1 };
        let sends = (0..many).map(|_| {
            let message = Outgoing::Message { body: self.words(draw), reply_to: None };
            let position = self.mind.position(at).filter(|position| *position > 0);
            // Also back.
            let read_up_to = position.filter(|_| draw.happens(20)).map(|position| match draw.below(3) {
                0 => 1 + draw.number() % position,
                _ => position,
            });
            let send = Send { client_id: self.mind.new_id(), conversation: at, message, read_up_to };
            (self.act, Command::Send(send))
        });
        Deed::Do(sends.collect())
    }

    fn words(&self, draw: &mut Draw) -> Body {
        let number = draw.number() % 10_000;
        let padding = if draw.happens(15) { draw.below(400) } else { 0 };
        Body::Text(format!("{} says {number}{:padding$}", self.mind.number, ""))
    }

    fn position(&self, draw: &mut Draw) -> Option<Deed> {
        let at = self.place(draw)?;
        let position = self.mind.position(at).unwrap_or(0);
        // Also back, and beyond the end.
        let seq = match draw.below(10) {
            0..=5 => position,
            6..=8 => draw.number() % (position + 1),
            _ => position + 5,
        };
        Some(self.one(match self.act {
            Act::MarkRead => Command::MarkRead(at, seq),
            Act::MarkDelivered => Command::MarkDelivered(at, seq),
            _ => Command::Typing(at),
        }))
    }

    fn contact(&self, draw: &mut Draw) -> Option<Deed> {
        let likely = |of: fn(&State) -> Vec<UserId>| of(&self.mind.look());
        let (peers, action) = match self.act {
            Act::Request => (Vec::new(), ContactAction::Request { note: "hello".into() }),
            Act::Accept => (likely(|s| s.log.incoming.iter().copied().collect()), ContactAction::Accept),
            Act::Decline => (likely(|s| s.log.incoming.iter().copied().collect()), ContactAction::Decline),
            Act::RemoveContact => {
                (likely(|s| s.log.contacts.iter().copied().collect()), ContactAction::Remove)
            }
            Act::Block => (Vec::new(), ContactAction::Block),
            _ => (likely(|s| s.log.blocked.iter().copied().collect()), ContactAction::Unblock),
        };
        let peer = match draw.any_of(&peers) {
            Some(peer) => peer,
            // Nothing to be done about, mostly: seldom tried.
            None if self.act == Act::Request || self.act == Act::Block || draw.happens(10) => {
                draw.any_of(&self.others)?
            }
            None => return None,
        };
        Some(self.one(Command::Contact(self.mind.new_id(), peer, action)))
    }

    fn create(&self, draw: &mut Draw, world: &World) -> Option<Deed> {
        let number = world.directory.want_group(world.settings.groups)?;
        let join = draw.one_of(&[JoinPolicy::Open, JoinPolicy::Request, JoinPolicy::Invitation]);
        let members = self.others.iter().copied().filter(|_| draw.happens(60)).collect();
        let profile = profile(number, join, draw.one_of(&[HistoryPolicy::SinceJoin, HistoryPolicy::All]));
        let client_id = self.mind.new_id();
        Some(self.one(Command::CreateGroup(CreateGroup { client_id, profile, members })))
    }

    fn group(&self, draw: &mut Draw) -> Option<Deed> {
        let mut group = draw.any_of(&self.groups)?;
        let mut other = draw.any_of(&self.others)?;
        let state = self.mind.look();
        let action = match self.act {
            Act::Join => GroupAction::Join,
            Act::Leave => GroupAction::Leave,
            Act::Invite => GroupAction::Invite(other),
            Act::AcceptInvitation => {
                group = draw.any_of(&state.log.invited.iter().copied().collect::<Vec<_>>())?;
                if draw.happens(80) { GroupAction::AcceptInvitation } else { GroupAction::DeclineInvitation }
            }
            Act::Approve => {
                (group, other) = draw.any_of(&state.log.asking.iter().copied().collect::<Vec<_>>())?;
                if draw.happens(80) { GroupAction::Approve(other) } else { GroupAction::Reject(other) }
            }
            Act::Add => GroupAction::Add(vec![other]),
            Act::RemoveMember => GroupAction::Remove(other),
            Act::SetRole => GroupAction::SetRole(other, draw.one_of(&[Standing::Admin, Standing::Member])),
            Act::Mute => {
                let until = draw.one_of(&[super::super::record::Evidence::FAR, Timestamp(0), Timestamp(0)]);
                GroupAction::Mute(other, until)
            }
            _ => {
                let number = self.groups.iter().position(|known| *known == group)? + 1;
                let history = draw.one_of(&[HistoryPolicy::SinceJoin, HistoryPolicy::All]);
                // The handle is kept where the number is that of the creation, else it is refused.
                GroupAction::ChangeProfile(profile(number, JoinPolicy::Open, history))
            }
        };
        drop(state);
        Some(self.one(Command::Group(self.mind.new_id(), group, action)))
    }

    fn ask(&self, draw: &mut Draw) -> Option<Deed> {
        let at = self.place(draw)?;
        let position = self.mind.position(at).unwrap_or(0);
        let from = 1 + draw.number() % (position + 1);
        let direction = draw.one_of(&[Direction::Forward, Direction::Backward]);
        let limit = 1 + draw.below(30);
        let range = Range { from, to: Seq::MAX, direction, limit, limit_bytes: 1 << 20 };
        let question = match self.act {
            Act::History => Question::History(at, range),
            Act::Entries => Question::Entries(at, range),
            Act::State => Question::Conversation(at),
            _ => {
                let cursors = Vec::new();
                Question::Sync(Sync { cursors, after: None, until: None, limit: 3, entries_limit: 10 })
            }
        };
        Some(Deed::Ask(self.act, question))
    }
}

fn profile(number: usize, join: JoinPolicy, history: HistoryPolicy) -> GroupProfile {
    let handle = Handle::parse(&format!("group{number}")).expect("a handle");
    GroupProfile {
        name: DisplayName::parse(&format!("group {number}")).expect("a name"),
        description: String::new(),
        handle: (join != JoinPolicy::Invitation).then_some(handle),
        join,
        history,
    }
}
