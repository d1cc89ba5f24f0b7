//! 6, 7 and 8: what is text stays text, nobody acts as another, and nothing reaches whom it may not.

use chat_core::{
    AccountName, Body, ContactAction, Content, ConversationId, CreateGroup, DeviceId, DisplayName, Entry,
    Error, ErrorKind, GroupAction, GroupId, Handle, LeftMessages, Outgoing, Password, Token, UserId,
};
use chat_proto::message::{LoggedIn, Reply, Request};

use crate::connection::Connection;
use crate::requests::{
    PASSWORD, credentials, direct, entries, group_of, id, login, message, range, register, registration,
    said, sync, text,
};
use crate::server::{Installation, Kind};

stories! {
    everywhere: [
        fault_06_whatever_a_message_says_is_stored_literally,
        fault_06_names_labels_and_notes_are_stored_literally_or_refused,
        fault_07_neither_store_nor_log_holds_a_password_or_token,
        fault_07_every_command_before_log_in_is_refused,
        fault_07_nobody_reads_or_acts_as_another,
        fault_08_nobody_writes_to_whom_or_where_they_may_not,
    ];
}

/// Texts that mean something to SQL, to C, to terminals or to templates.
const HOSTILE: [&str; 10] = [
    "it's",
    "'); INSERT INTO log VALUES (1); --",
    "\" OR \"\"=\"",
    "\\' \\x00 \\",
    "%s %n %d {} ${x} `id`",
    "\u{4f60}\u{597d} \u{1d11e} e\u{301} \u{1f680}",
    "\u{1f469}\u{200d}\u{1f680}",
    "a\0b",
    "line\r\nline\tand \u{1b}[31m",
    "\u{202e}backwards",
];

/// Without what names do not admit (RFC 8264): control characters, and marks that join characters or
/// turn the direction of writing.
fn is_plain(text: &str) -> bool {
    !text.chars().any(|char| char.is_control() || matches!(char, '\u{200d}' | '\u{202e}'))
}

/// Whether it was stored; if not, it must have been refused as it stands.
fn is_stored(answer: Result<Reply, Error>, text: &str) -> bool {
    match answer {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text:?}");
            assert!(!is_plain(text), "{text:?} is a text like any other: {error}");
            false
        }
    }
}

async fn fault_06_whatever_a_message_says_is_stored_literally(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (bob, bob_in) = Connection::join(&server.address, "bob").await;
    let (mut carol, _) = Connection::join(&server.address, "carol").await;
    bob.leave().await;
    let conversation = direct(ada_in.session, bob_in.session);
    for (number, words) in (1..).zip(HOSTILE) {
        ada.ask(text(number, conversation, words)).await.expect("any text can be said");
        let body = Body::Data { media_type: "application/x-'--".into(), bytes: words.into() };
        ada.ask(Request::Send(message(100 + number, conversation, body))).await.expect("any bytes too");
    }
    drop(server);
    let server = installation.start();
    let mut bob = Connection::resume(&server.address, bob_in.token.expect("a new device")).await;
    let log = bob.log(conversation).await;
    assert_eq!(log.len(), 2 * HOSTILE.len());
    for (pair, words) in log.chunks(2).zip(HOSTILE) {
        assert_eq!(said(&pair[0]), words);
        let data = Body::Data { media_type: "application/x-'--".into(), bytes: words.into() };
        assert_eq!(pair[1].decode_content(), Ok(Content::Message(data)));
    }
    assert!(carol.next().await.is_none(), "the first server is gone");
    let mut carol = Connection::open(&server.address).await;
    carol.hello(None).await;
    carol.enter(login("carol")).await.expect("the accounts are all there");
    match carol.ask(sync()).await {
        Ok(Reply::SyncPage(page)) => {
            let places: Vec<_> = page.conversations.iter().map(|one| one.state.conversation).collect();
            assert!(matches!(places[..], [ConversationId::Inbox(_)]), "nobody wrote to carol: {places:?}");
        }
        other => panic!("a page expected: {other:?}"),
    }
}

