//! Servers that break their promises are found out.

use chat_core::memory::MemoryStore;
use chat_core::{Entry, Epoch};
use serde_json::Value;

use crate::flawed::Flawed;
use crate::harness::{Server, chat_load, number, report};

/// Runs against a server that acknowledged and delivered everything, and has its history changed like this
/// when it is read. The first entry of it was written before the run.
async fn found(change: impl Fn(&mut Vec<Entry>) + Send + Sync + 'static) -> Value {
    run_over(Flawed::reading(MemoryStore::new(Epoch(1)), change), &["--rate", "50"]).await
}

/// Runs against a server over this store, which is found to break its promises; so says the record.
async fn run_over(store: Flawed<MemoryStore>, more: &[&str]) -> Value {
    let server = Server::start(store).await;
    let folder = tempfile::tempdir().expect("a folder");
    let record = folder.path().join("record").to_string_lossy().into_owned();
    let more = [&["--clients", "2", "--record", &record], more].concat();
    let (status, report) = report(&server.address, "direct", &more).await;
    server.stop().await;
    assert_eq!(status, Some(1), "{report:#}");
    let checked = chat_load(&["check", &record]).await;
    assert_eq!(checked.status.code(), Some(1), "the record shows it, too");
    report
}

fn assert_violations(report: &Value, expected: &[(&str, f64)]) {
    for kind in ["lost", "repeated", "reordered", "holes", "foreign", "refused"] {
        let count = expected.iter().find(|(expected, _)| *expected == kind).map_or(0.0, |(_, count)| *count);
        assert_eq!(number(report, &format!("/violations/{kind}")), count, "{kind} in {report:#}");
    }
}

/// Where in a page an entry is.
fn at(entries: &[Entry], seq: u64) -> Option<usize> {
    entries.iter().position(|entry| entry.seq == seq)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_message_that_is_lost_is_found() {
    let report = found(|entries| entries.retain(|entry| entry.seq != 5)).await;
    assert_violations(&report, &[("lost", 1.0), ("holes", 1.0)]);
    assert!(report["evidence"][0].as_str().expect("words").contains("is entry 5 of direct:"), "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_history_that_is_lost_is_found() {
    let report = found(|entries| entries.retain(|entry| entry.seq <= 2)).await;
    assert_violations(&report, &[("lost", number(&report, "/acknowledged") - 1.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_there_twice_is_found() {
    let report = found(|entries| {
        if let Some(at) = at(entries, 5) {
            entries.insert(at, entries[at].clone());
        }
    })
    .await;
    assert_violations(&report, &[("repeated", 1.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_stand_in_another_order_are_found() {
    let report = found(|entries| {
        if let (Some(one), Some(other)) = (at(entries, 5), at(entries, 6)) {
            entries.swap(one, other);
        }
    })
    .await;
    assert_violations(&report, &[("reordered", 1.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_says_something_else_is_found() {
    let report = found(|entries| {
        if let Some(at) = at(entries, 5) {
            entries[at].content = None;
        }
    })
    .await;
    assert_violations(&report, &[("foreign", 1.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_who_is_refused_for_good_is_found() {
    let report = run_over(Flawed::refusing(MemoryStore::new(Epoch(1))), &["--rate", "50"]).await;
    let refused = number(&report, "/refused/conflict");
    assert_eq!(refused, number(&report, "/sent"));
    assert_violations(&report, &[("refused", refused)]);
    let evidence = report["evidence"][0].as_str().expect("words");
    assert!(evidence.contains("was answered conflict") && evidence.contains("direct:"), "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_in_which_nothing_is_acknowledged_shows_nothing() {
    let more = ["--rate", "50", "--settle", "1"];
    let report = run_over(Flawed::unavailable(MemoryStore::new(Epoch(1))), &more).await;
    assert_violations(&report, &[]);
    assert_eq!(number(&report, "/acknowledged"), 0.0);
    // What was not sent, and what had no answer, is owned up to.
    let sent = number(&report, "/sent");
    assert_eq!(sent + number(&report, "/figures/turns_not_taken"), 50.0);
    assert_eq!(number(&report, "/unknown"), sent);
    for times in ["acknowledged_us", "delivered_us"] {
        assert_eq!(number(&report, &format!("/{times}/count")), sent, "{report:#}");
        assert_eq!(number(&report, &format!("/{times}/lower_bounds")), sent);
        assert!(number(&report, &format!("/{times}/p50")) > 500_000.0, "half of them waited for longer");
    }
    assert!(number(&report, "/longest_silence_ms") > 500.0, "{report:#}");
    let evidence = report["evidence"].as_array().expect("words");
    assert_eq!(evidence.len(), 1);
    assert!(evidence[0].as_str().expect("words").contains("nothing was acknowledged"), "{report:#}");
}
