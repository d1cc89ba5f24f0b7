//! Bringing the tables up to date ahead of the nodes.

use std::process::{Command, Output};

use crate::backends::Maria;

fn migrate(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-server"));
    let Output { status, stdout, stderr } = command.args(arguments).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn tables_are_looked_at_made_and_found_current() {
    let maria = Maria::start();
    let url = maria.url();
    let check = || migrate(&["--store", &url, "migrate", "--check"]);
    let (code, words, _) = check();
    assert_eq!((code, words.as_str()), (Some(3), "empty: nothing was migrated yet\n"));
    for _ in 0..2 {
        let (code, words, _) = migrate(&["--store", &url, "migrate"]);
        assert_eq!((code, words.as_str()), (Some(0), "migrated\n"));
        let (code, words, _) = check();
        assert_eq!((code, words.as_str()), (Some(0), "current\n"));
    }
    maria.query("UPDATE chat.schema_version SET version = 1");
    let (code, words, _) = check();
    assert_eq!(code, Some(3));
    assert!(words.starts_with("older: found schema 1, expected "), "{words}");
    maria.query("UPDATE chat.schema_version SET version = 9999");
    for arguments in [&["--store", &url, "migrate"][..], &["--store", &url, "migrate", "--check"]] {
        let (code, words, error) = migrate(arguments);
        assert_eq!((code, words.as_str()), (Some(1), ""));
        assert!(error.contains("newer version") && error.contains("9999"), "{error}");
    }
}

#[test]
fn the_embedded_store_and_a_database_that_is_away_are_told_apart() {
    let (code, _, error) = migrate(&["migrate"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("embedded") && error.contains("--store"), "{error}");
    let (code, _, error) = migrate(&["--store", "mysql://chat:secret@127.0.0.1:1/chat", "migrate"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("cannot use the database") && !error.contains("secret"), "{error}");
}
