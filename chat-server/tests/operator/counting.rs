//! What an operator is told of the ways by which messages come from other nodes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chat_core::{Body, ConversationId, Engine, LoggedIn};
use chat_server::{RunningServer, Server};

use crate::backends::{Maria, Redis};
use crate::requests::{message, registration};
use crate::{PATIENCE, answers, ask, node};

async fn start(maria: &Maria, redis: &Redis, name: &str) -> (RunningServer, SocketAddr) {
    let mut settings = node(maria, Some(redis));
    settings.node = name.into();
    settings.accounts.password_memory_kib = 8;
    let server = Server::start(settings).await.expect("starts");
    let http = server.http_addr().expect("it answers operators");
    answers(http, "/readyz", (200, "ready\n")).await;
    (server, http)
}

async fn join(engine: &Engine, name: &str) -> LoggedIn {
    engine.register(registration(name)).await.expect("registered")
}

/// The value of one line of `/metrics`, labels included in its name.
async fn metric(http: SocketAddr, name: &'static str) -> f64 {
    let (_, page) = tokio::task::spawn_blocking(move || ask(http, "/metrics")).await.expect("no panic");
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in:\n{page}")).parse().expect("a number")
}

/// Waits until it is like this.
async fn comes_to(http: SocketAddr, name: &'static str, holds: impl Fn(f64) -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !holds(metric(http, name).await) {
        assert!(Instant::now() < patience, "{name} stays {}", metric(http, name).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_by_the_bus_and_what_has_to_be_read_is_counted() {
    let (maria, mut redis) = (Maria::start(), Redis::absent());
    redis.run();
    let (here, here_http) = start(&maria, &redis, "one").await;
    let (there, there_http) = start(&maria, &redis, "two").await;
    let (ada, bob) = (join(here.engine(), "ada").await, join(there.engine(), "bob").await);
    let pair = ConversationId::direct(ada.session.user(), bob.session.user()).expect("two users");
    ada.session.send(message(1, pair, Body::Text("by the bus".into()))).await.expect("stored");
    comes_to(here_http, "chat_bus_messages_total{outcome=\"taken\"}", |taken| taken > 0.0).await;
    comes_to(there_http, "chat_bus_messages_total{outcome=\"received\"}", |received| received > 0.0).await;
    for outcome in [
        "chat_bus_messages_total{outcome=\"newer\"}",
        "chat_bus_messages_total{outcome=\"malformed\"}",
        "chat_bus_overruns_total",
    ] {
        assert_eq!(metric(there_http, outcome).await, 0.0, "{outcome}");
    }
    let repairs = "chat_repairs_total{outcome=\"read\"}";
    let before = metric(there_http, repairs).await;
    redis.stop();
    ada.session.send(message(2, pair, Body::Text("by the journal".into()))).await.expect("stored");
    comes_to(there_http, repairs, |read| read > before).await;
    assert_eq!(metric(there_http, "chat_repairs_total{outcome=\"given_up\"}").await, 0.0);
    // What nodes have to say goes nowhere, and does not wait for ever.
    comes_to(here_http, "chat_bus_messages_total{outcome=\"dropped\"}", |dropped| dropped > 0.0).await;
    for waiting in ["chat_bus_outgoing_bytes", "chat_bus_incoming_bytes"] {
        comes_to(here_http, waiting, |bytes| bytes == 0.0).await;
    }
    redis.run();
    comes_to(here_http, "chat_bus_resubscriptions_total", |times| times >= 1.0).await;
    here.stop().await;
    there.stop().await;
}
