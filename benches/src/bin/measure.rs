//! Measures the reference server through real sockets and prints a table.
//!
//! ```text
//! cargo build --release -p chat-server -p chat-benches
//! target/release/measure            # everything, some two minutes
//! target/release/measure senders    # one of: bare, senders, group, backlog, idle, logins, beside
//! ```

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use chat_benches::measure::prepare::{self, Prepared};
use chat_benches::measure::scenario::{self, Job, Report};
use chat_benches::measure::server::Server;
use chat_benches::measure::{Failure, bare};
use clap::{Parser, Subcommand};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

#[derive(Parser)]
#[command(about = "Measures the chat server through real sockets")]
struct Arguments {
    #[command(subcommand)]
    command: Option<What>,
    /// Seconds for which each scenario goes on.
    #[arg(long, global = true, default_value_t = 5)]
    span: u64,
    /// The folder under which stores are made; by default that of temporary files. Must be on a disk
    /// whose speed is to be measured.
    #[arg(long, global = true)]
    folder: Option<PathBuf>,
}

#[derive(Subcommand)]
enum What {
    /// SQLite alone: batched rows per second.
    Bare,
    /// Durable sends with 1, 64 and 1,000 senders, each with one message in flight.
    Senders,
    /// Deliveries to groups of 100 and 1,000.
    Group,
    /// Fetching a conversation of 100,000 messages.
    Backlog,
    /// Memory of 10,000 idle connections.
    Idle,
    /// Log-ins by token.
    Logins,
    /// A pair beside a group of 10,000 in full flow.
    Beside,
    /// A process of clients; started by the others.
    #[command(hide = true)]
    Client(Job),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("measure: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let bench = Bench { span: arguments.span, folder: arguments.folder.clone() };
    match &arguments.command {
        Some(What::Client(job)) => println!("report {}", scenario::run(job).await?.line()),
        Some(What::Bare) => bench.bare()?,
        Some(What::Senders) => bench.senders().await?,
        Some(What::Group) => bench.group().await?,
        Some(What::Backlog) => bench.backlog().await?,
        Some(What::Idle) => bench.idle().await?,
        Some(What::Logins) => bench.logins().await?,
        Some(What::Beside) => bench.beside().await?,
        None => {
            bench.bare()?;
            bench.senders().await?;
            bench.group().await?;
            bench.backlog().await?;
            bench.idle().await?;
            bench.logins().await?;
            bench.beside().await?;
        }
    }
    Ok(())
}

struct Bench {
    span: u64,
    folder: Option<PathBuf>,
}

impl Bench {
    fn folder(&self) -> Result<tempfile::TempDir, Failure> {
        Ok(match &self.folder {
            Some(folder) => tempfile::tempdir_in(folder)?,
            None => tempfile::tempdir()?,
        })
    }

    fn bare(&self) -> Result<(), Failure> {
        let folder = self.folder()?;
        for batch in [1, 64, 1_000] {
            let rate = bare::rows_per_second(folder.path(), batch, Duration::from_secs(self.span))?;
            println!("bare SQLite, batches of {batch}: {rate:.0} rows/s");
        }
        Ok(())
    }

    async fn senders(&self) -> Result<(), Failure> {
        for (count, window) in [(1, 1), (64, 1), (1_000, 1), (64, 16)] {
            let folder = self.folder()?;
            let prepared = prepare::prepare(folder.path(), count.max(2), 0).await?;
            let server = Server::start(folder.path()).await?;
            let before = server.usage()?;
            let job = self.job("senders", count).with("--window", window);
            let report = job.run(folder.path(), &server, &prepared).await?;
            let cpu = server.usage()?.cpu_seconds - before.cpu_seconds;
            println!(
                "{count} senders, {window} in flight each: {:.0} durable sends/s; acknowledged {}; delivered {}; \
                 server {:.1} µs of processor per message",
                report.rate,
                quantiles(report.acknowledged_us),
                quantiles(report.delivered_us),
                cpu * 1e6 / (report.rate * (self.span + 1) as f64),
            );
            server.stop().await?;
        }
        Ok(())
    }

    async fn group(&self) -> Result<(), Failure> {
        for members in [100, 1_000] {
            for window in [1, 16] {
                let folder = self.folder()?;
                let prepared = prepare::prepare(folder.path(), members, members).await?;
                let server = Server::start(folder.path()).await?;
                let job = self.job("group", members).with("--window", window);
                let report = job.run(folder.path(), &server, &prepared).await?;
                println!(
                    "group of {members}, {window} at once: {:.0} deliveries/s; delivered {}",
                    report.rate,
                    quantiles(report.delivered_us)
                );
                server.stop().await?;
            }
        }
        Ok(())
    }

