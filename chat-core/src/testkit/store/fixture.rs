//! What the cases are written with: names for users and conversations, and a writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::store::{
    Append, Batch, Digest, Item, Once, Outcome, Placed, SeqRef, StandingChange, Store, Write, WriterId,
};
use crate::{
    Account, AccountName, BootId, ClientId, ConversationId, Device, DeviceId, Direction, DisplayName, Entry,
    Group, GroupId, GroupProfile, Handle, Head, HistoryPolicy, JoinPolicy, Kind, Member, Range, Seq,
    Standing, Timestamp, TokenHash, UserId,
};

/// A kind that no version knows: stores must not look at kinds.
pub(super) fn opaque() -> Kind {
    Kind::new(900).expect("within bounds")
}

pub(super) fn user(number: u64) -> UserId {
    UserId::new(number).expect("within bounds")
}

pub(super) fn direct(a: u64, b: u64) -> ConversationId {
    ConversationId::direct(user(a), user(b)).expect("two users")
}

pub(super) fn group_id(number: u64) -> GroupId {
    GroupId::new(number).expect("within bounds")
}

pub(super) fn group(number: u64) -> ConversationId {
    ConversationId::Group(group_id(number))
}

pub(super) fn inbox(number: u64) -> ConversationId {
    ConversationId::Inbox(user(number))
}

pub(super) fn device_id(number: u64) -> DeviceId {
    DeviceId::new(number).expect("within bounds")
}

pub(super) fn client_id(number: u64) -> ClientId {
    ClientId((u128::from(number) << 64 | 0x7000_8000_0000_0000_0000).to_be_bytes())
}

pub(super) fn once(number: u64, sender: u64, conversation: ConversationId) -> Once {
    Once { client_id: client_id(number), sender: user(sender), conversation }
}

/// A countable entry.
pub(super) fn message(conversation: ConversationId, sender: u64, text: &str) -> Append {
    Append {
        conversation,
        sender: user(sender),
        kind: opaque(),
        countable: true,
        target: None,
        content: Bytes::copy_from_slice(text.as_bytes()),
        changes_rules: false,
    }
}

/// An entry that is not countable.
pub(super) fn notice(conversation: ConversationId, sender: u64, text: &str) -> Append {
    Append { countable: false, ..message(conversation, sender, text) }
}

/// An entry that is not countable and refers to another.
pub(super) fn reaction(conversation: ConversationId, sender: u64, target: Seq) -> Append {
    Append { target: Some(target), kind: Kind::REACTION, ..notice(conversation, sender, "+") }
}

pub(super) fn appending(entries: impl IntoIterator<Item = Append>) -> Item {
    Item { append: entries.into_iter().collect(), ..Item::default() }
}

pub(super) fn writing(writes: impl IntoIterator<Item = Write>) -> Item {
    Item { write: writes.into_iter().collect(), ..Item::default() }
}

/// An item with a key, whose digest is that of its first entry's content.
pub(super) fn command(number: u64, entry: Append) -> Item {
    let key = Once { client_id: client_id(number), sender: entry.sender, conversation: entry.conversation };
    let digest = Digest::of(&[&entry.content]);
    Item { once: Some((key, digest)), ..appending([entry]) }
}

pub(super) fn enters(conversation: ConversationId, who: u64, standing: Standing, joined: SeqRef) -> Write {
    Write::Standing(StandingChange {
        standing: Some(standing),
        joined: Some(joined),
        visible_from: Some(joined),
        ..StandingChange::of(conversation, user(who))
    })
}

pub(super) fn reads(conversation: ConversationId, who: u64, to: Seq) -> Write {
    Write::Read { conversation, user: user(who), to: SeqRef::At(to) }
}

pub(super) fn account(number: u64, name: &str) -> Account {
    Account {
        user: user(number),
        name: AccountName::from_stored(name),
        display_name: DisplayName::from_stored(format!("The {name}")),
        password_hash: Some(format!("$argon2id${name}")),
        created: Timestamp(number),
        deleted: None,
    }
}

pub(super) fn device(number: u64, owner: u64, created: u64) -> Device {
    Device {
        id: device_id(number),
        user: user(owner),
        label: format!("device {number}"),
        token_hash: TokenHash([number as u8; 32]),
        created: Timestamp(created),
        last_seen: Timestamp(created),
        attached: None,
    }
}

pub(super) fn attachment(node: &str, session: u64) -> crate::Attachment {
    crate::Attachment { node: node.into(), boot: BootId(u64::MAX - 1), session }
}

pub(super) fn settings(number: u64, handle: Option<&str>) -> Group {
    Group {
        id: group_id(number),
        profile: GroupProfile {
            name: DisplayName::from_stored(format!("Group {number}")),
            description: "for tests".into(),
            handle: handle.map(Handle::from_stored),
            join: JoinPolicy::Request,
            history: HistoryPolicy::All,
        },
        members: 3,
        dissolved: false,
    }
}

pub(super) const EVERYTHING: Range =
    Range { from: 1, to: Seq::MAX, direction: Direction::Forward, limit: 100_000, limit_bytes: 1 << 30 };

/// One committer: its id and the next number of its journal.
pub(super) struct Writer {
    store: Arc<dyn Store>,
    id: WriterId,
    next: AtomicU64,
}

impl Writer {
    pub(super) fn new(store: &Arc<dyn Store>, id: u64) -> Self {
        Self { store: Arc::clone(store), id: WriterId(id), next: AtomicU64::new(1) }
    }

    pub(super) fn batch(&self, now: u64, items: Vec<Item>) -> Batch {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Batch { writer: self.id, number, now: Timestamp(now), items }
    }

    pub(super) async fn commit_at(&self, now: u64, items: Vec<Item>) -> Vec<Outcome> {
        let expected = items.len();
        let outcomes = self.store.commit(&self.batch(now, items)).await.expect("the store is in order");
        assert_eq!(outcomes.len(), expected, "one outcome per item");
        outcomes
    }

    pub(super) async fn commit(&self, items: Vec<Item>) -> Vec<Outcome> {
        self.commit_at(1_000, items).await
    }

    pub(super) async fn one(&self, item: Item) -> Outcome {
        self.commit(vec![item]).await.remove(0)
    }

    /// Commits an item that nothing stands against.
    pub(super) async fn done(&self, item: Item) -> Vec<Placed> {
        match self.one(item).await {
            Outcome::Committed(placed) => placed,
            refused => panic!("nothing stands against it, and yet {refused:?}"),
        }
    }
}

pub(super) fn committed(outcome: &Outcome) -> &[Placed] {
    match outcome {
        Outcome::Committed(placed) => placed,
        other => panic!("committed expected, found {other:?}"),
    }
}

pub(super) async fn log(store: &Arc<dyn Store>, of: ConversationId) -> Vec<Entry> {
    store.entries(of, &EVERYTHING).await.expect("the store is in order")
}

pub(super) async fn head(store: &Arc<dyn Store>, of: ConversationId) -> Head {
    store.heads(&[of]).await.expect("the store is in order").remove(0)
}

pub(super) async fn member(store: &Arc<dyn Store>, of: ConversationId, who: u64) -> Option<Member> {
    store.members(&[(of, user(who))]).await.expect("the store is in order").remove(0)
}

/// A member that is known to have a row.
pub(super) async fn row(store: &Arc<dyn Store>, of: ConversationId, who: u64) -> Member {
    member(store, of, who).await.expect("a row was written")
}

pub(super) fn seqs(entries: &[Entry]) -> Vec<Seq> {
    entries.iter().map(|entry| entry.seq).collect()
}
