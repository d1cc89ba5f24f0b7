use bytes::{Bytes, BytesMut};

use super::*;
use crate::content::fields::{put_present, put_uint};
use crate::{
    AccountName, Attachment, BootId, ClientId, Cursor, DisplayName, GroupProfile, Handle, HistoryPolicy,
    JoinPolicy, Kind, Relation, Standing, TokenHash,
};

fn user(number: u64) -> UserId {
    UserId::new(number).expect("within bounds")
}

fn here() -> ConversationId {
    ConversationId::direct(user(1), user(2)).expect("two users")
}

fn once() -> Once {
    Once { client_id: ClientId([7; 16]), sender: user(1), conversation: here() }
}

fn entry() -> Entry {
    Entry {
        seq: 9,
        time: Timestamp(1_700_000_000_000),
        sender: user(1),
        client_id: Some(ClientId([7; 16])),
        countable: true,
        ordinal: 8,
        target: None,
        kind: Kind::new(500).expect("within bounds"),
        content: Some(Bytes::from_static(b"hi")),
    }
}

/// One of each kind, in order, with everything in them that may be there.
fn records() -> Vec<Record> {
    let attached = Some(Attachment { node: String::new(), boot: BootId(u64::MAX), session: 0 });
    let profile = GroupProfile {
        name: DisplayName::from_stored("Rust"),
        description: "all things".into(),
        handle: Some(Handle::from_stored("rust")),
        join: JoinPolicy::Open,
        history: HistoryPolicy::All,
    };
    let group = Group { id: GroupId::new(4).expect("within bounds"), profile, members: 2, dissolved: true };
    vec![
        Record::Account(Account {
            user: user(1),
            name: AccountName::from_stored("ada"),
            display_name: DisplayName::from_stored("Ada"),
            password_hash: Some(String::new()),
            created: Timestamp(0),
            deleted: Some(Timestamp(0)),
        }),
        Record::Device(Device {
            id: DeviceId::new(3).expect("within bounds"),
            user: user(1),
            label: "laptop".into(),
            token_hash: TokenHash([5; 32]),
            created: Timestamp(1),
            last_seen: Timestamp(2),
            attached,
        }),
        Record::Group(group),
        Record::Head(Head {
            seq: 9,
            ordinal: 8,
            time: Timestamp(7),
            first_seq: 6,
            rules_seq: 5,
            ..Head::empty(here())
        }),
        Record::Member(Member {
            standing: Standing::Admin,
            relation: Relation::Contact,
            blocked: true,
            muted_until: Some(Timestamp(u64::MAX)),
            joined_seq: 1,
            visible_from: 2,
            left_seq: Some(0),
            read: Cursor { seq: 3, ordinal: 2, own: 1 },
            delivered: 4,
            own: 5,
            ..Member::blank(here(), user(1))
        }),
        Record::TrimmedCommand(TrimmedCommand {
            once: once(),
            seq: 5,
            time: Timestamp(6),
            digest: Digest([8; 16]),
        }),
        Record::Entry(LoggedEntry { conversation: here(), entry: entry(), digest: Some(Digest([8; 16])) }),
    ]
}

fn encoded(record: &Record) -> Bytes {
    let mut out = BytesMut::new();
    record.encode(&mut out);
    out.freeze()
}

#[test]
fn every_record_and_position_reads_back() {
    for record in records() {
        assert_eq!(Record::decode(encoded(&record)), Ok(record.clone()));
        let position = record.position();
        assert_eq!(Position::decode(position.encode()), Ok(position));
        assert!(position.encode().len() <= 255);
    }
}

#[test]
fn canonical_bytes_do_not_change() {
    use sha2::{Digest as _, Sha256};
    let mut all = BytesMut::new();
    records().iter().for_each(|record| record.encode(&mut all));
    let digest: String = Sha256::digest(&all).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "e5f6d074a6519bb13b8e9a85ebf32df1f7f838b748b99813b870b5f61c6cff17");
}

#[test]
fn records_of_every_section_ascend() {
    let records = records();
    let sections: Vec<_> = records.iter().map(|record| record.position().section()).collect();
    assert_eq!(sections, Section::ALL);
    assert_eq!(remaining(None, &records), Ok(&*records));
    for (index, record) in records.iter().enumerate() {
        assert_eq!(remaining(Some(&record.position()), &records), Ok(&records[index + 1..]));
    }
    let twice = [records[0].clone(), records[0].clone()];
    assert_eq!(remaining(None, &twice), Err(ImportRefused::OutOfOrder));
}

#[test]
fn record_of_an_unknown_kind_is_refused_and_an_unknown_field_passed_over() {
    let mut out = BytesMut::new();
    put_present(&mut out, 8, b"");
    assert_eq!(Record::decode(out.freeze()), Err(UnreadableRecord::UnknownKind(8)));
    let (mut body, mut out) = (BytesMut::new(), BytesMut::new());
    put_uint(&mut body, 1, 3);
    put_uint(&mut body, 99, 1);
    put_present(&mut out, Section::Accounts.number() as u32, &body);
    assert!(matches!(Record::decode(out.freeze()), Ok(Record::Account(account)) if account.user == user(3)));
}

#[test]
fn client_id_without_a_digest_is_refused() {
    let record = Record::Entry(LoggedEntry { conversation: here(), entry: entry(), digest: None });
    assert!(matches!(Record::decode(encoded(&record)), Err(UnreadableRecord::Malformed(_))));
}

#[test]
fn page_is_never_empty_and_keeps_to_its_limits() {
    let limits = PageLimits { records: 2, bytes: 1 };
    let mut page = Gathering::new(&limits);
    let mut records = records().into_iter();
    assert!(page.take(records.next().expect("there are seven")));
    assert!(!page.take(records.next().expect("there are seven")));
    let mut page = Gathering::new(&PageLimits { bytes: usize::MAX, ..limits });
    assert_eq!(records.filter(|record| page.take(record.clone())).count(), 2);
}
