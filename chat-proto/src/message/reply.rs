//! What a server answers.

use std::time::Duration;

use chat_core::{
    Contact, ConversationState, DeviceId, DeviceInfo, Entry, Epoch, Error, GroupCard, GroupCreated,
    GroupMember, History, Profile, Receipt, SyncPage, Timestamp, Token, UserId,
};

/// What a server admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest payload that the client may send once it has a session.
    pub client_frame_bytes: usize,
    /// The longest payload that the server sends.
    pub server_frame_bytes: usize,
    /// The most bytes of a message's body.
    pub body_bytes: usize,
    /// The most requests that are worked on at the same time.
    pub in_flight: u32,
    /// How fast commands that change something may come.
    pub commands: Rate,
    /// How fast requests that only read may come.
    pub reads: Rate,
}

/// How fast something may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So often per second; 0 for no limit.
    pub per_second: u32,
    /// So many may be saved up.
    pub burst: u32,
}

/// Who a connection acts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
}

/// Answers a [`Hello`](super::Hello).
#[derive(Clone, Debug)]
pub struct Welcome {
    /// The version spoken from here on.
    pub protocol: u32,
    /// The optional behaviour that is in effect.
    pub features: u64,
    /// Which history seqs belong to.
    pub epoch: Epoch,
    /// The server's clock.
    pub server_time: Timestamp,
    /// How often the client gives a sign of life.
    pub ping_interval: Duration,
    /// What the server admits.
    pub limits: Limits,
    /// The session, when a token was sent and accepted.
    pub session: Option<Identity>,
    /// Why the token was not accepted.
    pub refused: Option<Error>,
}

/// Answers a registration or log-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedIn {
    /// The session that has begun.
    pub session: Identity,
    /// What the device logs in with from now on; `None` when it came in by a token.
    pub token: Option<Token>,
}

/// What a server answers when a request was carried out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reply {
    /// The connection is open.
    Welcome(Box<Welcome>),
    /// The session has begun.
    LoggedIn(LoggedIn),
    /// Answers a ping.
    Pong,
    /// There is nothing to tell.
    Done,
    /// An entry was written.
    Receipt(Receipt),
    /// A page of what changed.
    SyncPage(SyncPage),
    /// A page of a log.
    Entries(Vec<Entry>),
    /// A page of messages.
    History(History),
    /// How a conversation stands.
    Conversation(Box<ConversationState>),
    /// The own devices.
    Devices(Vec<DeviceInfo>),
    /// A user.
    Profile(Profile),
    /// Users, in the order asked for.
    Profiles(Vec<Option<Profile>>),
    /// A page of contacts.
    Contacts(Vec<Contact>),
    /// A group was created.
    GroupCreated(GroupCreated),
    /// A group.
    GroupCard(GroupCard),
    /// A page of a group's members.
    Roster(Vec<GroupMember>),
}
