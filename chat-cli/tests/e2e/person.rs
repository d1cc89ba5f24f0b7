//! Somebody with a profile who runs the client.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::server::{self, DEADLINE};

/// The password of everyone here.
pub(crate) const PASSWORD: &str = "correct horse";

/// Somebody with a profile of their own on one machine.
pub(crate) struct Person {
    folder: TempDir,
    server: String,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Person {
    /// Somebody who has no account yet.
    pub(crate) fn at(server: &str) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), server: server.into() }
    }

    /// Somebody with an account.
    pub(crate) fn registered(server: &str, name: &str) -> Self {
        let person = Self::at(server);
        let ran = person.run_with(&["register", name, "--password-stdin"], &format!("{PASSWORD}\n"));
        assert_eq!(ran.code, 0, "{ran:?}");
        person
    }

    /// The same person on another machine.
    pub(crate) fn on_another_machine(&self, name: &str) -> Self {
        let person = Self::at(&self.server);
        let ran = person.run_with(&["login", name, "--password-stdin"], &format!("{PASSWORD}\n"));
        assert_eq!(ran.code, 0, "{ran:?}");
        person
    }

    /// The client's command line, with nothing of the environment of whoever tests.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat-cli"));
        command.env("CHAT_PROFILE_DIR", self.folder.path()).env("CHAT_SERVER", &self.server);
        command
    }

    /// The folder of the profile.
    pub(crate) fn profile(&self) -> PathBuf {
        self.folder.path().join("default")
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "")
    }

    /// Runs a command that reads `input`.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the client starts");
        let mut stdin = child.stdin.take().expect("its input is ours");
        // A command that reads nothing may have ended already.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        Ran {
            code: output.status.code().expect("not killed"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Runs a command that has to succeed; its lines.
    pub(crate) fn lines(&self, arguments: &[&str]) -> Vec<String> {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.stdout.lines().map(str::to_owned).collect()
    }

    /// Runs a command that has to succeed; its JSON objects.
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let all: Vec<&str> = ["--json"].into_iter().chain(arguments.iter().copied()).collect();
        let lines = self.lines(&all);
        lines.iter().map(|line| serde_json::from_str(line).expect("one object per line")).collect()
    }

    /// Runs a command that has to be refused with this exit code, in one line that it returns.
    pub(crate) fn refused(&self, code: i32, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{arguments:?}: {ran:?}");
        ran.stderr
    }

    /// Begins a command that goes on until stopped.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Running {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Running::new(command.spawn().expect("the client starts"))
    }

    /// The texts of a conversation's history.
    pub(crate) fn texts(&self, to: &str) -> Vec<String> {
        let objects = self.json(&["history", to, "--limit", "1000"]);
        objects.iter().filter_map(|object| object["text"].as_str()).map(str::to_owned).collect()
    }
}

/// A command that goes on; killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn new(mut child: Child) -> Self {
        let stdout = BufReader::new(child.stdout.take().expect("its output is ours"));
        let (sender, lines) = mpsc::channel();
        // Ends with the child, whose output it reads.
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line comes")
    }

    /// The next line that holds `part`; others are passed over.
    pub(crate) fn line_with(&self, part: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut passed = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => passed.push(line),
                Err(_) => panic!("no line with {part:?} among {passed:#?}"),
            }
        }
    }

    /// All lines to the end.
    pub(crate) fn rest(&self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            lines.push(line);
        }
        lines
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("its input is ours");
        writeln!(stdin, "{line}").expect("it reads");
    }

    /// Asks it to stop, and says how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        server::signal("TERM", &self.child);
        self.wait()
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        server::wait(&mut self.child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The names of the files in a folder, sorted.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