async fn fault_06_names_labels_and_notes_are_stored_literally_or_refused(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, _) = Connection::join(&server.address, "ada").await;
    for (number, words) in (1..).zip(HOSTILE) {
        let name = format!("user{number}");
        let mut other = Connection::open(&server.address).await;
        other.hello(None).await;

        let mut command = registration(&name);
        command.name = AccountName::from_stored(format!("{name}{words}"));
        let refused = other.enter(Request::Register(command)).await.expect_err("no account name");
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{words:?}");
        let mut command = registration(&name);
        command.device_label = words.into();
        let mut answer = other.enter(Request::Register(command)).await;
        if !is_stored(answer.clone().map(Reply::LoggedIn), words) {
            answer = other.enter(register(&name)).await;
        }
        let user = answer.expect("a new account").session.user;
        match other.ask(Request::Devices).await {
            Ok(Reply::Devices(devices)) => assert!([words, "test"].contains(&&*devices[0].label)),
            answer => panic!("devices expected: {answer:?}"),
        }

        let shown = DisplayName::from_stored(words);
        let change = Request::ChangeDisplayName { client_id: id(number), name: shown };
        if is_stored(other.ask(change).await, words) {
            let profile = ada.ask(Request::Profiles(vec![user])).await;
            let Ok(Reply::Profiles(profiles)) = profile else { panic!("profiles expected: {profile:?}") };
            let stored = profiles[0].as_ref().map(|profile| profile.display_name.as_str().to_owned());
            let normal = DisplayName::parse(words).map(|name| name.as_str().to_owned());
            assert_eq!(stored, normal.ok(), "{words:?}");
        }

        let action = ContactAction::Request { note: words.into() };
        let request = Request::Contact { client_id: id(1000 + number), user, action };
        if is_stored(ada.ask(request).await, words) {
            let inbox = other.log(ConversationId::Inbox(user)).await;
            let note = inbox.iter().rev().find_map(|entry| match entry.decode_content() {
                Ok(Content::Contact { note, .. }) => Some(note),
                _ => None,
            });
            assert_eq!(note.as_deref(), Some(words));
        }

        let conversation = described_group(&mut ada, 2000 + number, words).await;
        let Some(conversation) = conversation else { continue };
        match ada.ask(Request::Conversation(conversation)).await {
            Ok(Reply::Conversation(state)) => {
                let profile = state.group.expect("a group").profile;
                assert_eq!(profile.description, words);
                assert_eq!(profile.handle.expect("it has one").as_str(), format!("group{number}"));
            }
            answer => panic!("a state expected: {answer:?}"),
        }
        let sent = ada.ask(text(3000 + number, conversation, "hi")).await;
        let Ok(Reply::Receipt(sent)) = sent else { panic!("a receipt expected: {sent:?}") };
        let mut reaction = message(4000 + number, conversation, Body::Text("".into()));
        reaction.message = Outgoing::Reaction { target: sent.seq, symbol: words.into(), set: true };
        if is_stored(ada.ask(Request::Send(reaction)).await, words) {
            let log = ada.log(conversation).await;
            let content = log.last().map(Entry::decode_content);
            assert_eq!(content, Some(Ok(Content::Reaction { symbol: words.into(), set: true })));
        }
    }
}

/// A group with this description, `None` when it was refused.
async fn described_group(ada: &mut Connection, number: u64, words: &str) -> Option<ConversationId> {
    let mut create = group_of(number, Vec::new());
    create.profile.description = words.into();
    create.profile.handle = Some(Handle::from_stored(format!("group{}", number - 2000)));
    match ada.ask(Request::CreateGroup(create)).await {
        Ok(Reply::GroupCreated(created)) => Some(ConversationId::Group(created.group)),
        answer => {
            assert!(!is_stored(answer, words));
            None
        }
    }
}

