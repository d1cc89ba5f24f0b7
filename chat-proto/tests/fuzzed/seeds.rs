//! What every target begins with: good bytes, of which it makes bad ones.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use chat_core::store::archive::{LoggedEntry, Record, TrimmedCommand};
use chat_core::store::{Digest, Once};
use chat_core::{
    Account, AccountName, Attachment, BootId, ClientId, ConversationId, Cursor, Device, DeviceId,
    DisplayName, Group, GroupId, GroupProfile, Handle, Head, HistoryPolicy, JoinPolicy, Member, Relation,
    Standing, Timestamp, TokenHash, UserId,
};
use chat_proto::frame::HEADER_BYTES;

use crate::{checks, samples};

/// The folder to write the seeds into, one for each target, when it is set.
const SEEDS: &str = "CHAT_PROTO_SEEDS";

/// Something that the fuzzer runs.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) check: fn(&[u8]),
    pub(crate) seeds: Vec<Bytes>,
}

pub(crate) fn targets() -> Vec<Target> {
    let payloads = |frames: Vec<(_, Bytes)>| frames.into_iter().map(|(_, frame)| frame.slice(HEADER_BYTES..));
    vec![
        Target { name: "frames", check: checks::frames, seeds: streams() },
        Target {
            name: "client_messages",
            check: checks::client_messages,
            seeds: payloads(samples::client_bytes()).collect(),
        },
        Target {
            name: "server_messages",
            check: checks::server_messages,
            seeds: payloads(samples::server_bytes()).collect(),
        },
        Target { name: "entries", check: checks::entries, seeds: entries() },
        Target { name: "contents", check: checks::contents, seeds: contents() },
        Target { name: "records", check: checks::records, seeds: records() },
        Target { name: "names", check: checks::names, seeds: names() },
    ]
}

#[test]
fn seeds_are_written_where_the_fuzzer_looks_for_them() {
    let folder = std::env::var_os(SEEDS);
    for target in targets() {
        assert!(!target.seeds.is_empty(), "{}", target.name);
        let Some(folder) = &folder else { continue };
        let folder = Path::new(folder).join(target.name);
        std::fs::create_dir_all(&folder).expect("a folder that can be written to");
        for (number, seed) in target.seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed{number}")), seed).expect("it can be written to");
        }
    }
}

/// Some frames in a row, with what [`checks::frames`] reads ahead of them.
fn streams() -> Vec<Bytes> {
    let frames: Vec<_> = samples::client_bytes().into_iter().map(|(_, bytes)| bytes).collect();
    let streams = frames.chunks(4).zip((0_u8..16).cycle());
    streams.map(|(frames, part)| Bytes::from([&[0x40 | part][..], &frames.concat()].concat())).collect()
}

fn entries() -> Vec<Bytes> {
    let entries = samples::contents().into_iter().map(|content| samples::entry(7, &content));
    entries
        .map(|entry| {
            let mut out = BytesMut::new();
            entry.encode(&mut out);
            out.freeze()
        })
        .collect()
}

fn contents() -> Vec<Bytes> {
    let contents = samples::contents().into_iter();
    contents
        .map(|content| {
            let kind = content.kind().expect("none is redacted").number();
            [&kind.to_be_bytes()[..], &content.encode()].concat().into()
        })
        .collect()
}

/// One of each section.
fn records() -> Vec<Bytes> {
    let user = UserId::new(2).expect("an id");
    let conversation = ConversationId::direct(user, UserId::new(3).expect("an id")).expect("two users");
    let client_id = ClientId([9; 16]);
    let time = Timestamp(1_700_000_000_000);
    let profile = GroupProfile {
        name: DisplayName::parse("Rust").expect("a name"),
        description: "all things".into(),
        handle: Some(Handle::parse("rust").expect("a handle")),
        join: JoinPolicy::Request,
        history: HistoryPolicy::All,
    };
    let entry = samples::entry(7, &samples::contents()[0]);
    let records = [
        Record::Account(Account {
            user,
            name: AccountName::parse("ada").expect("a name"),
            display_name: DisplayName::parse("Ada").expect("a name"),
            password_hash: Some("$argon2id$".into()),
            created: time,
            deleted: Some(time),
        }),
        Record::Device(Device {
            id: DeviceId::new(8).expect("an id"),
            user,
            label: "laptop".into(),
            token_hash: TokenHash([5; 32]),
            created: time,
            last_seen: time,
            attached: Some(Attachment { node: "node".into(), boot: BootId(4), session: 6 }),
        }),
        Record::Group(Group { id: GroupId::new(9).expect("an id"), profile, members: 3, dissolved: true }),
        Record::Head(Head {
            conversation,
            seq: 7,
            ordinal: 6,
            time,
            first_seq: 2,
            rules_seq: 3,
            group: None,
        }),
        Record::Member(Member {
            conversation,
            user,
            standing: Standing::Member,
            relation: Relation::Contact,
            blocked: true,
            muted_until: Some(time),
            joined_seq: 1,
            visible_from: 1,
            left_seq: Some(7),
            read: Cursor { seq: 5, ordinal: 4, own: 2 },
            delivered: 6,
            own: 3,
        }),
        Record::TrimmedCommand(TrimmedCommand {
            once: Once { client_id, sender: user, conversation },
            seq: 1,
            time,
            digest: Digest([3; 16]),
        }),
        Record::Entry(LoggedEntry { conversation, entry, digest: Some(Digest([3; 16])) }),
    ];
    let positions = records.iter().map(|record| record.position().encode());
    let records = records.iter().map(|record| {
        let mut out = BytesMut::new();
        record.encode(&mut out);
        out.freeze()
    });
    records.chain(positions).collect()
}

fn names() -> Vec<Bytes> {
    ["ada", "Ada L.", "rust-berlin", "Ærøskøbing", "ﬀ", "ǅ", "  two  words ", "שלום", "ªº", "ΑΣ"]
        .map(|name| Bytes::copy_from_slice(name.as_bytes()))
        .into()
}
