//! One frame of each kind, with every field filled.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chat_core::{
    AccountName, Body, ClientId, Contact, ContactAction, ContactEvent, Content, ConversationId,
    ConversationState, CreateGroup, Credentials, DeviceEvent, DeviceId, DeviceInfo, Direction, DisplayName,
    Entry, Ephemeral, Epoch, Error, ErrorKind, Group, GroupAction, GroupCard, GroupCreated, GroupEvent,
    GroupId, GroupMember, GroupProfile, Handle, History, HistoryPolicy, JoinPolicy, Kind, LeftMessages,
    Outgoing, Password, PeerPosition, Profile, Range, Receipt, Register, Relation, Send, Standing, Sync,
    SyncPage, SyncedConversation, Timestamp, Token, UserId,
};
use chat_proto::message::{
    ClientFrame, CloseCode, Hello, Identity, Limits, LoggedIn, Push, Rate, Reply, Request, ServerFrame,
    Welcome,
};

const ID: ClientId = ClientId([0x11; 16]);
const TIME: Timestamp = Timestamp(1_700_000_000_000);

fn user(number: u64) -> UserId {
    UserId::new(number).expect("an id")
}

fn group_id() -> GroupId {
    GroupId::new(9).expect("an id")
}

fn device_id() -> DeviceId {
    DeviceId::new(8).expect("an id")
}

fn direct() -> ConversationId {
    ConversationId::direct(user(2), user(3)).expect("two users")
}

fn inbox() -> ConversationId {
    ConversationId::Inbox(user(2))
}

fn name() -> AccountName {
    AccountName::parse("ada").expect("a name")
}

fn display_name() -> DisplayName {
    DisplayName::parse("Ada L.").expect("a name")
}

fn handle() -> Handle {
    Handle::parse("rust").expect("a handle")
}

fn password() -> Password {
    Password::new("correct horse")
}

fn range() -> Range {
    Range { from: 1, to: 9, direction: Direction::Backward, limit: 50, limit_bytes: 4096 }
}

fn group_profile() -> GroupProfile {
    GroupProfile {
        name: display_name(),
        description: "all things".into(),
        handle: Some(handle()),
        join: JoinPolicy::Request,
        history: HistoryPolicy::All,
    }
}

fn profile() -> Profile {
    Profile { user: user(2), name: name(), display_name: display_name(), deleted: true }
}

fn data() -> Body {
    Body::Data { media_type: "image/png".into(), bytes: Bytes::from_static(&[1, 2, 3]) }
}

fn text() -> Body {
    Body::Text("hällo".into())
}

fn send(message: Outgoing) -> Request {
    Request::Send(Send { client_id: ID, conversation: direct(), message, read_up_to: Some(4) })
}

fn group(action: GroupAction) -> Request {
    Request::Group { client_id: ID, group: group_id(), action }
}

fn contact(action: ContactAction) -> Request {
    Request::Contact { client_id: ID, user: user(3), action }
}