    async fn backlog(&self) -> Result<(), Failure> {
        let folder = self.folder()?;
        let prepared = prepare::prepare(folder.path(), 2, 0).await?;
        prepare::backlog(folder.path(), &prepared.people, 100_000).await?;
        let server = Server::start(folder.path()).await?;
        let report = self.job("backlog", 1).run(folder.path(), &server, &prepared).await?;
        println!("backlog of 100,000: {:.0} entries/s fetched by one client", report.rate);
        server.stop().await
    }

    async fn idle(&self) -> Result<(), Failure> {
        let count = 10_000;
        let folder = self.folder()?;
        let prepared = prepare::prepare(folder.path(), count, 0).await?;
        let server = Server::start(folder.path()).await?;
        let before = server.usage()?.resident_bytes;
        let mut clients = self.job("hold", count).start(folder.path(), &server, &prepared)?;
        clients.line("holding").await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let held = server.usage()?.resident_bytes - before;
        println!(
            "{count} idle connections: {:.1} KiB resident each (server at start {:.1} MiB)",
            held as f64 / 1024.0 / count as f64,
            before as f64 / 1024.0 / 1024.0
        );
        clients.report().await?;
        server.stop().await
    }

    async fn logins(&self) -> Result<(), Failure> {
        let folder = self.folder()?;
        let prepared = prepare::prepare(folder.path(), 6_400, 0).await?;
        let server = Server::start(folder.path()).await?;
        let report = self.job("logins", 64).run(folder.path(), &server, &prepared).await?;
        println!(
            "log-ins by token, 64 at a time: {:.0}/s, each with a connection of its own; {}",
            report.rate,
            quantiles(report.acknowledged_us)
        );
        server.stop().await
    }

    async fn beside(&self) -> Result<(), Failure> {
        let members = 10_000;
        let folder = self.folder()?;
        let prepared = prepare::prepare(folder.path(), members + 2, members).await?;
        let server = Server::start(folder.path()).await?;
        let pair = || self.job("senders", 1).with("--skip", members);
        let alone = pair().run(folder.path(), &server, &prepared).await?;
        // Members listen in a process of their own, for longer than the pair is measured.
        let crowd = Crowd::new("listen", members - 1, self.span * 2 + 10).with("--skip", 1);
        let mut crowd = crowd.start(folder.path(), &server, &prepared)?;
        crowd.line("listening").await?;
        let flow = Crowd::new("group", 1, self.span + 4).with("--window", 16);
        let flow = flow.start(folder.path(), &server, &prepared)?;
        let beside = pair().run(folder.path(), &server, &prepared).await?;
        let received = crowd.report().await?;
        flow.report().await?;
        println!(
            "a pair alone: delivered {}; beside a group of {members} in full flow ({:.0} deliveries/s): delivered {}",
            quantiles(alone.delivered_us),
            received.rate * (self.span * 2 + 10) as f64 / (self.span + 4) as f64,
            quantiles(beside.delivered_us)
        );
        server.stop().await
    }

    fn job(&self, scenario: &str, count: usize) -> Crowd {
        Crowd::new(scenario, count, self.span)
    }
}

/// The arguments of a process of clients.
struct Crowd(Vec<String>);

/// A running process of clients.
struct Clients {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Crowd {
    fn new(scenario: &str, count: usize, seconds: u64) -> Self {
        let words = ["client", "--scenario", scenario, "--count", &count.to_string(), "--seconds"];
        let mut words: Vec<_> = words.map(str::to_owned).into();
        words.push(seconds.to_string());
        Self(words)
    }

    fn with(mut self, flag: &str, value: usize) -> Self {
        self.0.extend([flag.to_owned(), value.to_string()]);
        self
    }

    fn start(self, folder: &Path, server: &Server, prepared: &Prepared) -> Result<Clients, Failure> {
        let people = folder.join("people");
        if !people.exists() {
            prepare::save(&prepared.people, &people)?;
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.args(self.0).args(["--address", &server.address, "--people"]).arg(people);
        if let Some(group) = prepared.group {
            command.args(["--group", &group.to_string()]);
        }
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        Ok(Clients { _child: child, lines: BufReader::new(stdout).lines() })
    }

    async fn run(self, folder: &Path, server: &Server, prepared: &Prepared) -> Result<Report, Failure> {
        self.start(folder, server, prepared)?.report().await
    }
}

impl Clients {
    async fn line(&mut self, expected: &str) -> Result<(), Failure> {
        match self.lines.next_line().await? {
            Some(line) if line == expected => Ok(()),
            other => Err(format!("expected `{expected}` from the clients, found {other:?}").into()),
        }
    }

    async fn report(mut self) -> Result<Report, Failure> {
        while let Some(line) = self.lines.next_line().await? {
            if let Some(report) = line.strip_prefix("report ") {
                return Report::parse(report);
            }
        }
        Err("the clients ended without a report".into())
    }
}

fn quantiles((median, high): (u64, u64)) -> String {
    format!("p50 {:.2} ms, p99 {:.2} ms", median as f64 / 1e3, high as f64 / 1e3)
}
