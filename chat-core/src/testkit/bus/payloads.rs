//! What is carried arrives as it was.

use bytes::Bytes;

use super::Endpoints;
use super::fixture::{
    chunk, entry, group, group_topic, message, next, origin, publish, subscribe, user, user_topic,
};
use crate::bus::{Message, Payload};
use crate::{ConversationId, Entry, Ephemeral, MAX_ID, Seq, Timestamp};

/// Entries of every shape, of kinds that no version knows, in every kind of conversation.
pub async fn chunks_read_back_equal([a, b, _]: Endpoints) {
    subscribe(&b, &[group_topic(1)]).await;
    let entries = vec![
        entry(7, "hello"),
        Entry { content: None, ..entry(8, "") },
        Entry { content: Some(Bytes::new()), client_id: None, countable: false, ..entry(9, "") },
        Entry { target: Some(3), ordinal: 0, time: Timestamp(0), ..entry(10, &b"\x00\xff\r\n{}"[..]) },
    ];
    let last = vec![Entry { sender: user(MAX_ID - 1), time: Timestamp(u64::MAX), ..entry(Seq::MAX, "z") }];
    let direct = ConversationId::direct(user(1), user(MAX_ID - 1)).expect("two users");
    for (conversation, entries) in [
        (ConversationId::Group(group(MAX_ID - 1)), entries.clone()),
        (direct, entries),
        (ConversationId::Inbox(user(5)), last),
    ] {
        publish(&a, group_topic(1), message(conversation, entries.clone()));
        let arrived = loop {
            let arrived = next(&b).await;
            if chunk(&arrived).conversation() == conversation {
                break arrived;
            }
        };
        assert_eq!(chunk(&arrived).entries(), entries);
    }
}

/// What a full batch holds for one conversation travels in one piece.
pub async fn large_chunks_read_back_equal([a, b, _]: Endpoints) {
    subscribe(&b, &[user_topic(1)]).await;
    let many: Vec<_> = (1..=1_000).map(|seq| entry(seq, vec![seq as u8; 1_000])).collect();
    let big = vec![entry(1_001, vec![b'x'; 2 << 20])];
    for entries in [many, big] {
        let conversation = ConversationId::Inbox(user(1));
        publish(&a, user_topic(1), message(conversation, entries.clone()));
        let arrived = loop {
            let arrived = next(&b).await;
            if chunk(&arrived).first() == entries[0].seq {
                break arrived;
            }
        };
        assert!(chunk(&arrived).entries() == entries, "a large chunk arrived changed");
    }
}

/// Ephemerals of every kind.
pub async fn ephemerals_read_back_equal([a, b, _]: Endpoints) {
    subscribe(&b, &[user_topic(1)]).await;
    let user = user(MAX_ID - 1);
    let conversation = ConversationId::Group(group(2));
    for ephemeral in [
        Ephemeral::Presence { user, online: true },
        Ephemeral::Presence { user, online: false },
        Ephemeral::Typing { conversation, user },
        Ephemeral::Read { conversation, user, seq: Seq::MAX },
        Ephemeral::Delivered { conversation: ConversationId::Inbox(user), user, seq: 1 },
    ] {
        let message = Message { origin: origin("node"), payload: Payload::Ephemeral(ephemeral) };
        publish(&a, user_topic(1), message);
        while !matches!(next(&b).await.payload, Payload::Ephemeral(arrived) if arrived == ephemeral) {}
    }
}
