//! Measures the reference server through real sockets and prints a table.
//!
//! ```text
//! cargo build --release -p chat-server -p chat-benches
//! target/release/measure            # everything, some two minutes
//! target/release/measure senders    # one of: bare, senders, group, backlog, idle, logins, beside
//! target/release/measure cluster    # on MariaDB and Redis, which it starts: one node, three nodes
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::slice;
use std::time::Duration;

use chat_benches::measure::crowd::{Crowd, quantiles};
use chat_benches::measure::scenario::{self, Job};
use chat_benches::measure::server::Server;
use chat_benches::measure::{Failure, bare, cluster, prepare};
use clap::{Parser, Subcommand};

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
    /// The same on MariaDB and Redis: one node and three, beside what MariaDB alone writes.
    Cluster {
        /// How often each is measured, in turns; what is printed are the medians.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
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
        Some(What::Cluster { rounds }) => cluster::run(bench.folder()?, bench.span, (*rounds).max(1)).await?,
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
            let server = Server::embedded(folder.path()).await?;
            let job = self.job("senders", count).with("--window", window);
            let (report, cpu) = job.run_on(slice::from_ref(&server), folder.path(), &prepared).await?;
            println!(
                "{count} senders, {window} in flight each: {:.0} durable sends/s; acknowledged {}; delivered {}; \
                 server {:.1} µs of processor per message",
                report.rate,
                quantiles(report.acknowledged_us),
                quantiles(report.delivered_us),
                cpu * 1e6,
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
                let server = Server::embedded(folder.path()).await?;
                let job = self.job("group", members).with("--window", window);
                let report = job.run(folder.path(), &server.address, &prepared).await?;
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
        let server = Server::embedded(folder.path()).await?;
        let report = self.job("backlog", 1).run(folder.path(), &server.address, &prepared).await?;
        println!("backlog of 100,000: {:.0} entries/s fetched by one client", report.rate);
        server.stop().await
    }

    async fn idle(&self) -> Result<(), Failure> {
        let count = 10_000;
        let folder = self.folder()?;
        let prepared = prepare::prepare(folder.path(), count, 0).await?;
        let server = Server::embedded(folder.path()).await?;
        let before = server.usage()?.resident_bytes;
        let mut clients = self.job("hold", count).start(folder.path(), &server.address, &prepared)?;
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
        let server = Server::embedded(folder.path()).await?;
        let report = self.job("logins", 64).run(folder.path(), &server.address, &prepared).await?;
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
        let server = Server::embedded(folder.path()).await?;
        let pair = || self.job("senders", 1).with("--skip", members);
        let alone = pair().run(folder.path(), &server.address, &prepared).await?;
        // Members listen in a process of their own, for longer than the pair is measured.
        let crowd = Crowd::new("listen", members - 1, self.span * 2 + 10).with("--skip", 1);
        let mut crowd = crowd.start(folder.path(), &server.address, &prepared)?;
        crowd.line("listening").await?;
        let flow = Crowd::new("group", 1, self.span + 4).with("--window", 16);
        let flow = flow.start(folder.path(), &server.address, &prepared)?;
        let beside = pair().run(folder.path(), &server.address, &prepared).await?;
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
