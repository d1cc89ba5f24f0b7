//! A data folder: what is refused, what survives reopening, and how a store ends.

#![cfg(feature = "sqlite")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use chat_core::store::{
    Append, Batch, Digest, Item, JournalPosition, Once, Outcome, RedactTarget, SeqRef, StandingChange, Store,
    StoreErrorKind, Write, WriterId,
};
use chat_core::{
    Account, AccountName, Attachment, BootId, ClientId, ConversationId, Device, DeviceId, Direction,
    DisplayName, Epoch, Group, GroupId, GroupProfile, Handle, HistoryPolicy, JoinPolicy, Kind, Range,
    Standing, Timestamp, TokenHash, UserId,
};
use chat_store::sqlite::{OpenError, SqliteOptions, SqliteStore};

fn open(folder: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(folder, &SqliteOptions::default())
}

fn user(number: u64) -> UserId {
    UserId::new(number).expect("within bounds")
}

fn direct() -> ConversationId {
    ConversationId::direct(user(1), user(2)).expect("two users")
}

fn message(conversation: ConversationId, number: u64) -> Item {
    let once = Once { client_id: ClientId(u128::from(number).to_be_bytes()), sender: user(1), conversation };
    let append = Append {
        conversation,
        sender: user(1),
        kind: Kind::new(500).expect("within bounds"),
        countable: true,
        target: None,
        content: Bytes::from(format!("message {number}")),
        changes_rules: true,
    };
    Item { once: Some((once, Digest::of(&[b"digest"]))), append: vec![append], ..Item::default() }
}

fn batch(number: u64, items: Vec<Item>) -> Batch {
    Batch { writer: WriterId(1), number, now: Timestamp(number), items }
}

const EVERYTHING: Range =
    Range { from: 1, to: u64::MAX, direction: Direction::Forward, limit: 1_000, limit_bytes: 1 << 20 };

/// Opens a folder that is refused, and checks that the file in it stays as it is.
fn refused(folder: &Path) -> OpenError {
    let file = folder.join("chat.db");
    let before = std::fs::read(&file).expect("there is a file");
    let error = open(folder).expect_err("the file is not ours to write");
    assert_eq!(std::fs::read(&file).expect("it is still there"), before, "it was left as it was");
    error
}

#[tokio::test]
async fn file_of_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    open(folder.path()).expect("a new store").close().await;
    let file = rusqlite::Connection::open(folder.path().join("chat.db")).expect("it opens");
    file.pragma_update(None, "user_version", 1_000).expect("it writes");
    drop(file);
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Newer { found: 1_000, expected: 2, .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains("found schema 1000, expected at most 2"), "{message}");
}

#[test]
fn database_of_another_application_is_refused_and_left_alone() {
    for statements in ["CREATE TABLE theirs (a)", "PRAGMA application_id = 77", "PRAGMA user_version = 3"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = rusqlite::Connection::open(folder.path().join("chat.db")).expect("it opens");
        file.execute_batch(statements).expect("it writes");
        drop(file);
        let error = refused(folder.path());
        assert!(matches!(error, OpenError::Foreign { .. }), "{statements}: {error:?}");
    }
}

#[test]
fn file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("chat.db"), "dear diary, ".repeat(1_000)).expect("it writes");
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert!(error.to_string().contains("not a chat store"), "{error}");
}

#[test]
fn folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("it writes");
    let error = open(&file.join("data")).expect_err("a file is no folder");
    assert!(matches!(error, OpenError::Folder { .. }), "{error:?}");
    assert!(error.to_string().contains("data"), "{error}");
}

#[tokio::test]
async fn epoch_is_drawn_unless_given_and_stays() {
    let epoch_of = |folder: &Path, given: Option<Epoch>| {
        let mut options = SqliteOptions::default();
        options.epoch = given;
        let store = SqliteStore::open(folder, &options).expect("it opens");
        async move {
            let epoch = store.epoch().await.expect("an epoch");
            store.close().await;
            epoch
        }
    };
    let [one, two, three] = [(); 3].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let drawn = epoch_of(one.path(), None).await;
    assert_ne!(drawn, epoch_of(two.path(), None).await);
    assert_eq!(drawn, epoch_of(one.path(), Some(Epoch(5))).await, "an existing store keeps its own");
    let given = Epoch(u64::MAX - 1);
    assert_eq!(epoch_of(three.path(), Some(given)).await, given);
    assert_eq!(epoch_of(three.path(), None).await, given);
}

