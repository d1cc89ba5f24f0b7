//! The numbered faults of the earlier system that take several nodes, or what is behind them: 13 to 18.
//! The others are in the tests of the black box.

use std::time::{Duration, Instant};

use chat_core::{Ephemeral, ErrorKind, Token};
use chat_proto::message::{CloseCode, Push};
use mysql_async::prelude::Queryable as _;

use crate::clients::seqs;
use crate::connection::Connection;
use crate::requests::{befriend, direct, login, said, text};
use crate::server::{Installation, Kind, LOOK, in_time};
use crate::{LEASE, RARELY, mariadb, redis, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_13_many_pairs_chat_across_nodes_and_nobody_gets_what_is_others() {
    let installation = Installation::with(Kind::Cluster, &settings(&[])).await;
    let _server = installation.start();
    let mut pairs = Vec::new();
    for number in 0..10 {
        let nodes = installation.addresses();
        let (near, far) = (nodes[number % 3].clone(), nodes[(number + 1) % 3].clone());
        pairs.push(tokio::spawn(async move {
            let (mut ada, ada_in) = Connection::join(&near, &format!("ada{number}")).await;
            let (mut bob, bob_in) = Connection::join(&far, &format!("bob{number}")).await;
            let conversation = direct(ada_in.session, bob_in.session);
            for turn in 1..=50 {
                let (from, to) = if turn % 2 == 0 { (&mut ada, &mut bob) } else { (&mut bob, &mut ada) };
                let words = format!("{number} {turn}");
                from.ask(text(turn, conversation, words.clone())).await.expect("stored");
                // Whatever else comes is the own echo of the turn before, or of this very pair.
                loop {
                    let Push::Entries { conversation: place, entries } = to.push().await else { continue };
                    if place == conversation && entries.iter().any(|entry| said(entry) == words) {
                        break;
                    }
                    let own = [ada_in.session.user, bob_in.session.user];
                    assert!(entries.iter().all(|entry| own.contains(&entry.sender)), "{entries:?}");
                }
            }
        }));
    }
    for pair in pairs {
        in_time("a pair", pair).await.expect("it chats to the end");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_14_a_user_who_moves_between_nodes_gets_each_message_once_and_leaves_nothing_behind() {
    let database = mariadb::shared().await.database().await;
    let redis = redis::Server::start();
    let installation = Installation::cluster(&database, Some(&redis.url()), &settings(&[]));
    let _server = installation.start();
    let nodes = installation.addresses();
    let (mut ada, ada_in) = Connection::join(&nodes[0], "ada").await;
    let (mut bob, bob_in) = Connection::join(&nodes[1], "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    let token: Token = bob_in.token.expect("a new device");
    let subscribers = format!("PUBSUB NUMSUB {}:u:{}", installation.namespace(), bob_in.session.user);
    let mut number = 0;
    for round in 0..12 {
        // By turns the one before is still there, or has left.
        let last = bob;
        bob = if round % 2 == 0 {
            last.leave().await;
            Connection::resume(&nodes[round % 3], token).await
        } else {
            let new = Connection::resume(&nodes[round % 3], token).await;
            let mut last = last;
            assert_eq!(last.closed().await.code, CloseCode::SUPERSEDED);
            new
        };
        for _ in 0..3 {
            number += 1;
            ada.ask(text(number, conversation, number.to_string())).await.expect("stored");
            assert_eq!(seqs(&bob.entries(conversation, 1).await), [number], "live, and only this one");
        }
        in_time("one node listens to what is bob's", async {
            while !redis.says(&subscribers, ":1") {
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
    }
    assert_eq!(seqs(&bob.log(conversation).await), (1..=number).collect::<Vec<_>>());
}

/// Waits until all nodes have logged this so often.
async fn all_nodes_say(installation: &Installation, what: &str, times: u64) {
    in_time(what, async {
        let all = installation.addresses().len() as u64 * times;
        while (installation.log().matches(what).count() as u64) < all {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_15_nodes_notice_when_redis_dies_and_subscribe_again_when_it_is_back() {
    let database = mariadb::shared().await.database().await;
    let mut redis = redis::Server::start();
    let installation = Installation::cluster(&database, Some(&redis.url()), &settings(&[RARELY]));
    let _server = installation.start();
    let nodes = installation.addresses();
    let (mut ada, ada_in) = Connection::join(&nodes[0], "ada").await;
    let (mut bob, bob_in) = Connection::join(&nodes[1], "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    for round in 0..3 {
        all_nodes_say(&installation, "now=Healthy", round + 1).await;
        ada.ask(text(2 * round + 1, conversation, "before")).await.expect("stored");
        assert_eq!(said(&bob.entries(conversation, 1).await[0]), "before");
        redis.kill();
        all_nodes_say(&installation, "now=Degraded", round + 1).await;
        // What is said meanwhile arrives when Redis is back, without another word.
        ada.ask(text(2 * round + 2, conversation, "meanwhile")).await.expect("stored");
        redis.restart();
        assert_eq!(said(&bob.entries(conversation, 1).await[0]), "meanwhile");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_16_a_killed_node_locks_nobody_out() {
    let policy = ("CHAT_ACCOUNTS_DEVICES", "refuse_while_online");
    let installation = Installation::with(Kind::Cluster, &settings(&[policy])).await;
    let mut server = installation.start();
    let nodes = installation.addresses();
    let (_ada, ada_in) = Connection::join(&nodes[0], "ada").await;
    let (_lost, lost_in) = Connection::join(&nodes[0], "bob").await;
    let (_carol, _) = Connection::join(&nodes[1], "carol").await;
    // The node on which bob will come back knows that he is on this one.
    let (mut dave, _) = Connection::join(&nodes[2], "dave").await;
    let user = lost_in.session.user;
    dave.ask(befriend(1, user)).await.expect("contacts");
    while dave.push().await != Push::Ephemeral(Ephemeral::Presence { user, online: true }) {}
    let killed = Instant::now();
    server.nodes[0].kill();
    // The device comes back elsewhere at once; another one when the node is known to be dead.
    Connection::resume(&nodes[1], ada_in.token.expect("a new device")).await;
    let _bob = Connection::enter_when_free(&nodes[2], "bob").await;
    let late = killed.elapsed();
    println!("another device was admitted after {late:?}");
    assert!(late < LEASE + Duration::from_secs(1 + 3), "after {late:?}");
    // The node comes back and keeps its hands off the others' users.
    server.nodes[0] = installation.start_node(0);
    let mut rival = Connection::open(&nodes[0]).await;
    rival.hello(None).await;
    for name in ["bob", "carol"] {
        let refused = rival.enter(login(name)).await.expect_err("they are online elsewhere");
        assert_eq!(refused.kind(), ErrorKind::AlreadyOnline);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_17_clients_of_one_address_are_spread_over_all_nodes() {
    let installation = Installation::with(Kind::Cluster, &settings(&[])).await;
    let server = installation.start();
    let open = || server.nodes.iter().map(|node| node.open_files().unwrap_or(0)).collect::<Vec<_>>();
    let (_first, _) = Connection::join(&server.address, "user0").await;
    let before = open();
    let mut crowd = Vec::new();
    for number in 1..=30 {
        crowd.push(Connection::join(&server.address, &format!("user{number}")).await);
    }
    let taken: Vec<_> = open().iter().zip(before).map(|(now, before)| now.saturating_sub(before)).collect();
    // Nodes open connections to the database meanwhile, too.
    assert!(taken.iter().all(|taken| (10..30).contains(taken)), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_18_dropped_database_connections_are_replaced_and_no_password_is_wrong() {
    let mariadb = mariadb::shared().await;
    let database = mariadb.database().await;
    let name = database.rsplit('/').next().expect("an address ends with the name").to_owned();
    let redis = redis::shared_server().url();
    let installation = Installation::cluster(&database, Some(&redis), &settings(&[]));
    let server = installation.start();
    let mut admin = mariadb.admin().await;
    let mut killed = 0;
    for round in 0..10 {
        let user = format!("user{round}");
        Connection::join(&server.address, &user).await.0.leave().await;
        let sessions = format!("SELECT id FROM information_schema.processlist WHERE db = '{name}'");
        let sessions: Vec<u64> = admin.query(sessions).await.expect("it answers");
        for session in sessions {
            // It may have ended meanwhile.
            killed += u32::from(admin.query_drop(format!("KILL CONNECTION {session}")).await.is_ok());
        }
        for node in installation.addresses() {
            Connection::enter_when_free(node, &user).await;
        }
    }
    assert!(killed > 30, "{killed}");
    admin.disconnect().await.expect("it was connected");
}
