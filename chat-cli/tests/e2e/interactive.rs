//! The interactive face: at a terminal, and at the end of a pipe.

use rexpect::session::{PtySession, spawn_command};

use crate::person::{PASSWORD, Person};
use crate::server::{DEADLINE, ServerProcess};

fn sit_down(person: &Person) -> PtySession {
    let mut command = person.command();
    command.env("TERM", "xterm");
    spawn_command(command, Some(DEADLINE.as_millis() as u64)).expect("a terminal")
}

#[test]
fn somebody_registers_writes_is_answered_and_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let bob = Person::registered(server.address(), "bob");
    let alice = Person::at(server.address());
    let mut seat = sit_down(&alice);
    seat.exp_string("(r)egister").expect("a menu");
    seat.send_line("r").expect("typed");
    seat.exp_string("Name: ").expect("a prompt");
    seat.send_line("alice").expect("typed");
    seat.exp_string("New password: ").expect("a prompt");
    seat.send_line(PASSWORD).expect("typed");
    let shown = seat.exp_string("The same again: ").expect("a prompt");
    assert!(!shown.contains(PASSWORD), "a password is not shown: {shown:?}");
    seat.send_line(PASSWORD).expect("typed");
    seat.exp_string("you are @alice").expect("logged in");
    seat.exp_string("alice> ").expect("a prompt");
    seat.send_line("/switch @bob").expect("typed");
    seat.exp_string(" @bob> ").expect("the prompt shows it");
    seat.send_line("hello bob").expect("typed");
    seat.exp_string("@alice: hello bob").expect("it is in the log");
    assert_eq!(bob.texts("@alice"), ["hello bob"]);
    bob.lines(&["send", "@alice", "hello \u{1b}]0;alice\u{7}"]);
    let shown = seat.exp_string("]0;alice").expect("shown");
    assert!(!shown.ends_with('\u{1b}'), "made safe: {shown:?}");
    seat.send_line("/nonsense").expect("typed");
    seat.exp_string("/help shows what there is").expect("a remark");
    seat.send_line("/quit").expect("typed");
    seat.exp_eof().expect("it ends");
    assert!(bob.json(&["unread"])[0]["unread"] == 1, "bob has not read");
    assert!(alice.json(&["unread"]).is_empty(), "what stands in the current conversation was read");
}

#[test]
fn a_message_that_arrives_does_not_tear_the_line_being_typed() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    let mut seat = sit_down(&alice);
    seat.exp_string("alice> ").expect("a prompt");
    seat.send("/msg @bob half a ").expect("typed");
    seat.flush().expect("typed");
    seat.exp_string("half a ").expect("echoed");
    bob.lines(&["send", "@alice", "meanwhile"]);
    seat.exp_string("@bob: meanwhile").expect("shown");
    seat.exp_string("half a ").expect("the line is there again");
    seat.send_line("sentence").expect("typed");
    seat.exp_string("@alice: half a sentence").expect("sent as a whole");
    assert_eq!(bob.texts("@alice"), ["meanwhile", "half a sentence"]);
}

#[test]
fn the_tab_key_completes_commands_and_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let _bob = Person::registered(server.address(), "bob");
    alice.lines(&["contacts", "add", "@bob"]);
    let mut seat = sit_down(&alice);
    seat.exp_string("alice> ").expect("a prompt");
    seat.send("/sw\t@b\t").expect("typed");
    seat.send_line("").expect("typed");
    seat.exp_string(" @bob> ").expect("completed and carried out");
}

#[test]
fn who_comes_back_sees_what_was_missed_and_what_is_unread() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    bob.lines(&["send", "@alice", "where are you?"]);
    let mut seat = alice.begin(&[]);
    seat.line_with("you are @alice");
    seat.line_with("@bob: where are you?");
    assert_eq!(seat.line_with("unread:"), "unread: @bob 1");
    seat.type_line("/quit");
    assert_eq!(seat.wait().code(), Some(0));
    let mut seat = alice.begin(&[]);
    seat.line_with("unread: @bob 1");
    seat.type_line("/quit");
    assert_eq!(seat.wait().code(), Some(0));
    let again = seat.rest();
    assert!(!again.iter().any(|line| line.contains("where are you?")), "shown once: {again:?}");
}

#[test]
fn fault_20_the_next_user_at_the_same_terminal_sees_nothing_of_the_one_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let bob = Person::registered(server.address(), "bob");
    bob.lines(&["send", "@alice", "for alice only"]);
    let mut seat = alice.begin(&[]);
    seat.line_with("for alice only");
    seat.type_line("/logout");
    for line in ["r", "carol", PASSWORD, PASSWORD] {
        seat.type_line(line);
    }
    seat.line_with("you are @carol");
    seat.type_line("/contacts");
    seat.line_with("no contacts yet");
    seat.type_line("/history @bob");
    assert_eq!(seat.line_with("@bob"), "(@bob: nothing)");
    seat.type_line("/quit");
    assert_eq!(seat.wait().code(), Some(0));
    assert!(!seat.rest().iter().any(|line| line.contains("alice")));
}

#[test]
fn a_wrong_password_is_asked_for_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let elsewhere = Person::at(server.address());
    let mut seat = elsewhere.begin(&[]);
    for line in ["l", "alice", "wrong horse", "l", "alice", PASSWORD] {
        seat.type_line(line);
    }
    seat.line_with("refused");
    seat.line_with("you are @alice");
    seat.type_line("/devices");
    seat.line_with("this one");
    drop(alice);
}

#[test]
fn words_of_the_blocked_are_not_shown_in_groups_either() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let (bob, eve) =
        (Person::registered(server.address(), "bob"), Person::registered(server.address(), "eve"));
    alice.lines(&["groups", "create", "Rust", "--handle", "rust"]);
    bob.lines(&["groups", "join", "rust"]);
    eve.lines(&["groups", "join", "rust"]);
    alice.lines(&["contacts", "block", "@eve"]);
    let mut seat = alice.begin(&[]);
    seat.line_with("you are @alice");
    eve.lines(&["send", "#rust", "something unkind"]);
    bob.lines(&["send", "#rust", "something kind"]);
    seat.line_with("something kind");
    seat.type_line("/quit");
    assert_eq!(seat.wait().code(), Some(0));
}

#[test]
fn whose_token_is_void_is_asked_for_the_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let laptop = alice.on_another_machine("alice");
    let device = laptop.json(&["whoami"])[0]["device"].to_string();
    alice.lines(&["devices", "revoke", &device]);
    let mut seat = laptop.begin(&[]);
    seat.line_with("log in again");
    for line in ["l", "alice", PASSWORD] {
        seat.type_line(line);
    }
    seat.line_with("you are @alice");
}
