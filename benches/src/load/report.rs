//! What a run was like: as a table, and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::latency::Percentiles;
use super::options::Scenario;
use super::servers::Used;
use super::verify::{Kind, Violation};

/// Said of a run in which nothing was acknowledged.
pub const NOTHING: &str = "nothing was acknowledged, so that nothing is shown";

/// So much evidence is shown of each kind, the shortest first.
const SHOWN: usize = 3;

/// The result of a run. Field names end in their units.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What the clients did.
    pub scenario: Scenario,
    /// Under which conditions.
    pub conditions: Conditions,
    /// For how long was sent, in seconds.
    pub seconds: f64,
    /// How much was sent.
    pub sent: u64,
    /// How much of it was acknowledged.
    pub acknowledged: u64,
    /// How much of it was refused for good, by code.
    pub refused: BTreeMap<String, u64>,
    /// How much of it had no answer in the end.
    pub unknown: u64,
    /// Entries that arrived at clients other than their sender.
    pub deliveries: u64,
    /// From when something was to be sent to its acknowledgement, in microseconds; what had none in the end
    /// counts with the time for which it had waited.
    pub acknowledged_us: Percentiles,
    /// From when something was to be sent to its arrival at another client, in microseconds; where it was not
    /// answered and had not arrived in the end, the time until then counts.
    pub delivered_us: Percentiles,
    /// The longest time in which something was under way and nothing was acknowledged, in milliseconds.
    pub longest_silence_ms: f64,
    /// Connections that were made after one had broken.
    pub reconnections: u64,
    /// Sends that were made again after the client had given up on them.
    pub repetitions: u64,
    /// How long it took until everybody had everything.
    pub catch_up: CatchUp,
    /// How much is wrong, by kind: `lost`, `repeated`, `reordered`, `holes`, `foreign`, `refused`.
    pub violations: BTreeMap<&'static str, u64>,
    /// The shortest evidence of each kind, and [`NOTHING`] where that is so.
    pub evidence: Vec<String>,
    /// Clients that the server or the client itself ended for good.
    pub ended: Vec<String>,
    /// Figures of the scenario's own.
    pub figures: BTreeMap<&'static str, f64>,
    /// What the servers' processes used.
    pub servers: Vec<Used>,
}

/// Under which conditions a run took place.
#[derive(Clone, Debug, Serialize)]
pub struct Conditions {
    /// Where the clients connected to.
    pub addresses: Vec<String>,
    /// How many there were.
    pub clients: u32,
    /// How many conversations they wrote to.
    pub conversations: u32,
    /// How many messages each sender had under way, in a closed loop that was asked for.
    pub window: Option<u32>,
    /// How many messages all senders together were to send per second, in an open loop that was asked for.
    pub rate: Option<f64>,
    /// How many bytes a message had, where it was asked for.
    pub bytes: Option<u32>,
    /// From which everything random was drawn.
    pub seed: u64,
    /// How many commands per second the server admits to one client; 0 for no limit.
    pub commands_per_second_limit: u32,
    /// How long everybody could wait at the end, in seconds.
    pub settle_seconds: u64,
}

/// How long it took until everybody had everything.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CatchUp {
    /// The longest from the end of the sending to an arrival, in milliseconds.
    pub after_sending_ms: f64,
    /// The longest from an acknowledgement to an arrival at another client, in milliseconds.
    pub longest_ms: f64,
}

impl Report {
    /// Whether nothing is wrong: no violation, no client that was told to stay away, and something that was
    /// acknowledged.
    pub fn is_clean(&self) -> bool {
        self.violations.values().all(|count| *count == 0) && self.ended.is_empty() && self.acknowledged > 0
    }
}

/// Violations counted by kind, and the shortest evidence of each.
pub fn summarise(violations: &[Violation]) -> (BTreeMap<&'static str, u64>, Vec<String>) {
    let (mut counts, mut evidence) = (BTreeMap::new(), Vec::new());
    for kind in Kind::ALL {
        let mut of_kind: Vec<_> = violations.iter().filter(|violation| violation.kind == kind).collect();
        counts.insert(kind.word(), of_kind.len() as u64);
        of_kind.sort_by(|a, b| (a.evidence.len(), &a.evidence).cmp(&(b.evidence.len(), &b.evidence)));
        evidence.extend(of_kind.iter().take(SHOWN).map(ToString::to_string));
    }
    (counts, evidence)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conditions { clients, conversations, seed, .. } = &self.conditions;
        let per_second = |count: u64| count as f64 / self.seconds.max(1e-9);
        writeln!(f, "{:?}, {clients} clients, {conversations} conversations, seed {seed}", self.scenario)?;
        if self.conditions.commands_per_second_limit > 0 {
            let limit = format!("{} per second", self.conditions.commands_per_second_limit);
            row(f, "the server admits of a client", &limit)?;
        }
        row(f, "sent", &self.sent.to_string())?;
        let rate = format!("{} ({:.0} per second)", self.acknowledged, per_second(self.acknowledged));
        row(f, "acknowledged", &rate)?;
        let refused: Vec<_> = self.refused.iter().map(|(code, count)| format!("{count} {code}")).collect();
        row(f, "refused", if refused.is_empty() { "0".into() } else { refused.join(", ") }.as_str())?;
        row(f, "unknown", &self.unknown.to_string())?;
        row(
            f,
            "deliveries",
            &format!("{} ({:.0} per second)", self.deliveries, per_second(self.deliveries)),
        )?;
        row(f, "acknowledged after", &in_words(&self.acknowledged_us))?;
        row(f, "delivered after", &in_words(&self.delivered_us))?;
        row(f, "longest silence", &format!("{:.1} ms", self.longest_silence_ms))?;
        row(f, "reconnections", &self.reconnections.to_string())?;
        row(f, "longest catch-up", &format!("{:.1} ms", self.catch_up.longest_ms))?;
        row(f, "caught up after the sending", &format!("{:.1} ms", self.catch_up.after_sending_ms))?;
        for (name, value) in &self.figures {
            row(f, &name.replace('_', " "), &format!("{value:.1}"))?;
        }
        for used in &self.servers {
            let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
            let (before, now) = (mib(used.resident_bytes_before), mib(used.resident_bytes));
            let cpu = used.cpu_seconds;
            let most = mib(used.resident_bytes_max);
            let memory = format!("{before:.1} MiB before, {now:.1} at the end, {most:.1} at most");
            row(f, &format!("process {}", used.pid), &format!("{cpu:.2} s of processor; {memory}"))?;
        }
        for ended in &self.ended {
            row(f, "ended", ended)?;
        }
        let violations: Vec<_> =
            self.violations.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        row(f, "violations", &violations.join(", "))?;
        self.evidence.iter().try_for_each(|evidence| writeln!(f, "  {evidence}"))
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    writeln!(f, "  {name:<32} {value}")
}

fn in_words(of: &Percentiles) -> String {
    if of.count == 0 {
        return "not measured: nobody was there".into();
    }
    let ms = |micros: u64| micros as f64 / 1e3;
    let (p50, p99, p999, max) = (ms(of.p50), ms(of.p99), ms(of.p999), ms(of.max));
    let times = format!("p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms");
    match of.lower_bounds {
        0 => format!("{times}, at most {max:.2} ms"),
        open => format!("{times}, {max:.2} ms or more; {open} of {} had not come in the end", of.count),
    }
}
