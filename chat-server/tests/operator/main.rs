//! What an operator is told of a node whose database and bus come and go.

#![cfg(unix)]

mod backends;
mod counting;
mod migrating;
#[path = "../black_box/requests.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod requests;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use chat_server::{Server, Settings};

use backends::{Maria, Redis};

/// Nothing here takes that long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn node(maria: &Maria, bus: Option<&Redis>) -> Settings {
    let mut settings = Settings::default();
    settings.listen = "127.0.0.1:0".parse().expect("an address");
    settings.http = "127.0.0.1:0".into();
    settings.store = maria.url();
    settings.node = "one".into();
    settings.redis.proof_interval_ms = 100;
    settings.stop_seconds = 3;
    if let Some(redis) = bus {
        settings.bus = redis.url();
    }
    settings
}

/// Status and body of an answer.
fn ask(http: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(http).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: o\r\n\r\n").as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").expect("a head").1.to_owned())
}

/// Waits until a path answers so, and says after how long it did.
async fn answers(http: SocketAddr, path: &'static str, expected: (u16, &str)) {
    let patience = Instant::now() + PATIENCE;
    loop {
        let (status, body) = tokio::task::spawn_blocking(move || ask(http, path)).await.expect("no panic");
        if (status, body.as_str()) == expected {
            return;
        }
        assert!(Instant::now() < patience, "{path} goes on to answer {status} {body}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_ready_as_its_database_comes_and_goes() {
    let mut maria = Maria::start();
    let server = Server::start(node(&maria, None)).await.expect("starts");
    let http = server.http_addr().expect("it answers operators");
    answers(http, "/readyz", (200, "ready\n")).await;
    for _ in 0..2 {
        maria.stop();
        answers(http, "/readyz", (503, "not ready: store_away\n")).await;
        answers(http, "/healthz", (200, "ok\n")).await;
        maria.run();
        answers(http, "/readyz", (200, "ready\n")).await;
    }
    maria.query("SET GLOBAL read_only = 1");
    answers(http, "/readyz", (503, "not ready: store_read_only\n")).await;
    let (_, page) = ask(http, "/metrics");
    assert!(page.contains("\nchat_store_ready 0") && page.contains("\nchat_ready 0"), "{page}");
    maria.query("SET GLOBAL read_only = 0");
    answers(http, "/readyz", (200, "ready\n")).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_ready_once_its_bus_was_there_and_degraded_without_it_later() {
    let maria = Maria::start();
    let mut redis = Redis::absent();
    let server = Server::start(node(&maria, Some(&redis))).await.expect("a bus that is away is no error");
    let http = server.http_addr().expect("it answers operators");
    answers(http, "/readyz", (503, "not ready: bus_unproven\n")).await;
    answers(http, "/healthz", (200, "ok\n")).await;
    let (_, page) = ask(http, "/metrics");
    assert!(page.contains("chat_bus_state{state=\"unproven\"} 1"), "{page}");
    redis.run();
    answers(http, "/readyz", (200, "ready\n")).await;
    redis.stop();
    answers(http, "/readyz", (200, "ready\ndegraded: bus\n")).await;
    answers(http, "/healthz", (200, "degraded: bus\n")).await;
    let (_, page) = ask(http, "/metrics");
    assert!(page.contains("chat_bus_state{state=\"degraded\"} 1"), "{page}");
    redis.run();
    answers(http, "/readyz", (200, "ready\n")).await;
    server.stop().await;
}
