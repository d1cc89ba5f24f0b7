//! A client that stops reading while a group is in full flow.

use chat_core::{ConversationId, Seq};
use chat_proto::client::Client;
use chat_proto::message::{Push, Reply, Request};

use crate::clients::{self, seqs};
use crate::connection::Connection;
use crate::requests::{self, group_of, text};
use crate::server::{Installation, Kind};

stories! {
    everywhere: [
        a_stuck_reader_delays_nobody_grows_nothing_and_has_everything_in_the_end,
        a_stuck_reader_is_cut_in_the_end_and_has_everything_when_it_comes_back,
    ];
}

/// Far less than what is sent, and more than caches and queues hold.
const MARGIN_BYTES: u64 = 32 << 20;
const SENDERS: usize = 4;
const READERS: usize = 8;
const MESSAGES: u64 = 300;
const MESSAGE_BYTES: usize = 32 * 1024;

async fn a_stuck_reader_delays_nobody_grows_nothing_and_has_everything_in_the_end(kind: Kind) {
    let installation = Installation::with(
        kind,
        &[("CHAT_SESSIONS_QUEUE_BYTES", "131072"), ("CHAT_CONNECTIONS_WRITE_DEADLINE_MS", "600000")],
    )
    .await;
    let server = installation.start();
    let mut stuck = Connection::open_narrow(&server.address).await;
    let stuck_in = stuck.register("stuck").await;
    let (mut senders, mut readers, mut users) = (Vec::new(), Vec::new(), vec![stuck_in.session.user]);
    for number in 0..SENDERS {
        let (connection, logged_in) = Connection::join(&server.address, &format!("sender{number}")).await;
        users.push(logged_in.session.user);
        senders.push(connection);
    }
    for number in 0..READERS {
        let (client, events, account) = clients::join(&server.address, &format!("reader{number}")).await;
        users.push(account.user);
        readers.push((client, events));
    }
    let created = senders[0].ask(Request::CreateGroup(group_of(1, users))).await;
    let Ok(Reply::GroupCreated(created)) = created else { panic!("a group expected: {created:?}") };
    let group = ConversationId::Group(created.group);
    let last = 1 + SENDERS as u64 * MESSAGES;
    let before = server.peak_bytes();

    let sending: Vec<_> =
        (1..).zip(senders).map(|(sender, one)| tokio::spawn(send(one, sender, group))).collect();
    let reading: Vec<_> = readers.into_iter().map(|one| tokio::spawn(read(one, group, last))).collect();
    // From here on the stuck one takes nothing, and all others are done all the same.
    for one in sending {
        one.await.expect("every send is acknowledged");
    }
    for one in reading {
        one.await.expect("every reader has everything");
    }
    let grown = server.peak_bytes().zip(before).map_or(0, |(after, before)| after - before);
    assert!(
        grown < MARGIN_BYTES * server.nodes.len() as u64,
        "{grown} bytes for {} MiB",
        (last * MESSAGE_BYTES as u64) >> 20
    );

    let (position, told) = catch_up(&mut stuck, group, last).await;
    assert_eq!(position, last);
    assert!(told > 0, "so much fits neither queue nor sockets");
    assert_eq!(seqs(&stuck.log(group).await), (1..=last).collect::<Vec<_>>());
}

async fn send(mut sender: Connection, number: u64, group: ConversationId) {
    for message in 1..=MESSAGES {
        let words = "x".repeat(MESSAGE_BYTES);
        sender.ask(text(number * 10_000 + message, group, words)).await.expect("stored");
    }
}

async fn read(reader: (Client, chat_proto::client::ClientEvents), group: ConversationId, last: Seq) {
    let (client, mut events) = reader;
    let heard = clients::entries_to(&mut events, group, last).await;
    // Where somebody became a member stands in the state already: they may start after that.
    let first = heard[0].seq;
    assert!(first <= 2);
    assert_eq!(seqs(&heard), (first..=last).collect::<Vec<_>>());
    client.close().await;
}

/// Reads again to the end. Where entries were left out the reader is told up to where, and reads
/// them from the log. Returns how far it got, and how often it was told.
async fn catch_up(stuck: &mut Connection, group: ConversationId, last: Seq) -> (Seq, u32) {
    let (mut position, mut told) = (0, 0);
    while position < last {
        match stuck.push().await {
            Push::Entries { conversation, entries } if conversation == group => {
                for entry in entries {
                    assert!(entry.seq <= position + 1, "a hole that nobody was told of");
                    position = position.max(entry.seq);
                }
            }
            Push::Behind { conversation, upto } if conversation == group => {
                told += 1;
                while position < upto {
                    match stuck.ask(requests::entries(group, position + 1, upto)).await {
                        Ok(Reply::Entries(page)) => position = page.last().expect("not empty").seq,
                        other => panic!("entries expected: {other:?}"),
                    }
                }
            }
            Push::BehindEverywhere => panic!("one conversation is kept account of"),
            _ => {}
        }
    }
    (position, told)
}

async fn a_stuck_reader_is_cut_in_the_end_and_has_everything_when_it_comes_back(kind: Kind) {
    let installation = Installation::with(
        kind,
        &[("CHAT_SESSIONS_QUEUE_BYTES", "131072"), ("CHAT_CONNECTIONS_WRITE_DEADLINE_MS", "500")],
    )
    .await;
    let server = installation.start();
    let mut stuck = Connection::open_narrow(&server.address).await;
    let bob_in = stuck.register("bob").await;
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let conversation = requests::direct(ada_in.session, bob_in.session);
    let mut number = 0;
    // The server says in its log that it has closed the connection.
    while !installation.log().contains("CloseCode(1002)") {
        number += 1;
        ada.ask(text(number, conversation, "x".repeat(MESSAGE_BYTES))).await.expect("stored");
    }
    let token = bob_in.token.expect("a new device");
    let (client, mut events) = clients::resume(&server.address, token, Vec::new()).await;
    let heard = clients::entries_to(&mut events, conversation, number).await;
    assert_eq!(seqs(&heard), (1..=number).collect::<Vec<_>>());
    client.close().await;
    stuck.cut();
}
