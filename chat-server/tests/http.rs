//! What an operator is told over HTTP by a server on its embedded store.

#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chat_core::{
    AccountName, Body, ClientId, ConversationId, Engine, LoggedIn, Outgoing, Password, Register, Send,
};
use chat_server::{Server, Settings, StartError, Stopped};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing here takes that long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn settings(folder: &TempDir) -> Settings {
    let mut settings = Settings::default();
    settings.listen = "127.0.0.1:0".parse().expect("an address");
    settings.http = "127.0.0.1:0".into();
    settings.data = folder.path().to_owned();
    settings.accounts.password_memory_kib = 8;
    settings.accounts.password_passes = 1;
    settings
}

/// The answer to a request, from its first line to its end.
async fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!("{method} {path} HTTP/1.1\r\nHost: operator\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers and closes");
        answer
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("an answer")
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// The value of one line of `/metrics`, labels included in its name.
async fn metric(address: SocketAddr, name: &str) -> f64 {
    let page = ask(address, "GET", "/metrics").await;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in:\n{page}")).parse().expect("a number")
}

async fn join(engine: &Engine, number: u8, name: &str) -> LoggedIn {
    let register = Register {
        client_id: ClientId([number; 16]),
        name: AccountName::parse(name).expect("a name"),
        display_name: None,
        password: Password::new("correct horse"),
        device_label: "test".into(),
    };
    engine.register(register).await.expect("registered")
}

#[tokio::test]
async fn figures_are_those_of_the_conversation_that_was_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(settings(&folder)).await.expect("starts");
    let http = server.http_addr().expect("it answers operators");
    let (ada, bob) = (join(server.engine(), 1, "ada").await, join(server.engine(), 2, "bob").await);
    let to = ConversationId::direct(ada.session.user(), bob.session.user()).expect("two users");
    let text = |number: u8, words: &str| Send {
        client_id: ClientId([number; 16]),
        conversation: to,
        message: Outgoing::Message { body: Body::Text(words.into()), reply_to: None },
        read_up_to: None,
    };
    for number in 10..13 {
        ada.session.send(text(number, "hello")).await.expect("stored");
    }
    ada.session.send(text(10, "hello")).await.expect("stored before");
    ada.session.send(text(20, "")).await.expect_err("empty");
    let mut idle = TcpStream::connect(server.local_addr()).await.expect("it listens");
    let page = ask(http, "GET", "/metrics").await;
    assert_eq!(status(&page), "200");
    assert!(page.contains("application/openmetrics-text"), "{page}");
    assert!(page.trim_end().ends_with("# EOF"), "{page}");
    for (name, value) in [
        ("chat_sessions", 2.0),
        ("chat_users_online", 2.0),
        ("chat_sends_total", 4.0),
        ("chat_sends_committed_total", 3.0),
        ("chat_sends_duplicate_total", 1.0),
        ("chat_refusals_total{code=\"invalid\"}", 1.0),
        ("chat_refusals_total{code=\"not_allowed\"}", 0.0),
        ("chat_commit_queue_rows", 0.0),
        ("chat_commit_failures_total{outcome=\"ambiguous\"}", 0.0),
        ("chat_connections_refused_total", 0.0),
        ("chat_connection_buffer_bytes", 0.0),
        ("chat_connection_buffer_limit_bytes", f64::from(256 << 20)),
        ("chat_password_hashes_waiting", 0.0),
        ("chat_repairs_total{outcome=\"read\"}", 0.0),
        ("chat_repairs_total{outcome=\"given_up\"}", 0.0),
        ("chat_ready", 1.0),
        ("chat_store_ready", 1.0),
        (&format!("chat_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0),
    ] {
        assert_eq!(metric(http, name).await, value, "{name}");
    }
    let entries = metric(http, "chat_deliveries_total").await;
    assert!(entries >= 6.0, "three to each of the two, and notices: {entries}");
    let batches = metric(http, "chat_commit_batch_size_count").await;
    assert_eq!(metric(http, "chat_commit_seconds_count").await, batches);
    assert_eq!(metric(http, "chat_commit_seconds_bucket{le=\"+Inf\"}").await, batches);
    assert!(metric(http, "chat_commit_batch_size_sum").await >= batches);
    let patience = Instant::now() + PATIENCE;
    while metric(http, "chat_connections").await != 1.0 {
        assert!(Instant::now() < patience, "the idle connection is never counted");
    }
    // A quarter of a frame of 40 bytes, after its length.
    idle.write_all(&[&40_u32.to_be_bytes()[..], &[0; 10]].concat()).await.expect("it reads");
    while metric(http, "chat_connection_buffer_bytes").await != 14.0 {
        assert!(Instant::now() < patience, "what waits is never counted");
    }
    drop(idle);
    while metric(http, "chat_connections").await != 0.0 {
        assert!(Instant::now() < patience, "it is counted for ever");
    }
    assert_eq!(metric(http, "chat_connection_buffer_bytes").await, 0.0, "gone with the connection");
    assert_eq!(metric(http, "chat_connections_accepted_total").await, 1.0);
    assert_eq!(server.stop().await, Stopped::Cleanly);
}

#[tokio::test]
async fn each_path_answers_what_it_is_for_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(settings(&folder)).await.expect("starts");
    let http = server.http_addr().expect("it answers operators");
    let alive = ask(http, "GET", "/healthz").await;
    assert!(status(&alive) == "200" && alive.ends_with("\r\n\r\nok\n"), "{alive}");
    let ready = ask(http, "GET", "/readyz").await;
    assert!(status(&ready) == "200" && ready.ends_with("\r\n\r\nready\n"), "{ready}");
    for (method, path, expected) in [
        ("GET", "/", "404"),
        ("GET", "/metrics/more", "404"),
        ("POST", "/metrics", "405"),
        ("DELETE", "/readyz", "405"),
        ("HEAD", "/healthz", "200"),
    ] {
        assert_eq!(status(&ask(http, method, path).await), expected, "{method} {path}");
    }
    assert_eq!(server.stop().await, Stopped::Cleanly);
    assert!(TcpStream::connect(http).await.is_err(), "it has gone with the server");
}

