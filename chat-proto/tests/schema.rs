//! The checked-in wire types are what the schema says.

use std::path::{Path, PathBuf};

use prost_build::Module;
use protox::prost_reflect::prost_types::FileDescriptorProto;

/// Set it to write the generated code instead of comparing it.
const WRITE: &str = "CHAT_PROTO_WRITE";

const BYTES: i32 = 12;

fn manifest() -> &'static Path {
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

fn generated() -> String {
    let files = protox::compile(["chat/v1/frame.proto"], [manifest().join("proto")]).expect("a valid schema");
    let requests = files
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
