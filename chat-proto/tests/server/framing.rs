//! Bytes arrive in any pieces, and any bytes arrive.

use std::sync::Arc;

use bytes::BytesMut;
use chat_core::ErrorKind;
use chat_proto::frame::{self, HANDSHAKE_FRAME_BYTES};
use chat_proto::message::{CloseCode, Reply, Request, ServerFrame};
use chat_proto::server::{ConnectionConfig, Ending, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Server, hello, register};

#[tokio::test(start_paused = true)]
async fn requests_in_one_segment_are_all_answered() {
    let server = Server::start().await;
    let mut peer = server.connect();
    let requests = [hello(None, None), register("ada"), Request::Devices, Request::Ping];
    let mut segment = BytesMut::new();
    let ids = requests.map(|request| {
        let (id, frame) = peer.frame(request);
        segment.unsplit(frame);
        id
    });
    peer.write(&segment).await;
    assert!(matches!(peer.reply(ids[0]).await, Ok(Reply::Welcome(_))));
    assert!(matches!(peer.reply(ids[1]).await, Ok(Reply::LoggedIn(_))));
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        if let Some(ServerFrame::Reply { request_id, reply }) = peer.next().await {
            kinds.push((request_id, reply.expect("carried out")));
        }
    }
    kinds.sort_by_key(|kind| kind.0);
    assert!(matches!(&kinds[..], [(_, Reply::Devices(_)), (_, Reply::Pong)]), "{kinds:?}");
}

#[tokio::test]
async fn a_request_in_a_hundred_segments_is_answered_over_tcp() {
    let server = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut peer = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
    peer.set_nodelay(true).expect("a TCP option");
    let (accepted, _) = listener.accept().await.expect("a connection");
    let config = Arc::new(ConnectionConfig::default());
    let serving = tokio::spawn(serve(accepted, server.engine.clone(), config, std::future::pending()));

    let mut bytes = server.connect().frame(hello(None, None)).1;
    let mut padded = BytesMut::new();
    frame::put(&mut padded, |out| {
        out.extend_from_slice(&bytes.split_off(4));
        // A field of a newer version, to fill a hundred segments.
        out.extend_from_slice(&[0xc2, 0x3e, 80]);
        out.extend_from_slice(&[b'x'; 80]);
    });
    assert!(padded.len() >= 100);
    for byte in padded {
        peer.write_all(&[byte]).await.expect("the server reads");
        tokio::task::yield_now().await;
    }
    let mut received = BytesMut::new();
    let payload = loop {
        if let Some(payload) = frame::take(&mut received, 1 << 20).expect("within the limit") {
            break payload;
        }
        assert_ne!(peer.read_buf(&mut received).await.expect("readable"), 0);
    };
    let frame = ServerFrame::decode(payload).expect("a frame");
    assert!(matches!(frame, ServerFrame::Reply { request_id: 1, reply: Ok(Reply::Welcome(_)) }));
    drop(peer);
    assert!(matches!(serving.await.expect("no panic"), Ending::PeerLeft));
}

#[tokio::test(start_paused = true)]
async fn junk_is_answered_by_a_close() {
    let server = Server::start().await;
    let (mut bystander, _) = server.join("bystander").await;
    for junk in [&b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n"[..], b"{\"msgid\":1}\n{\"msgid\":2}", &[0xff; 5000]]
    {
        let mut peer = server.connect();
        peer.write(junk).await;
        assert_eq!(peer.closed().await.code, CloseCode::OVERSIZED);
        // The server hears it out for a while: hanging up at once could take the close from the peer.
        peer.write(junk).await;
        assert!(matches!(peer.leave().await, Ending::Closed(CloseCode::OVERSIZED)));
    }
    assert!(matches!(bystander.ask(Request::Ping).await, Ok(Reply::Pong)));
}

#[tokio::test(start_paused = true)]
async fn a_lone_newline_or_half_a_frame_ends_quietly_with_the_peer() {
    let server = Server::start().await;
    for bytes in [&b"\n"[..], b"\x00\x00\x00\x10half", b""] {
        let mut peer = server.connect();
        peer.write(bytes).await;
        assert!(matches!(peer.leave().await, Ending::PeerLeft));
    }
}

#[tokio::test(start_paused = true)]
async fn frames_are_small_before_log_in_and_within_the_limit_after_it() {
    let server = Server::start().await;
    let mut peer = server.connect();
    peer.write(&u32::try_from(HANDSHAKE_FRAME_BYTES + 1).expect("small").to_be_bytes()).await;
    assert_eq!(peer.closed().await.code, CloseCode::OVERSIZED);

    let mut peer = server.connect();
    let limits = peer.hello(None, None).await.limits;
    peer.enter(register("ada")).await.expect("a new account");
    assert!(limits.client_frame_bytes > HANDSHAKE_FRAME_BYTES);
    // All within the limit, and nonsense: answered, and the connection goes on.
    let mut longest = BytesMut::new();
    frame::put(&mut longest, |out| out.resize(out.len() + limits.client_frame_bytes, 0));
    peer.write(&longest).await;
    assert_eq!(peer.reply(0).await.expect_err("nonsense").kind(), ErrorKind::Invalid);
    assert!(matches!(peer.ask(Request::Ping).await, Ok(Reply::Pong)));
    peer.write(&u32::try_from(limits.client_frame_bytes + 1).expect("small").to_be_bytes()).await;
    assert_eq!(peer.closed().await.code, CloseCode::OVERSIZED);
}

#[tokio::test(start_paused = true)]
async fn well_framed_nonsense_is_answered_and_a_flood_of_it_closed() {
    let server = Server::with(|_| {}, |config| config.malformed_frames = 8).await;
    let (mut peer, _) = server.join("ada").await;
    for n in 1..=8 {
        peer.write(b"\x00\x00\x00\x03\x08\x07\xff").await;
        let error = peer.reply(7).await.expect_err("nonsense");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        if n < 8 {
            assert!(matches!(peer.ask(Request::Ping).await, Ok(Reply::Pong)));
        }
    }
    assert_eq!(peer.closed().await.code, CloseCode::MALFORMED);
}
