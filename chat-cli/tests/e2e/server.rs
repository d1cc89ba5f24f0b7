//! A server process in a folder of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use crate::binary;

/// Longer than anything here takes on a busy machine; only a failing test waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A running server; killed when it is dropped.
pub(crate) struct ServerProcess {
    child: Child,
    address: String,
}

impl ServerProcess {
    /// Starts a server on a free port over the store in `folder`.
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_at(folder, "127.0.0.1:0")
    }

    /// Starts a server at this address.
    pub(crate) fn start_at(folder: &Path, address: &str) -> Self {
        let mut command = command(folder, address);
        command.stderr(Stdio::null());
        Self::ready(command)
    }

    /// Starts a server by this command line and waits until it is ready.
    pub(crate) fn ready(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output is ours");
        BufReader::new(stdout).read_line(&mut line).expect("its output is readable");
        let address =
            line.trim_end().strip_prefix("ready tcp=").unwrap_or_else(|| panic!("not ready: {line:?}"));
        Self { address: address.to_owned(), child }
    }

    /// Runs a server that is expected not to start.
    pub(crate) fn refused(folder: &Path, address: &str) -> Output {
        command(folder, address).stderr(Stdio::piped()).output().expect("the server runs")
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Stops it in order and says how it ended.
    pub(crate) fn stop(mut self) -> ExitStatus {
        signal("TERM", &self.child);
        wait(&mut self.child)
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the server was running");
        self.child.wait().expect("it ended");
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server's command line, with cheap passwords and nothing of the environment of whoever tests.
pub(crate) fn command(folder: &Path, address: &str) -> Command {
    let mut command = Command::new(binary::beside(env!("CARGO_BIN_EXE_chat-cli")));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CHAT_") {
            command.env_remove(name);
        }
    }
    command.args(["--listen", address, "--data"]).arg(folder);
    command.env("CHAT_ACCOUNTS_PASSWORD_MEMORY_KIB", "8").env("CHAT_ACCOUNTS_PASSWORD_PASSES", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// Sends a signal to a child of ours.
pub(crate) fn signal(name: &str, child: &Child) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status();
    assert!(sent.expect("there is a shell").success(), "the process was running");
}

/// Waits for a child to end by itself.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return status;
        }
        assert!(Instant::now() < deadline, "it did not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}
