//! MariaDB that dies or freezes.

use std::slice;
use std::time::{Duration, Instant};

use chat_proto::message::Reply;
use mysql_async::prelude::Queryable as _;
use tokio::time::timeout;

use crate::clients::seqs;
use crate::connection::Connection;
use crate::link::{Link, Way};
use crate::load::Load;
use crate::node::Memory;
use crate::requests::{direct, id, said, text};
use crate::server::{Installation, LOOK, in_time};
use crate::settling::{assert_momentary, settle};
use crate::{LACKING, RARELY, mariadb, redis, settings};

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
    let mut load = Load::start(slice::from_ref(&server.address)).await;
    for _ in 0..3 {
        load.without_store(mariadb.kill_and_restart()).await;
        load.goes_on().await;
    }
    let report = load.finish().await;
    report.assert_on_time();
    report.assert_no_flicker();
    assert!(report.times_away.iter().all(|times| *times == 0), "connections go on");
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
    let (bob, bob_in) = Connection::join(&installation.addresses()[1], "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    // He reads nothing until the end: a node would be right to close the connection of one who does that.
    bob.leave().await;
    let mut load = Load::start(slice::from_ref(&server.address)).await;
    let memory = || server.nodes.iter().map(|node| node.memory_bytes(Memory::Now).unwrap_or(0)).max();
    let before = memory().expect("there are nodes");

    let (mut number, mut unsettled, mut longest, mut most) = (0, 0, Duration::ZERO, before);
    let outage = async {
        redis::signal(&process, "-STOP");
        let frozen = Instant::now();
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
                    Err(error) => {
                        assert_momentary(&error);
                        unsettled += 1;
                    }
                }
                longest = longest.max(asked.elapsed());
            }
            most = most.max(memory().expect("there are nodes"));
        }
        redis::signal(&process, "-CONT");
    };
    load.without_store(outage).await;
    let more = (most - before) >> 10;
    println!(
        "{unsettled} of {number} sends refused or in doubt, the longest took {longest:?}, {more} KiB more"
    );
    assert!(unsettled > 0, "it was frozen");
    assert!(longest < Duration::from_secs(3 + 2 + 3), "no answer for {longest:?}");
    assert!(most - before < MARGIN_BYTES, "{} bytes more", most - before);

    for number in 1..=number {
        settle(&mut ada, text(number, conversation, "x".repeat(10_000))).await;
    }
    let log = ada.log(conversation).await;
    assert_eq!(seqs(&log), (1..=number).collect::<Vec<_>>());
    let mut ids: Vec<_> = log.iter().map(|entry| entry.client_id).collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq((1..=number).map(|number| Some(id(number)))), "each once");
    let mut bob = Connection::resume(&installation.addresses()[1], bob_in.token.expect("a new device")).await;
    assert_eq!(bob.log(conversation).await, log);
    load.goes_on().await;
    let report = load.finish().await;
    report.assert_on_time();
    report.assert_no_flicker();
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

/// A node has caught up a second after the return of its store; a machine that is busy with other things
/// may add to that.
const CAUGHT_UP: Duration = Duration::from_secs(1 + 5);

/// A cluster in which one node reaches MariaDB and Redis over links, and two people who talk across it.
struct Divided {
    installation: Installation,
    to_mariadb: Link,
    to_redis: Link,
}

/// The node behind the links.
const DIVIDED: usize = 1;

impl Divided {
    async fn install(further: &[(&'static str, &'static str)]) -> Self {
        let (mariadb, redis) = (mariadb::shared().await, redis::shared_server());
        let database = mariadb.database().await;
        let name = database.rsplit('/').next().expect("an address ends with the name");
        let (to_mariadb, to_redis) = (Link::to(mariadb.port()).await, Link::to(redis.port).await);
        let mut installation = Installation::cluster(&database, Some(&redis.url()), &settings(further));
        installation.set_store_of(DIVIDED, &mariadb::address(name, to_mariadb.address().port()));
        installation.set_bus_of(DIVIDED, &format!("redis://{}", to_redis.address()));
        Self { installation, to_mariadb, to_redis }
    }

    /// Waits until this was logged so often; only the divided node has reason to.
    async fn says(&self, what: &str, times: usize) {
        in_time(what, async {
            while self.installation.log().matches(what).count() < times {
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
    }

    /// Somebody on the divided node lacks what is sent while it is without MariaDB and Redis, and has it
    /// when MariaDB is back, though nobody sends any more.
    async fn catches_up(&self, redis: Returns) {
        let nodes = self.installation.addresses();
        let (mut ada, ada_in) = Connection::join(&nodes[0], "ada").await;
        let (mut bob, bob_in) = Connection::join(&nodes[DIVIDED], "bob").await;
        let conversation = direct(ada_in.session, bob_in.session);
        for round in 1..=3 {
            self.to_redis.set(Way::Cut);
            self.to_mariadb.set(Way::Cut);
            let words = format!("in round {round}");
            let number = u64::try_from(round).expect("small");
            ada.ask(text(number, conversation, words.clone())).await.expect("stored");
            if redis == Returns::First {
                self.to_redis.set(Way::Open);
            }
            self.says("the journal cannot be read", round).await;
            let lacking = timeout(LACKING, bob.entries(conversation, 1)).await;
            assert!(lacking.is_err(), "nothing brings it without MariaDB: {lacking:?}");
            self.to_mariadb.set(Way::Open);
            let back = Instant::now();
            assert_eq!(said(&bob.entries(conversation, 1).await[0]), words);
            let late = back.elapsed();
            println!("{late:?} after MariaDB was back");
            assert!(late < CAUGHT_UP, "{late:?} after MariaDB was back");
            self.says("the journal is read again", round).await;
        }
    }
}

/// When Redis returns to a node.
#[derive(Clone, Copy, PartialEq)]
enum Returns {
    /// Ahead of MariaDB, so that what it says it has lost cannot be read.
    First,
    Never,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lacks_something_has_it_when_mariadb_is_back_though_nobody_sends_any_more() {
    let divided = Divided::install(&[]).await;
    let _server = divided.installation.start();
    divided.catches_up(Returns::Never).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_lost_while_mariadb_was_away_too_is_there_when_mariadb_is_back() {
    let divided = Divided::install(&[RARELY]).await;
    let _server = divided.installation.start();
    divided.catches_up(Returns::First).await;
}
