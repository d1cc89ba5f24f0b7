//! Two people: contacts, messages both ways, what is unread, history.

use serde_json::json;

use crate::person::Person;
use crate::server::ServerProcess;

#[test]
fn two_people_become_contacts_and_chat_both_ways() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    alice.lines(&["contacts", "add", "@bob", "--note", "it is me"]);
    let asked = &bob.json(&["contacts", "list"])[0];
    assert_eq!(asked["relation"], "incoming");
    assert_eq!(asked["user"]["name"], "alice");
    bob.lines(&["contacts", "accept", "@alice"]);
    for person in [&alice, &bob] {
        assert_eq!(person.json(&["contacts", "list"])[0]["relation"], "contact");
    }
    let receipt = &alice.json(&["send", "@bob", "hello", "there"])[0];
    assert_eq!(receipt["type"], "receipt");
    assert_eq!(receipt["to"], "@bob");
    assert!(receipt["seq"].is_u64() && receipt["time"].is_string(), "{receipt}");
    bob.lines(&["send", "@alice", "good", "to", "see", "you"]);
    assert_eq!(alice.texts("@bob"), ["hello there", "good to see you"]);
    assert_eq!(bob.texts("@alice"), alice.texts("@bob"));
    alice.lines(&["contacts", "remove", "@bob"]);
    assert!(bob.json(&["contacts", "list"]).iter().all(|contact| contact["relation"] != "contact"));
}

#[test]
fn what_was_written_while_one_was_away_is_unread_until_it_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    for text in ["one", "two", "three"] {
        bob.lines(&["send", "@alice", text]);
    }
    assert!(bob.json(&["unread"]).is_empty(), "own messages are not unread");
    let unread = alice.json(&["unread"]);
    assert_eq!(unread.len(), 1, "{unread:?}");
    assert_eq!(unread[0]["to"], "@bob");
    assert_eq!(unread[0]["unread"], 3);
    let first = alice.json(&["history", "@bob"])[0]["seq"].to_string();
    alice.lines(&["read", "@bob", "--up-to", &first]);
    assert_eq!(alice.json(&["unread"])[0]["unread"], 2);
    alice.lines(&["read", "@bob"]);
    assert!(alice.json(&["unread"]).is_empty());
    assert_eq!(alice.lines(&["unread"]), ["nothing is unread"]);
}

#[test]
fn history_pages_backwards_without_gap_or_repetition() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let _bob = Person::registered(server.address(), "bob");
    let sent: Vec<String> = (1..=7).map(|number| format!("message {number}")).collect();
    for text in &sent {
        alice.lines(&["send", "@bob", text]);
    }
    let mut read: Vec<String> = Vec::new();
    let mut before = None::<String>;
    loop {
        let mut arguments = vec!["history", "@bob", "--limit", "3"];
        if let Some(before) = &before {
            arguments.extend(["--before", before]);
        }
        let mut page = alice.json(&arguments);
        let end = page.pop().expect("a page ends with where the next begins");
        assert_eq!(end["type"], "page");
        assert!(page.len() <= 3, "{page:?}");
        let texts = page.iter().map(|entry| entry["text"].as_str().expect("a text").to_owned());
        read.splice(0..0, texts);
        if end["more"] == false {
            break;
        }
        before = Some(end["before"].to_string());
    }
    assert_eq!(read, sent);
}

#[test]
fn changes_of_messages_are_folded_into_history() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    let seq = |person: &Person, arguments: &[&str]| person.json(arguments)[0]["seq"].to_string();
    let first = seq(&alice, &["send", "@bob", "helo"]);
    let second = seq(&alice, &["send", "@bob", "gone soon"]);
    alice.lines(&["edit", "@bob", &first, "hello"]);
    alice.lines(&["recall", "@bob", &second]);
    bob.lines(&["react", "@alice", &first, "👍"]);
    bob.lines(&["send", "@alice", "--reply-to", &first, "hi"]);
    bob.refused(1, &["edit", "@alice", &first, "not mine"]);
    let history = bob.json(&["history", "@alice"]);
    assert_eq!(history[0]["text"], "hello");
    assert_eq!(history[0]["edited"], true);
    assert_eq!(history[0]["reactions"][0]["symbol"], "👍");
    assert_eq!(history[0]["reactions"][0]["users"][0]["name"], "bob");
    assert_eq!(history[1]["recalled"], true);
    assert_eq!(history[1].get("text"), None, "what was taken back is gone");
    assert_eq!(history[2]["target"], json!(first.parse::<u64>().expect("a number")));
    let lines = bob.lines(&["history", "@alice"]);
    assert!(lines[0].contains("@alice: hello (edited)  [👍 @bob]"), "{lines:#?}");
    assert!(lines[1].contains("@alice: (taken back)"), "{lines:#?}");
    assert!(lines[2].contains(&format!("@bob (answering {first}): hi")), "{lines:#?}");
}

#[test]
fn who_is_blocked_is_told_no_more_than_who_does_not_exist() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let eve = Person::registered(server.address(), "eve");
    alice.lines(&["contacts", "block", "@eve"]);
    let blocked = eve.refused(1, &["send", "@alice", "hi"]);
    assert_eq!(blocked, eve.refused(1, &["send", "@nobody", "hi"]));
    alice.lines(&["contacts", "unblock", "@eve"]);
    eve.lines(&["send", "@alice", "hi"]);
    assert_eq!(alice.texts("@eve"), ["hi"]);
}

#[test]
fn a_text_can_come_from_standard_input_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    let text = "'; DROP TABLE \"x\" --\nsecond line\t👩\u{200d}💻 \u{1b}[2J";
    let ran = alice.run_with(&["send", "@bob", "-"], &format!("{text}\n"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(bob.texts("@alice"), [text]);
    let shown = bob.lines(&["history", "@alice"]).join("\n");
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    assert_eq!(alice.refused(2, &["send", "@bob", ""]).lines().count(), 1);
}

#[test]
fn the_json_of_an_entry_has_the_documented_fields() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    alice.lines(&["send", "@bob", "hi"]);
    let entry = &bob.json(&["history", "@alice"])[0];
    let fields: Vec<&str> = entry.as_object().expect("an object").keys().map(String::as_str).collect();
    let expected = [
        "countable",
        "edited",
        "kind",
        "reactions",
        "recalled",
        "sender",
        "seq",
        "target",
        "text",
        "time",
        "to",
        "type",
    ];
    assert_eq!(fields, expected);
    assert_eq!(
        (&entry["type"], &entry["to"], &entry["kind"]),
        (&json!("entry"), &json!("@alice"), &json!("text"))
    );
    let notices = bob.json(&["history", "inbox"]);
    assert!(notices.iter().any(|notice| notice["kind"] == "account_created"), "{notices:?}");
}