async fn fault_07_neither_store_nor_log_holds_a_password_or_token(kind: Kind) {
    let installation = Installation::with(kind, &[("CHAT_LOG", "trace")]).await;
    let server = installation.start();
    let mut ada = Connection::open(&server.address).await;
    ada.hello(None).await;
    let (first, second) = ("first-Zx9-passphrase", "second-Qw7-passphrase");
    let mut command = registration("ada");
    command.password = Password::new(first);
    command.device_label = "label-of-the-device".into();
    let token = ada.enter(Request::Register(command)).await.expect("a new account").token;
    let (current, new) = (Password::new(first), Password::new(second));
    ada.ask(Request::ChangePassword { client_id: id(1), current, new }).await.expect("changed");
    let refused = Connection::open(&server.address).await.enter_after_hello("ada", first).await;
    assert_eq!(refused.expect_err("the old one").kind(), ErrorKind::Unauthenticated);
    Connection::open(&server.address).await.enter_after_hello("ada", second).await.expect("the new one");
    let token = token.expect("a new device").0;
    let hex: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    let check = || {
        let log = installation.log();
        assert!(log.contains("DEBUG"), "much is logged");
        for secret in [first.as_bytes(), second.as_bytes(), &token, hex.as_bytes()] {
            assert!(!installation.holds(secret), "in the store: {}", secret.escape_ascii());
            assert!(!log.as_bytes().windows(secret.len()).any(|window| window == secret), "in the log");
        }
    };
    check();
    server.stop().await;
    check();
    assert!(installation.holds(b"label-of-the-device"), "this is how it would be found");
}

impl Connection {
    async fn enter_after_hello(mut self, name: &str, password: &str) -> Result<LoggedIn, Error> {
        self.hello(None).await;
        self.enter(Request::Login(credentials(name, password))).await
    }
}

/// Every command of a session, about somebody else's things.
fn commands(of: ConversationId, user: UserId, device: DeviceId, group: GroupId) -> Vec<Request> {
    let name = AccountName::parse("ada").expect("a name");
    let (client_id, password) = (id(5), Password::new(PASSWORD));
    vec![
        text(1, of, "hi"),
        Request::MarkRead { conversation: of, seq: 1 },
        Request::MarkDelivered(vec![(of, 1)]),
        Request::Typing(of),
        sync(),
        entries(of, 1, 9),
        Request::History { conversation: of, range: range(1, 9) },
        Request::Conversation(of),
        Request::LogOut(client_id),
        Request::ChangePassword { client_id, current: password.clone(), new: Password::new("long enough") },
        Request::ChangeDisplayName { client_id, name: DisplayName::parse("x").expect("a name") },
        Request::DeleteAccount { client_id, password, left: LeftMessages::Redact },
        Request::Devices,
        Request::RevokeDevice { client_id, device },
        Request::FindUser(name),
        Request::Profiles(vec![user]),
        Request::Contact { client_id, user, action: ContactAction::Request { note: String::new() } },
        Request::Contacts { after: None, limit: 10 },
        Request::CreateGroup(CreateGroup { client_id, ..group_of(5, vec![user]) }),
        Request::FindGroup(Handle::parse("handle").expect("a handle")),
        Request::Group { client_id, group, action: GroupAction::Join },
        Request::Roster { group, standing: None, after: None, limit: 10 },
    ]
}

async fn fault_07_every_command_before_log_in_is_refused(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (_bob, bob_in) = Connection::join(&server.address, "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    ada.ask(text(1, conversation, "hi")).await.expect("sent");
    let group = GroupId::new(1).expect("an id");
    let all = || commands(conversation, bob_in.session.user, ada_in.session.device, group);
    for greeted in [false, true] {
        for command in all() {
            let shown = format!("{command:?}");
            let mut stranger = Connection::open(&server.address).await;
            if greeted {
                stranger.hello(None).await;
            }
            let refused = stranger.ask(command).await.expect_err(&shown);
            assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{shown}");
        }
    }
    let mut stranger = Connection::open(&server.address).await;
    let refused = stranger.hello(Some(Token([7; 32]))).await.refused.expect("nobody's token");
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated);
    let guesses = [("ada", "wrong password"), ("nobody", PASSWORD), ("ada", ""), ("ada", "' OR ''='")];
    let mut answers = Vec::new();
    for (name, password) in guesses {
        let refused = stranger.enter(Request::Login(credentials(name, password))).await.expect_err("a guess");
        answers.push((refused.kind(), refused.message().to_owned()));
    }
    answers.dedup();
    assert!(matches!(answers[..], [(ErrorKind::Unauthenticated, _)]), "one answer for all: {answers:?}");
    assert_eq!(ada.log(conversation).await.len(), 1);
}

