//! Each scenario, small and short, on a server that keeps its promises.

use std::sync::Arc;
use std::time::Duration;

use chat_core::Epoch;
use chat_core::memory::{InProcessBus, MemoryStore};
use chat_store::sqlite::{SqliteOptions, SqliteStore};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::flawed::Flawed;
use crate::harness::{Server, number, report, start};

async fn clean(scenario: &str, more: &[&str]) -> Value {
    let server = Server::start(MemoryStore::new(Epoch(1))).await;
    let (status, report) = report(&server.address, scenario, more).await;
    server.stop().await;
    assert_clean(status, &report);
    report
}

fn assert_clean(status: Option<i32>, report: &Value) {
    assert_eq!(status, Some(0), "{report:#}");
    assert!(number(report, "/sent") > 0.0, "{report:#}");
    assert_eq!(number(report, "/sent"), number(report, "/acknowledged"), "{report:#}");
    assert_eq!(number(report, "/acknowledged_us/count"), number(report, "/acknowledged"));
    for kind in ["lost", "repeated", "reordered", "holes", "foreign", "refused"] {
        assert_eq!(number(report, &format!("/violations/{kind}")), 0.0, "{report:#}");
    }
    assert_eq!(report["ended"], Value::Array(Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairs_send_in_a_closed_loop() {
    // The server is in this process.
    let pid = std::process::id().to_string();
    let more = ["--clients", "4", "--window", "4", "--bytes", "300", "--pid", &pid];
    let report = clean("direct", &more).await;
    assert!(number(&report, "/servers/0/cpu_seconds") > 0.0, "{report:#}");
    assert_eq!(number(&report, "/deliveries"), number(&report, "/sent"), "one other in each pair");
    assert!(number(&report, "/delivered_us/p50") <= number(&report, "/delivered_us/max"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairs_send_in_an_open_loop() {
    let report = clean("direct", &["--clients", "4", "--rate", "200"]).await;
    let turns = number(&report, "/sent") + number(&report, "/figures/turns_not_taken");
    assert_eq!(turns, 200.0, "a second of them, sent or owned up to");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_is_measured_by_all_that_were_to_be_sent_meanwhile() {
    let store = Flawed::stalling(MemoryStore::new(Epoch(1)), Duration::from_millis(600));
    let server = Server::start(store).await;
    let (status, report) = report(&server.address, "direct", &["--clients", "2", "--rate", "200"]).await;
    server.stop().await;
    assert_clean(status, &report);
    // Of 200 messages 110 are due at least 50 ms before the end of the stall.
    assert!(number(&report, "/acknowledged_us/p50") > 50_000.0, "{report:#}");
    assert!(number(&report, "/delivered_us/p50") > 50_000.0, "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_a_group_send_to_all_others() {
    let report = clean("group", &["--clients", "5", "--senders", "2"]).await;
    assert_eq!(number(&report, "/deliveries"), 4.0 * number(&report, "/sent"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_away_gets_the_backlog() {
    let report = clean("offline", &["--clients", "4"]).await;
    assert_eq!(number(&report, "/figures/backlog_entries"), number(&report, "/sent"));
    assert_eq!(number(&report, "/deliveries"), number(&report, "/sent"));
    assert_eq!(number(&report, "/delivered_us/count"), 0.0, "their absence is nobody's latency");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_idle_deliver() {
    let pid = std::process::id().to_string();
    let report = clean("idle", &["--clients", "4", "--pid", &pid]).await;
    assert_eq!(number(&report, "/figures/connections"), 4.0);
    assert_eq!(number(&report, "/deliveries"), 4.0);
    assert!(number(&report, "/servers/0/resident_bytes") > 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_comes_back_at_once() {
    let report = clean("storm", &["--clients", "6"]).await;
    let storms = number(&report, "/figures/storms");
    assert!(storms >= 1.0);
    assert_eq!(number(&report, "/figures/log_ins"), storms * 6.0);
    assert_eq!(number(&report, "/sent"), storms * 3.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_chat() {
    let report = clean("mixed", &["--clients", "10", "--rate", "100", "--seed", "7"]).await;
    assert_eq!(number(&report, "/conditions/seed"), 7.0);
    assert!(number(&report, "/deliveries") > number(&report, "/sent"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_cost_nothing() {
    let server = Server::start(MemoryStore::new(Epoch(1))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report");
    let arguments = [
        "mixed",
        "--address",
        &server.address,
        "--clients",
        "10",
        "--rate",
        "100",
        "--seconds",
        "3",
        "--json",
    ];
    let mut program = start(&arguments, &file);
    // It says when it begins, and then every second how it goes.
    let mut lines = BufReader::new(program.stderr.take().expect("it is piped")).lines();
    while lines.next_line().await.expect("text").is_some() {
        server.cut();
    }
    let status = program.wait().await.expect("it ends").code();
    let report = std::fs::read_to_string(&file).expect("a report");
    let report = serde_json::from_str(&report).expect("it is JSON");
    server.stop().await;
    assert_clean(status, &report);
    assert!(number(&report, "/reconnections") >= 8.0, "all that act, at least once: {report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_server_that_stops_go_to_the_other() {
    let (store, bus) = (Arc::new(MemoryStore::new(Epoch(1))), InProcessBus::new());
    let one = Server::node(Flawed::sharing(Arc::clone(&store)), &bus).await;
    let other = Server::node(Flawed::sharing(store), &bus).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report");
    let addresses = ["--address", &one.address, "--address", &other.address].map(str::to_owned);
    let arguments = ["mixed", "--clients", "10", "--rate", "100", "--seconds", "4"];
    let arguments = [&arguments[..], &addresses.each_ref().map(String::as_str), &["--json"]].concat();
    let mut program = start(&arguments, &file);
    let mut lines = BufReader::new(program.stderr.take().expect("it is piped")).lines();
    while lines.next_line().await.expect("text").is_some_and(|line| !line.contains("acknowledged/s")) {}
    one.stop().await;
    while lines.next_line().await.expect("text").is_some() {}
    let status = program.wait().await.expect("it ends").code();
    let report = std::fs::read_to_string(&file).expect("a report");
    let report = serde_json::from_str(&report).expect("it is JSON");
    other.stop().await;
    assert_clean(status, &report);
    assert!(number(&report, "/reconnections") >= 4.0, "half of all that act: {report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_and_their_conversations_are_used_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path(), &SqliteOptions::default()).expect("a store");
    let server = Server::start(store).await;
    let accounts = folder.path().join("accounts").to_string_lossy().into_owned();
    let lines = || std::fs::read_to_string(&accounts).expect("they are kept").lines().count();
    for (clients, kept) in [("4", 4), ("6", 6), ("2", 6)] {
        let more = ["--clients", clients, "--accounts", &accounts];
        let (status, report) = report(&server.address, "direct", &more).await;
        assert_clean(status, &report);
        assert_eq!(lines(), kept, "with {clients} clients");
    }
    server.stop().await;
}