/// Writes into every table.
async fn fill(store: &SqliteStore) {
    let group = GroupId::new(9).expect("within bounds");
    let device = DeviceId::new(4).expect("within bounds");
    let attached = Some(Attachment { node: "north".into(), boot: BootId(u64::MAX), session: 6 });
    let profile = GroupProfile {
        name: DisplayName::from_stored("Rust"),
        description: "about Rust".into(),
        handle: Some(Handle::from_stored("rust")),
        join: JoinPolicy::Open,
        history: HistoryPolicy::All,
    };
    let create = Item {
        write: vec![
            Write::PutAccount(Account {
                user: user(1),
                name: AccountName::from_stored("ada"),
                display_name: DisplayName::from_stored("Ada"),
                password_hash: Some("$argon2id$".into()),
                created: Timestamp(3),
                deleted: None,
            }),
            Write::PutDevice(Device {
                id: device,
                user: user(1),
                label: "laptop".into(),
                token_hash: TokenHash([7; 32]),
                created: Timestamp(3),
                last_seen: Timestamp(3),
                attached: None,
            }),
            Write::Attach { device, slot: attached, now: Timestamp(5) },
            Write::PutGroup(Group { id: group, profile, members: 1, dissolved: false }),
            Write::Standing(StandingChange {
                standing: Some(Standing::Owner),
                joined: Some(SeqRef::Appended(0)),
                muted_until: Some(Some(Timestamp(u64::MAX))),
                ..StandingChange::of(ConversationId::Group(group), user(1))
            }),
        ],
        ..message(ConversationId::Group(group), 1)
    };
    let read = Write::Read { conversation: direct(), user: user(1), to: SeqRef::At(3) };
    let redact = Write::Redact { conversation: direct(), target: RedactTarget::Entry(4) };
    let trim = Write::Trim { conversation: direct(), first_seq: 2 };
    let mut items: Vec<_> = (10..15).map(|number| message(direct(), number)).collect();
    items.extend([create, Item { write: vec![read, redact, trim], ..Item::default() }]);
    let outcomes = store.commit(&batch(1, items)).await.expect("it commits");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed(_))), "{outcomes:?}");
}

/// What every read says, as text.
async fn described(store: &SqliteStore) -> Vec<String> {
    let group = ConversationId::Group(GroupId::new(9).expect("within bounds"));
    let keys = [message(direct(), 10), message(direct(), 13), message(group, 1)].map(|item| {
        let (once, _) = item.once.expect("each is a command");
        once
    });
    let kept = Range { from: 2, ..EVERYTHING };
    let members = [(direct(), user(1)), (group, user(1))];
    vec![
        format!("{:?}", store.epoch().await.expect("reads")),
        format!("{:?}", store.recorded(&keys).await.expect("reads")),
        format!("{:?}", store.accounts(&[user(1)]).await.expect("reads")),
        format!("{:?}", store.account_named(&AccountName::from_stored("ada")).await.expect("reads")),
        format!("{:?}", store.devices(user(1)).await.expect("reads")),
        format!("{:?}", store.device_with_token(&TokenHash([7; 32])).await.expect("reads")),
        format!("{:?}", store.group_with_handle(&Handle::from_stored("rust")).await.expect("reads")),
        format!("{:?}", store.heads(&[direct(), group]).await.expect("reads")),
        format!("{:?}", store.members(&members).await.expect("reads")),
        format!("{:?}", store.roster(group, None, None, 10).await.expect("reads")),
        format!("{:?}", store.memberships(user(1), None, 10).await.expect("reads")),
        format!("{:?}", store.entries(direct(), &kept).await.expect("reads")),
        format!("{:?}", store.history(direct(), &EVERYTHING).await.expect("reads")),
        format!("{:?}", store.journal(&JournalPosition::default(), 100).await.expect("reads")),
        format!("{:?}", store.journal_end().await.expect("reads")),
    ]
}

#[tokio::test]
async fn everything_that_is_read_survives_reopening() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open(folder.path()).expect("a new store");
    fill(&store).await;
    let before = described(&store).await;
    assert!(before.iter().all(|read| read != "None" && read != "[None]" && read != "[]"), "{before:#?}");
    store.close().await;
    let store = open(folder.path()).expect("it opens again");
    assert_eq!(described(&store).await, before);
    let again = store.commit(&batch(2, vec![message(direct(), 10), message(direct(), 20)])).await;
    let again = again.expect("it commits");
    assert!(matches!(&again[0], Outcome::Duplicate(stored) if stored.seq == 1), "{again:?}");
    assert!(matches!(&again[1], Outcome::Committed(placed) if placed[0].seq == 6), "{again:?}");
}

#[tokio::test]
async fn closed_store_leaves_one_file_beside_the_lock() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open(folder.path()).expect("a new store");
    fill(&store).await;
    store.close().await;
    let entries = std::fs::read_dir(folder.path()).expect("it is a folder");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("it is readable").file_name()).collect();
    names.sort();
    assert_eq!(names, ["chat.db", "chat.lock"], "the write-ahead log was taken in");
}

#[tokio::test]
async fn calls_after_close_are_unavailable_and_closing_twice_is_fine() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open(folder.path()).expect("a new store");
    store.close().await;
    store.close().await;
    let written = store.commit(&batch(1, vec![message(direct(), 1)])).await.expect_err("it is closed");
    assert_eq!(written.kind(), StoreErrorKind::Unavailable);
    let read = store.heads(&[direct()]).await.expect_err("it is closed");
    assert_eq!(read.kind(), StoreErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_finishes_what_is_queued_and_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Arc::new(open(folder.path()).expect("a new store"));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=100 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.commit(&batch(number, vec![message(direct(), number)])).await });
    }
    while store.journal_end().await.expect("it is open").0.values().sum::<u64>() < 5 {
        tokio::task::yield_now().await;
    }
    store.close().await;
    let mut acknowledged = 0;
    for outcome in tasks.join_all().await {
        match outcome {
            Ok(_) => acknowledged += 1,
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
        }
    }
    assert!(acknowledged >= 5);
    let store = open(folder.path()).expect("it opens again");
    assert_eq!(store.heads(&[direct()]).await.expect("reads")[0].seq, acknowledged);
}
