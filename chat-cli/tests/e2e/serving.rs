//! The server process: how it starts, refuses and stops.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::person::Person;
use crate::server::{self, ServerProcess};

#[test]
fn a_second_server_on_the_same_folder_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    let refused = ServerProcess::refused(folder.path(), "127.0.0.1:0");
    let reason = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{reason}");
    assert!(reason.contains("in use by another process"), "{reason}");
    assert!(reason.contains(&folder.path().display().to_string()), "{reason}");
    assert!(refused.stdout.is_empty(), "it was never ready");
    alice.lines(&["unread"]);
}

#[test]
fn a_port_in_use_is_refused_with_the_address() {
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let server = ServerProcess::start(one.path());
    let refused = ServerProcess::refused(other.path(), server.address());
    let reason = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{reason}");
    assert!(reason.contains(server.address()), "{reason}");
}

#[test]
fn wrong_settings_are_refused_before_anything_is_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, "[connections]\nmaximum = 3\n").expect("written");
    let mut command = server::command(&data, "127.0.0.1:0");
    let refused = command.arg("--config").arg(&file).stderr(Stdio::piped()).output().expect("it runs");
    let reason = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{reason}");
    assert!(reason.contains("`connections.maximum`") && reason.contains("settings.toml"), "{reason}");
    assert!(!data.exists());
}

#[test]
fn a_stop_in_order_exits_0_and_keeps_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let address = server.address().to_owned();
    let alice = Person::registered(&address, "alice");
    let bob = Person::registered(&address, "bob");
    alice.lines(&["send", "@bob", "kept"]);
    let _tail = bob.begin(&["tail"]);
    let _idle = TcpStream::connect(&address).expect("it listens");
    assert_eq!(server.stop().code(), Some(0));
    drop(_tail);
    let _server = ServerProcess::start_at(folder.path(), &address);
    assert_eq!(bob.texts("@alice"), ["kept"]);
}

#[test]
fn killing_the_server_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let address = server.address().to_owned();
    let alice = Person::registered(&address, "alice");
    let bob = Person::registered(&address, "bob");
    let sent: Vec<String> = (0..5).map(|number| format!("message {number}")).collect();
    for text in &sent {
        alice.lines(&["send", "@bob", text]);
    }
    server.kill();
    let _server = ServerProcess::start_at(folder.path(), &address);
    assert_eq!(bob.texts("@alice"), sent);
}

#[test]
fn junk_from_the_network_ends_its_connection_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(folder.path());
    let alice = Person::registered(server.address(), "alice");
    for junk in [&b"\n"[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 4096], &[0; 4096], b"{\"msgid\":1}"] {
        let mut stream = TcpStream::connect(server.address()).expect("it listens");
        stream.write_all(junk).expect("it reads");
        stream.shutdown(std::net::Shutdown::Write).expect("open");
        let mut answer = Vec::new();
        // Whatever it answers, it hangs up.
        let _ = stream.read_to_end(&mut answer);
    }
    alice.lines(&["unread"]);
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = server::command(folder.path(), "127.0.0.1:0");
    command.env("CHAT_CONNECTIONS_MAX", "1").env("CHAT_LOG", "error").stderr(Stdio::null());
    let server = ServerProcess::ready(command);
    let _first = TcpStream::connect(server.address()).expect("it listens");
    let mut second = TcpStream::connect(server.address()).expect("it listens");
    let mut answer = Vec::new();
    second.read_to_end(&mut answer).expect("a close and the end");
    assert!(!answer.is_empty(), "told why");
    let refused = Person::at(server.address());
    let ran = refused.run_with(&["register", "alice", "--password-stdin"], "correct horse\n");
    assert_eq!(ran.code, 3, "{ran:?}");
}
