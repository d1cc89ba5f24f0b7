//! When connections end by themselves.

use std::time::Duration;

use chat_core::EndReason;
use chat_proto::message::{CloseCode, Push, Reply, Request, ServerFrame};
use chat_proto::server::{Ending, refuse};
use tokio::time::{Instant, sleep};

use crate::harness::{Server, direct, text};

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_and_closed_after_two_intervals() {
    let server = Server::start().await;
    let (mut peer, _) = server.join("ada").await;
    let begun = Instant::now();
    assert_eq!(peer.closed().await.code, CloseCode::SILENT);
    let intervals = begun.elapsed().as_secs_f64() / 30.0;
    assert!((2.0..3.0).contains(&intervals), "{intervals}");
}

#[tokio::test(start_paused = true)]
async fn any_frame_in_each_interval_keeps_a_connection_open() {
    let server = Server::start().await;
    let (mut peer, _) = server.join("ada").await;
    for _ in 0..10 {
        sleep(Duration::from_secs(29)).await;
        let (_, pong) = peer.frame(Request::Pong);
        peer.write(&pong).await;
    }
    assert!(matches!(peer.ask(Request::Ping).await, Ok(Reply::Pong)));
    assert!(matches!(peer.push().await, Push::Ping | Push::Entries { .. }), "the server pings too");
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_session_is_closed_in_time() {
    let server = Server::start().await;
    let mut peer = server.connect();
    let begun = Instant::now();
    peer.hello(None, None).await;
    assert_eq!(peer.closed().await.code, CloseCode::HANDSHAKE_TIMEOUT);
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn requests_before_a_session_are_few() {
    let server = Server::start().await;
    let mut peer = server.connect();
    for _ in 0..17 {
        peer.begin(Request::Ping).await;
    }
    assert_eq!(peer.closed().await.code, CloseCode::TOO_MANY_ATTEMPTS);
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_what_is_in_flight_and_asks_to_come_back() {
    let server = Server::start().await;
    let (mut ada_peer, ada) = server.join("ada").await;
    let (_bob_peer, bob) = server.join("bob").await;
    let mut idle = server.connect();
    let id = ada_peer.begin(text(1, direct(ada.session, bob.session), "hi")).await;
    // Until the request has been read.
    tokio::task::yield_now().await;
    server.stop();
    assert!(matches!(ada_peer.reply(id).await, Ok(Reply::Receipt(_))));
    for peer in [&mut ada_peer, &mut idle] {
        let close = peer.closed().await;
        assert_eq!(close.code.end_reason(), Some(EndReason::ShuttingDown));
    }
    assert!(matches!(ada_peer.leave().await, Ending::Closed(CloseCode::SHUTTING_DOWN)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stopped_sending_still_gets_its_replies() {
    let server = Server::start().await;
    let (mut ada_peer, ada) = server.join("ada").await;
    let (_bob_peer, bob) = server.join("bob").await;
    let id = ada_peer.begin(text(1, direct(ada.session, bob.session), "hi")).await;
    tokio::io::AsyncWriteExt::shutdown(&mut ada_peer.io).await.expect("half closed");
    assert!(matches!(ada_peer.reply(id).await, Ok(Reply::Receipt(_))));
    while ada_peer.next().await.is_some() {}
    assert!(matches!(ada_peer.leave().await, Ending::PeerLeft));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_turned_away_is_told_why() {
    let (mut ours, theirs) = tokio::io::duplex(1024);
    let refusing = tokio::spawn(refuse(theirs, CloseCode::OVERLOADED, Duration::from_secs(1)));
    tokio::io::AsyncWriteExt::write_all(&mut ours, b"whatever comes first").await.expect("it is read");
    let mut heard = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut ours, &mut heard).await.expect("an orderly end");
    let frame = ServerFrame::decode(heard.split_off(4).into()).expect("a frame");
    assert!(matches!(frame, ServerFrame::Push(Push::Close(close)) if close.code == CloseCode::OVERLOADED));
    refusing.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn mistakes_of_people_do_not_end_a_connection() {
    let server = Server::start().await;
    let (mut peer, _) = server.join("ada").await;
    for _ in 0..100 {
        // Finds the user with an empty name.
        peer.write(b"\x00\x00\x00\x05\x08\x07\xb2\x01\x00").await;
        let error = peer.reply(7).await.expect_err("not a name");
        assert!(error.message().starts_with("name:"), "{error}");
    }
    assert!(matches!(peer.ask(Request::Ping).await, Ok(Reply::Pong)));
}
