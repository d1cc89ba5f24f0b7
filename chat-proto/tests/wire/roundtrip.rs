//! Whatever can be said reads back as it was said.

use bytes::{Bytes, BytesMut};
use chat_core::{
    Body, ClientId, ConversationId, Direction, Entry, GroupId, Kind, Outgoing, Range, Send, Seq, Sync,
    Timestamp, UserId,
};
use chat_proto::frame;
use chat_proto::message::{ClientFrame, Push, Reply, Request, ServerFrame};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const LAST: u64 = chat_core::MAX_ID - 1;

fn user() -> impl Strategy<Value = UserId> {
    (1..=LAST).prop_map(|number| UserId::new(number).expect("in range"))
}

fn conversation() -> impl Strategy<Value = ConversationId> {
    prop_oneof![
        (user(), user()).prop_filter_map("one user", |(a, b)| ConversationId::direct(a, b)),
        (1..=LAST).prop_map(|number| ConversationId::Group(GroupId::new(number).expect("in range"))),
        user().prop_map(ConversationId::Inbox),
    ]
}

fn seq() -> impl Strategy<Value = Seq> {
    1..=LAST
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        any::<String>().prop_map(Body::Text),
        ("[a-z]{1,9}/[a-z]{1,9}", bytes()).prop_map(|(media_type, bytes)| Body::Data { media_type, bytes }),
    ]
}

fn outgoing() -> impl Strategy<Value = Outgoing> {
    prop_oneof![
        (body(), option::of(seq())).prop_map(|(body, reply_to)| Outgoing::Message { body, reply_to }),
        (seq(), body()).prop_map(|(target, body)| Outgoing::Edit { target, body }),
        seq().prop_map(|target| Outgoing::Recall { target }),
        (seq(), any::<String>(), any::<bool>()).prop_map(|(target, symbol, set)| Outgoing::Reaction {
            target,
            symbol,
            set
        }),
    ]
}

fn range() -> impl Strategy<Value = Range> {
    let limit = || (0..=u32::MAX).prop_map(|limit| limit as usize);
    (seq(), any::<u64>(), any::<bool>(), limit(), limit()).prop_map(
        |(from, to, forward, limit, limit_bytes)| {
            let direction = if forward { Direction::Forward } else { Direction::Backward };
            Range { from, to, direction, limit, limit_bytes }
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let cursors = vec((conversation(), 0..=LAST), 0..20).prop_map(|mut cursors| {
        cursors.sort();
        cursors.dedup_by_key(|cursor| cursor.0);
        cursors
    });
    prop_oneof![
        (any::<[u8; 16]>(), conversation(), outgoing(), option::of(seq())).prop_map(
            |(id, conversation, message, read_up_to)| {
                Request::Send(Send { client_id: ClientId(id), conversation, message, read_up_to })
            }
        ),
        (cursors, option::of(conversation()), option::of(conversation()), 0..9usize, 0..9usize).prop_map(
            |(cursors, after, until, limit, entries_limit)| {
                Request::Sync(Sync { cursors, after, until, limit, entries_limit })
            }
        ),
        (conversation(), range()).prop_map(|(conversation, range)| Request::Entries { conversation, range }),
        vec((conversation(), 0..=LAST), 0..20).prop_map(Request::MarkDelivered),
        vec(user(), 0..50).prop_map(Request::Profiles),
    ]
}

prop_compose! {
    fn entry()(
        seq in seq(), time in any::<u64>(), sender in user(), client_id in option::of(any::<[u8; 16]>()),
        countable in any::<bool>(), ordinal in any::<u64>(), target in option::of(seq()),
        kind in 16..19_000u64, content in option::of(bytes()),
    ) -> Entry {
        Entry {
            seq, sender, countable, ordinal, target, content,
            time: Timestamp(time),
            client_id: client_id.map(ClientId),
            kind: Kind::new(kind).expect("in range"),
        }
    }
}

fn encoded(encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    encode(&mut out);
    frame::take(&mut out, frame::MAX_FRAME_BYTES).expect("within the limit").expect("a whole frame")
}

proptest! {
    #[test]
    fn requests_read_back(request_id in 1..=u64::MAX, request in request()) {
        let said = ClientFrame { request_id, request };
        let heard = ClientFrame::decode(encoded(|out| said.encode(out))).expect("what was said");
        prop_assert_eq!(format!("{said:?}"), format!("{heard:?}"));
    }

    #[test]
    fn pages_of_entries_read_back(request_id in 1..=u64::MAX, entries in vec(entry(), 0..8)) {
        let said = ServerFrame::Reply { request_id, reply: Ok(Reply::Entries(entries)) };
        let heard = ServerFrame::decode(encoded(|out| said.encode(out))).expect("what was said");
        prop_assert_eq!(format!("{said:?}"), format!("{heard:?}"));
    }

    #[test]
    fn pushed_entries_read_back(conversation in conversation(), mut entries in vec(entry(), 1..8)) {
        let first = entries[0].seq.min(LAST - 8);
        entries.iter_mut().zip(first..).for_each(|(entry, seq)| entry.seq = seq);
        let said = ServerFrame::Push(Push::Entries { conversation, entries });
        let heard = ServerFrame::decode(encoded(|out| said.encode(out))).expect("what was said");
        prop_assert_eq!(format!("{said:?}"), format!("{heard:?}"));
    }

    #[test]
    fn junk_never_panics(payload in vec(any::<u8>(), 0..300)) {
        let payload = Bytes::from(payload);
        let _read = ClientFrame::decode(payload.clone());
        let _read = ServerFrame::decode(payload);
    }

    #[test]
    fn frames_are_found_however_the_stream_is_cut(
        payloads in vec(bytes(), 1..8), cuts in vec(1..64usize, 1..40),
    ) {
        let mut stream = BytesMut::new();
        for payload in &payloads {
            frame::put(&mut stream, |out| out.extend_from_slice(payload));
        }
        let (mut received, mut found) = (BytesMut::new(), Vec::new());
        for cut in cuts.into_iter().cycle() {
            if stream.is_empty() {
                break;
            }
            let part = stream.split_to(cut.min(stream.len()));
            received.extend_from_slice(&part);
            while let Some(payload) = frame::take(&mut received, 200).expect("within the limit") {
                found.push(payload);
            }
        }
        prop_assert_eq!(found, payloads);
    }
}
