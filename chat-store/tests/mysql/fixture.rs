//! Messages, and batches of them.

use bytes::Bytes;
use chat_core::store::{Append, Batch, Digest, Item, Once, Outcome, Store, StoreError, WriterId};
use chat_core::{ClientId, ConversationId, Direction, GroupId, Kind, Range, Seq, Timestamp, UserId};
use chat_store::mysql::MysqlStore;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::server::{Server, address, connect};

/// A store over a database of its own, with one message in the first group, and the administrator in
/// that database.
pub(crate) async fn begun(server: &Server) -> (MysqlStore, Conn) {
    let database = server.make_database().await;
    let store = connect(&address(&database, server.port())).await;
    store.commit(&batch(1, 1, vec![message(1, group(1))])).await.expect("nothing stands against it");
    let mut admin = server.admin().await;
    admin.query_drop(format!("USE {database}")).await.expect("it was just made");
    (store, admin)
}

pub(crate) fn user(number: u64) -> UserId {
    UserId::new(number).expect("within bounds")
}

pub(crate) fn group(number: u64) -> ConversationId {
    ConversationId::Group(GroupId::new(number).expect("within bounds"))
}

/// A message under a client id of its own.
pub(crate) fn message(number: u64, conversation: ConversationId) -> Item {
    let sender = user(99);
    let once = Once { client_id: ClientId(u128::from(number).to_be_bytes()), sender, conversation };
    let content = Bytes::from(format!("message {number}"));
    let append = Append {
        conversation,
        sender,
        kind: Kind::new(500).expect("within bounds"),
        countable: true,
        target: None,
        content: content.clone(),
        changes_rules: false,
    };
    Item { once: Some((once, Digest::of(&[&content]))), append: vec![append], ..Item::default() }
}

pub(crate) fn batch(writer: u64, number: u64, items: Vec<Item>) -> Batch {
    Batch { writer: WriterId(writer), number, now: Timestamp(number), items }
}

/// Where each item stands, whether it was committed now or before.
pub(crate) fn seqs(outcomes: &[Outcome]) -> Vec<Seq> {
    let seq = |outcome: &Outcome| match outcome {
        Outcome::Committed(placed) => placed[0].seq,
        Outcome::Duplicate(stored) => stored.seq,
        other => panic!("nothing stands against it: {other:?}"),
    };
    outcomes.iter().map(seq).collect()
}

/// The numbers of the messages in a conversation, in its order, which has no hole.
pub(crate) async fn numbers(store: &dyn Store, of: ConversationId) -> Result<Vec<u64>, StoreError> {
    let (from, direction) = (1, Direction::Forward);
    let all = Range { from, to: Seq::MAX, direction, limit: usize::MAX, limit_bytes: usize::MAX };
    let entries = store.entries(of, &all).await?;
    for (expected, entry) in (1..).zip(&entries) {
        assert_eq!((entry.seq, entry.ordinal), (expected, expected), "gapless");
    }
    let head = store.heads(&[of]).await?.remove(0);
    assert_eq!(head.seq, entries.len() as u64);
    let member = store.members(&[(of, user(99))]).await?.remove(0);
    assert_eq!(member.map_or(0, |member| member.own), head.seq, "totals are those of the log");
    let number = |id: ClientId| u128::from_be_bytes(id.0) as u64;
    Ok(entries.iter().map(|entry| number(entry.client_id.expect("each is a command"))).collect())
}
