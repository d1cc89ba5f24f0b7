//! What crowds of clients do, each in a process of its own, and what they report.

mod backlog;
mod group;
mod hold;
mod logins;
mod senders;

use std::path::PathBuf;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Failure;
use super::prepare::{self, Person};

/// What a process of clients is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Job {
    /// The server's address; several, with commas between them, are taken in turn.
    #[arg(long, value_delimiter = ',')]
    pub address: Vec<String>,
    /// The file with the users' tokens.
    #[arg(long)]
    pub people: PathBuf,
    /// The first user of the file to act.
    #[arg(long, default_value_t = 0)]
    pub skip: usize,
    /// How many of them act.
    #[arg(long)]
    pub count: usize,
    /// The group, where the scenario has one.
    #[arg(long)]
    pub group: Option<u64>,
    /// How many messages each sender has in flight.
    #[arg(long, default_value_t = 1)]
    pub window: usize,
    /// For how long it goes on, in seconds.
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// What they do.
    #[arg(long)]
    pub scenario: Name,
}

impl Job {
    /// Where a client connects to.
    pub fn address(&self, client: usize) -> &str {
        &self.address[client % self.address.len()]
    }
}

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// Pairs send to each other, each with so many messages in flight. With a count of 1, one sends
    /// and the other receives.
    Senders,
    /// The first of a group sends, all of it receives.
    Group,
    /// The members of a group are online and count what they receive.
    Listen,
    /// One user fetches everything of one conversation, again and again.
    Backlog,
    /// Connections are held and do nothing.
    Hold,
    /// Devices log in by token, one after the other on each of a number of lanes.
    Logins,
}

/// What a process of clients prints at its end: one line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// What was counted, per second.
    pub rate: f64,
    /// The medians and 99th percentiles, in microseconds: of acknowledgements and of deliveries.
    pub acknowledged_us: (u64, u64),
    /// Likewise.
    pub delivered_us: (u64, u64),
}

impl Report {
    /// The line.
    pub fn line(&self) -> String {
        let (a, d) = (self.acknowledged_us, self.delivered_us);
        format!("{} {} {} {} {}", self.rate, a.0, a.1, d.0, d.1)
    }

    /// Reads the line.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(line: &str) -> Result<Self, Failure> {
        let fields: Vec<f64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [rate, a, b, c, d] = fields[..] else { return Err("not a report".into()) };
        let whole = |value: f64| value as u64;
        Ok(Self { rate, acknowledged_us: (whole(a), whole(b)), delivered_us: (whole(c), whole(d)) })
    }
}

/// Runs a process of clients.
///
/// # Errors
/// The server cannot be reached, or does what it must not.
pub async fn run(job: &Job) -> Result<Report, Failure> {
    let people = prepare::load(&job.people)?;
    let people: Vec<Person> = people.into_iter().skip(job.skip).collect();
    match job.scenario {
        Name::Senders => senders::run(job, &people).await,
        Name::Group => group::run(job, &people).await,
        Name::Listen => group::listen(job, &people).await,
        Name::Backlog => backlog::run(job, &people).await,
        Name::Hold => hold::run(job, &people).await,
        Name::Logins => logins::run(job, &people).await,
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("these bounds are valid")
}

fn percentiles(of: &Histogram<u64>) -> (u64, u64) {
    (of.value_at_quantile(0.5), of.value_at_quantile(0.99))
}

/// What clients print when what they do begins to count, and when it has ended: what is used in between
/// is neither connecting nor leaving.
pub const COUNTING: &str = "counting";
/// Likewise.
pub const COUNTED: &str = "counted";

/// Before this has passed nothing is counted.
const WARM_UP: Duration = Duration::from_secs(1);
