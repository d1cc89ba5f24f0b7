//! The checked-in wire types are what the schema says.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use chat_core::{Content, Entry, Kind};
use chat_proto::message::ServerFrame;
use prost_build::Module;
use protox::prost::Message;
use protox::prost_reflect::prost_types::{FileDescriptorProto, FileDescriptorSet};
use protox::prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};

use crate::samples;

/// Set it to write the generated code instead of comparing it.
pub(crate) const WRITE: &str = "CHAT_PROTO_WRITE";

const BYTES: i32 = 12;

pub(crate) fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The schema as Rust code sees it: entries are bytes, which on the wire is the same, since chat-core
/// owns their encoding and hands kinds on that it does not know.
fn with_opaque_entries(mut file: FileDescriptorProto) -> FileDescriptorProto {
    for field in file.message_type.iter_mut().flat_map(|message| &mut message.field) {
        if field.type_name() == ".chat.v1.Entry" {
            field.r#type = Some(BYTES);
            field.type_name = None;
        }
    }
    file
}

fn files() -> FileDescriptorSet {
    protox::compile(["chat/v1/frame.proto"], [manifest().join("proto")]).expect("a valid schema")
}

fn message(name: &str) -> MessageDescriptor {
    let pool = DescriptorPool::from_file_descriptor_set(files()).expect("a valid schema");
    pool.get_message_by_name(name).expect("a message of the schema")
}

fn generated() -> String {
    let requests = files()
        .file
        .into_iter()
        .filter(|file| file.name() != "chat/v1/entry.proto")
        .map(|file| (Module::from_protobuf_package_name("chat.v1"), with_opaque_entries(file)))
        .collect();
    let mut config = prost_build::Config::new();
    config.bytes(["."]).disable_comments(["."]);
    let modules = config.generate(requests).expect("code for the schema");
    modules.into_values().collect()
}

#[test]
fn generated_code_is_current() {
    let path: PathBuf = manifest().join("src/wire.rs");
    let generated = generated();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &generated).expect("a writable source tree");
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(generated == checked_in, "src/wire.rs is not what the schema says: run this with {WRITE}=1");
}

/// Fails where the schema does not know a field that is there.
fn assert_known(message: &DynamicMessage, frame: &str) {
    assert_eq!(message.unknown_fields().count(), 0, "{frame}: {message}");
    for (_, value) in message.fields() {
        match value {
            Value::Message(inner) => assert_known(inner, frame),
            Value::List(values) => {
                values.iter().filter_map(Value::as_message).for_each(|inner| assert_known(inner, frame));
            }
            _ => {}
        }
    }
}

#[test]
fn strangers_read_our_frames_by_the_schema_and_write_the_same_bytes() {
    for (name, frames) in [("ClientFrame", samples::client_bytes()), ("ServerFrame", samples::server_bytes())]
    {
        let descriptor = message(&format!("chat.v1.{name}"));
        for (frame, bytes) in frames {
            let payload = &bytes[4..];
            let read = DynamicMessage::decode(descriptor.clone(), payload).expect(frame);
            assert_known(&read, frame);
            assert_eq!(read.encode_to_vec(), payload, "{frame}");
        }
    }
}

#[test]
fn every_content_of_an_entry_is_in_the_schema() {
    let descriptor = message("chat.v1.Entry");
    for content in samples::contents() {
        let entry = samples::entry(1, &content);
        let mut bytes = BytesMut::new();
        entry.encode(&mut bytes);
        let read = DynamicMessage::decode(descriptor.clone(), bytes.clone().freeze()).expect("an entry");
        assert_known(&read, &format!("{content:?}"));
        let kind = u32::from(entry.kind.number());
        assert!(read.has_field_by_number(kind), "{content:?} has its kind's field");
        let written = Entry::decode(read.encode_to_vec().into()).expect("an entry");
        assert_eq!(written.decode_content(), Ok(content));
    }
}

#[test]
fn an_entry_of_an_unknown_kind_passes_through() {
    let mut entry = samples::entry(1, &Content::Joined);
    entry.kind = Kind::new(5000).expect("a number in range");
    entry.content = Some(Bytes::from_static(b"\x0a\x01x"));
    let pushed = samples::entries_frame(vec![entry.clone()]);
    let mut bytes = BytesMut::new();
    pushed.encode(&mut bytes);
    let read = ServerFrame::decode(bytes.freeze().slice(4..)).expect("a frame");
    assert_eq!(format!("{read:?}"), format!("{pushed:?}"));
}
