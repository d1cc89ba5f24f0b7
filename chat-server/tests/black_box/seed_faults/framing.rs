//! 1 and 2: bytes that make no sense, and bytes that arrive in any pieces.

use bytes::{BufMut, BytesMut};
use chat_proto::frame;
use chat_proto::message::{Push, Reply, Request, ServerFrame};
use tokio::io::AsyncWriteExt;

use crate::connection::Connection;
use crate::requests::{direct, hello, id, register, said, text};
use crate::server::{Installation, Kind};

stories! {
    everywhere: [
        fault_01_malformed_input_ends_only_its_own_connection,
        fault_01_a_request_with_any_part_missing_or_changed_harms_nobody,
        fault_02_coalesced_requests_are_all_answered,
        fault_02_a_request_in_a_hundred_segments_is_one_request,
    ];
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame::put(&mut out, |out| out.put_slice(payload));
    out.to_vec()
}

/// What came in on the earlier system's port, and what scanners send to any port.
fn nonsense() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = vec![
        b"junk".to_vec(),
        b"\n".to_vec(),
        b"{\"msgid\":1,\"id\":22,\"password\":\"123456\"}{\"msgid\":3,\"id\":22}".to_vec(),
        b"{\"msgid\":6,\"toid\":13".to_vec(),
        b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        vec![0; 4096],
        vec![0xff; 4096],
        u32::MAX.to_be_bytes().to_vec(),
        framed(b"").repeat(100),
        framed(b"{\"msgid\":1}"),
        // An id only; a request of no known kind; a text where a number belongs.
        framed(b"\x08\x07"),
        framed(b"\x08\x07\xfa\x7f\x00"),
        framed(b"\x0a\x03abc"),
    ];
    // Everything of a good greeting and a good registration but the end.
    let mut peer = BytesMut::new();
    for request in [hello(None), register("nobody")] {
        chat_proto::message::ClientFrame { request_id: 1, request }.encode(&mut peer);
    }
    let (whole, header) = (peer.freeze(), frame::HEADER_BYTES);
    all.extend((1..whole.len()).step_by(7).map(|cut| whole[..cut].to_vec()));
    all.extend((header..header + 8).map(|cut| framed(&whole[header..cut])));
    all
}

async fn fault_01_malformed_input_ends_only_its_own_connection(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (mut bob, bob_in) = Connection::join(&server.address, "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    for (number, bytes) in (1..).zip(nonsense()) {
        let mut stranger = Connection::open(&server.address).await;
        stranger.write(&bytes).await;
        // The server may have hung up already.
        let _ = stranger.stream.shutdown().await;
        while let Some(frame) = stranger.next().await {
            let refused = matches!(
                frame,
                ServerFrame::Reply { reply: Err(_) | Ok(Reply::Welcome(_)), .. }
                    | ServerFrame::Push(Push::Close(_))
            );
            assert!(refused, "{bytes:02x?} was answered with {frame:?}");
        }
        ada.ask(text(number, conversation, number.to_string())).await.expect("others go on");
        assert_eq!(said(&bob.entries(conversation, 1).await[0]), number.to_string());
    }
}

async fn fault_01_a_request_with_any_part_missing_or_changed_harms_nobody(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (bob, bob_in) = Connection::join(&server.address, "bob").await;
    bob.leave().await;
    let conversation = direct(ada_in.session, bob_in.session);
    let mut mallory = Connection::resume(&server.address, bob_in.token.expect("a new device")).await;
    let (_, good) = mallory.frame(text(9, conversation, "hi"));
    let good = &good[frame::HEADER_BYTES..];
    let cuts = (0..good.len()).map(|cut| good[..cut].to_vec());
    let changes = (0..good.len()).flat_map(|at| {
        [0x01_u8, 0x08, 0x80].map(|bit| {
            let mut changed = good.to_vec();
            changed[at] ^= bit;
            changed
        })
    });
    for payload in cuts.chain(changes) {
        mallory.write(&framed(&payload)).await;
        let (ping, frame) = mallory.frame(Request::Ping);
        mallory.write(&frame).await;
        // The connection goes on, or says why it does not.
        loop {
            match mallory.next().await {
                Some(ServerFrame::Reply { request_id, reply: Ok(Reply::Pong) }) if request_id == ping => {
                    break;
                }
                Some(ServerFrame::Push(Push::Close(_))) => {
                    assert!(mallory.next().await.is_none(), "nothing follows a close");
                    mallory = Connection::resume(&server.address, bob_in.token.expect("a new device")).await;
                    break;
                }
                Some(_) => {}
                None => panic!("a close is said: {payload:02x?}"),
            }
        }
    }
    ada.ask(text(1, conversation, "still here")).await.expect("others go on");
}

async fn fault_02_coalesced_requests_are_all_answered(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let mut ada = Connection::open(&server.address).await;
    let (first, mut segment) = ada.frame(hello(None));
    let (second, register) = ada.frame(register("ada"));
    segment.unsplit(register);
    ada.write(&segment).await;
    assert!(matches!(ada.reply(first).await, Ok(Reply::Welcome(_))));
    let Ok(Reply::LoggedIn(ada_in)) = ada.reply(second).await else { panic!("a new account") };
    let (mut bob, bob_in) = Connection::join(&server.address, "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);

    let mut segment = BytesMut::new();
    let mut expected = Vec::new();
    for number in 1..=200 {
        let (id, frame) = ada.frame(text(number, conversation, number.to_string()));
        segment.unsplit(frame);
        expected.push((id, number));
    }
    ada.write(&segment).await;
    let mut receipts = Vec::new();
    while receipts.len() < 200 {
        match ada.any_reply().await {
            (id, Ok(Reply::Receipt(receipt))) => receipts.push((id, receipt.seq)),
            other => panic!("a receipt expected: {other:?}"),
        }
    }
    receipts.sort_unstable();
    assert_eq!(receipts, expected, "stored in the order of sending");
    let heard: Vec<_> = bob.entries(conversation, 200).await.iter().map(said).collect();
    assert_eq!(heard, (1..=200).map(|number| number.to_string()).collect::<Vec<_>>());
}

async fn fault_02_a_request_in_a_hundred_segments_is_one_request(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (mut bob, bob_in) = Connection::join(&server.address, "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    let long = "long ".repeat(40);
    let (sent, frame) = ada.frame(text(1, conversation, &long));
    for part in frame.chunks(frame.len().div_ceil(100)) {
        ada.write(part).await;
        // A round trip of another connection lets the server see the part by itself.
        bob.ask(Request::Ping).await.expect("a pong");
    }
    assert!(matches!(ada.reply(sent).await, Ok(Reply::Receipt(_))));
    assert_eq!(said(&bob.entries(conversation, 1).await[0]), long);
    let log = ada.log(conversation).await;
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].client_id, Some(id(1)));
}
