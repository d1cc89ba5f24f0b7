//! Requests by their names.

use chat_core::{
    AccountName, Body, ClientId, ContactAction, Content, ConversationId, CreateGroup, Credentials, Direction,
    DisplayName, Entry, GroupProfile, HistoryPolicy, JoinPolicy, Outgoing, Password, Range, Register, Send,
    Seq, Sync, Token, UserId,
};
use chat_proto::message::{Hello, Identity, PROTOCOL, Request};

pub(crate) const PASSWORD: &str = "correct horse";

/// The highest seq that goes over the wire.
pub(crate) const END: Seq = u64::MAX >> 11;

/// The command id with this number.
pub(crate) fn id(number: u64) -> ClientId {
    let mut bytes = [0x77; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    ClientId(bytes)
}

pub(crate) fn hello(token: Option<Token>) -> Request {
    Request::Hello(Hello {
        protocol_min: PROTOCOL,
        protocol_max: PROTOCOL,
        features: 0,
        token,
        epoch: None,
        client: "test".into(),
    })
}

pub(crate) fn registration(name: &str) -> Register {
    Register {
        client_id: id(0),
        name: AccountName::parse(name).expect("a name"),
        display_name: None,
        password: Password::new(PASSWORD),
        device_label: "test".into(),
    }
}

pub(crate) fn register(name: &str) -> Request {
    Request::Register(registration(name))
}

pub(crate) fn credentials(name: &str, password: &str) -> Credentials {
    Credentials::Password {
        name: AccountName::parse(name).expect("a name"),
        password: Password::new(password),
        device_label: "test".into(),
    }
}

pub(crate) fn login(name: &str) -> Request {
    Request::Login(credentials(name, PASSWORD))
}

pub(crate) fn direct(a: Identity, b: Identity) -> ConversationId {
    ConversationId::direct(a.user, b.user).expect("two users")
}

pub(crate) fn message(number: u64, conversation: ConversationId, body: Body) -> Send {
    let message = Outgoing::Message { body, reply_to: None };
    Send { client_id: id(number), conversation, message, read_up_to: None }
}

/// A text under the command id with this number.
pub(crate) fn text(number: u64, conversation: ConversationId, text: impl Into<String>) -> Request {
    Request::Send(message(number, conversation, Body::Text(text.into())))
}

/// What such an entry says.
pub(crate) fn said(entry: &Entry) -> String {
    match entry.decode_content() {
        Ok(Content::Message(Body::Text(text))) => text,
        other => panic!("a text expected: {other:?}"),
    }
}

pub(crate) fn range(from: Seq, to: Seq) -> Range {
    Range { from, to, direction: Direction::Forward, limit: 500, limit_bytes: 256 * 1024 }
}

pub(crate) fn entries(conversation: ConversationId, from: Seq, to: Seq) -> Request {
    Request::Entries { conversation, range: range(from, to) }
}

pub(crate) fn sync() -> Request {
    Request::Sync(Sync { cursors: Vec::new(), after: None, until: None, limit: 100, entries_limit: 50 })
}

/// Asks somebody to become a contact; where nobody needs to be asked the two are contacts then.
pub(crate) fn befriend(number: u64, user: UserId) -> Request {
    Request::Contact { client_id: id(number), user, action: ContactAction::Request { note: String::new() } }
}

pub(crate) fn group_of(number: u64, members: Vec<UserId>) -> CreateGroup {
    let profile = GroupProfile {
        name: DisplayName::parse("everybody").expect("a name"),
        description: String::new(),
        handle: None,
        join: JoinPolicy::Invitation,
        history: HistoryPolicy::SinceJoin,
    };
    CreateGroup { client_id: id(number), profile, members }
}
