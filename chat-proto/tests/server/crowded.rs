//! What many connections may hold together.

use chat_core::{Direction, ErrorKind, Range};
use chat_proto::message::{CloseCode, Reply, Request};
use chat_proto::server::Ending;

use crate::harness::{Server, direct, register, text};

fn page() -> Range {
    Range { from: 1, to: u64::MAX >> 11, direction: Direction::Forward, limit: 500, limit_bytes: 256 * 1024 }
}

#[tokio::test(start_paused = true)]
async fn who_waits_longest_for_a_session_makes_room_for_who_comes() {
    let server = Server::with(|_| {}, |config| config.unauthenticated = 2).await;
    let (mut longest, mut second) = (server.connect(), server.connect());
    longest.hello(None, None).await;
    second.hello(None, None).await;
    let mut third = server.connect();
    third.hello(None, None).await;
    assert_eq!(longest.closed().await.code, CloseCode::OVERLOADED);
    // Whoever has a session needs no such place.
    second.enter(register("ada")).await.expect("a new account");
    third.enter(register("bob")).await.expect("a new account");
    let (mut fourth, mut fifth) = (server.connect(), server.connect());
    fourth.hello(None, None).await;
    fifth.hello(None, None).await;
    for (peer, name) in [(&mut fourth, "carol"), (&mut fifth, "dan")] {
        peer.enter(register(name)).await.expect("a new account");
    }
    assert!(matches!(second.ask(Request::Ping).await, Ok(Reply::Pong)));
}

#[tokio::test(start_paused = true)]
async fn the_middle_of_a_long_frame_is_not_kept_where_no_more_may_wait() {
    let server = Server::with(|_| {}, |config| config.buffer_bytes = 88 * 1024).await;
    let (mut ada, ada_in) = server.join("ada").await;
    let (mut bob, bob_in) = server.join("bob").await;
    let (mut first, _) = server.join("first").await;
    let (mut second, _) = server.join("second").await;
    let conversation = direct(ada_in.session, bob_in.session);
    let (_, long) = first.frame(text(1, conversation, "x".repeat(60_000)));
    first.write(&long[..40_000]).await;
    assert!(matches!(ada.ask(Request::Ping).await, Ok(Reply::Pong)));
    second.write(&long[..40_000]).await;
    assert_eq!(second.closed().await.code, CloseCode::OVERLOADED);
    // What arrives as a whole waits for nothing, and a short one may come in parts.
    assert!(matches!(
        ada.ask(text(2, conversation, "y".repeat(60_000))).await,
        Ok(Reply::Receipt(receipt)) if receipt.seq == 1
    ));
    let (sent, short) = bob.frame(text(3, conversation, "z".repeat(2_000)));
    for part in short.chunks(700) {
        bob.write(part).await;
        assert!(matches!(ada.ask(Request::Ping).await, Ok(Reply::Pong)));
    }
    assert!(matches!(bob.reply(sent).await, Ok(Reply::Receipt(receipt)) if receipt.seq == 2));
}

#[tokio::test(start_paused = true)]
async fn whoever_holds_on_to_a_long_frame_makes_room_in_time() {
    let server = Server::with(|_| {}, |config| config.buffer_bytes = 42 * 1024).await;
    let (mut ada, ada_in) = server.join("ada").await;
    let conversation = chat_core::ConversationId::Inbox(ada_in.session.user);
    let (asked, long) = ada.frame(text(1, conversation, "x".repeat(60_000)));
    ada.write(&long[..30_000]).await;
    let (mut bob, _) = server.join("bob").await;
    bob.write(&long[..3_000]).await;
    // The next tick finds that there is no room, and who takes it.
    assert_eq!(ada.closed().await.code, CloseCode::OVERLOADED);
    bob.write(&long[3_000..]).await;
    assert!(matches!(bob.reply(asked).await, Err(error) if error.kind() == ErrorKind::NotAllowed));
}

#[tokio::test(start_paused = true)]
async fn while_too_much_waits_pages_are_refused_and_messages_go_on() {
    let server = Server::with(|_| {}, |config| config.buffer_bytes = 88 * 1024).await;
    let (mut ada, ada_in) = server.join("ada").await;
    let (_, bob_in) = server.join("bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    for number in 1..=4 {
        ada.ask(text(number, conversation, "x".repeat(50_000))).await.expect("sent");
    }
    let mut stuck = server.connect_through(1024);
    stuck.hello(bob_in.token, None).await;
    stuck.begin(Request::Entries { conversation, range: page() }).await;
    assert!(matches!(ada.ask(Request::Ping).await, Ok(Reply::Pong)));

    let refused = ada.ask(Request::Entries { conversation, range: page() }).await.expect_err("no room");
    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    let delay = refused.retry_delay().expect("it says when to ask again");
    assert!(matches!(ada.ask(text(5, conversation, "meanwhile")).await, Ok(Reply::Receipt(_))));
    // Whoever has read nothing for a second is closed.
    let begun = tokio::time::Instant::now();
    let page = loop {
        tokio::time::sleep(delay).await;
        match ada.ask(Request::Entries { conversation, range: page() }).await {
            Ok(Reply::Entries(page)) => break page,
            other => assert!(matches!(other, Err(error) if error.kind() == ErrorKind::Overloaded)),
        }
    };
    assert_eq!(page.len(), 5);
    assert!(begun.elapsed() <= 2 * delay, "{:?}", begun.elapsed());
    assert!(matches!(stuck.leave().await, Ending::Closed(CloseCode::SLOW_READER)));
}

#[tokio::test(start_paused = true)]
async fn strangers_take_no_room_from_users() {
    let server = Server::with(|_| {}, |config| config.buffer_bytes = 64 * 1024).await;
    let (mut ada, ada_in) = server.join("ada").await;
    let inbox = chat_core::ConversationId::Inbox(ada_in.session.user);
    let mut piece = vec![0; 16 * 1024];
    piece[2] = 0x40;
    let mut strangers = Vec::new();
    for _ in 0..8 {
        let mut stranger = server.connect();
        stranger.write(&piece).await;
        strangers.push(stranger);
    }
    let page = ada.ask(Request::Entries { conversation: inbox, range: page() }).await;
    assert!(matches!(page, Ok(Reply::Entries(_))), "{page:?}");
    // A quarter of the room is theirs, which one of them fills; the others are told.
    for mut stranger in strangers.drain(1..) {
        assert_eq!(stranger.closed().await.code, CloseCode::OVERLOADED);
    }
}
