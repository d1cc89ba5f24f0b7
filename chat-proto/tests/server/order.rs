//! What may be said when.

use chat_core::{ConversationId, Credentials, Direction, Epoch, ErrorKind, Range, Sync, Token, UserId};
use chat_proto::message::{CloseCode, Hello, Push, Reply, Request, ServerFrame};
use chat_proto::server::Ending;

use crate::harness::{PASSWORD, Server, direct, login, register, text};

#[tokio::test(start_paused = true)]
async fn commands_before_log_in_are_refused() {
    let server = Server::start().await;
    let mut peer = server.connect();
    let stranger = ConversationId::Inbox(UserId::new(1).expect("an id"));
    for _ in 0..2 {
        let error = peer.ask(text(1, stranger, "hi")).await.expect_err("no session");
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    }
    let error = peer.ask(register("ada")).await.expect_err("hello comes first");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    peer.join("ada").await;
}

#[tokio::test(start_paused = true)]
async fn a_second_log_in_on_one_connection_is_refused_and_nobody_stays_online() {
    let server = Server::start().await;
    let (mut peer, ada) = server.join("ada").await;
    let mut observer = server.connect();
    observer.hello(None, None).await;
    observer.enter(login("ada", PASSWORD)).await.expect("another device");

    for request in [login("ada", PASSWORD), register("eve"), crate::harness::hello(None, None)] {
        let error = peer.ask(request).await.expect_err("there is a session");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    assert!(matches!(peer.ask(Request::Ping).await, Ok(Reply::Pong)));
    assert!(matches!(peer.leave().await, Ending::PeerLeft));
    loop {
        let Ok(Reply::Devices(devices)) = observer.ask(Request::Devices).await else { panic!("devices") };
        assert_eq!(devices.len(), 2, "the refused log-in made no device");
        let left = devices.iter().find(|device| device.device == ada.session.device).expect("its device");
        if !left.online {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_logs_in_with_the_hello() {
    let server = Server::start().await;
    let (peer, ada) = server.join("ada").await;
    assert!(matches!(peer.leave().await, Ending::PeerLeft));

    let mut peer = server.connect();
    let welcome = peer.hello(ada.token, Some(Epoch(1))).await;
    assert_eq!(welcome.session, Some(ada.session));
    assert_eq!(welcome.epoch, Epoch(1));
    assert!(matches!(peer.ask(Request::Devices).await, Ok(Reply::Devices(_))));

    // The same device again: the newer connection goes on.
    let mut newer = server.connect();
    assert_eq!(newer.hello(ada.token, None).await.session, Some(ada.session));
    assert_eq!(peer.closed().await.code, CloseCode::SUPERSEDED);
    assert!(matches!(newer.ask(Request::Ping).await, Ok(Reply::Pong)));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_leaves_the_connection_open_for_a_log_in() {
    let server = Server::start().await;
    server.join("ada").await;
    let mut peer = server.connect();
    let welcome = peer.hello(Some(Token([9; 32])), None).await;
    assert_eq!(welcome.session, None);
    assert_eq!(welcome.refused.expect("a reason").kind(), ErrorKind::Unauthenticated);
    peer.enter(login("ada", PASSWORD)).await.expect("the password is right");
}

#[tokio::test(start_paused = true)]
async fn wrong_passwords_are_few_per_connection() {
    let server = Server::with(|_| {}, |config| config.login_attempts = 3).await;
    server.join("ada").await;
    let mut peer = server.connect();
    peer.hello(None, None).await;
    for _ in 0..3 {
        let error = peer.enter(login("ada", "wrong password")).await.expect_err("wrong");
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    }
    assert_eq!(peer.closed().await.code, CloseCode::TOO_MANY_ATTEMPTS);
}

#[tokio::test(start_paused = true)]
async fn a_client_of_another_version_is_turned_away() {
    let server = Server::start().await;
    let mut peer = server.connect();
    let hello = Hello {
        protocol_min: 2,
        protocol_max: 3,
        features: 0,
        token: None,
        epoch: None,
        client: String::new(),
    };
    peer.begin(Request::Hello(hello)).await;
    assert_eq!(peer.closed().await.code, CloseCode::UNSUPPORTED_VERSION);
}

#[tokio::test(start_paused = true)]
async fn cursors_of_another_history_are_refused_until_the_client_starts_over() {
    let server = Server::start().await;
    let (peer, ada) = server.join("ada").await;
    peer.leave().await;
    let mut peer = server.connect();
    peer.hello(ada.token, Some(Epoch(99))).await;
    let inbox = ConversationId::Inbox(ada.session.user);
    let sync = |cursors: Vec<(ConversationId, u64)>| {
        Request::Sync(Sync { cursors, after: None, until: None, limit: 0, entries_limit: 0 })
    };
    let error = peer.ask(sync(vec![(inbox, 1)])).await.expect_err("another history");
    assert_eq!(error.kind(), ErrorKind::EpochChanged);
    assert!(matches!(peer.ask(sync(vec![])).await, Ok(Reply::SyncPage(_))));
    assert!(matches!(peer.ask(sync(vec![(inbox, 1)])).await, Ok(Reply::SyncPage(_))));
}

#[tokio::test(start_paused = true)]
async fn two_hundred_messages_back_to_back_all_arrive_in_order() {
    let server = Server::start().await;
    let (mut ada_peer, ada) = server.join("ada").await;
    let (mut bob_peer, bob) = server.join("bob").await;
    let conversation = direct(ada.session, bob.session);
    let mut segment = bytes::BytesMut::new();
    let mut ids = Vec::new();
    for n in 0..200 {
        let (id, frame) = ada_peer.frame(text(n, conversation, n.to_string()));
        ids.push(id);
        segment.unsplit(frame);
    }
    ada_peer.write(&segment).await;

    let (mut receipts, mut own) = (Vec::new(), Vec::new());
    while receipts.len() < 200 || own.len() < 200 {
        match ada_peer.next().await.expect("the connection goes on") {
            ServerFrame::Reply { request_id, reply: Ok(Reply::Receipt(receipt)) } => {
                receipts.push((request_id, receipt.seq));
            }
            ServerFrame::Push(Push::Entries { conversation: at, entries }) if at == conversation => {
                own.extend(entries.iter().map(|entry| entry.seq));
            }
            ServerFrame::Push(_) => {}
            other => panic!("a receipt or entries expected: {other:?}"),
        }
    }
    receipts.sort_unstable();
    assert_eq!(receipts, ids.iter().copied().zip(1..).collect::<Vec<_>>(), "seqs in the order of sending");
    assert_eq!(own, (1..=200).collect::<Vec<_>>());

    let mut heard = Vec::new();
    while heard.len() < 200 {
        if let Push::Entries { conversation: at, entries } = bob_peer.push().await
            && at == conversation
        {
            heard.extend(entries);
        }
    }
    for (n, entry) in heard.iter().enumerate() {
        let said = chat_core::Content::Message(chat_core::Body::Text(n.to_string()));
        assert_eq!(entry.decode_content(), Ok(said));
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_over_the_limit_is_refused_and_one_at_the_limit_read_back() {
    let server = Server::start().await;
    let (mut ada_peer, ada) = server.join("ada").await;
    let (_bob_peer, bob) = server.join("bob").await;
    let conversation = direct(ada.session, bob.session);
    let limit = server.engine.config().body_limit_bytes;
    let refused = ada_peer.ask(text(1, conversation, "x".repeat(limit + 1))).await;
    assert_eq!(refused.expect_err("too long").kind(), ErrorKind::Invalid);
    let sent = ada_peer.ask(text(2, conversation, "x".repeat(limit))).await;
    assert!(matches!(sent, Ok(Reply::Receipt(_))), "{sent:?}");
    let range = Range { from: 1, to: 9, direction: Direction::Forward, limit: 0, limit_bytes: 0 };
    let Ok(Reply::Entries(entries)) = ada_peer.ask(Request::Entries { conversation, range }).await else {
        panic!("entries");
    };
    assert_eq!(entries.len(), 1);
    assert!(entries[0].size_bytes() > limit);
}

#[tokio::test(start_paused = true)]
async fn log_out_is_answered_before_the_close_and_voids_the_token() {
    let server = Server::start().await;
    let (mut peer, ada) = server.join("ada").await;
    let done = peer.ask(Request::LogOut(chat_core::ClientId([5; 16]))).await;
    assert!(matches!(done, Ok(Reply::Done)), "{done:?}");
    assert_eq!(peer.closed().await.code, CloseCode::LOGGED_OUT);
    let mut peer = server.connect();
    assert!(peer.hello(ada.token, None).await.refused.is_some());
    let token = ada.token.expect("a new device");
    let error = peer.enter(Request::Login(Credentials::Token(token))).await.expect_err("void");
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
}
