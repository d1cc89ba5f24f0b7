//! MariaDB that dies or freezes.

use std::slice;
use std::time::{Duration, Instant};

use chat_core::{ConversationId, Error, ErrorKind};
use chat_proto::message::Reply;
use mysql_async::prelude::Queryable as _;

use crate::clients::seqs;
use crate::connection::Connection;
use crate::load::Load;
use crate::node::Memory;
use crate::requests::{direct, id, text};
use crate::server::{Installation, LOOK, in_time};
use crate::{mariadb, redis, settings};

/// How long MariaDB is frozen: longer than any deadline of the settings.
const FROZEN: Duration = Duration::from_secs(10);

/// So many sends are on their way at once.
const AT_ONCE: u64 = 30;

/// What may wait in a node, and what the allocator keeps.
const MARGIN_BYTES: u64 = 64 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_is_killed_and_restarted_and_nodes_go_on_without_a_restart() {
    let mut mariadb = mariadb::Server::start().await;
    let database = mariadb.database().await;
    let redis = redis::shared_server().url();
    let installation = Installation::cluster(&database, Some(&redis), &settings(&[]));
    let server = installation.start();
    let load = Load::start(slice::from_ref(&server.address)).await;
    for _ in 0..3 {
        mariadb.kill_and_restart().await;
        load.goes_on().await;
    }
    let report = load.finish().await;
    report.assert_no_flicker();
}

async fn process_of(mariadb: &mariadb::Server) -> String {
    let mut admin = mariadb.admin().await;
    let file: Option<String> = admin.query_first("SELECT @@pid_file").await.expect("it answers");
    admin.disconnect().await.expect("it was connected");
    let process = std::fs::read_to_string(file.expect("it has one")).expect("it was written");
    process.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_is_frozen_and_every_send_is_settled_by_a_retry() {
    let mariadb = mariadb::Server::start().await;
    let database = mariadb.database().await;
    let process = process_of(&mariadb).await;
    let redis = redis::shared_server().url();
    let deadlines = [("CHAT_COMMITS_DEADLINE_MS", "3000"), ("CHAT_MYSQL_DEADLINE_MS", "2000")];
    let installation = Installation::cluster(&database, Some(&redis), &settings(&deadlines));
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&installation.addresses()[0], "ada").await;
    let (mut bob, bob_in) = Connection::join(&installation.addresses()[1], "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    let load = Load::start(slice::from_ref(&server.address)).await;
    let memory = || server.nodes.iter().map(|node| node.memory_bytes(Memory::Now).unwrap_or(0)).max();
    let before = memory().expect("there are nodes");

    redis::signal(&process, "-STOP");
    let frozen = Instant::now();
    let (mut number, mut longest, mut most) = (0, Duration::ZERO, before);
    while frozen.elapsed() < FROZEN {
        let asked = Instant::now();
        for _ in 0..AT_ONCE {
            number += 1;
            ada.begin(text(number, conversation, "x".repeat(10_000))).await;
        }
        for _ in 0..AT_ONCE {
            match ada.any_reply().await.1 {
                // What was under way in the moment of freezing.
                Ok(reply) => assert!(matches!(reply, Reply::Receipt(_)), "{reply:?}"),
                Err(error) => assert_momentary(&error),
            }
            longest = longest.max(asked.elapsed());
        }
        most = most.max(memory().expect("there are nodes"));
    }
    redis::signal(&process, "-CONT");
    println!("{number} sends, the longest took {longest:?}, {} KiB more", (most - before) >> 10);
    assert!(longest < Duration::from_secs(3 + 2 + 3), "no answer for {longest:?}");
    assert!(most - before < MARGIN_BYTES, "{} bytes more", most - before);

    for number in 1..=number {
        settle(&mut ada, number, conversation).await;
    }
    let log = ada.log(conversation).await;
    assert_eq!(seqs(&log), (1..=number).collect::<Vec<_>>());
    let mut ids: Vec<_> = log.iter().map(|entry| entry.client_id).collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq((1..=number).map(|number| Some(id(number)))), "each once");
    assert_eq!(bob.log(conversation).await, log);
    load.goes_on().await;
    load.finish().await;
}

/// That a retry may help.
fn assert_momentary(error: &Error) {
    let kinds = [ErrorKind::Overloaded, ErrorKind::Unavailable, ErrorKind::OutcomeUnknown];
    assert!(kinds.contains(&error.kind()), "{error:?}");
}

/// Repeats a send until it is stored.
async fn settle(sender: &mut Connection, number: u64, conversation: ConversationId) {
    in_time("it is stored", async {
        while let Err(error) = sender.ask(text(number, conversation, "x".repeat(10_000))).await {
            assert_momentary(&error);
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ended_while_mariadb_was_away_locks_nobody_out() {
    let mariadb = mariadb::Server::start().await;
    let database = mariadb.database().await;
    let process = process_of(&mariadb).await;
    let redis = redis::shared_server().url();
    let further = [
        ("CHAT_ACCOUNTS_DEVICES", "refuse_while_online"),
        ("CHAT_COMMITS_DEADLINE_MS", "1000"),
        ("CHAT_MYSQL_DEADLINE_MS", "1000"),
    ];
    let installation = Installation::cluster(&database, Some(&redis), &settings(&further));
    let server = installation.start();
    let (ada, _) = Connection::join(&installation.addresses()[0], "ada").await;
    redis::signal(&process, "-STOP");
    ada.leave().await;
    tokio::time::sleep(FROZEN / 2).await;
    redis::signal(&process, "-CONT");
    Connection::enter_when_free(&installation.addresses()[1], "ada").await;
    drop(server);
}
