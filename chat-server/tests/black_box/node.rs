//! One process of the server: started, watched, stopped, frozen, killed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::guard;
use crate::server::{LOOK, in_time};

/// A running node; killed when it is dropped.
pub(crate) struct Node {
    child: Child,
    log: PathBuf,
    /// Where it listens; empty until it says so.
    pub(crate) address: String,
}

impl Node {
    /// Starts it; it is of use when [`Node::ready`] has returned.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Self {
        let file = File::options().create(true).append(true).open(&log).expect("a log");
        let child = guard::spawn(command.stdout(Stdio::piped()).stderr(file));
        Self { child, log, address: String::new() }
    }

    /// Waits until it is ready.
    pub(crate) fn ready(&mut self) {
        let stdout = self.child.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a line of text");
        let ready = line.strip_prefix("ready tcp=").and_then(|rest| rest.split_whitespace().next());
        self.address = ready.unwrap_or_else(|| panic!("not ready: {line:?}")).to_owned();
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        guard::wait(&mut self.child);
    }

    /// Sends it a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let told = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(told.expect("kill runs").success(), "the server runs");
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        in_time("the server's end", async {
            while self.child.try_wait().expect("it is ours").is_none() {
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
        guard::wait(&mut self.child)
    }

    /// Memory that it occupies now, or at most so far; `None` where the system does not tell.
    pub(crate) fn memory_bytes(&self, which: Memory) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let name = match which {
            Memory::Now => "VmRSS:",
            Memory::Peak => "VmHWM:",
        };
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
    }

    /// How many files and connections it has open; `None` where the system does not tell.
    pub(crate) fn open_files(&self) -> Option<usize> {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).ok().map(Iterator::count)
    }
}

/// Of which moment.
#[derive(Clone, Copy)]
pub(crate) enum Memory {
    Now,
    Peak,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        if std::thread::panicking() {
            let tail: Vec<_> = log.lines().rev().take(30).collect();
            eprintln!("the end of {}:", self.log.display());
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        } else {
            assert!(!log.contains("panicked"), "the server panicked:\n{log}");
        }
    }
}
