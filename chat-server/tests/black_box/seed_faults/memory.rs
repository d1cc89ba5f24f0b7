//! 5: clients that do not read.

use bytes::BytesMut;
use chat_proto::message::Reply;

use crate::connection::Connection;
use crate::requests::{self, direct, text};
use crate::server::{Installation, Kind, Server};

stories! {
    // What grows is a process.
    on_one_node: [
        fault_05_a_client_that_does_not_read_what_others_send_does_not_grow_the_server,
        fault_05_a_client_that_asks_without_reading_does_not_grow_the_server,
    ];
}

/// Queues of sessions, caches of the store, and what the allocator keeps: far from what is sent.
const MARGIN_BYTES: u64 = 32 << 20;

/// A reader that takes nothing is not closed while a test runs.
const PATIENT: &[(&str, &str)] = &[("CHAT_CONNECTIONS_WRITE_DEADLINE_MS", "600000")];

fn growth(server: &Server, before: Option<u64>) -> u64 {
    server.peak_bytes().zip(before).map_or(0, |(now, before)| now - before)
}

async fn fault_05_a_client_that_does_not_read_what_others_send_does_not_grow_the_server(kind: Kind) {
    let installation = Installation::with(kind, PATIENT).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let mut stuck = Connection::open_narrow(&server.address).await;
    let bob_in = stuck.register("bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    let before = server.peak_bytes();
    let (count, size) = (1500, 64 * 1024);
    for number in 1..=count {
        ada.ask(text(number, conversation, "x".repeat(size))).await.expect("nobody is in the way");
    }
    let grown = growth(&server, before);
    assert!(grown < MARGIN_BYTES, "{grown} bytes for {} MiB", (count * size as u64) >> 20);
    let log = ada.log(conversation).await;
    assert_eq!(log.len() as u64, count);
    stuck.cut();
}

async fn fault_05_a_client_that_asks_without_reading_does_not_grow_the_server(kind: Kind) {
    let installation = Installation::with(kind, PATIENT).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (mut bob, bob_in) = Connection::join(&server.address, "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    for number in 1..=4 {
        ada.ask(text(number, conversation, "x".repeat(60_000))).await.expect("sent");
    }
    let mut greedy = Connection::open_narrow(&server.address).await;
    greedy.hello(ada_in.token).await;
    let before = server.peak_bytes();
    // Answers of 240,000 bytes each.
    let asked = 500;
    let mut requests = BytesMut::new();
    for _ in 0..asked {
        requests.unsplit(greedy.frame(requests::entries(conversation, 1, 4)).1);
    }
    greedy.write(&requests).await;
    for number in 10..200 {
        bob.ask(text(number, conversation, "meanwhile")).await.expect("others go on");
    }
    let mut answered = 0;
    while answered < asked {
        match greedy.any_reply().await {
            (_, Ok(Reply::Entries(entries))) if entries.len() == 4 => answered += 1,
            other => panic!("four entries expected: {other:?}"),
        }
    }
    let grown = growth(&server, before);
    assert!(grown < MARGIN_BYTES, "{grown} bytes for {} MiB", (asked * 240_000) >> 20);
}