async fn fault_07_nobody_reads_or_acts_as_another(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (_bob, bob_in) = Connection::join(&server.address, "bob").await;
    let (mut mallory, mallory_in) = Connection::join(&server.address, "mallory").await;
    let conversation = direct(ada_in.session, bob_in.session);
    ada.ask(text(1, conversation, "secret")).await.expect("sent");
    let created = ada.ask(Request::CreateGroup(group_of(2, vec![bob_in.session.user]))).await;
    let Ok(Reply::GroupCreated(created)) = created else { panic!("a group expected: {created:?}") };
    let group = ConversationId::Group(created.group);
    ada.ask(text(3, group, "secret")).await.expect("sent");

    let inbox = ConversationId::Inbox(ada_in.session.user);
    for place in [conversation, group, inbox] {
        for command in [
            text(1, place, "not from ada"),
            Request::MarkRead { conversation: place, seq: 1 },
            Request::MarkDelivered(vec![(place, 1)]),
            Request::Typing(place),
            entries(place, 1, 9),
            Request::History { conversation: place, range: range(1, 9) },
            Request::Conversation(place),
        ] {
            refused(&mut mallory, command).await;
        }
    }
    let device = ada_in.session.device;
    refused(&mut mallory, Request::RevokeDevice { client_id: id(9), device }).await;
    let roster = Request::Roster { group: created.group, standing: None, after: None, limit: 10 };
    refused(&mut mallory, roster).await;
    for action in [
        GroupAction::Join,
        GroupAction::Leave,
        GroupAction::Add(vec![mallory_in.session.user]),
        GroupAction::Remove(bob_in.session.user),
        GroupAction::Transfer(mallory_in.session.user),
        GroupAction::Dissolve,
        GroupAction::AcceptInvitation,
    ] {
        refused(&mut mallory, Request::Group { client_id: id(10), group: created.group, action }).await;
    }

    let (log, messages) = (ada.log(conversation).await, ada.log(group).await);
    assert!(log.iter().chain(&messages).all(|entry| entry.sender == ada_in.session.user));
    match ada.ask(Request::Conversation(conversation)).await {
        Ok(Reply::Conversation(state)) => {
            assert_eq!(state.peer.expect("a peer").delivered, 0, "bob has confirmed nothing");
        }
        other => panic!("a state expected: {other:?}"),
    }
    let mut again = Connection::open(&server.address).await;
    assert!(again.hello(ada_in.token).await.session.is_some(), "the device is still ada's");
}

async fn refused(connection: &mut Connection, command: Request) {
    let shown = format!("{command:?}");
    match connection.ask(command).await {
        Err(error) if error.kind() == ErrorKind::NotAllowed => {}
        answer => panic!("{shown} was answered with {answer:?}"),
    }
}

async fn fault_08_nobody_writes_to_whom_or_where_they_may_not(kind: Kind) {
    let installation = Installation::with(kind, &[("CHAT_MESSAGES_WRITING", "contacts_only")]).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (mut bob, bob_in) = Connection::join(&server.address, "bob").await;
    let (user, ada_user) = (bob_in.session.user, ada_in.session.user);
    let nobody = UserId::new(4711).expect("an id");
    let no_group = GroupId::new(4711).expect("an id");
    let to = |user| ConversationId::direct(ada_user, user).expect("two users");
    for (number, place) in (1..).zip([to(nobody), to(user), ConversationId::Group(no_group)]) {
        refused(&mut ada, text(number, place, "hi")).await;
    }
    refused(&mut ada, Request::CreateGroup(group_of(10, vec![nobody]))).await;
    refused(&mut ada, Request::CreateGroup(group_of(11, vec![user]))).await;
    let join = Request::Group { client_id: id(12), group: no_group, action: GroupAction::Join };
    refused(&mut ada, join).await;
    let action = ContactAction::Request { note: String::new() };
    refused(&mut ada, Request::Contact { client_id: id(13), user: nobody, action }).await;
    let action = ContactAction::Accept;
    refused(&mut ada, Request::Contact { client_id: id(14), user, action }).await;
    // Nothing of it reached bob.
    match bob.ask(sync()).await {
        Ok(Reply::SyncPage(page)) => {
            assert_eq!(page.conversations.len(), 1, "the inbox: {page:?}");
            assert_eq!(page.conversations[0].state.head, 2, "the account and its device");
        }
        other => panic!("a page expected: {other:?}"),
    }
}
