//! A node's process: started, stopped, frozen, killed, and asked how it is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{LOOK, guard};
use crate::measure::Failure;

/// A node that cannot start is started again after this time, as a supervisor does.
const PAUSE: Duration = Duration::from_secs(1);

/// How long it may take until one is ready, whatever else is broken meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(1);

/// A node that may run or not.
pub(super) struct Node {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    /// Where it listens.
    pub(super) address: String,
    http: String,
    /// Its process, while it is meant to run; never held across an await.
    process: Mutex<Option<Process>>,
}

struct Process {
    child: Child,
    /// From then on it is not to end by itself.
    was_ready: bool,
}

/// What a node says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Health {
    pub(super) ready: bool,
    /// Whether its bus works.
    pub(super) bus: bool,
    pub(super) sessions: u64,
    /// Since it was started.
    pub(super) acknowledged: u64,
}

impl Node {
    /// What is run with these arguments beside those that say where it listens.
    pub(super) fn new(
        name: String,
        program: &Path,
        folder: &Path,
        ports: [u16; 2],
        further: &[String],
    ) -> Self {
        let [address, http] = ports.map(|port| format!("127.0.0.1:{port}"));
        let log = folder.join(format!("{name}.log"));
        let own = ["--node", &name, "--listen", &address, "--http", &http].map(str::to_owned);
        let arguments = [&own[..], further].concat();
        Self { name, program: program.to_owned(), arguments, log, address, http, process: Mutex::new(None) }
    }

    /// Starts it and waits until it is ready; says how often it had to be started.
    pub(super) async fn start(&self) -> Result<u32, Failure> {
        let give_up = Instant::now() + PATIENCE;
        let mut attempts = 1;
        self.spawn()?;
        while !self.health().await.is_some_and(|health| health.ready) {
            if Instant::now() > give_up {
                return Err(format!("{} does not become ready", self.name).into());
            }
            if self.ended(false).is_some() {
                tokio::time::sleep(PAUSE).await;
                self.spawn()?;
                attempts += 1;
            }
            tokio::time::sleep(LOOK).await;
        }
        if let Some(process) = self.process().as_mut() {
            process.was_ready = true;
        }
        Ok(attempts)
    }

    fn spawn(&self) -> Result<(), Failure> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHAT_")) {
            command.env_remove(name);
        }
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        *self.process() = Some(Process { child: guard::spawn(&mut command), was_ready: false });
        Ok(())
    }

    /// Ends it with SIGKILL.
    pub(super) fn kill(&self) {
        if let Some(mut process) = self.process().take() {
            // It may have ended already.
            let _ = process.child.kill();
            guard::wait(&mut process.child);
        }
    }

    /// Stops it in order; says how it ended.
    pub(super) async fn stop(&self) -> Result<ExitStatus, Failure> {
        let mut process = self.process().take().ok_or("a node that is to be stopped has ended")?;
        signal(&process.child, "TERM");
        while process.child.try_wait()?.is_none() {
            tokio::time::sleep(LOOK).await;
        }
        Ok(guard::wait(&mut process.child))
    }

    /// Sends it a signal by its name.
    pub(super) fn signal(&self, name: &str) {
        if let Some(process) = self.process().as_ref() {
            signal(&process.child, name);
        }
    }

    /// How it ended after it had been ready, where it was meant to run; it may be started again then.
    pub(super) fn has_died(&self) -> Option<ExitStatus> {
        self.ended(true)
    }

    fn ended(&self, was_ready: bool) -> Option<ExitStatus> {
        let mut slot = self.process();
        let mut process = slot.take_if(|process| process.was_ready == was_ready)?;
        if matches!(process.child.try_wait(), Ok(None)) {
            *slot = Some(process);
            return None;
        }
        Some(guard::wait(&mut process.child))
    }

    /// Resident memory in bytes; `None` while it does not run.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        let process = self.process().as_ref()?.child.id();
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
    }

    /// Lines of its log that tell of a panic.
    pub(super) fn panics(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect()
    }

    /// What it says of itself; `None` where it says nothing in time.
    pub(super) async fn health(&self) -> Option<Health> {
        let metrics = self.ask("/metrics").await?;
        let figure = |name: &str| -> Option<f64> {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
            line.trim().parse().ok()
        };
        let whole = |name: &str| figure(name).map_or(0, |value| value as u64);
        let health = self.ask("/healthz").await?;
        Some(Health {
            ready: figure("chat_ready") == Some(1.0),
            bus: !health.contains("degraded"),
            sessions: whole("chat_sessions"),
            acknowledged: whole("chat_sends_committed_total"),
        })
    }

    async fn ask(&self, path: &str) -> Option<String> {
        let answer = async {
            let mut stream = TcpStream::connect(&self.http).await?;
            stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.map(|_| answer)
        };
        timeout(ANSWER, answer).await.ok()?.ok()
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn signal(process: &Child, name: &str) {
    // It may have ended by itself, which is found out elsewhere.
    let _ = Command::new("kill").args([&format!("-{name}"), &process.id().to_string()]).status();
}
