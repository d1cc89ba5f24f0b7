//! Two thousand who log in, are sent to, ask for pages, and never read.

use bytes::BytesMut;
use chat_core::ConversationId;
use chat_proto::message::{LoggedIn, Reply, Request};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::alone;
use crate::connection::Connection;
use crate::honest::{Pair, log};
use crate::measured::{Before, files_come_back, open_files};
use crate::requests::{self, END, direct, group_of, text};
use crate::server::{Installation, Kind};

const DEAF: usize = 2_000;
/// So many send to them.
const SENDERS: usize = 8;
/// So many register at the same time.
const AT_ONCE: usize = 40;
/// Sent to all of them as one group.
const TO_ALL: u64 = 8;
const TO_ALL_BYTES: usize = 32 * 1024;
/// Sent to each by itself, since what is sent to a group is held once for all.
const TO_EACH: u64 = 4;
const TO_EACH_BYTES: usize = 16 * 1024;
/// Pages that each asks for, of everything that was sent to the group.
const PAGES: usize = 4;

/// What may wait in all connections, and in all sessions: a fraction of what is sent.
const BUFFER_BYTES: u64 = 32 << 20;
const QUEUES_BYTES: u64 = 32 << 20;
/// Commands that wait to be stored.
const COMMIT_BYTES: u64 = 8 << 20;
/// A connection with a session: the driver and its task, the outbox and its marks, its places at gates, and
/// what is cached of its user.
const SESSION_BYTES: u64 = 24 << 10;
/// One message that each takes out of its queue however full all buffers are, lest it never gets on.
const STEP_BYTES: u64 = TO_EACH_BYTES as u64;
/// Logs, the store's caches, and what the allocator keeps.
const MARGIN_BYTES: u64 = 64 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_who_never_read_cost_what_is_configured_and_delay_nobody() {
    let _alone = alone().await;
    let settings = [
        ("CHAT_GROUPS_FIRST_MEMBERS_LIMIT", "3000"),
        ("CHAT_CONNECTIONS_BUFFER_BYTES", &*BUFFER_BYTES.to_string()),
        ("CHAT_SESSIONS_ALL_QUEUES_BYTES", &*QUEUES_BYTES.to_string()),
        ("CHAT_COMMITS_QUEUE_BYTES", &*COMMIT_BYTES.to_string()),
        ("CHAT_CONNECTIONS_SEND_BUFFER_BYTES", "16384"),
        // Nobody is closed before there is no room left.
        ("CHAT_CONNECTIONS_WRITE_DEADLINE_MS", "600000"),
        ("CHAT_CONNECTIONS_PING_INTERVAL_MS", "600000"),
    ];
    let installation = Installation::with(Kind::Embedded, &settings).await;
    let server = installation.start();
    let mut pair = Pair::join(&server.address, ["ada", "bob"]).await;
    pair.say(300).await.report("before");
    let (mut sender, _) = Connection::join(&server.address, "sender").await;
    let (memory, files) = (Before::of(&server), open_files(&server));
    let deaf = join_all(&server.address).await;

    let mut talk = pair.talk();
    let users = deaf.iter().map(|(_, deaf_in)| deaf_in.session.user).collect();
    let created = sender.ask(Request::CreateGroup(group_of(1, users))).await;
    let Ok(Reply::GroupCreated(created)) = created else { panic!("a group expected: {created:?}") };
    let group = ConversationId::Group(created.group);
    for number in 1..=TO_ALL {
        sender.ask(text(1_000 + number, group, "x".repeat(TO_ALL_BYTES))).await.expect("stored");
    }
    let sent = send_to_each(&server.address, &deaf).await;
    let mut deaf = ask_for_pages(deaf, group).await;
    // As long as this takes everybody has had many turns.
    talk.goes_on(500).await;

    let (mut pair, latencies) = talk.end().await;
    latencies.report("during");
    pair.has_everything().await;
    let count = DEAF as u64;
    memory.grew_within(
        &server,
        &[
            ("what may wait in all connections, in buffers that have grown by doubling", 2 * BUFFER_BYTES),
            ("what may wait in all sessions", QUEUES_BYTES),
            ("what may wait to be stored, and the batch under way", 2 * COMMIT_BYTES),
            ("sessions", count * SESSION_BYTES),
            ("one step of each", count * STEP_BYTES),
            ("margin", MARGIN_BYTES),
        ],
    );

    // Those who were in the way were closed, which their connections may not have heard; whoever comes back
    // has lost nothing.
    assert!(installation.log().contains("CloseCode(1002)"), "all of it together does not fit");
    let (first, first_in) = deaf.swap_remove(0);
    first.cut();
    deaf.into_iter().for_each(|(connection, _)| connection.cut());
    let mut again = Connection::resume(&server.address, first_in.token.expect("a new device")).await;
    assert_eq!(log(&mut again, group).await.len() as u64, 1 + TO_ALL);
    assert_eq!(log(&mut again, sent[0]).await.len() as u64, TO_EACH);
    again.leave().await;
    files_come_back(&server, files).await;
}

async fn join_all(address: &str) -> Vec<(Connection, LoggedIn)> {
    let mut joining = JoinSet::new();
    for part in 0..AT_ONCE {
        let address = address.to_owned();
        joining.spawn(async move {
            let mut joined = Vec::new();
            for number in 0..DEAF / AT_ONCE {
                let mut connection = Connection::open_narrow(&address).await;
                let logged_in = connection.register(&format!("deaf{part}x{number}")).await;
                joined.push((connection, logged_in));
            }
            joined
        });
    }
    joining.join_all().await.into_iter().flatten().collect()
}

/// Sends each of them what is for nobody else; says where, in their order.
async fn send_to_each(address: &str, deaf: &[(Connection, LoggedIn)]) -> Vec<ConversationId> {
    let mut sending = Vec::new();
    for (part, deaf) in deaf.chunks(DEAF / SENDERS).enumerate() {
        let (mut sender, sender_in) = Connection::join(address, &format!("sender{part}")).await;
        let to: Vec<_> = deaf.iter().map(|(_, deaf_in)| direct(sender_in.session, deaf_in.session)).collect();
        sending.push(tokio::spawn(async move {
            for (number, conversation) in (1..).zip(&to) {
                send_to_one(&mut sender, number, *conversation).await;
            }
            sender.leave().await;
            to
        }));
    }
    let mut to = Vec::new();
    for one in sending {
        to.extend(one.await.expect("all was stored"));
    }
    to
}

/// Sends without waiting in between.
async fn send_to_one(sender: &mut Connection, one: u64, conversation: ConversationId) {
    let mut frames = BytesMut::new();
    for number in 1..=TO_EACH {
        let words = "y".repeat(TO_EACH_BYTES);
        frames.unsplit(sender.frame(text(10_000 + one * 10 + number, conversation, words)).1);
    }
    sender.write(&frames).await;
    for _ in 1..=TO_EACH {
        match sender.any_reply().await {
            (_, Ok(Reply::Receipt(_))) => {}
            other => panic!("a receipt expected: {other:?}"),
        }
    }
}

async fn ask_for_pages(
    deaf: Vec<(Connection, LoggedIn)>,
    group: ConversationId,
) -> Vec<(Connection, LoggedIn)> {
    let mut asked = Vec::with_capacity(deaf.len());
    for (mut connection, logged_in) in deaf {
        let mut frames = BytesMut::new();
        for _ in 0..PAGES {
            frames.unsplit(connection.frame(requests::entries(group, 1, END)).1);
        }
        // It may have been closed already.
        let _ = connection.stream.write_all(&frames).await;
        asked.push((connection, logged_in));
    }
    asked
}
