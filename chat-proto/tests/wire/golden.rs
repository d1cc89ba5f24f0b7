//! The bytes of every frame, as they are for ever.

use std::fmt::Write;

use bytes::{Bytes, BytesMut};
use chat_core::Chunk;
use chat_proto::message::{ClientFrame, Rejected, ServerFrame, chunk_frames};

use crate::samples;
use crate::schema::{WRITE, manifest};

fn dump() -> String {
    let mut out = String::new();
    for (side, frames) in [("client", samples::client_bytes()), ("server", samples::server_bytes())] {
        for (name, bytes) in frames {
            write!(out, "{side} {name} ").expect("strings take everything");
            bytes.iter().for_each(|byte| write!(out, "{byte:02x}").expect("strings take everything"));
            out.push('\n');
        }
    }
    out
}

#[test]
fn bytes_of_every_frame_do_not_change() {
    let path = manifest().join("tests/wire/golden.txt");
    let dump = dump();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &dump).expect("a writable source tree");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    for (golden, now) in golden.lines().zip(dump.lines()) {
        assert_eq!(golden, now);
    }
    assert_eq!(golden.lines().count(), dump.lines().count());
}

#[test]
fn every_frame_reads_back_and_writes_the_same_bytes() {
    for (name, bytes) in samples::client_bytes() {
        let mut again = BytesMut::new();
        ClientFrame::decode(bytes.slice(4..)).expect(name).encode(&mut again);
        assert_eq!(bytes, again, "{name}");
    }
    for (name, bytes) in samples::server_bytes() {
        let mut again = BytesMut::new();
        ServerFrame::decode(bytes.slice(4..)).expect(name).encode(&mut again);
        assert_eq!(bytes, again, "{name}");
    }
}

#[test]
fn truncated_frames_are_refused_or_shorter_and_never_panic() {
    for (_, bytes) in samples::client_bytes() {
        for cut in 4..bytes.len() {
            let _refused = ClientFrame::decode(bytes.slice(4..cut));
        }
    }
    for (_, bytes) in samples::server_bytes() {
        for cut in 4..bytes.len() {
            let _refused = ServerFrame::decode(bytes.slice(4..cut));
        }
    }
}

fn chunk(texts: &[String]) -> Chunk {
    let content = |text: &String| chat_core::Content::Message(chat_core::Body::Text(text.clone()));
    let entries = (1..).zip(texts).map(|(seq, text)| samples::entry(seq, &content(text))).collect();
    let users = [2, 3].map(|number| chat_core::UserId::new(number).expect("an id"));
    let conversation = chat_core::ConversationId::direct(users[0], users[1]).expect("two users");
    Chunk::new(conversation, entries).expect("consecutive")
}

#[test]
fn a_small_chunk_is_the_entries_frame_of_its_entries() {
    let chunk = chunk(&["one".into(), "two".into()]);
    let mut frame = BytesMut::new();
    samples::entries_frame(chunk.entries().to_vec()).encode(&mut frame);
    assert_eq!(chunk_frames(&chunk), &frame);
}

#[test]
fn a_large_chunk_is_cut_into_frames_that_hold_all_of_it() {
    let texts: Vec<String> = (0..40).map(|n| n.to_string().repeat(30_000)).collect();
    let chunk = chunk(&texts);
    let mut bytes = BytesMut::from(&chunk_frames(&chunk)[..]);
    let (mut frames, mut entries) = (0, Vec::new());
    while let Some(payload) = chat_proto::frame::take(&mut bytes, 300 * 1024).expect("bounded frames") {
        frames += 1;
        let frame = ServerFrame::decode(payload);
        let Ok(ServerFrame::Push(chat_proto::message::Push::Entries { entries: found, .. })) = frame else {
            panic!("entries expected: {frame:?}");
        };
        entries.extend(found);
    }
    assert!(frames > 5, "{frames} frames");
    assert!(bytes.is_empty());
    assert_eq!(entries, chunk.entries());
}

#[test]
fn malformed_requests_name_the_field_and_the_request() {
    let cases: [(&str, &'static [u8], u64, &str); 6] = [
        ("a ping with id 0", b"\x2a\x00", 0, "request_id"),
        ("a client id of one byte", b"\x08\x05\x82\x01\x03\x0a\x01\x01", 5, "client_id"),
        ("a user with id 0", b"\x08\x05\xba\x01\x03\x0a\x01\x00", 5, "users"),
        ("a request of a newer version", b"\x08\x05\xc2\x3e\x00", 5, "request"),
        ("a name that is not UTF-8", b"\x08\x05\xb2\x01\x03\x0a\x01\xff", 5, ""),
        ("nothing at all", b"", 0, "request"),
    ];
    for (case, payload, request_id, field) in cases {
        let rejected = ClientFrame::decode(Bytes::from_static(payload)).expect_err(case);
        assert_eq!(rejected.request_id(), request_id, "{case}");
        match rejected {
            Rejected::Undecodable { .. } => assert_eq!(field, "", "{case}"),
            Rejected::Malformed { malformed, .. } => assert_eq!(malformed.field(), field, "{case}"),
        }
    }
}

#[test]
fn the_cause_of_an_error_does_not_reach_the_wire() {
    let cause = std::io::Error::other("duplicate entry 'ada' for key accounts.name");
    let error = chat_core::Error::new(chat_core::ErrorKind::Unavailable, "try later").with_source(cause);
    let mut bytes = BytesMut::new();
    ServerFrame::Reply { request_id: 1, reply: Err(error) }.encode(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("try later") && !text.contains("accounts"), "{text}");
}
