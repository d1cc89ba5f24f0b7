//! Two nodes over one store, with Redis between them: it makes them fast, and its loss only slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chat_bus::RedisBus;
use chat_core::bus::BusState;
use chat_core::memory::MemoryStore;
use chat_core::store::Store;
use chat_core::{
    AccountName, BlockingInline, Body, ClientId, Content, ConversationId, Engine, EngineConfig, Epoch, Event,
    LoggedIn, Outgoing, Password, PasswordCost, Register, Send, WritePolicy,
};
use tokio::time::{Instant, timeout};

use crate::fixture::{PATIENCE, healthy, options};
use crate::servers::{Cluster, Server};

fn id() -> ClientId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    ClientId(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)).to_be_bytes())
}

/// A node whose journal is followed so seldom that only the bus can be fast.
pub(crate) async fn node(store: &Arc<dyn Store>, name: &str, bus: RedisBus, journal: Duration) -> Engine {
    let mut config = EngineConfig::default();
    config.node = name.into();
    config.password_cost = PasswordCost { memory_kib: 8, passes: 1 };
    config.commands_per_second = 0;
    config.writing = WritePolicy::Everyone;
    config.journal_interval = journal;
    let builder = Engine::builder_shared(Arc::clone(store)).config(config).blocking(BlockingInline);
    builder.bus(bus).start().await.expect("an engine")
}

pub(crate) async fn join(engine: &Engine, who: &str) -> LoggedIn {
    let registration = Register {
        client_id: id(),
        name: AccountName::parse(who).expect("a name"),
        display_name: None,
        password: Password::new("correct horse"),
        device_label: String::new(),
    };
    engine.register(registration).await.expect("registered")
}

async fn say(from: &LoggedIn, to: ConversationId, text: &str) {
    let message = Outgoing::Message { body: Body::Text(text.into()), reply_to: None };
    let send = Send { client_id: id(), conversation: to, message, read_up_to: None };
    from.session.send(send).await.expect("sent");
}

/// Waits until this text is heard; says how long that took.
async fn hears(who: &mut LoggedIn, wanted: &str) -> Duration {
    let begun = Instant::now();
    loop {
        let event = timeout(PATIENCE, who.events.next()).await.expect("nothing is heard").expect("online");
        let Event::Entries(chunk) = event else { continue };
        let said = chunk.entries().iter().filter_map(|entry| entry.decode_content().ok());
        if said.into_iter().any(|content| is_text(&content, wanted)) {
            return begun.elapsed();
        }
    }
}

fn is_text(content: &Content, wanted: &str) -> bool {
    matches!(content, Content::Message(Body::Text(text)) if **text == *wanted)
}

async fn chat_across(url: &str) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
    let hour = Duration::from_secs(3_600);
    let first = node(&store, "n1", healthy(options(url, "chat")).await, hour).await;
    let second = node(&store, "n2", healthy(options(url, "chat")).await, hour).await;
    let (mut ada, mut bob) = (join(&first, "ada").await, join(&second, "bob").await);
    let pair = ConversationId::direct(ada.session.user(), bob.session.user()).expect("two users");
    for round in 0..20 {
        say(&ada, pair, &format!("ping {round}")).await;
        hears(&mut bob, &format!("ping {round}")).await;
        say(&bob, pair, &format!("pong {round}")).await;
        hears(&mut ada, &format!("pong {round}")).await;
    }
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_on_two_nodes_chat_across_one_server() {
    let server = Server::start();
    chat_across(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_on_two_nodes_chat_across_a_cluster() {
    let cluster = Cluster::start();
    chat_across(&cluster.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_redis_killed_everything_arrives_through_the_journal() {
    let mut server = Server::start();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
    let second = Duration::from_secs(1);
    let near = healthy(options(server.url(), "chat")).await;
    let far = healthy(options(server.url(), "chat")).await;
    let (near_state, far_state) = (near.watch(), far.watch());
    let first = node(&store, "n1", near, second).await;
    let other = node(&store, "n2", far, second).await;
    let (mut ada, mut bob) = (join(&first, "ada").await, join(&other, "bob").await);
    let pair = ConversationId::direct(ada.session.user(), bob.session.user()).expect("two users");

    server.kill();
    for mut state in [near_state.clone(), far_state.clone()] {
        timeout(PATIENCE, state.wait_for(|now| *now == BusState::Degraded))
            .await
            .expect("told")
            .expect("open");
    }
    // A user who comes while Redis is away is heard of as well.
    let mut eve = join(&other, "eve").await;
    let to_eve = ConversationId::direct(ada.session.user(), eve.session.user()).expect("two users");
    for round in 0..3 {
        say(&ada, pair, &format!("away {round}")).await;
        say(&ada, to_eve, &format!("eve {round}")).await;
        assert!(hears(&mut bob, &format!("away {round}")).await < Duration::from_secs(2));
        assert!(hears(&mut eve, &format!("eve {round}")).await < Duration::from_secs(2));
        say(&bob, pair, &format!("back {round}")).await;
        assert!(hears(&mut ada, &format!("back {round}")).await < Duration::from_secs(2));
    }

    server.restart();
    for mut state in [near_state, far_state] {
        timeout(PATIENCE, state.wait_for(|now| *now == BusState::Healthy))
            .await
            .expect("told")
            .expect("open");
    }
    say(&ada, to_eve, "fast again").await;
    hears(&mut eve, "fast again").await;
    first.shutdown().await;
    other.shutdown().await;
}
