//! What it answers when it cannot run.

use std::net::TcpListener;

use crate::harness::{chat_load, complaint};

async fn refused(arguments: &[&str]) -> String {
    let output = chat_load(arguments).await;
    assert_eq!(output.status.code(), Some(2), "{}", complaint(&output));
    complaint(&output)
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    drop(taken);
    let complaint = refused(&["direct", "--address", &address]).await;
    assert!(complaint.contains(&address) && complaint.contains("cannot be reached"), "{complaint}");
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_refused_before_anything_is_done() {
    assert!(refused(&["direct"]).await.contains("--address"));
    assert!(refused(&["quarrel", "--address", "127.0.0.1:1"]).await.contains("quarrel"));
    assert!(refused(&["direct", "--address", "127.0.0.1:1", "--clients", "3"]).await.contains("even"));
    let both = ["direct", "--address", "127.0.0.1:1", "--window", "1", "--rate", "1"];
    assert!(refused(&both).await.contains("--rate"));
    assert!(refused(&["direct", "--address", "127.0.0.1:1", "--rate", "0"]).await.contains("above 0"));
}

#[tokio::test]
async fn a_record_that_is_not_there_is_named() {
    assert!(refused(&["check", "/nowhere/at.all"]).await.contains("/nowhere/at.all"));
}

#[tokio::test]
async fn arguments_that_a_scenario_would_ignore_are_refused() {
    for (scenario, argument, known) in [
        ("idle", "--rate", "`direct`, `group`, `offline`, `mixed`"),
        ("storm", "--rate", "`direct`, `group`, `offline`, `mixed`"),
        ("idle", "--window", "`storm`"),
        ("direct", "--senders", "`group`"),
    ] {
        let complaint = refused(&[scenario, "--address", "127.0.0.1:1", argument, "2"]).await;
        assert!(complaint.contains(&format!("{argument} has no meaning in `{scenario}`")), "{complaint}");
        assert!(complaint.contains(known), "{complaint}");
    }
    let many = ["group", "--address", "127.0.0.1:1", "--clients", "4", "--senders", "5"];
    assert!(refused(&many).await.contains("--senders 5: at most as many as clients"));
}

#[tokio::test]
async fn a_process_that_is_not_there_is_named() {
    // Beyond the highest that Linux gives to a process.
    let complaint = refused(&["direct", "--address", "127.0.0.1:1", "--pid", "4194305"]).await;
    assert!(complaint.contains("--pid 4194305"), "{complaint}");
}
