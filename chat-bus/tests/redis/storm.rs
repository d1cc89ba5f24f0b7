//! A storm of log-ins as Redis sees it: a subscription for each who comes, and a few messages for all
//! of their contacts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chat_bus::RedisBus;
use chat_core::memory::MemoryStore;
use chat_core::store::{Batch, Item, StandingChange, Store, Write, WriterId};
use chat_core::{
    ConversationId, Credentials, Engine, EngineConfig, Ephemeral, Epoch, Event, LoggedIn, PasswordCost,
    Relation, Timestamp, Token, UserId,
};
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use crate::engines::{join, node};
use crate::fixture::{PATIENCE, healthy, options};
use crate::servers::{Cluster, Server};

const PEOPLE: usize = 300;
const CONTACTS: usize = 40;

/// How often an endpoint proves its path here: so that proofs do not drown what is counted.
const PROOF_INTERVAL: Duration = Duration::from_secs(1);

/// For how long a node gathers who came before it says so.
const GATHERED: Duration = Duration::from_millis(50);

/// Registers everybody at a node of their own, which then stops in order.
async fn register(store: &Arc<dyn Store>) -> Vec<(UserId, Token)> {
    let mut config = EngineConfig::default();
    config.password_cost = PasswordCost { memory_kib: 8, passes: 1 };
    let office = Engine::builder_shared(Arc::clone(store)).config(config).start().await.expect("an engine");
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        let new = join(&office, &format!("p{number}")).await;
        people.push((new.session.user(), new.token.expect("a new device has a token")));
    }
    office.shutdown().await;
    people
}

/// Makes contacts of those who are near to each other in the ring.
async fn acquaint(store: &Arc<dyn Store>, people: &[(UserId, Token)]) {
    let relation = |conversation, user| {
        let change = StandingChange::of(conversation, user);
        Write::Standing(StandingChange { relation: Some(Relation::Contact), ..change })
    };
    let mut items = Vec::new();
    for (number, (user, _)) in people.iter().enumerate() {
        for (next, _) in people.iter().cycle().skip(number + 1).take(CONTACTS / 2) {
            let at = ConversationId::direct(*user, *next).expect("two users");
            items.push(Item { write: vec![relation(at, *user), relation(at, *next)], ..Item::default() });
        }
    }
    let batch = Batch { writer: WriterId(1), number: 1, now: Timestamp(1), items };
    store.commit(&batch).await.expect("stored");
}

async fn endpoint(url: &str) -> RedisBus {
    let mut options = options(url, "chat");
    options.proof_interval = PROOF_INTERVAL;
    healthy(options).await
}

async fn login(engine: &Engine, token: Token) -> LoggedIn {
    engine.login(Credentials::Token(token)).await.expect("logged in")
}

/// Waits until it has been told that so many users came.
async fn sees_come(observer: &mut LoggedIn, count: usize) {
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let event = timeout(PATIENCE, observer.events.next()).await.expect("nobody is seen").expect("online");
        if let Event::Ephemeral(Ephemeral::Presence { user, online: true }) = event {
            seen.insert(user);
        }
    }
}

/// How often Redis was given commands of these names.
fn calls(servers: &[Server], names: [&str; 2]) -> usize {
    let of = |server: &Server| names.iter().map(|name| server.calls(name)).sum::<u64>();
    servers.iter().map(of).sum::<u64>() as usize
}

async fn storm(url: &str, servers: &[Server]) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
    let people = register(&store).await;
    acquaint(&store, &people).await;
    let hour = Duration::from_secs(3_600);
    let here = node(&store, "n1", endpoint(url).await, hour).await;
    let there = node(&store, "n2", endpoint(url).await, hour).await;
    let mut observer = login(&there, people[0].1).await;
    // One contact first: then both nodes have said what they have to at their start.
    let mut online = vec![login(&here, people[1].1).await];
    sees_come(&mut observer, 1).await;

    let count = || (calls(servers, ["publish", "spublish"]), calls(servers, ["subscribe", "ssubscribe"]));
    let (before, begun) = (count(), Instant::now());
    online.extend(join_all(people[2..].iter().map(|(_, token)| login(&here, *token))).await);
    sees_come(&mut observer, CONTACTS - 1).await;
    let after = count();
    let taken = begun.elapsed();

    let (published, subscribed) = (after.0 - before.0, after.1 - before.1);
    println!("{} log-ins in {taken:?}: {published} messages, {subscribed} subscriptions", online.len() - 1);
    // As often as both nodes may say who came, and prove their paths, in this time; and a few words more.
    // A message for each contact of each would be forty times as many as there are users.
    let times = |interval: Duration| (taken.as_nanos() / interval.as_nanos()) as usize + 1;
    let words = 2 * (times(GATHERED) + times(PROOF_INTERVAL)) + 10;
    assert!(published <= words, "{published} messages in {taken:?}");
    assert!((1..=online.len()).contains(&subscribed), "{subscribed} subscriptions");
    here.shutdown().await;
    there.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_logins_costs_one_server_a_few_messages() {
    let server = Server::start();
    storm(&server.url(), std::slice::from_ref(&server)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_logins_costs_a_cluster_a_few_messages() {
    let cluster = Cluster::start();
    storm(&cluster.url(), &cluster.masters).await;
}
