//! What must hold for any bytes that somebody sends: each function takes them and panics if it does not.
//!
//! `fuzz_targets` has one for each function here, and `tests/fuzzed` of chat-proto calls the same ones
//! on samples, on parts of them and on random changes to them.

use std::fmt::Debug;

use bytes::{Buf, Bytes, BytesMut};
use chat_core::store::archive::{Position, Record};
use chat_core::{AccountName, Chunk, Content, DisplayName, Entry, Handle, Kind, NameError};
use chat_proto::frame::{self, Oversized};
use chat_proto::message::{ClientFrame, Push, ServerFrame, chunk_frames};

/// Frames are the same, and end the same, however the stream is cut. The first byte says how long
/// frames may be and how long the parts are.
pub fn frames(input: &[u8]) {
    let Some((choice, stream)) = input.split_first() else { return };
    let limit_bytes = usize::from(choice >> 4) * 24;
    let (at_once, end_at_once) = cut(stream, stream.len().max(1), limit_bytes);
    let (in_parts, end_in_parts) = cut(stream, usize::from(choice & 15) + 1, limit_bytes);
    assert_eq!(at_once, in_parts);
    assert_eq!(end_at_once, end_in_parts);
    // What was taken is what arrived.
    let mut again = BytesMut::new();
    for payload in &at_once {
        frame::put(&mut again, |out| out.extend_from_slice(payload));
    }
    assert!(stream.starts_with(&again));
}

/// Receives a stream in parts of this length.
fn cut(stream: &[u8], part: usize, limit_bytes: usize) -> (Vec<Bytes>, Result<usize, Oversized>) {
    let (mut received, mut found) = (BytesMut::new(), Vec::new());
    for part in stream.chunks(part) {
        received.extend_from_slice(part);
        loop {
            let missing = frame::missing(&received, limit_bytes);
            match frame::take(&mut received, limit_bytes) {
                Ok(Some(payload)) => {
                    assert_eq!(missing, Ok(Some(0)));
                    assert!(payload.len() <= limit_bytes);
                    found.push(payload);
                }
                Ok(None) => {
                    assert_ne!(missing, Ok(Some(0)));
                    break;
                }
                Err(oversized) => {
                    assert_eq!(missing, Err(oversized));
                    return (found, Err(oversized));
                }
            }
        }
    }
    (found, Ok(received.len()))
}

/// What a server understands of a client's frame, it would say in one way and understand the same.
pub fn client_messages(payload: &[u8]) {
    let read = |payload| ClientFrame::decode(payload).ok();
    settles(payload, read, ClientFrame::encode);
}

/// The same of a server's frame; its entries are a chunk that goes on as it came.
pub fn server_messages(payload: &[u8]) {
    let read = |payload| match ServerFrame::decode(payload) {
        // There is nothing to say of what is not known.
        Ok(ServerFrame::Unknown { .. }) | Err(_) => None,
        Ok(frame) => Some(frame),
    };
    settles(payload, read, ServerFrame::encode);
    if let Some(ServerFrame::Push(Push::Entries { conversation, entries })) = read(copy(payload)) {
        let chunk = Chunk::new(conversation, entries).expect("entries of a push follow each other");
        let mut sent = BytesMut::from(&chunk_frames(&chunk)[..]);
        let mut heard = Vec::new();
        while let Some(payload) = frame::take(&mut sent, frame::MAX_FRAME_BYTES).expect("frames of ours") {
            match ServerFrame::decode(payload) {
                Ok(ServerFrame::Push(Push::Entries { entries, .. })) => heard.extend(entries),
                other => panic!("entries expected: {other:?}"),
            }
        }
        assert_eq!(heard, chunk.entries());
    }
}

/// Takes frames off their headers: what [`settles`] wrote.
fn payload_of(mut framed: Bytes) -> Bytes {
    framed.advance(frame::HEADER_BYTES);
    framed
}

/// What is read is written in one way, and reads as the same.
fn settles<T: Debug>(payload: &[u8], read: impl Fn(Bytes) -> Option<T>, write: impl Fn(&T, &mut BytesMut)) {
    let Some(first) = read(copy(payload)) else { return };
    let written = |value: &T| {
        let mut out = BytesMut::new();
        write(value, &mut out);
        payload_of(out.freeze())
    };
    let bytes = written(&first);
    let second = read(bytes.clone()).unwrap_or_else(|| panic!("{first:?} does not read back"));
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
    // Passwords do not show themselves.
    assert_eq!(bytes, written(&second));
}

/// An entry that can be read is written in one way, and reads as the same.
pub fn entries(input: &[u8]) {
    let Ok(entry) = Entry::decode(copy(input)) else { return };
    let mut out = BytesMut::new();
    entry.encode(&mut out);
    assert_eq!(Entry::decode(out.freeze()), Ok(entry.clone()));
    if let Some(content) = &entry.content {
        content_settles(entry.kind, content);
    }
}

/// A content that can be read is written in one way, and reads as the same. The first two bytes say of
/// which kind it is.
pub fn contents(input: &[u8]) {
    let Some((kind, content)) = input.split_first_chunk() else { return };
    let Ok(kind) = Kind::new(u16::from_be_bytes(*kind).into()) else { return };
    content_settles(kind, &copy(content));
}

fn content_settles(kind: Kind, bytes: &Bytes) {
    let Ok(content) = Content::decode(kind, bytes) else { return };
    assert_eq!(content.kind(), Some(kind));
    let written = content.encode();
    assert_eq!(Content::decode(kind, &written).as_ref(), Ok(&content));
}

/// The same of records of an archive, and of positions in one.
pub fn records(input: &[u8]) {
    if let Ok(record) = Record::decode(copy(input)) {
        let mut out = BytesMut::new();
        record.encode(&mut out);
        assert_eq!(Record::decode(out.freeze()).as_ref(), Ok(&record));
        position_settles(record.position());
    }
    if let Ok(position) = Position::decode(copy(input)) {
        position_settles(position);
    }
}

fn position_settles(position: Position) {
    let bytes = position.encode();
    assert!(bytes.len() <= 255);
    assert_eq!(Position::decode(bytes), Ok(position));
}

/// A name that was accepted is accepted again, and is the same name.
pub fn names(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    name(text, AccountName::parse, AccountName::as_str, AccountName::LIMIT_BYTES);
    name(text, Handle::parse, Handle::as_str, Handle::LIMIT_BYTES);
    name(text, DisplayName::parse, DisplayName::as_str, DisplayName::LIMIT_BYTES);
}

fn name<T: Debug + PartialEq>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, NameError>,
    shown: impl Fn(&T) -> &str,
    limit_bytes: usize,
) {
    let Ok(name) = parse(text) else { return };
    assert!((1..=limit_bytes).contains(&shown(&name).len()));
    assert_eq!(parse(shown(&name)).as_ref(), Ok(&name), "{text:?}");
}

fn copy(input: &[u8]) -> Bytes {
    Bytes::copy_from_slice(input)
}
