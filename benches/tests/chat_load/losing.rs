//! Servers that do not keep their promises are found out.

use chat_core::Epoch;
use chat_core::memory::MemoryStore;

use crate::forgetful::Forgetful;
use crate::harness::{Server, chat_load, number, report};

/// Runs against a server that has forgotten these entries of every direct conversation when it is asked
/// for them, although it acknowledged and delivered them.
async fn found(forgotten: std::ops::RangeInclusive<u64>) -> serde_json::Value {
    let server = Server::start(Forgetful::new(MemoryStore::new(Epoch(1)), forgotten)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let record = folder.path().join("record").to_string_lossy().into_owned();
    let (status, report) = report(&server.address, "direct", &["--clients", "2", "--record", &record]).await;
    server.stop().await;
    assert_eq!(status, Some(1), "{report:#}");
    let checked = chat_load(&["check", &record]).await;
    assert_eq!(checked.status.code(), Some(1), "the record shows it, too");
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_message_that_is_lost_is_found() {
    let report = found(5..=5).await;
    assert_eq!(number(&report, "/violations/lost"), 1.0, "{report:#}");
    assert_eq!(number(&report, "/violations/holes"), 1.0, "{report:#}");
    assert!(report["evidence"][0].as_str().expect("words").contains("is entry 5 of direct:"), "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_history_that_is_lost_is_found() {
    let report = found(3..=u64::MAX).await;
    // The first entry was written before the run.
    assert_eq!(number(&report, "/violations/lost"), number(&report, "/acknowledged") - 1.0, "{report:#}");
    assert_eq!(number(&report, "/violations/holes"), 0.0, "it ends early, gapless");
}
