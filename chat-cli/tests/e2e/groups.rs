//! Groups: found by handle, joined in three ways, left and ended.

use crate::person::Person;
use crate::server::ServerProcess;

#[test]
fn a_group_is_found_joined_and_written_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    let created = &alice.json(&["groups", "create", "Rust Berlin", "--handle", "rust"])[0];
    assert_eq!(created["type"], "group_created");
    assert_eq!(created["handle"], "rust");
    let id = format!("id:{}", created["id"]);
    assert_eq!(bob.json(&["groups", "find", "#rust"])[0]["members"], 1);
    bob.refused(1, &["send", "#rust", "too early"]);
    bob.lines(&["groups", "join", "rust"]);
    bob.lines(&["send", "#rust", "hello all"]);
    alice.lines(&["send", "group:rust", "welcome"]);
    alice.lines(&["send", &id, "again"]);
    assert_eq!(bob.texts("#rust"), ["hello all", "welcome", "again"]);
    assert_eq!(alice.json(&["unread"])[0]["to"], "#rust");
    let listed = &bob.json(&["groups", "list"])[0];
    assert_eq!((listed["members"].as_u64(), listed["standing"].as_str()), (Some(2), Some("member")));
    let members = alice.json(&["groups", "members", "rust"]);
    let names: Vec<&str> = members.iter().filter_map(|member| member["user"]["name"].as_str()).collect();
    assert_eq!(names, ["alice", "bob"]);
    let told = alice.lines(&["history", "#rust"]).join("\n");
    assert!(
        told.contains("@alice created the group “Rust Berlin”") && told.contains("@bob joined"),
        "{told}"
    );
}

#[test]
fn who_was_removed_reads_and_writes_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    alice.lines(&["groups", "create", "Rust", "--handle", "rust"]);
    bob.lines(&["groups", "join", "rust"]);
    alice.lines(&["send", "#rust", "before"]);
    alice.lines(&["groups", "remove", "rust", "@bob"]);
    alice.lines(&["send", "#rust", "after"]);
    bob.refused(1, &["send", "#rust", "still here?"]);
    let read = bob.run(&["--json", "history", "#rust"]);
    assert!(!read.stdout.contains("after"), "{read:?}");
    assert!(bob.json(&["groups", "list"]).is_empty());
}

#[test]
fn a_private_group_is_joined_by_invitation() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    let eve = Person::registered(server.address(), "eve");
    let created = &alice.json(&["groups", "create", "Secret Santa"])[0];
    assert!(created["handle"].is_null());
    let id = format!("id:{}", created["id"]);
    eve.refused(1, &["groups", "join", &id]);
    alice.lines(&["groups", "invite", &id, "@bob"]);
    let notices = bob.lines(&["history", "inbox"]).join("\n");
    assert!(notices.contains(&format!("you are invited to “Secret Santa” ({id})")), "{notices}");
    bob.lines(&["groups", "accept", &id]);
    bob.lines(&["send", &id, "ho ho"]);
    assert_eq!(alice.texts(&id), ["ho ho"]);
    bob.lines(&["groups", "leave", &id]);
    bob.refused(1, &["send", &id, "gone"]);
    assert_eq!(alice.json(&["groups", "list"])[0]["members"], 1);
}

#[test]
fn a_request_to_join_waits_for_approval() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    alice.lines(&["groups", "create", "Club", "--handle", "club", "--join", "request"]);
    bob.lines(&["groups", "join", "club"]);
    bob.refused(1, &["send", "#club", "hi"]);
    let asking = alice.json(&["groups", "members", "club", "--only", "asking"]);
    assert_eq!(asking[0]["user"]["name"], "bob");
    alice.lines(&["groups", "approve", "club", "@bob"]);
    bob.lines(&["send", "#club", "hi"]);
    alice.lines(&["groups", "role", "club", "@bob", "admin"]);
    alice.lines(&["groups", "set", "club", "--description", "members only"]);
    assert_eq!(bob.json(&["groups", "list"])[0]["standing"], "admin");
    assert_eq!(bob.json(&["groups", "list"])[0]["description"], "members only");
    bob.refused(1, &["groups", "dissolve", "club"]);
    alice.lines(&["groups", "dissolve", "club"]);
    bob.refused(1, &["send", "#club", "anyone?"]);
}
