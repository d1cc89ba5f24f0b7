//! Processes of clients.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::Failure;
use super::prepare::{self, Prepared};
use super::scenario::{COUNTED, COUNTING, Report};
use super::server::Server;

/// The arguments of a process of clients.
#[derive(Clone, Debug)]
pub struct Crowd {
    arguments: Vec<String>,
    seconds: u64,
}

/// A running process of clients.
#[derive(Debug)]
pub struct Clients {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Crowd {
    /// So many clients that do something for so long.
    pub fn new(scenario: &str, count: usize, seconds: u64) -> Self {
        let words = ["client", "--scenario", scenario, "--count", &count.to_string(), "--seconds"];
        let mut words: Vec<_> = words.map(str::to_owned).into();
        words.push(seconds.to_string());
        Self { arguments: words, seconds }
    }

    /// With one more flag of [`Job`](super::scenario::Job).
    #[must_use]
    pub fn with(mut self, flag: &str, value: usize) -> Self {
        self.arguments.extend([flag.to_owned(), value.to_string()]);
        self
    }

    /// Starts it against one address, or several with commas between them.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start(self, folder: &Path, address: &str, prepared: &Prepared) -> Result<Clients, Failure> {
        let people = folder.join("people");
        if !people.exists() {
            prepare::save(&prepared.people, &people)?;
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.args(self.arguments).args(["--address", address, "--people"]).arg(people);
        if let Some(group) = prepared.group {
            command.args(["--group", &group.to_string()]);
        }
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        Ok(Clients { _child: child, lines: BufReader::new(stdout).lines() })
    }

    /// Starts it and waits for its report.
    ///
    /// # Errors
    /// It does not start or does not report.
    pub async fn run(self, folder: &Path, address: &str, prepared: &Prepared) -> Result<Report, Failure> {
        self.start(folder, address, prepared)?.report().await
    }

    /// The same, and how much processor time servers used while it was counted, in seconds for each
    /// thing that was counted.
    ///
    /// # Errors
    /// It does not start or does not report, or a server has ended.
    pub async fn run_on(
        self,
        servers: &[Server],
        folder: &Path,
        prepared: &Prepared,
    ) -> Result<(Report, f64), Failure> {
        let used =
            || servers.iter().map(|server| Ok(server.usage()?.cpu_seconds)).sum::<Result<f64, Failure>>();
        let addresses: Vec<_> = servers.iter().map(|server| server.address.as_str()).collect();
        let seconds = self.seconds;
        let mut clients = self.start(folder, &addresses.join(","), prepared)?;
        clients.line(COUNTING).await?;
        let before = used()?;
        clients.line(COUNTED).await?;
        let used = used()? - before;
        let report = clients.report().await?;
        Ok((report, used / (report.rate * seconds as f64)))
    }
}

impl Clients {
    /// Waits for a line that it prints.
    ///
    /// # Errors
    /// It prints another one, or ends.
    pub async fn line(&mut self, expected: &str) -> Result<(), Failure> {
        match self.lines.next_line().await? {
            Some(line) if line == expected => Ok(()),
            other => Err(format!("expected `{expected}` from the clients, found {other:?}").into()),
        }
    }

    /// Waits for its report.
    ///
    /// # Errors
    /// It ends without one.
    pub async fn report(mut self) -> Result<Report, Failure> {
        while let Some(line) = self.lines.next_line().await? {
            if let Some(report) = line.strip_prefix("report ") {
                return Report::parse(report);
            }
        }
        Err("the clients ended without a report".into())
    }
}

/// A median and a 99th percentile in words.
pub fn quantiles((median, high): (u64, u64)) -> String {
    format!("p50 {:.2} ms, p99 {:.2} ms", median as f64 / 1e3, high as f64 / 1e3)
}
