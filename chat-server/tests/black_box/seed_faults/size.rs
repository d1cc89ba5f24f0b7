//! 3 and 4: long names and bodies, and log-ins with much to catch up on.

use bytes::Bytes;
use chat_core::{AccountName, Body, Content, DisplayName, ErrorKind};
use chat_proto::client::Client;
use chat_proto::message::{CloseCode, Reply, Request};

use crate::clients;
use crate::connection::Connection;
use crate::requests::{PASSWORD, credentials, direct, message, registration, said, text};
use crate::server::{Installation, Kind};

stories! {
    everywhere: [
        fault_03_long_names_are_taken_up_to_the_limit_and_refused_beyond,
        fault_03_bodies_up_to_the_limit_reach_offline_users_whole,
        fault_03_a_frame_beyond_the_limit_ends_only_its_own_connection,
        fault_04_a_log_in_with_many_and_large_messages_brings_them_all,
    ];
}

async fn fault_03_long_names_are_taken_up_to_the_limit_and_refused_beyond(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let mut stranger = Connection::open(&server.address).await;
    stranger.hello(None).await;
    for (name, shown, label) in [(65, 1, 1), (10_000, 1, 1), (1, 129, 1), (1, 10_000, 1), (1, 1, 129)] {
        let mut register = registration("x");
        // As a client would that does not check.
        register.name = AccountName::from_stored("n".repeat(name));
        register.display_name = Some(DisplayName::from_stored("d".repeat(shown)));
        register.device_label = "l".repeat(label);
        let refused = stranger.enter(Request::Register(register)).await.expect_err("too long");
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{name}, {shown}, {label}");
    }
    let mut register = registration("x");
    register.name = AccountName::from_stored("n".repeat(AccountName::LIMIT_BYTES));
    register.display_name = Some(DisplayName::from_stored("d".repeat(DisplayName::LIMIT_BYTES)));
    register.device_label = "l".repeat(128);
    let name = register.name.clone();
    let logged_in = stranger.enter(Request::Register(register)).await.expect("just not too long");
    match stranger.ask(Request::FindUser(name.clone())).await {
        Ok(Reply::Profile(profile)) => {
            assert_eq!((profile.user, profile.name), (logged_in.session.user, name));
            assert_eq!(profile.display_name.as_str(), "d".repeat(DisplayName::LIMIT_BYTES));
        }
        other => panic!("a profile expected: {other:?}"),
    }
}

async fn fault_03_bodies_up_to_the_limit_reach_offline_users_whole(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (bob, bob_in) = Connection::join(&server.address, "bob").await;
    bob.leave().await;
    let conversation = direct(ada_in.session, bob_in.session);
    let limit = 64 * 1024;
    let sizes = [1, 500, 501, 1000, 1001, 1024, 1025, 4095, 65_000, limit];
    for (number, size) in (1..).zip(sizes) {
        ada.ask(text(number, conversation, "x".repeat(size))).await.expect("within the limit");
    }
    let bytes: Bytes = (0..limit).map(|at| (at % 251) as u8).collect::<Vec<_>>().into();
    let body = Body::Data { media_type: "application/octet-stream".into(), bytes };
    ada.ask(Request::Send(message(50, conversation, body.clone()))).await.expect("within the limit");
    let refused = ada.ask(text(99, conversation, "x".repeat(limit + 1))).await;
    assert_eq!(refused.expect_err("beyond the limit").kind(), ErrorKind::Invalid);

    let mut bob = Connection::resume(&server.address, bob_in.token.expect("a new device")).await;
    let mut log = bob.log(conversation).await;
    let last = log.pop().expect("the data");
    assert_eq!(last.decode_content(), Ok(Content::Message(body)));
    assert!(log.iter().map(said).eq(sizes.map(|size| "x".repeat(size))));
}

async fn fault_03_a_frame_beyond_the_limit_ends_only_its_own_connection(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (mut bob, bob_in) = Connection::join(&server.address, "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    let (_, frame) = ada.frame(text(1, conversation, "x".repeat(1 << 20)));
    // The server hangs up when it has seen the header, maybe before all is written.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut ada.stream, &frame).await;
    let mut stranger = Connection::open(&server.address).await;
    stranger.write(&(1_u32 << 20).to_be_bytes()).await;
    assert_eq!(stranger.closed().await.code, CloseCode::OVERSIZED);
    bob.ask(text(1, conversation, "still here")).await.expect("others go on");
}

async fn fault_04_a_log_in_with_many_and_large_messages_brings_them_all(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (bob, bob_in) = Connection::join(&server.address, "bob").await;
    bob.leave().await;
    let conversation = direct(ada_in.session, bob_in.session);
    let texts: Vec<String> = (1..=400_usize)
        .map(|number| {
            let filler = if number.is_multiple_of(20) { 60_000 } else { 200 };
            format!("{number} {}", "x".repeat(filler))
        })
        .collect();
    let mut sent = Vec::new();
    for (number, words) in (1..).zip(&texts) {
        sent.push(ada.begin(text(number, conversation, words)).await);
        if sent.len() == 20 {
            for _ in sent.drain(..) {
                assert!(matches!(ada.any_reply().await, (_, Ok(Reply::Receipt(_)))));
            }
        }
    }

    // By password, as somebody does who was away, and by token.
    for by_password in [true, false] {
        let (client, mut events) = if by_password {
            let connected = Client::connect(clients::config(&server.address)).await.expect("it accepts");
            connected.0.login(credentials("bob", PASSWORD)).await.expect("the password is right");
            connected
        } else {
            clients::resume(&server.address, bob_in.token.expect("a new device"), Vec::new()).await
        };
        let heard = clients::entries_to(&mut events, conversation, texts.len() as u64).await;
        assert!(heard.iter().map(said).eq(texts.iter().cloned()), "all, in order");
        client.close().await;
    }
}