pub(crate) fn requests() -> Vec<(&'static str, Request)> {
    vec![
        (
            "hello",
            Request::Hello(Hello {
                protocol_min: 1,
                protocol_max: 2,
                features: 3,
                token: Some(Token([7; 32])),
                epoch: Some(Epoch(0)),
                client: "test 1".into(),
            }),
        ),
        (
            "register",
            Request::Register(Register {
                client_id: ID,
                name: name(),
                display_name: Some(display_name()),
                password: password(),
                device_label: "laptop".into(),
            }),
        ),
        (
            "login_password",
            Request::Login(Credentials::Password {
                name: name(),
                password: password(),
                device_label: "laptop".into(),
            }),
        ),
        ("login_token", Request::Login(Credentials::Token(Token([7; 32])))),
        (
            "login_external",
            Request::Login(Credentials::External {
                secret: Bytes::from_static(b"jwt"),
                device_label: "phone".into(),
            }),
        ),
        ("ping", Request::Ping),
        ("pong", Request::Pong),
        ("send_text", send(Outgoing::Message { body: text(), reply_to: Some(3) })),
        ("send_data", send(Outgoing::Message { body: data(), reply_to: None })),
        ("send_edit", send(Outgoing::Edit { target: 3, body: text() })),
        ("send_recall", send(Outgoing::Recall { target: 3 })),
        ("send_reaction", send(Outgoing::Reaction { target: 3, symbol: "👍".into(), set: true })),
        ("mark_read", Request::MarkRead { conversation: inbox(), seq: 5 }),
        ("mark_delivered", Request::MarkDelivered(vec![(direct(), 5), (inbox(), 6)])),
        ("typing", Request::Typing(ConversationId::Group(group_id()))),
        (
            "sync",
            Request::Sync(Sync {
                cursors: vec![(direct(), 5), (inbox(), 0)],
                after: Some(direct()),
                until: Some(inbox()),
                limit: 100,
                entries_limit: 20,
            }),
        ),
        ("read_entries", Request::Entries { conversation: direct(), range: range() }),
        ("read_history", Request::History { conversation: direct(), range: range() }),
        ("read_conversation", Request::Conversation(direct())),
        ("log_out", Request::LogOut(ID)),
        (
            "change_password",
            Request::ChangePassword {
                client_id: ID,
                current: password(),
                new: Password::new("battery staple"),
            },
        ),
        ("change_display_name", Request::ChangeDisplayName { client_id: ID, name: display_name() }),
        (
            "delete_account",
            Request::DeleteAccount { client_id: ID, password: password(), left: LeftMessages::Redact },
        ),
        ("list_devices", Request::Devices),
        ("revoke_device", Request::RevokeDevice { client_id: ID, device: device_id() }),
        ("find_user", Request::FindUser(name())),
        ("read_profiles", Request::Profiles(vec![user(2), user(300)])),
        ("contact_request", contact(ContactAction::Request { note: "hi".into() })),
        ("contact_accept", contact(ContactAction::Accept)),
        ("contact_decline", contact(ContactAction::Decline)),
        ("contact_withdraw", contact(ContactAction::Withdraw)),
        ("contact_remove", contact(ContactAction::Remove)),
        ("contact_block", contact(ContactAction::Block)),
        ("contact_unblock", contact(ContactAction::Unblock)),
        ("list_contacts", Request::Contacts { after: Some(user(2)), limit: 10 }),
        (
            "create_group",
            Request::CreateGroup(CreateGroup {
                client_id: ID,
                profile: group_profile(),
                members: vec![user(3), user(400)],
            }),
        ),
        ("find_group", Request::FindGroup(handle())),
        ("group_join", group(GroupAction::Join)),
        ("group_withdraw_request", group(GroupAction::WithdrawRequest)),
        ("group_leave", group(GroupAction::Leave)),
        ("group_invite", group(GroupAction::Invite(user(3)))),
        ("group_withdraw_invitation", group(GroupAction::WithdrawInvitation(user(3)))),
        ("group_accept_invitation", group(GroupAction::AcceptInvitation)),
        ("group_decline_invitation", group(GroupAction::DeclineInvitation)),
        ("group_approve", group(GroupAction::Approve(user(3)))),
        ("group_reject", group(GroupAction::Reject(user(3)))),
        ("group_add", group(GroupAction::Add(vec![user(3), user(4)]))),
        ("group_remove", group(GroupAction::Remove(user(3)))),
        ("group_set_role", group(GroupAction::SetRole(user(3), Standing::Admin))),
        ("group_transfer", group(GroupAction::Transfer(user(3)))),
        ("group_mute", group(GroupAction::Mute(user(3), TIME))),
        ("group_change_profile", group(GroupAction::ChangeProfile(group_profile()))),
        ("group_dissolve", group(GroupAction::Dissolve)),
        (
            "list_roster",
            Request::Roster {
                group: group_id(),
                standing: Some(Standing::Asking),
                after: Some((4, user(3))),
                limit: 10,
            },
        ),
    ]
}

pub(crate) fn entry(seq: u64, content: &Content) -> Entry {
    Entry {
        seq,
        time: TIME,
        sender: user(2),
        client_id: Some(ID),
        countable: content.is_countable(),
        ordinal: 1,
        target: None,
        kind: content.kind().unwrap_or(Kind::new(16).expect("a number in range")),
        content: Some(content.encode()),
    }
}

/// One of each kind.
pub(crate) fn contents() -> Vec<Content> {
    let user = user(77);
    vec![
        Content::Message(text()),
        Content::Message(data()),
        Content::Edit(text()),
        Content::Edit(data()),
        Content::Recall,
        Content::Reaction { symbol: "👍".into(), set: true },
        Content::GroupCreated { profile: group_profile(), members: vec![user, user] },
        Content::GroupChanged(group_profile()),
        Content::MembersAdded(vec![user]),
        Content::Joined,
        Content::Left,
        Content::MemberRemoved(user),
        Content::RoleChanged { user, role: Standing::Admin },
        Content::Muted { user, until: TIME },
        Content::Dissolved,
        Content::AccountCreated,
        Content::DisplayNameChanged(display_name()),
        Content::PasswordChanged,
        Content::AccountDeleted,
        Content::Device { event: DeviceEvent::Revoked, device: device_id(), label: "laptop".into() },
        Content::Contact { event: ContactEvent::Requested, peer: user, note: "hi".into() },
        Content::Group { event: GroupEvent::Entered, group: group_id(), user, name: "Rust".into() },
    ]
}

fn entries() -> Vec<Entry> {
    let message = entry(7, &Content::Message(text()));
    let redacted = Entry { seq: 8, content: None, target: Some(7), client_id: None, ..message.clone() };
    vec![message, redacted]
}

pub(crate) fn entries_frame(entries: Vec<Entry>) -> ServerFrame {
    ServerFrame::Push(Push::Entries { conversation: direct(), entries })
}

