//! What a client knows, and what all of them could know from outside the chat.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::access::Command;
use super::super::record::{Flaw, Known};
use super::super::report::{Act, ClientNumber};
use crate::{
    ClientId, Contact, ContactEvent, Content, ConversationId, DeviceEvent, DeviceId, Entry, Ephemeral,
    GroupEvent, GroupId, Seq, Token, UserId,
};

/// So many entries of a conversation are remembered, to be referred to.
const REMEMBERED: usize = 12;

/// What one client knows. Lasts over its connections, and but for its name and its unanswered commands
/// no longer than its device.
pub(in super::super) struct Mind {
    pub(super) number: ClientNumber,
    /// Held for one look at a time.
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) user: Option<UserId>,
    device: Option<DeviceId>,
    token: Option<Token>,
    online: bool,
    synced: bool,
    stalled: bool,
    /// In the middle of an event: it may be reading what it was told that it is behind in.
    taking: bool,
    /// Commands that were not answered for good.
    pub(super) pending: Vec<(Act, Command)>,
    commands: u64,
    /// Commands that were acknowledged, the latest ones.
    pub(super) done: VecDeque<Command>,
    pub(super) log: LogBook,
    presence: Presence,
    /// What contacts were told of in a calm.
    told: Option<Vec<Contact>>,
}

/// The logs, and what they say.
#[derive(Default)]
pub(super) struct LogBook {
    pub(super) positions: BTreeMap<ConversationId, Seq>,
    pub(super) recent: BTreeMap<ConversationId, VecDeque<Remembered>>,
    /// Who asks to become a contact.
    pub(super) incoming: BTreeSet<UserId>,
    pub(super) contacts: BTreeSet<UserId>,
    pub(super) blocked: BTreeSet<UserId>,
    /// Groups to which the user is invited.
    pub(super) invited: BTreeSet<GroupId>,
    /// Who asks to be admitted where.
    pub(super) asking: BTreeSet<(GroupId, UserId)>,
    /// Other devices of the user.
    pub(super) devices: BTreeSet<DeviceId>,
}

/// An entry, as far as others refer to it.
#[derive(Clone, Copy)]
pub(super) struct Remembered {
    pub(super) seq: Seq,
    pub(super) sender: UserId,
    pub(super) countable: bool,
}

/// What was heard of who is online, in this session.
#[derive(Default)]
struct Presence {
    at_first: BTreeSet<UserId>,
    heard: BTreeMap<UserId, bool>,
    /// Whether events may have been dropped.
    dim: bool,
}

impl Mind {
    pub(super) fn new(number: ClientNumber) -> Self {
        Self { number, state: Mutex::default() }
    }

    pub(super) fn look(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn token(&self) -> Option<Token> {
        self.look().token
    }

    pub(super) fn comes_online(&self, user: UserId, device: DeviceId, token: Option<Token>) {
        let mut state = self.look();
        state.user = Some(user);
        state.online = true;
        state.synced = false;
        state.presence = Presence::default();
        state.told = None;
        if state.device != Some(device) {
            state.device = Some(device);
            state.log = LogBook::default();
        }
        if token.is_some() {
            state.token = token;
        }
    }

    pub(super) fn goes_offline(&self) {
        let mut state = self.look();
        state.online = false;
        state.stalled = false;
        state.taking = false;
    }

    /// The token is worth nothing any more: what was to end it has been done.
    pub(super) fn forgets_device(&self) {
        let mut state = self.look();
        state.token = None;
        state.pending.retain(|(act, _)| *act != Act::LogOut);
    }

    pub(super) fn is_synced(&self) {
        self.look().synced = true;
    }

    pub(super) fn stalls(&self, stalls: Stalls) {
        let mut state = self.look();
        state.stalled = stalls == Stalls::Begin;
        state.presence.dim = true;
    }

    pub(super) fn takes(&self) {
        self.look().taking = true;
    }

    pub(super) fn has_taken(&self) {
        self.look().taking = false;
    }

    /// Whether it has taken in all that it was told.
    pub(in super::super) fn is_done(&self) -> bool {
        !self.look().taking
    }

    /// A name for a command.
    pub(super) fn new_id(&self) -> ClientId {
        let mut state = self.look();
        state.commands += 1;
        ClientId(((self.number.0 as u128 + 1) << 64 | u128::from(state.commands)).to_be_bytes())
    }

    pub(super) fn position(&self, of: ConversationId) -> Option<Seq> {
        self.look().log.positions.get(&of).copied()
    }

    pub(super) fn set_position(&self, of: ConversationId, seq: Seq) {
        self.look().log.positions.insert(of, seq);
    }

    /// Takes in the next entry of a log; whether it is new, and what is wrong with it.
    pub(super) fn append(&self, conversation: ConversationId, entry: &Entry) -> (bool, Option<Flaw>) {
        let mut state = self.look();
        let position = state.log.positions.entry(conversation).or_insert(0);
        if entry.seq <= *position {
            return (false, None);
        }
        let flaw = (entry.seq > *position + 1).then_some(Flaw::Gap(*position, entry.seq));
        *position = entry.seq;
        state.remember(conversation, entry);
        (true, flaw)
    }

    pub(super) fn hears(&self, ephemeral: Ephemeral) {
        if let Ephemeral::Presence { user, online } = ephemeral {
            self.look().presence.heard.insert(user, online);
        }
    }

    pub(super) fn sees_at_first(&self, contacts: &[Contact]) {
        let online = contacts.iter().filter(|contact| contact.online == Some(true));
        self.look().presence.at_first = online.map(|contact| contact.profile.user).collect();
    }

    /// Presence may have been dropped, or is told out of step with the inbox.
    pub(super) fn sees_dimly(&self) {
        self.look().presence.dim = true;
    }

    pub(super) fn is_told(&self, contacts: Vec<Contact>) {
        self.look().told = Some(contacts);
    }

    /// Why it has not come to rest: it is not online, has not synced or waits for an answer.
    pub(in super::super) fn unrest(&self) -> Option<String> {
        let state = self.look();
        if !state.online || !state.synced {
            return Some(format!("online {}, synced {}", state.online, state.synced));
        }
        if state.stalled {
            return Some("stalled".into());
        }
        let pending = state.pending.first();
        pending.map(|(act, command)| format!("no answer to {act:?} {command:?}"))
    }

    pub(in super::super) fn number(&self) -> ClientNumber {
        self.number
    }

    /// What it was told of its contacts before does not count any more.
    pub(in super::super) fn is_to_ask(&self) {
        self.look().told = None;
    }

    /// Whether it was told of its contacts.
    pub(in super::super) fn has_told(&self) -> bool {
        self.look().told.is_some()
    }

    /// What it knows, while it is online.
    pub(in super::super) fn known(&self) -> Option<Known> {
        let state = self.look();
        let user = state.user.filter(|_| state.online && state.synced)?;
        let presence = &state.presence;
        let seen = |peer: &UserId| {
            presence.heard.get(peer).copied().unwrap_or_else(|| presence.at_first.contains(peer))
        };
        let peers = presence.heard.keys().chain(&presence.at_first).copied().collect::<BTreeSet<_>>();
        let told = state.told.as_deref().unwrap_or_default();
        Some(Known {
            user,
            positions: state.log.positions.clone(),
            contacts: told
                .iter()
                .map(|contact| (contact.profile.user, contact.relation, contact.online))
                .collect(),
            seen_online: (!presence.dim).then(|| peers.into_iter().filter(seen).collect()),
        })
    }
}

/// Whether a stall begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stalls {
    Begin,
    End,
}

