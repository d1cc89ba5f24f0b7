//! What a client is told whose node finds no MariaDB, or one that takes no writes.

use std::time::Duration;

use chat_core::ErrorKind;
use mysql_async::prelude::Queryable as _;

use crate::clients::seqs;
use crate::connection::Connection;
use crate::requests::{direct, id, text};
use crate::server::Installation;
use crate::settling::settle;
use crate::{mariadb, redis, settings};

/// What an operator may do to a database, or what happens to it.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    ReadOnly,
    Away,
}

impl Trouble {
    async fn begin(self, mariadb: &mut mariadb::Server) {
        match self {
            Self::ReadOnly => set_read_only(mariadb, "1").await,
            Self::Away => mariadb.kill(),
        }
    }

    async fn end(self, mariadb: &mut mariadb::Server) {
        match self {
            Self::ReadOnly => set_read_only(mariadb, "0").await,
            Self::Away => mariadb.restart().await,
        }
    }
}

/// For all who are no administrators, as nodes are not.
async fn set_read_only(mariadb: &mariadb::Server, value: &str) {
    let mut admin = mariadb.admin().await;
    admin.query_drop(format!("SET GLOBAL read_only = {value}")).await.expect("an administrator may");
    admin.disconnect().await.expect("it was connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_are_refused_with_when_to_come_back_while_mariadb_is_read_only_or_away_and_taken_afterwards() {
    let mut mariadb = mariadb::Server::start().await;
    let database = mariadb.database().await;
    let redis = redis::shared_server().url();
    let installation = Installation::cluster(&database, Some(&redis), &settings(&[]));
    let _server = installation.start();
    let nodes = installation.addresses();
    let (ada, ada_in) = Connection::join(&nodes[0], "ada").await;
    let (bob, bob_in) = Connection::join(&nodes[1], "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    let mut people = [ada, bob];
    let mut number = 0;
    for trouble in [Trouble::ReadOnly, Trouble::Away, Trouble::ReadOnly] {
        for person in &mut people {
            number += 1;
            person.ask(text(number, conversation, "before")).await.expect("stored");
        }
        trouble.begin(&mut mariadb).await;
        let first = number + 1;
        for person in &mut people {
            for _ in 0..3 {
                number += 1;
                let refused = person.ask(text(number, conversation, "too early")).await.expect_err("refused");
                assert_eq!(refused.kind(), ErrorKind::Unavailable, "{trouble:?}: {refused:?}");
                let wait = refused.retry_delay();
                assert!(wait.is_some_and(|wait| wait > Duration::ZERO), "{trouble:?}: {refused:?}");
            }
        }
        trouble.end(&mut mariadb).await;
        // The same nodes, on the same connections; what was refused was not stored behind anybody's back.
        for (turn, number) in (first..=number).enumerate() {
            settle(&mut people[turn / 3], text(number, conversation, "too early")).await;
        }
    }
    let log = people[0].log(conversation).await;
    assert_eq!(seqs(&log), (1..=number).collect::<Vec<_>>());
    assert!(log.iter().map(|entry| entry.client_id).eq((1..=number).map(|number| Some(id(number)))));
}
