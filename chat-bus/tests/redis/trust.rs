//! Who Redis is believed to be, and who is let in by it.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use chat_bus::{ConnectError, RedisBus, RedisBusOptions};
use chat_core::bus::{Bus, BusState, Published};
use tokio::time::{Instant, sleep};

use crate::authority::Authority;
use crate::fixture::{Heard, PATIENCE, healthy, hear, numbered, options, settle, topic};
use crate::servers::{Cluster, Server};

thread_local! {
    /// What was logged on this thread, which is what its test and the tasks of that have logged.
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes to the log of the thread.
struct Written;

/// Begins a new log on this thread.
fn listen_to_log() {
    // For the whole process and once: subscribers that come and go race with those who log first.
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(|| Written)
            .finish();
        tracing::subscriber::set_global_default(subscriber).expect("the only one");
    });
    LOGGED.with_borrow_mut(Vec::clear);
}

fn logged() -> String {
    LOGGED.with_borrow(|text| String::from_utf8_lossy(text).into_owned())
}

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.with_borrow_mut(|text| text.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn trusting(url: String, ca: &Path) -> RedisBusOptions {
    let mut options = options(url, "t");
    options.tls_ca = Some(ca.into());
    options
}

/// The bus connects in vain, and warns with these words and never with that secret.
async fn refused_with(options: RedisBusOptions, words: &str, secret: &str) {
    listen_to_log();
    let bus = RedisBus::connect(options).expect("sound options");
    let deadline = Instant::now() + PATIENCE;
    let warned = || logged().lines().any(|line| line.contains("WARN") && line.contains(words));
    while !warned() {
        assert!(Instant::now() < deadline, "not said: {words}\n{}", logged());
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bus.state(), BusState::Unproven);
    assert_eq!(bus.publish(topic(1), numbered(1)), Published::Dropped);
    bus.close().await;
    assert!(!logged().contains(secret), "a secret is in the log");
}

async fn speaks(bus: &RedisBus) {
    bus.subscribe(&[topic(1)]).await.expect("the bus is there");
    settle(bus).await;
    assert_eq!(bus.publish(topic(1), numbered(1)), Published::Taken);
    assert_eq!(hear(bus).await, Heard::Number(1));
}

#[tokio::test]
async fn a_server_is_believed_only_with_a_certificate_of_the_given_authority() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = Server::with_tls(&authority);
    speaks(&healthy(trusting(server.tls_url(), &authority.file())).await).await;
    refused_with(trusting(server.tls_url(), &stranger.file()), "InvalidCertificate", "s3cret").await;
    // Nor is it without a word of whom to trust: no authority of the system vouches for it.
    refused_with(options(server.tls_url(), "t"), "InvalidCertificate", "s3cret").await;
}

#[tokio::test]
async fn a_server_under_another_name_than_its_certificate_says_is_refused() {
    let authority = Authority::new();
    let server = Server::with_tls(&authority);
    let elsewhere = server.tls_url().replace("127.0.0.1", "localhost");
    refused_with(trusting(elsewhere, &authority.file()), "InvalidCertificate", "s3cret").await;
}

#[tokio::test]
async fn the_nodes_of_a_cluster_are_believed_only_with_certificates_of_the_given_authority() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let cluster = Cluster::with_tls(&authority);
    let bus = healthy(trusting(cluster.tls_url(), &authority.file())).await;
    let topics: Vec<_> = (1..=30).map(topic).collect();
    bus.subscribe(&topics).await.expect("the bus is there");
    settle(&bus).await;
    for number in 1..=30 {
        assert_eq!(bus.publish(topic(number), numbered(number)), Published::Taken);
        assert_eq!(hear(&bus).await, Heard::Number(number));
    }
    refused_with(trusting(cluster.tls_url(), &stranger.file()), "InvalidCertificate", "s3cret").await;
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_said_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |url: &str, ca: &Path| RedisBus::connect(trusting(url.into(), ca)).expect_err("refused");
    let missing = folder.path().join("missing.pem");
    let error = refused("rediss://127.0.0.1", &missing);
    assert!(matches!(&error, ConnectError::Certificates { file, .. } if *file == missing), "{error:?}");
    assert!(error.to_string().contains("missing.pem"), "{error}");
    for (name, text) in [("empty.pem", ""), ("torn.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n")] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("written");
        for url in ["rediss://127.0.0.1", "rediss-cluster://127.0.0.1:1"] {
            assert!(matches!(refused(url, &file), ConnectError::Certificates { .. }), "{name}");
        }
    }
    for url in ["redis://127.0.0.1", "redis-cluster://127.0.0.1:1"] {
        assert!(matches!(refused(url, &missing), ConnectError::CertificatesWithoutTls), "{url}");
    }
}

#[tokio::test]
async fn passwords_are_taken_from_the_url_or_the_options() {
    let server = Server::with_password("s3cret");
    healthy(options(format!("redis://:s3cret@127.0.0.1:{}", server.port), "t")).await;
    let mut beside = options(server.url(), "t");
    beside.password = Some("s3cret".into());
    healthy(beside).await;
    refused_with(options(server.url(), "t"), "NOAUTH", "s3cret").await;
    let wrong = options(format!("redis://:wr0ng-one@127.0.0.1:{}", server.port), "t");
    refused_with(wrong, "WRONGPASS", "wr0ng-one").await;
}

#[tokio::test]
async fn users_of_redis_come_in_by_their_passwords_and_speak_on_their_channels() {
    let server = Server::start();
    let allowed = "ACL SETUSER chat on >s3cret resetchannels &t:* +publish +subscribe +unsubscribe +ping +hello \
                   +auth +client +info";
    assert!(server.command(allowed).starts_with("+OK"));
    assert!(server.command("ACL SETUSER default off").starts_with("+OK"));
    let at = |credentials: &str| format!("redis://{credentials}@127.0.0.1:{}", server.port);
    speaks(&healthy(options(at("chat:s3cret"), "t")).await).await;
    refused_with(options(at("chat:wr0ng-one"), "t"), "WRONGPASS", "wr0ng-one").await;
    refused_with(options(at("chat:s3cret"), "elsewhere"), "NOPERM", "s3cret").await;
}
