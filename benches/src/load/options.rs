//! What `chat-load` can be told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::measure::Failure;

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// Pairs, both of whom send to the other.
    Direct,
    /// One group; some of its members send.
    Group,
    /// Pairs of whom one sends while the other is away; then the others log in.
    Offline,
    /// Connections are held and do nothing; then each sends once.
    Idle,
    /// All clients go, and come back at the same moment, again and again.
    Storm,
    /// A mix like that of people who chat.
    Mixed,
}

impl Scenario {
    /// What it is called in arguments, records and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Group => "group",
            Self::Offline => "offline",
            Self::Idle => "idle",
            Self::Storm => "storm",
            Self::Mixed => "mixed",
        }
    }
}

/// The arguments of a run.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// What the clients do.
    #[arg(value_enum)]
    pub scenario: Scenario,
    /// Where a server listens, `HOST:PORT`; repeated, clients take them in turn and go to the next one
    /// when one cannot be reached.
    #[arg(long = "address", required = true, value_name = "HOST:PORT")]
    pub addresses: Vec<String>,
    /// How many clients are connected. By default 10, in `mixed` 30.
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub clients: Option<u32>,
    /// How many of a group's members send. By default 1.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub senders: Option<u32>,
    /// For how long they send, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// Closed loop: how many messages each sender has under way. By default 1.
    #[arg(long, conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..))]
    pub window: Option<u32>,
    /// Open loop: how many messages all senders together send per second, however long the answers take.
    /// `mixed` is an open loop by default, with two acts per second and sender.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub rate: Option<f64>,
    /// How many bytes a message has. By default 100, in `mixed` drawn from 8 to 2,000.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=8_000_000))]
    pub bytes: Option<u32>,
    /// From which everything random is drawn. By default from the clock.
    #[arg(long)]
    pub seed: Option<u64>,
    /// A server's process, whose processor time and memory are told; may be repeated.
    #[arg(long = "pid")]
    pub pids: Vec<u32>,
    /// Where to write what every client sent, was answered and saw.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Prints the result as JSON, or writes it to a file beside the printed table.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub json: Option<PathBuf>,
    /// How long to wait, after the sending, for answers and until everybody has everything, in seconds.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub settle: u64,
    /// Accounts to use in place of new ones; missing ones are made and added to the file.
    #[arg(long, value_name = "FILE")]
    pub accounts: Option<PathBuf>,
    /// Shows no progress.
    #[arg(long)]
    pub quiet: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("a rate is a number above 0".into()),
    }
}

impl Options {
    /// Refuses what would have no effect.
    ///
    /// # Errors
    /// The argument, and where it has a meaning.
    pub fn check(&self) -> Result<(), Failure> {
        use Scenario::{Direct, Group, Mixed, Offline, Storm};
        let given = [
            ("--senders", self.senders.is_some(), &[Group][..]),
            ("--rate", self.rate.is_some(), &[Direct, Group, Offline, Mixed]),
            ("--window", self.window.is_some(), &[Direct, Group, Offline, Storm, Mixed]),
        ];
        for (argument, _, scenarios) in given.iter().filter(|(_, is_given, _)| *is_given) {
            if !scenarios.contains(&self.scenario) {
                let name = |scenario: &Scenario| format!("`{}`", scenario.name());
                let known = scenarios.iter().map(name).collect::<Vec<_>>().join(", ");
                let own = self.scenario.name();
                return Err(format!("{argument} has no meaning in `{own}`; it is for {known}").into());
            }
        }
        match self.senders {
            Some(senders) if senders > self.clients() => {
                let clients = self.clients();
                Err(format!("--senders {senders}: at most as many as clients, of whom there are {clients}")
                    .into())
            }
            _ => Ok(()),
        }
    }

    /// How many clients there are.
    pub fn clients(&self) -> u32 {
        let default = if self.scenario == Scenario::Mixed { 30 } else { 10 };
        self.clients.unwrap_or(default)
    }
}
