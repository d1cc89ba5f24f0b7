//! When connections end by themselves.

use std::time::Duration;

use chat_core::EndReason;
use chat_proto::message::{CloseCode, Push, Reply, Request};
use chat_proto::server::Ending;
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