impl State {
    /// Remembers what was acknowledged.
    pub(super) fn is_done(&mut self, command: &Command) {
        if self.done.contains(command) || command.client_id().is_none() {
            return;
        }
        if self.done.len() == REMEMBERED {
            self.done.pop_front();
        }
        self.done.push_back(command.clone());
    }

    /// An id that was used for a send, and where.
    pub(super) fn used(&self) -> Option<(ClientId, ConversationId)> {
        self.done.iter().rev().find_map(|command| match command {
            Command::Send(send) => Some((send.client_id, send.conversation)),
            _ => None,
        })
    }

    fn remember(&mut self, conversation: ConversationId, entry: &Entry) {
        let recent = self.log.recent.entry(conversation).or_default();
        if recent.len() == REMEMBERED {
            recent.pop_front();
        }
        let Entry { seq, sender, countable, .. } = *entry;
        recent.push_back(Remembered { seq, sender, countable });
        if let ConversationId::Inbox(user) = conversation
            && let Ok(content) = entry.decode_content()
        {
            self.notice(user, entry.sender, &content);
        }
    }

    fn notice(&mut self, own: UserId, sender: UserId, content: &Content) {
        let log = &mut self.log;
        match *content {
            Content::Contact { event, peer, .. } => {
                log.incoming.remove(&peer);
                match event {
                    ContactEvent::Requested if sender != own => drop(log.incoming.insert(peer)),
                    ContactEvent::Accepted => drop(log.contacts.insert(peer)),
                    ContactEvent::Blocked => drop(log.blocked.insert(peer)),
                    ContactEvent::Unblocked => drop(log.blocked.remove(&peer)),
                    _ => {}
                }
                if matches!(event, ContactEvent::Removed | ContactEvent::Blocked) {
                    log.contacts.remove(&peer);
                    self.presence.heard.remove(&peer);
                    self.presence.at_first.remove(&peer);
                }
            }
            Content::Group { event, group, user, .. } if user == own => {
                if event == GroupEvent::Invited {
                    log.invited.insert(group);
                } else {
                    log.invited.remove(&group);
                }
            }
            Content::Group { event: GroupEvent::Asked, group, user, .. } => {
                log.asking.insert((group, user));
            }
            Content::Device { event: DeviceEvent::Added, device, .. } => {
                log.devices.insert(device);
            }
            Content::Device { device, .. } => drop(log.devices.remove(&device)),
            _ => {}
        }
    }
}

/// What clients know of each other without asking: as if they had told each other.
#[derive(Default)]
pub(in super::super) struct Directory {
    state: Mutex<Listed>,
}

#[derive(Default)]
struct Listed {
    users: BTreeMap<usize, UserId>,
    groups: Vec<GroupId>,
    /// Groups that were asked for, created or not.
    wanted: usize,
}

impl Directory {
    fn look(&self) -> MutexGuard<'_, Listed> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put_user(&self, number: usize, user: UserId) {
        self.look().users.insert(number, user);
    }

    pub(super) fn user(&self, number: usize) -> Option<UserId> {
        self.look().users.get(&number).copied()
    }

    /// The users, by number.
    pub(in super::super) fn users(&self) -> BTreeMap<usize, UserId> {
        self.look().users.clone()
    }

    pub(super) fn put_group(&self, group: GroupId) {
        let mut listed = self.look();
        if !listed.groups.contains(&group) {
            listed.groups.push(group);
        }
    }

    pub(super) fn groups(&self) -> Vec<GroupId> {
        self.look().groups.clone()
    }

    /// The number of one more group, up to a limit.
    pub(super) fn want_group(&self, limit: usize) -> Option<usize> {
        let mut listed = self.look();
        (listed.wanted < limit).then(|| {
            listed.wanted += 1;
            listed.wanted
        })
    }
}
