//! Nodes that stand still, perhaps within a transaction, and go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chat_core::{ClientId, ConversationId};
use chat_proto::message::CloseCode;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use crate::clients::seqs;
use crate::connection::Connection;
use crate::link::{Link, Way};
use crate::load::Load;
use crate::requests::{direct, id, text};
use crate::server::{Installation, Kind, in_time};
use crate::settling::settle;
use crate::{LEASE, PINGS, mariadb, redis, settings};

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

/// So much later everything arrives between the node that is frozen and MariaDB: a transaction of several
/// round trips is open for a good part of the time in which the node writes.
const SLOW: Duration = Duration::from_millis(100);

/// By then everything has arrived that was on its way. MariaDB gives up a transaction of which it has heard
/// nothing for a second.
const ARRIVED: Duration = SLOW.saturating_mul(2);

/// MariaDB tells of transactions as they are only if it has not been asked for a tenth of a second.
const TOLD_ANEW: Duration = Duration::from_millis(150);

/// As whom the node that is frozen connects to MariaDB, so that its transactions are told from others'.
const USER: &str = "frozen";

/// The transactions of the frozen node that hold locks on rows.
const LOCKING: &str = "SELECT COUNT(*) FROM information_schema.innodb_trx AS trx \
    JOIN information_schema.processlist AS process ON process.id = trx.trx_mysql_thread_id \
    WHERE process.user = 'frozen' AND trx.trx_rows_locked > 0";

/// Those who wait for one of them.
const WAITING: &str = "SELECT COUNT(*) FROM information_schema.innodb_lock_waits AS wait \
    JOIN information_schema.innodb_trx AS trx ON trx.trx_id = wait.blocking_trx_id \
    JOIN information_schema.processlist AS process ON process.id = trx.trx_mysql_thread_id \
    WHERE process.user = 'frozen'";

async fn count(admin: &mut Conn, what: &str) -> u64 {
    admin.query_first(what).await.expect("it answers").expect("a number")
}

/// Sends one message after the other until it is stopped; says how many.
async fn speak(mut who: Connection, place: ConversationId, stop: Arc<AtomicBool>) -> (Connection, u64) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        settle(&mut who, text(number, place, "from the node that is frozen")).await;
    }
    (who, number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_frozen_with_locks_in_a_transaction_holds_the_conversation_up_for_a_moment_only() {
    let mariadb = mariadb::shared().await;
    let database = mariadb.database().await;
    let name = database.rsplit('/').next().expect("an address ends with the name");
    let mut admin = mariadb.admin().await;
    let user = format!("CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY 'secret'");
    admin.query_drop(user).await.expect("an ordinary user");
    admin
        .query_drop(format!("GRANT ALL ON {name}.* TO {USER}@'127.0.0.1'"))
        .await
        .expect("the user is there");
    let link = Link::to(mariadb.port()).await;
    let redis = redis::shared_server().url();
    let mut installation = Installation::cluster(&database, Some(&redis), &settings(&[]));
    installation.set_store_of(0, &format!("mysql://{USER}:secret@{}/{name}", link.address()));
    let server = installation.start();
    let (ada, ada_in) = Connection::join(&installation.addresses()[0], "ada").await;
    let (mut bob, bob_in) = Connection::join(&installation.addresses()[1], "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    link.set(Way::Slow(SLOW));
    let stop = Arc::new(AtomicBool::new(false));
    let speaking = tokio::spawn(speak(ada, conversation, Arc::clone(&stop)));

    let (mut said, mut longest) = (0, Duration::ZERO);
    in_time("the node is frozen while it has the conversation locked", async {
        let (mut attempts, mut proven) = (0, 0);
        while proven < 3 {
            attempts += 1;
            server.nodes[0].signal("STOP");
            // From here on nothing of what the node has begun goes on.
            tokio::time::sleep(ARRIVED).await;
            let locks = count(&mut admin, LOCKING).await > 0;
            said += 1;
            let asked = Instant::now();
            let answer = bob.begin(text(said, conversation, "meanwhile")).await;
            tokio::time::sleep(TOLD_ANEW).await;
            if locks && count(&mut admin, WAITING).await > 0 {
                proven += 1;
            }
            bob.reply(answer).await.expect("the locks are given up");
            longest = longest.max(asked.elapsed());
            for _ in 0..5 {
                said += 1;
                bob.ask(text(said, conversation, "and on")).await.expect("nothing is in the way any more");
            }
            server.nodes[0].signal("CONT");
            // The next attempt finds the node at another point of what it does.
            tokio::time::sleep(SLOW * (3 + attempts % 5) / 2).await;
        }
        println!("locked in {proven} of {attempts} attempts; others waited for {longest:?} at most");
    })
    .await;
    assert!(longest < IN_THE_WAY, "others waited for {longest:?}");
    link.set(Way::Open);
    stop.store(true, Ordering::Relaxed);
    let (_ada, spoken) = in_time("the last word", speaking).await.expect("everything is stored in the end");
    let log = bob.log(conversation).await;
    assert_eq!(seqs(&log), (1..=said + spoken).collect::<Vec<_>>());
    for (sender, count) in [(ada_in.session.user, spoken), (bob_in.session.user, said)] {
        let own = log.iter().filter(|entry| entry.sender == sender);
        let ids: Vec<Option<ClientId>> = own.map(|entry| entry.client_id).collect();
        assert_eq!(
            ids,
            (1..=count).map(|number| Some(id(number))).collect::<Vec<_>>(),
            "in order, each once"
        );
    }
    admin.disconnect().await.expect("it was connected");
}
