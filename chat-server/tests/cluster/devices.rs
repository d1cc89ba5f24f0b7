//! Devices and blocks, decided on one node and in force on all, with Redis and without it.

use chat_core::{ContactAction, ErrorKind};
use chat_proto::message::{CloseCode, LoggedIn, Request};

use crate::connection::Connection;
use crate::requests::{direct, id, login, sync, text};
use crate::server::{Installation, LOOK, Server, in_time};
use crate::{mariadb, redis, settings};

/// What carries events between the nodes.
#[derive(Clone, Copy, PartialEq)]
enum Bus {
    Up,
    /// It was there when the nodes started.
    Down,
}

/// A cluster, and where its nodes are.
async fn cluster(policy: &'static str, bus: Bus) -> (Installation, Server) {
    let database = mariadb::shared().await.database().await;
    let mut redis = redis::Server::start();
    let settings = settings(&[("CHAT_ACCOUNTS_DEVICES", policy)]);
    let installation = match bus {
        Bus::Up => Installation::cluster(&database, Some(&redis::shared_server().url()), &settings),
        Bus::Down => Installation::cluster(&database, Some(&redis.url()), &settings),
    };
    let server = installation.start();
    redis.kill();
    (installation, server)
}

async fn enter(address: &str, name: &str) -> (Connection, LoggedIn) {
    let mut connection = Connection::open(address).await;
    connection.hello(None).await;
    let logged_in = connection.enter(login(name)).await.expect("the password is right");
    (connection, logged_in)
}

async fn two_log_ins_at_once(bus: Bus) {
    let (installation, _server) = cluster("refuse_while_online", bus).await;
    let nodes = installation.addresses();
    let (first, _) = Connection::join(&nodes[0], "ada").await;
    first.leave().await;
    let mut admissions = 0;
    in_time("admissions", async {
        for round in 0.. {
            let mut rivals =
                [Connection::open(&nodes[round % 3]).await, Connection::open(&nodes[(round + 1) % 3]).await];
            for rival in &mut rivals {
                rival.hello(None).await;
            }
            let [one, other] = &mut rivals;
            let answers = tokio::join!(one.enter(login("ada")), other.enter(login("ada")));
            match answers {
                (Ok(_), Ok(_)) => panic!("both were admitted, in round {round}"),
                (Ok(_), Err(error)) | (Err(error), Ok(_)) => {
                    assert_eq!(error.kind(), ErrorKind::AlreadyOnline);
                    admissions += 1;
                }
                // The one before has left, and not everybody knows.
                (Err(one), Err(other)) => {
                    assert_eq!([one.kind(), other.kind()], [ErrorKind::AlreadyOnline; 2]);
                }
            }
            let [one, other] = rivals;
            tokio::join!(one.leave(), other.leave());
            if admissions == 40 {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_log_ins_at_once_on_two_nodes_at_most_one_is_admitted() {
    two_log_ins_at_once(Bus::Up).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_log_ins_at_once_on_two_nodes_at_most_one_is_admitted_without_redis() {
    two_log_ins_at_once(Bus::Down).await;
}

async fn sessions_end_on_other_nodes(bus: Bus) {
    let (installation, _server) = cluster("newest_only", bus).await;
    let nodes = installation.addresses();
    let (mut last, _) = Connection::join(&nodes[0], "ada").await;
    for round in 1..=12 {
        let (new, _) = enter(&nodes[round % 3], "ada").await;
        assert_eq!(last.closed().await.code, CloseCode::DEVICE_REPLACED);
        last = new;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_device_ends_the_one_before_on_another_node() {
    sessions_end_on_other_nodes(Bus::Up).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_device_ends_the_one_before_on_another_node_without_redis() {
    sessions_end_on_other_nodes(Bus::Down).await;
}

async fn revocations_and_blocks(bus: Bus) {
    let (installation, _server) = cluster("several", bus).await;
    let nodes = installation.addresses();
    let (mut ada, ada_in) = Connection::join(&nodes[0], "ada").await;
    let (mut bob, bob_in) = Connection::join(&nodes[1], "bob").await;
    let (mut lost, lost_in) = enter(&nodes[2], "ada").await;
    let device = lost_in.session.device;
    ada.ask(Request::RevokeDevice { client_id: id(1), device }).await.expect("it is ada's");
    assert_eq!(lost.closed().await.code, CloseCode::DEVICE_REVOKED);
    for node in nodes {
        let mut again = Connection::open(node).await;
        let refused = again.hello(lost_in.token).await.refused.expect("the token is void");
        assert_eq!(refused.kind(), ErrorKind::Unauthenticated);
    }

    let conversation = direct(ada_in.session, bob_in.session);
    // Node by node rules are known before they change.
    bob.ask(text(1, conversation, "hi")).await.expect("nobody is blocked");
    let user = bob_in.session.user;
    for number in 0..10 {
        let block = Request::Contact { client_id: id(100 + number), user, action: ContactAction::Block };
        ada.ask(block).await.expect("blocked");
        let refused = bob.ask(text(200 + number, conversation, "hello?")).await.expect_err("blocked at once");
        assert_eq!(refused.kind(), ErrorKind::NotAllowed);
        let unblock = Request::Contact { client_id: id(300 + number), user, action: ContactAction::Unblock };
        ada.ask(unblock).await.expect("not blocked any more");
        in_time("bob may write again", async {
            while bob.ask(text(400 + number, conversation, "hello!")).await.is_err() {
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
    }
    assert_eq!(ada.log(conversation).await.len(), 11);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations_and_blocks_are_in_force_on_all_nodes() {
    revocations_and_blocks(Bus::Up).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations_and_blocks_are_in_force_on_all_nodes_without_redis() {
    revocations_and_blocks(Bus::Down).await;
}

async fn log_outs(bus: Bus) {
    let (installation, _server) = cluster("several", bus).await;
    let nodes = installation.addresses();
    let (mut stays, _) = Connection::join(&nodes[1], "ada").await;
    for (number, node) in (1..).zip(nodes) {
        let (mut leaves, leaves_in) = enter(node, "ada").await;
        let token = leaves_in.token.expect("a new device");
        // It is good on every node as long as it is not given up.
        for other in nodes {
            leaves = Connection::resume(other, token).await;
        }
        leaves.ask(Request::LogOut(id(number))).await.expect("it is ada's");
        for other in nodes {
            let mut again = Connection::open(other).await;
            let refused = again.hello(Some(token)).await.refused.expect("the token was given up");
            assert_eq!(refused.kind(), ErrorKind::Unauthenticated);
        }
        stays.ask(sync()).await.expect("another device goes on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_given_up_is_refused_on_all_nodes() {
    log_outs(Bus::Up).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_given_up_is_refused_on_all_nodes_without_redis() {
    log_outs(Bus::Down).await;
}
