//! Following what is new: missed entries first, each once, across restarts of either side.

use std::process::Stdio;

use crate::person::{Person, Running};
use crate::server::ServerProcess;

fn text_of(line: &str) -> Option<String> {
    let object: serde_json::Value = serde_json::from_str(line).expect("one object per line");
    object["text"].as_str().map(str::to_owned)
}

/// The next `count` texts that a tail prints.
fn texts(tail: &Running, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        texts.extend(text_of(&tail.line()));
    }
    texts
}

#[test]
fn what_was_missed_comes_first_and_what_was_shown_never_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    bob.lines(&["send", "@alice", "missed one"]);
    bob.lines(&["send", "@alice", "missed two"]);
    let mut tail = alice.begin(&["--json", "tail"]);
    assert_eq!(texts(&tail, 2), ["missed one", "missed two"]);
    bob.lines(&["send", "@alice", "live"]);
    assert_eq!(texts(&tail, 1), ["live"]);
    assert_eq!(tail.stop().code(), Some(0), "a polite stop is no failure");
    bob.lines(&["send", "@alice", "missed three"]);
    let mut tail = alice.begin(&["--json", "tail"]);
    assert_eq!(texts(&tail, 1), ["missed three"], "positions were kept");
    assert_eq!(tail.stop().code(), Some(0));
    assert_eq!(alice.json(&["unread"])[0]["unread"], 4, "showing is not reading");
}

#[test]
fn one_conversation_can_be_followed_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    let carol = Person::registered(server.address(), "carol");
    let tail = alice.begin(&["tail", "@bob"]);
    carol.lines(&["send", "@alice", "from carol"]);
    bob.lines(&["send", "@alice", "from bob"]);
    let line = tail.line();
    assert!(line.starts_with("[@bob] ") && line.ends_with("@bob: from bob"), "{line}");
}

#[test]
fn a_restart_of_the_server_is_a_pause() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let address = server.address().to_owned();
    let alice = Person::registered(&address, "alice");
    let bob = Person::registered(&address, "bob");
    let tail = alice.begin(&["--json", "tail", "@bob"]);
    bob.lines(&["send", "@alice", "before"]);
    assert_eq!(texts(&tail, 1), ["before"]);
    assert_eq!(server.stop().code(), Some(0));
    let server = ServerProcess::start_at(folder.path(), &address);
    bob.lines(&["send", "@alice", "after"]);
    assert_eq!(texts(&tail, 1), ["after"]);
    server.kill();
    let _server = ServerProcess::start_at(folder.path(), &address);
    bob.lines(&["send", "@alice", "after the crash"]);
    assert_eq!(texts(&tail, 1), ["after the crash"]);
}

#[test]
fn two_machines_of_one_user_hear_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let laptop = alice.on_another_machine("alice");
    let _bob = Person::registered(server.address(), "bob");
    let tail = laptop.begin(&["--json", "tail", "@bob"]);
    alice.lines(&["send", "@bob", "from the other machine"]);
    assert_eq!(texts(&tail, 1), ["from the other machine"]);
}

#[test]
fn a_profile_that_is_followed_cannot_be_used_at_the_same_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    let tail = alice.begin(&["--json", "tail"]);
    bob.lines(&["send", "@alice", "hi"]);
    assert_eq!(texts(&tail, 1), ["hi"]);
    assert!(alice.refused(2, &["unread"]).contains("in use by another chat-cli"));
    bob.lines(&["send", "@alice", "still there?"]);
    assert_eq!(texts(&tail, 1), ["still there?"]);
}

#[test]
fn a_reader_who_goes_away_ends_it_quietly() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    for number in 0..5 {
        bob.lines(&["send", "@alice", &format!("message {number}")]);
    }
    let mut command = alice.command();
    command.args(["history", "@bob"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the client starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
