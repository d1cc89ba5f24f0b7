//! Who sends as fast as the connection takes it, and who does so and reads no answer.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use chat_core::{ConversationId, ErrorKind};
use chat_proto::message::{LoggedIn, Reply};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::alone;
use crate::connection::Connection;
use crate::honest::Pair;
use crate::measured::{Before, files_come_back, open_files};
use crate::requests::{direct, hello, said, text};
use crate::server::{Installation, Kind, LOOK, in_time};

/// What a session may do in a second, and at once. The honest pair stays below it.
const PER_SECOND: u32 = 250;
const BURST: u32 = 500;
/// Sent by the one who floods, within seconds.
const MESSAGES: u64 = 50_000;
/// Of these, what is written in one piece.
const PIECE: u64 = 500;
/// What one such connection may hold: 64 requests in flight, 64 KiB of answers, a frame that has not
/// arrived as a whole.
const CONNECTION_BYTES: u64 = 1 << 20;
/// Logs, the store's caches, and what the allocator keeps.
const MARGIN_BYTES: u64 = 48 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_sends_as_fast_as_it_can_is_held_to_the_rate_and_delays_nobody() {
    let _alone = alone().await;
    let settings = [
        ("CHAT_RATES_COMMANDS_PER_SECOND", &*PER_SECOND.to_string()),
        ("CHAT_RATES_COMMANDS_BURST", &*BURST.to_string()),
        ("CHAT_CONNECTIONS_WRITE_DEADLINE_MS", "2000"),
    ];
    let installation = Installation::with(Kind::Embedded, &settings).await;
    let server = installation.start();
    let mut pair = Pair::join(&server.address, ["ada", "bob"]).await;
    pair.say(300).await.report("before");
    let (memory, files) = (Before::of(&server), open_files(&server));
    let talk = pair.talk();

    let (mut flood, flood_in) = Connection::join(&server.address, "flood").await;
    let (mut victim, victim_in) = Connection::join(&server.address, "victim").await;
    let conversation = direct(flood_in.session, victim_in.session);
    let (accepted, took) = send_and_read(&mut flood, conversation).await;
    println!("{accepted} of {MESSAGES} messages were stored in {took:.1?}");
    let admitted = u64::from(BURST) + (took.as_secs_f64() * f64::from(PER_SECOND)).ceil() as u64;
    assert!((u64::from(BURST)..=admitted).contains(&accepted), "{accepted} where {admitted} are admitted");
    let heard = victim.entries(conversation, usize::try_from(accepted).expect("few")).await;
    assert!(heard.iter().map(|entry| entry.seq).eq(1..=accepted), "in order, once");
    assert!(heard.iter().map(said).is_sorted_by_key(|words| words.parse::<u64>().expect("a number")));

    send_without_reading(&server.address, &flood_in, conversation).await;
    in_time("whoever reads no answer is closed", async {
        while !installation.log().contains("CloseCode(1002)") {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;

    let (mut pair, latencies) = talk.end().await;
    latencies.report("during");
    pair.has_everything().await;
    memory.grew_within(&server, &[("two connections", 2 * CONNECTION_BYTES), ("margin", MARGIN_BYTES)]);
    flood.cut();
    victim.leave().await;
    // One of them may be closed a moment later than the other.
    files_come_back(&server, files).await;
}

/// Sends everything without waiting for an answer; says how much was stored, and how long it took.
async fn send_and_read(flood: &mut Connection, conversation: ConversationId) -> (u64, Duration) {
    let handle = flood.stream.as_fd().try_clone_to_owned().expect("a file more");
    let mut writing = TcpStream::from_std(handle.into()).expect("it is a connection");
    let pieces: Vec<_> = (0..MESSAGES / PIECE).map(|piece| frames(flood, piece, conversation)).collect();
    let begun = Instant::now();
    let sending = tokio::spawn(async move {
        for piece in pieces {
            writing.write_all(&piece).await.expect("the connection goes on");
        }
    });
    let mut accepted = 0;
    for _ in 0..MESSAGES {
        match flood.any_reply().await {
            (_, Ok(Reply::Receipt(_))) => accepted += 1,
            (_, Err(error)) if error.kind() == ErrorKind::RateLimited => {
                assert!(error.retry_delay().is_some(), "it says when to try again");
            }
            other => panic!("stored, or too fast: {other:?}"),
        }
    }
    sending.await.expect("everything was sent");
    (accepted, begun.elapsed())
}

fn frames(flood: &mut Connection, piece: u64, conversation: ConversationId) -> Bytes {
    let mut frames = BytesMut::new();
    for number in piece * PIECE..(piece + 1) * PIECE {
        frames.unsplit(flood.frame(text(1 + number, conversation, number.to_string())).1);
    }
    frames.freeze()
}

/// Sends for as long as the server has it.
async fn send_without_reading(address: &str, flood_in: &LoggedIn, conversation: ConversationId) {
    let mut flood = Connection::open_narrow(address).await;
    let (_, greeting) = flood.frame(hello(flood_in.token));
    flood.write(&greeting).await;
    let piece = frames(&mut flood, MESSAGES, conversation);
    let mut sent = 0_u64;
    let sending = async {
        while flood.stream.write_all(&piece).await.is_ok() {
            sent += PIECE;
        }
    };
    in_time("the server hangs up", sending).await;
    println!("{sent} messages were sent by the one who reads no answer");
}
