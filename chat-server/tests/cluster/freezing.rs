//! Nodes that stand still, perhaps within a transaction, and go on.

use std::time::Duration;

use chat_proto::message::CloseCode;

use crate::connection::Connection;
use crate::load::Load;
use crate::requests::{direct, text};
use crate::server::{Installation, Kind};
use crate::{LEASE, PINGS, settings};

/// Others wait no longer than this for what a frozen node has locked, a busy machine's share included.
const IN_THE_WAY: Duration = Duration::from_secs(2 + 3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_holds_nobody_up_and_its_users_catch_up_when_it_goes_on() {
    let installation = Installation::with(Kind::Cluster, &settings(&[PINGS])).await;
    let server = installation.start();
    // Nobody of the frozen node can go elsewhere.
    let load = Load::start(installation.addresses()).await;
    for _ in 0..4 {
        server.nodes[0].signal("STOP");
        tokio::time::sleep(LEASE + LEASE / 2).await;
        load.goes_on().await;
        server.nodes[0].signal("CONT");
        load.goes_on().await;
    }
    let here = [load.people[0].account.user, load.people[3].account.user];
    for other in [1, 2, 4, 5] {
        for user in here {
            load.people[other].saw(user, true).await;
        }
    }
    let report = load.finish().await;
    let others = [1, 2, 4, 5].map(|number| report.longest_sends[number]);
    assert!(others.iter().all(|longest| *longest < IN_THE_WAY), "{others:?}");
    assert!(report.seen_offline.is_subset(&[0, 3].into()), "{:?}", report.seen_offline);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_replaced_elsewhere_ends_when_its_frozen_node_goes_on() {
    let installation = Installation::with(Kind::Cluster, &settings(&[])).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&installation.addresses()[1], "ada").await;
    let (mut old, bob_in) = Connection::join(&installation.addresses()[0], "bob").await;
    server.nodes[0].signal("STOP");
    let token = bob_in.token.expect("a new device");
    let mut new = Connection::resume(&installation.addresses()[2], token).await;
    let conversation = direct(ada_in.session, bob_in.session);
    ada.ask(text(1, conversation, "to the new one")).await.expect("stored");
    assert_eq!(new.entries(conversation, 1).await[0].seq, 1);
    tokio::time::sleep(LEASE + LEASE / 2).await;
    server.nodes[0].signal("CONT");
    assert_eq!(old.closed().await.code, CloseCode::SUPERSEDED);
    ada.ask(text(2, conversation, "and again")).await.expect("stored");
    assert_eq!(new.entries(conversation, 1).await[0].seq, 2);
}
