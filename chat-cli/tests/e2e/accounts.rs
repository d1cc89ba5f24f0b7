//! Accounts: registering, logging in and out, and who may read what is kept.

use crate::person::{PASSWORD, Person, files};
use crate::server::ServerProcess;

#[test]
fn registering_logs_in_and_later_commands_need_no_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let who = &alice.json(&["whoami"])[0];
    assert_eq!(who["type"], "account");
    assert_eq!(who["name"], "alice");
    assert_eq!(who["server"], server.address());
    assert!(who["id"].as_u64().is_some_and(|id| id < 1 << 53), "{who}");
    assert!(who["device"].is_u64(), "{who}");
}

#[cfg(unix)]
#[test]
fn the_token_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let token = std::fs::metadata(alice.profile().join("token")).expect("a token");
    assert_eq!(token.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_wrong_password_and_a_taken_name_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let _alice = Person::registered(server.address(), "alice");
    let eve = Person::at(server.address());
    for (command, name, part) in [
        ("login", "alice", "log in again"),
        ("login", "nobody", "log in again"),
        ("register", "alice", "another name"),
    ] {
        let ran = eve.run_with(&[command, name, "--password-stdin"], "wrong horse\n");
        assert_eq!(ran.code, 1, "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        assert!(ran.stderr.contains(part), "{ran:?}");
    }
    eve.refused(2, &["whoami"]);
}

#[test]
fn every_failure_has_its_exit_code_and_one_line_that_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    assert!(Person::at(server.address()).refused(2, &["unread"]).contains("chat-cli login"));
    assert!(alice.refused(1, &["send", "@nobody", "hi"]).contains("no such user"));
    assert!(alice.refused(2, &["send", "@alice", "hi"]).contains("that is you"));
    assert_eq!(alice.run(&["send", "alice", "hi"]).code, 2, "clap's own usage errors");
    assert!(alice.refused(2, &["--server", "127.0.0.1:1", "unread"]).contains("--profile"));
    let away = Person::at("127.0.0.1:1");
    let ran = away.run_with(&["login", "alice", "--password-stdin"], "correct horse\n");
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stderr.contains("is it running"), "{ran:?}");
    assert_eq!(server.stop().code(), Some(0));
    assert!(alice.refused(3, &["unread"]).contains("cannot reach the server"));
}

#[test]
fn after_logging_out_nothing_is_left_and_the_token_is_void() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let token = std::fs::read(alice.profile().join("token")).expect("a token");
    let account = std::fs::read(alice.profile().join("account.json")).expect("an account");
    alice.lines(&["logout"]);
    assert_eq!(files(&alice.profile()), ["lock"]);
    alice.refused(2, &["whoami"]);
    std::fs::write(alice.profile().join("token"), token).expect("written");
    std::fs::write(alice.profile().join("account.json"), account).expect("written");
    assert!(alice.refused(1, &["unread"]).contains("log in again"));
}

#[test]
fn fault_20_the_next_user_of_a_profile_sees_nothing_of_the_one_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let _bob = Person::registered(server.address(), "bob");
    alice.lines(&["contacts", "add", "@bob"]);
    alice.lines(&["send", "@bob", "between us"]);
    let ran = alice.run_with(&["register", "carol", "--password-stdin"], "correct horse\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(alice.json(&["whoami"])[0]["name"], "carol");
    assert!(alice.json(&["contacts", "list"]).is_empty());
    assert!(alice.texts("@bob").is_empty());
    let state = std::fs::read_to_string(alice.profile().join("state.json")).expect("a state");
    assert!(!state.contains("alice"), "{state}");
}

#[test]
fn a_new_password_replaces_the_old_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let ran = alice.run_with(&["password", "--password-stdin"], "wrong horse\nbattery staple\n");
    assert_eq!(ran.code, 1, "{ran:?}");
    let ran = alice.run_with(&["password", "--password-stdin"], &format!("{PASSWORD}\nbattery staple\n"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let elsewhere = Person::at(server.address());
    let log_in = |password: &str| elsewhere.run_with(&["login", "alice", "--password-stdin"], password).code;
    assert_eq!(log_in("correct horse\n"), 1);
    assert_eq!(log_in("battery staple\n"), 0);
}

#[test]
fn a_revoked_device_has_to_log_in_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let laptop = alice.on_another_machine("alice");
    let devices = alice.json(&["devices", "list"]);
    assert_eq!(devices.len(), 2);
    let other = devices.iter().find(|device| device["current"] == false).expect("the laptop");
    alice.lines(&["devices", "revoke", &other["id"].to_string()]);
    assert!(laptop.refused(1, &["unread"]).contains("log in again"));
    assert_eq!(alice.json(&["devices", "list"]).len(), 1);
}

#[test]
fn logging_in_again_leaves_no_device_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let ran = alice.run_with(&["login", "alice", "--password-stdin"], "correct horse\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(alice.json(&["devices", "list"]).len(), 1);
}
