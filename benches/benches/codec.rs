//! The wire: frames of a send, and chunks of entries, encoded and decoded.

use bytes::{Bytes, BytesMut};
use chat_core::{Body, Chunk, ClientId, Content, ConversationId, Entry, Outgoing, Send, Timestamp, UserId};
use chat_proto::frame;
use chat_proto::message::{ClientFrame, Request, ServerFrame, chunk_frames};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const LIMIT_BYTES: usize = 1 << 20;

fn user(number: u64) -> UserId {
    UserId::new(number).expect("a valid id")
}

fn pair() -> ConversationId {
    ConversationId::direct(user(7), user(9_000_000_000)).expect("two users")
}

fn send() -> ClientFrame {
    let message = Outgoing::Message { body: Body::Text("x".repeat(100)), reply_to: None };
    let send = Send { client_id: ClientId([7; 16]), conversation: pair(), message, read_up_to: None };
    ClientFrame { request_id: 77, request: Request::Send(send) }
}

fn chunk(entries: u64) -> Chunk {
    let content = Content::Message(Body::Text("x".repeat(100)));
    let entry = |seq| Entry {
        seq,
        time: Timestamp(1_700_000_000_000 + seq),
        sender: user(7),
        client_id: Some(ClientId([7; 16])),
        countable: true,
        ordinal: seq,
        target: None,
        kind: content.kind().expect("a message has a kind"),
        content: Some(content.encode()),
    };
    Chunk::new(pair(), (1..=entries).map(entry).collect()).expect("consecutive entries")
}

fn payload(framed: &[u8]) -> Bytes {
    let taken = frame::take(&mut BytesMut::from(framed), LIMIT_BYTES);
    taken.expect("within the limit").expect("a whole frame")
}

fn codec(c: &mut Criterion) {
    let mut framed = BytesMut::new();
    send().encode(&mut framed);
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Elements(1));
    group.bench_function("encode a send of 100 bytes", |b| {
        let (frame, mut out) = (send(), BytesMut::with_capacity(4096));
        b.iter(|| {
            out.clear();
            frame.encode(&mut out);
        });
    });
    group.bench_function("decode a send of 100 bytes", |b| {
        let payload = payload(&framed);
        b.iter(|| ClientFrame::decode(payload.clone()).expect("well formed"));
    });
    for entries in [1, 16] {
        group.throughput(Throughput::Elements(entries));
        group.bench_with_input(BenchmarkId::new("encode a chunk", entries), &entries, |b, entries| {
            b.iter_batched(|| chunk(*entries), |chunk| chunk_frames(&chunk).clone(), BatchSize::SmallInput);
        });
        let encoded = payload(chunk_frames(&chunk(entries)));
        group.bench_with_input(BenchmarkId::new("decode a chunk", entries), &encoded, |b, encoded| {
            b.iter(|| ServerFrame::decode(encoded.clone()).expect("well formed"));
        });
    }
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