fn state() -> ConversationState {
    ConversationState {
        conversation: direct(),
        head: 8,
        time: TIME,
        first_seq: 1,
        read: 2,
        unread: 3,
        delivered: 4,
        standing: Standing::Member,
        relation: Relation::Contact,
        blocked: true,
        muted_until: Some(TIME),
        peer: Some(PeerPosition { read: 5, delivered: 6 }),
        group: Some(Group { id: group_id(), profile: group_profile(), members: 3, dissolved: true }),
    }
}

fn pushes() -> Vec<(&'static str, Push)> {
    let (conversation, user) = (direct(), user(2));
    vec![
        ("entries", Push::Entries { conversation, entries: entries() }),
        ("behind", Push::Behind { conversation, upto: 9 }),
        ("behind_everywhere", Push::BehindEverywhere),
        ("presence", Push::Ephemeral(Ephemeral::Presence { user, online: true })),
        ("typing", Push::Ephemeral(Ephemeral::Typing { conversation, user })),
        ("read", Push::Ephemeral(Ephemeral::Read { conversation, user, seq: 5 })),
        ("delivered", Push::Ephemeral(Ephemeral::Delivered { conversation, user, seq: 5 })),
        ("ping", Push::Ping),
        ("close", Push::Close(CloseCode::SUPERSEDED.into())),
    ]
}

fn replies() -> Vec<(&'static str, Result<Reply, Error>)> {
    let identity = Identity { user: user(2), device: device_id() };
    let slow = Error::new(ErrorKind::RateLimited, "too fast").retry_after(Duration::from_millis(1500));
    let welcome = Welcome {
        protocol: 1,
        features: 2,
        epoch: Epoch(u64::MAX),
        server_time: TIME,
        ping_interval: Duration::from_secs(30),
        limits: Limits {
            client_frame_bytes: 1000,
            server_frame_bytes: 2000,
            body_bytes: 500,
            in_flight: 64,
            commands: Rate { per_second: 100, burst: 500 },
            reads: Rate { per_second: 200, burst: 2000 },
        },
        session: Some(identity),
        refused: Some(Error::not_allowed()),
    };
    vec![
        ("error", Err(slow)),
        ("welcome", Ok(Reply::Welcome(Box::new(welcome)))),
        ("logged_in", Ok(Reply::LoggedIn(LoggedIn { session: identity, token: Some(Token([7; 32])) }))),
        ("pong", Ok(Reply::Pong)),
        ("done", Ok(Reply::Done)),
        ("receipt", Ok(Reply::Receipt(Receipt { seq: 7, time: TIME }))),
        (
            "sync_page",
            Ok(Reply::SyncPage(SyncPage {
                conversations: vec![SyncedConversation { state: state(), entries: entries(), more: true }],
                next: Some(inbox()),
            })),
        ),
        ("entries_page", Ok(Reply::Entries(entries()))),
        (
            "history_page",
            Ok(Reply::History(History { entries: entries(), referring: entries(), more: true })),
        ),
        ("conversation_state", Ok(Reply::Conversation(Box::new(state())))),
        (
            "devices",
            Ok(Reply::Devices(vec![DeviceInfo {
                device: device_id(),
                label: "laptop".into(),
                created: TIME,
                last_seen: TIME,
                online: true,
                current: true,
            }])),
        ),
        ("profile", Ok(Reply::Profile(profile()))),
        ("profiles", Ok(Reply::Profiles(vec![Some(profile()), None]))),
        (
            "contacts",
            Ok(Reply::Contacts(vec![Contact {
                profile: profile(),
                relation: Relation::Outgoing,
                blocked: true,
                online: Some(false),
            }])),
        ),
        ("group_created", Ok(Reply::GroupCreated(GroupCreated { group: group_id(), time: TIME }))),
        (
            "group_card",
            Ok(Reply::GroupCard(GroupCard {
                group: group_id(),
                handle: handle(),
                name: display_name(),
                description: "all things".into(),
                join: JoinPolicy::Open,
                members: 3,
            })),
        ),
        (
            "roster",
            Ok(Reply::Roster(vec![GroupMember {
                profile: profile(),
                standing: Standing::Owner,
                joined_seq: 1,
                muted_until: Some(TIME),
            }])),
        ),
    ]
}

/// Every request as a frame, header included.
pub(crate) fn client_bytes() -> Vec<(&'static str, Bytes)> {
    let encode = |(name, request): (&'static str, Request)| {
        let request_id = if name == "pong" { 0 } else { 300 };
        let mut out = BytesMut::new();
        ClientFrame { request_id, request }.encode(&mut out);
        (name, out.freeze())
    };
    requests().into_iter().map(encode).collect()
}

/// Every reply and push as a frame, header included.
pub(crate) fn server_bytes() -> Vec<(&'static str, Bytes)> {
    let replies =
        replies().into_iter().map(|(name, reply)| (name, ServerFrame::Reply { request_id: 300, reply }));
    let pushes = pushes().into_iter().map(|(name, push)| (name, ServerFrame::Push(push)));
    let encode = |(name, frame): (&'static str, ServerFrame)| {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        (name, out.freeze())
    };
    replies.chain(pushes).map(encode).collect()
}