#[tokio::test]
async fn who_asks_nothing_is_cut_and_holds_up_no_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = settings(&folder);
    settings.stop_seconds = 2;
    let server = Server::start(settings).await.expect("starts");
    let http = server.http_addr().expect("it answers operators");
    let mut silent = TcpStream::connect(http).await.expect("it listens");
    silent.write_all(b"GET /healthz HTTP/1.1\r\n").await.expect("it reads");
    let cut = async {
        let mut nothing = Vec::new();
        // Cut or ended in order: gone either way.
        let _ = silent.read_to_end(&mut nothing).await;
    };
    let begun = Instant::now();
    tokio::time::timeout(PATIENCE, cut).await.expect("cut for taking too long");
    assert!(begun.elapsed() >= Duration::from_secs(5), "it was given time");
    let mut silent = TcpStream::connect(http).await.expect("it listens");
    silent.write_all(b"GET /healthz HTTP/1.1\r\n").await.expect("it reads");
    tokio::time::timeout(PATIENCE, server.stop()).await.expect("within the deadline");
}

#[tokio::test]
async fn an_address_in_use_is_said_and_the_folder_left() {
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let server = Server::start(settings(&one)).await.expect("starts");
    let mut taken = settings(&other);
    taken.http = server.http_addr().expect("it answers operators").to_string();
    let error = Server::start(taken).await.expect_err("the port is in use");
    assert!(matches!(error, StartError::Listen { .. }), "{error:?}");
    let mut off = settings(&other);
    off.http = String::new();
    let free = Server::start(off).await.expect("a start that failed has left its folder");
    assert_eq!(free.http_addr(), None);
}

/// The process, as a script that starts it meets it.
#[tokio::test]
async fn the_ready_line_says_where_operators_are_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-server"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHAT_")) {
        command.env_remove(name);
    }
    command.args(["--listen", "127.0.0.1:0", "--data"]).arg(folder.path());
    command.env("CHAT_HTTP", "127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = Process(command.spawn().expect("the binary runs"));
    let mut line = String::new();
    let stdout = server.0.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line of text");
    let (_, http) = line.trim().split_once(" http=").unwrap_or_else(|| panic!("not said: {line:?}"));
    assert!(line.starts_with("ready tcp=127.0.0.1:"), "{line:?}");
    let http = http.parse().expect("an address");
    assert_eq!(status(&ask(http, "GET", "/readyz").await), "200");
    assert!(metric(http, "process_resident_memory_bytes").await > 1e6);
}

/// A server's process, killed when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
