//! The other process: this test binary, run again for one of its tests with the data folder in the
//! environment. A test that needs it begins by asking whether it is that process itself.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

const FOLDER: &str = "CHAT_STORE_TEST_FOLDER";
const RUN: &str = "CHAT_STORE_TEST_RUN";

/// The folder and the number of the run, when this is the other process.
pub(crate) fn role() -> Option<(PathBuf, u64)> {
    let folder = std::env::var_os(FOLDER)?;
    let run = std::env::var(RUN).ok()?.parse().ok()?;
    Some((folder.into(), run))
}

/// A process of ours that is killed when it is dropped.
pub(crate) struct OtherProcess {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl OtherProcess {
    /// Runs the test of this name in another process.
    pub(crate) fn run(test: &str, folder: &Path, run: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("a test binary is a file"))
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .env(RUN, run.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("this binary runs");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, output }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next whole line of its output that begins with `word`, without it; `None` at its end.
    pub(crate) fn next_line(&mut self, word: &str) -> Option<String> {
        loop {
            let mut line = String::new();
            self.output.read_line(&mut line).expect("its output is text");
            let whole = line.strip_suffix('\n')?;
            if let Some(rest) = whole.strip_prefix(word) {
                return Some(rest.trim().to_owned());
            }
        }
    }

    /// Ends it with SIGKILL; what it wrote to its output before can still be read.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
