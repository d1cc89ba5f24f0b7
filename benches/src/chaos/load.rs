//! The load: a process of `chat-load`, and what it found.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cluster::program;
use super::{LOOK, guard};
use crate::measure::Failure;

/// How long clients have at the end until they have everything.
const SETTLE: Duration = Duration::from_secs(90);

/// What `chat-load` takes beside its sending and settling: accounts are made, records are verified.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running load; it is killed when this is dropped.
pub(super) struct Load {
    process: Child,
    folder: PathBuf,
    ends: Instant,
}

/// How much of it there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount {
    pub(super) clients: usize,
    pub(super) rate: usize,
    pub(super) lasts: Duration,
    pub(super) seed: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) status: Option<i32>,
    /// What it says in JSON; null where it said nothing.
    pub(super) report: Value,
}

impl Load {
    pub(super) fn start(folder: &Path, address: &str, amount: Amount) -> Result<Self, Failure> {
        let log = File::create(folder.join("load.log"))?;
        let table = File::create(folder.join("load.txt"))?;
        let process = guard::spawn(
            Command::new(program("chat-load")?)
                .args(["mixed", "--address", address])
                .args(["--clients", &amount.clients.to_string(), "--rate", &amount.rate.to_string()])
                .args(["--seconds", &amount.lasts.as_secs().to_string(), "--seed", &amount.seed.to_string()])
                .args(["--settle", &SETTLE.as_secs().to_string()])
                .arg("--record")
                .arg(folder.join("record"))
                .arg("--json")
                .arg(folder.join("load.json"))
                .stdin(Stdio::null())
                .stdout(table)
                .stderr(log),
        );
        let ends = Instant::now() + amount.lasts + SETTLE + PATIENCE;
        Ok(Self { process, folder: folder.to_owned(), ends })
    }

    /// Whether it goes on.
    pub(super) fn goes_on(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// The last that it said.
    pub(super) fn said(&self) -> String {
        let said = fs::read_to_string(self.folder.join("load.log")).unwrap_or_default();
        let lines: Vec<_> = said.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Waits for its end.
    pub(super) async fn ended(mut self) -> Result<Found, Failure> {
        while self.goes_on() {
            if Instant::now() > self.ends {
                return Err(format!("chat-load does not end:\n{}", self.said()).into());
            }
            tokio::time::sleep(LOOK).await;
        }
        let status: ExitStatus = guard::wait(&mut self.process);
        let report = fs::read(self.folder.join("load.json")).ok();
        let report = report.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null);
        Ok(Found { status: status.code(), report })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.process.kill();
        guard::wait(&mut self.process);
    }
}
