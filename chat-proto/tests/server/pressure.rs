//! Peers that ask for much and read little.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use chat_core::{ConversationId, Direction, Range};
use chat_proto::message::{CloseCode, Push, Reply, Request, ServerFrame};
use chat_proto::server::Ending;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::harness::{Peer, Server, direct, text};

async fn log(peer: &mut Peer, conversation: ConversationId) -> Vec<u64> {
    let mut seqs: Vec<u64> = Vec::new();
    loop {
        let from = seqs.last().map_or(1, |last| last + 1);
        let range =
            Range { from, to: u64::MAX >> 11, direction: Direction::Forward, limit: 0, limit_bytes: 0 };
        let Ok(Reply::Entries(page)) = peer.ask(Request::Entries { conversation, range }).await else {
            panic!("a page of entries");
        };
        if page.is_empty() {
            return seqs;
        }
        seqs.extend(page.iter().map(|entry| entry.seq));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_never_reads_is_closed_loses_nothing_and_delays_nobody() {
    let server = Server::start().await;
    let (mut ada_peer, ada) = server.join("ada").await;
    let mut stuck = server.connect_through(1024);
    let bob = stuck.join("bob").await;
    let conversation = direct(ada.session, bob.session);
    for n in 0..500 {
        let sent = ada_peer.ask(text(n, conversation, "x".repeat(2000))).await;
        assert!(matches!(sent, Ok(Reply::Receipt(_))), "{sent:?}");
    }
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    assert!(matches!(stuck.leave().await, Ending::Closed(CloseCode::SLOW_READER)));

    let mut again = server.connect();
    again.hello(bob.token, None).await;
    assert_eq!(log(&mut again, conversation).await, (1..=500).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_pauses_is_told_where_it_is_behind_and_has_everything_then() {
    let server = Server::with(|engine| engine.session_queue_bytes = 16 * 1024, |_| {}).await;
    let (mut ada_peer, ada) = server.join("ada").await;
    let mut slow = server.connect_through(1024);
    let bob = slow.join("bob").await;
    let conversation = direct(ada.session, bob.session);
    for n in 0..300 {
        ada_peer.ask(text(n, conversation, "x".repeat(1000))).await.expect("sent");
    }
    let (mut position, mut told) = (0, false);
    while position < 300 {
        match slow.push().await {
            Push::Entries { conversation: at, entries } if at == conversation => {
                for seq in entries.iter().map(|entry| entry.seq) {
                    assert!(seq <= position + 1, "no hole that was not told");
                    position = position.max(seq);
                }
            }
            Push::Behind { conversation: at, upto } if at == conversation => {
                assert!(upto > position);
                (position, told) = (upto, true);
            }
            Push::BehindEverywhere => panic!("one conversation is kept account of"),
            _ => {}
        }
    }
    assert!(told, "so much does not fit the queue");
    assert_eq!(log(&mut slow, conversation).await, (1..=300).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_the_limit_wait_and_are_all_answered() {
    let server = Server::with(|_| {}, |config| config.in_flight = 4).await;
    let (mut peer, _) = server.join("ada").await;
    let mut segment = bytes::BytesMut::new();
    for _ in 0..2000 {
        segment.unsplit(peer.frame(Request::Devices).1);
    }
    peer.write(&segment).await;
    let mut answered = 0;
    while answered < 2000 {
        match peer.next().await.expect("the connection goes on") {
            ServerFrame::Reply { reply: Ok(Reply::Devices(_)), .. } => answered += 1,
            ServerFrame::Push(_) => {}
            other => panic!("devices expected: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_asks_without_reading_is_not_read_from_without_end() {
    let server = Server::start().await;
    let mut peer = server.connect_through(16 * 1024);
    peer.join("ada").await;
    let (_, ping) = peer.frame(Request::Ping);
    let flood = ping.repeat(200_000);
    let written = tokio::io::AsyncWriteExt::write_all(&mut peer.io, &flood).await;
    assert!(written.is_err(), "the server took it all");
    assert!(matches!(peer.leave().await, Ending::Closed(CloseCode::SLOW_READER)));
}

/// Counts how often it is written to.
struct Counted {
    io: tokio::io::DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_one_turn_leave_in_one_write() {
    let server = Server::start().await;
    let writes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&writes);
    let mut peer = server.connect_with(1 << 20, move |io| Counted { io, writes: counter });
    peer.join("ada").await;
    let before = writes.load(Ordering::Relaxed);
    let mut segment = bytes::BytesMut::new();
    let mut last = 0;
    for _ in 0..60 {
        let (id, frame) = peer.frame(Request::Ping);
        segment.unsplit(frame);
        last = id;
    }
    peer.write(&segment).await;
    assert!(matches!(peer.reply_after_others(last).await, Ok(Reply::Pong)));
    assert_eq!(writes.load(Ordering::Relaxed) - before, 1);
}
