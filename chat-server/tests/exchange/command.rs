//! The commands, and what they have said.

use std::path::Path;
use std::process::{Command, Output};

use chat_store::archive::{ArchiveReader, Part};

use crate::server::Installation;

/// A command on the store of an installation.
pub(crate) fn command(of: &Installation, task: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-server"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHAT_")) {
        command.env_remove(name);
    }
    command.env("CHAT_LOG", "warn").arg("--data").arg(of.data());
    #[cfg(feature = "server-tests")]
    command.args(of.database().iter().flat_map(|address| ["--store", address]));
    command.arg(task).args(arguments);
    command
}

/// Runs a command to its end.
pub(crate) fn run(of: &Installation, task: &str, arguments: &[&str]) -> Output {
    command(of, task, arguments).output().expect("the binary runs")
}

/// Runs one that succeeds; gives back the last line that it has said.
pub(crate) fn done(of: &Installation, task: &str, arguments: &[&str]) -> String {
    let output = run(of, task, arguments);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(output.stdout.is_empty());
    said.lines().last().expect("it says something").to_owned()
}

/// Runs one that cannot be done; gives back what it has said.
pub(crate) fn refused(of: &Installation, task: &str, arguments: &[&str]) -> String {
    let output = run(of, task, arguments);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// The bytes of every record of a file.
pub(crate) fn records(file: &Path) -> Vec<Vec<u8>> {
    let file = std::io::BufReader::new(std::fs::File::open(file).expect("it was written"));
    let mut reader = ArchiveReader::begin(file).expect("an archive");
    let mut records = Vec::new();
    while let Part::Record(_, bytes) = reader.next_part().expect("it is whole") {
        records.push(bytes.to_vec());
    }
    records
}

/// A file beside the settings of an installation.
pub(crate) fn file(of: &Installation, name: &str) -> String {
    of.folder().join(name).to_str().expect("text").to_owned()
}
