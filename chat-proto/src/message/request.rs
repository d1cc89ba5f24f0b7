//! What a client can ask for.

use chat_core::{
    AccountName, ClientId, ContactAction, ConversationId, CreateGroup, Credentials, DeviceId, DisplayName,
    Epoch, GroupAction, GroupId, Handle, LeftMessages, Password, Range, Register, Send, Seq, Standing, Sync,
    Token, UserId,
};

/// The opening of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The lowest version of the protocol that the client speaks.
    pub protocol_min: u32,
    /// The highest one.
    pub protocol_max: u32,
    /// Optional behaviour that it would like; no bit is defined yet.
    pub features: u64,
    /// What it logs in with at once.
    pub token: Option<Token>,
    /// The epoch of the cursors that it has stored.
    pub epoch: Option<Epoch>,
    /// Name and version of its software.
    pub client: String,
}

/// What a client asks for: one variant for each of a session's commands, and what comes before.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Request {
    /// Opens the connection; answered by [`Reply::Welcome`](super::Reply::Welcome).
    Hello(Hello),
    /// Creates an account; answered by [`Reply::LoggedIn`](super::Reply::LoggedIn).
    Register(Register),
    /// Logs in; answered by [`Reply::LoggedIn`](super::Reply::LoggedIn).
    Login(Credentials),
    /// A sign of life; answered by [`Reply::Pong`](super::Reply::Pong).
    Ping,
    /// Answers a ping of the server; not answered.
    Pong,

    /// Writes into a conversation; answered by [`Reply::Receipt`](super::Reply::Receipt).
    Send(Send),
    /// Moves the read cursor; answered by [`Reply::Done`](super::Reply::Done).
    MarkRead {
        /// Where.
        conversation: ConversationId,
        /// To which entry.
        seq: Seq,
    },
    /// Says what has arrived; answered by [`Reply::Done`](super::Reply::Done).
    MarkDelivered(Vec<(ConversationId, Seq)>),
    /// Tells others that the user is typing; answered by [`Reply::Done`](super::Reply::Done).
    Typing(ConversationId),
    /// Asks for what changed; answered by [`Reply::SyncPage`](super::Reply::SyncPage).
    Sync(Sync),
    /// Reads a log; answered by [`Reply::Entries`](super::Reply::Entries).
    Entries {
        /// Whose.
        conversation: ConversationId,
        /// Which part.
        range: Range,
    },
    /// Reads messages; answered by [`Reply::History`](super::Reply::History).
    History {
        /// Of which conversation.
        conversation: ConversationId,
        /// Which part.
        range: Range,
    },
    /// Asks how a conversation stands; answered by [`Reply::Conversation`](super::Reply::Conversation).
    Conversation(ConversationId),

    /// Ends the session and voids the token; answered by [`Reply::Done`](super::Reply::Done).
    LogOut(ClientId),
    /// Answered by [`Reply::Receipt`](super::Reply::Receipt).
    ChangePassword {
        /// What the client calls this command.
        client_id: ClientId,
        /// The password so far.
        current: Password,
        /// The password from now on.
        new: Password,
    },
    /// Answered by [`Reply::Receipt`](super::Reply::Receipt).
    ChangeDisplayName {
        /// What the client calls this command.
        client_id: ClientId,
        /// The new name.
        name: DisplayName,
    },
    /// Answered by [`Reply::Done`](super::Reply::Done).
    DeleteAccount {
        /// What the client calls this command.
        client_id: ClientId,
        /// Proves that it is the owner.
        password: Password,
        /// What becomes of what they wrote.
        left: LeftMessages,
    },
    /// Answered by [`Reply::Devices`](super::Reply::Devices).
    Devices,
    /// Answered by [`Reply::Receipt`](super::Reply::Receipt).
    RevokeDevice {
        /// What the client calls this command.
        client_id: ClientId,
        /// Which device.
        device: DeviceId,
    },
    /// Answered by [`Reply::Profile`](super::Reply::Profile).
    FindUser(AccountName),
    /// Answered by [`Reply::Profiles`](super::Reply::Profiles).
    Profiles(Vec<UserId>),

    /// Answered by [`Reply::Receipt`](super::Reply::Receipt).
    Contact {
        /// What the client calls this command.
        client_id: ClientId,
        /// Whom it is about.
        user: UserId,
        /// What to do.
        action: ContactAction,
    },
    /// Answered by [`Reply::Contacts`](super::Reply::Contacts).
    Contacts {
        /// The last user of the page before.
        after: Option<UserId>,
        /// The most contacts wanted; 0 leaves it to the server.
        limit: usize,
    },

    /// Answered by [`Reply::GroupCreated`](super::Reply::GroupCreated).
    CreateGroup(CreateGroup),
    /// Answered by [`Reply::GroupCard`](super::Reply::GroupCard).
    FindGroup(Handle),
    /// Answered by [`Reply::Receipt`](super::Reply::Receipt).
    Group {
        /// What the client calls this command.
        client_id: ClientId,
        /// Which group.
        group: GroupId,
        /// What to do.
        action: GroupAction,
    },
    /// Answered by [`Reply::Roster`](super::Reply::Roster).
    Roster {
        /// Whose.
        group: GroupId,
        /// Keeps to one standing; `None` for all present members.
        standing: Option<Standing>,
        /// The last member of the page before.
        after: Option<(Seq, UserId)>,
        /// The most members wanted; 0 leaves it to the server.
        limit: usize,
    },
}
