//! A run, from the start of the cluster to the verdict.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::LOOK;
use super::bounds::HEALED;
use super::cluster::{Cluster, RedisKind};
use super::load::{Amount, Load};
use super::presence::Presence;
use super::probe::Probes;
use super::schedule::{self, Fault, Window};
use super::timeline::{Event, Timeline};
use super::verdict::{Check, Verdict};
use super::watch::Watch;
use crate::measure::Failure;

/// How long it may take until the load sends.
const PATIENCE: Duration = Duration::from_secs(120);

/// No fault begins when less than this is left.
const REST: Duration = Duration::from_secs(3);

/// What one node may occupy.
const MEMORY_BYTES: u64 = 256 << 20;

/// What a run is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// From which everything random is drawn.
    pub seed: u64,
    /// For how long the load sends.
    pub length: Duration,
    /// What Redis is.
    pub redis: RedisKind,
    /// How many clients there are.
    pub clients: usize,
    /// How many messages they send per second, all together.
    pub rate: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Whether everything held.
    pub verdict: Verdict,
    /// What was done.
    pub timeline: Timeline,
}

/// Runs it, with logs and records in this folder; lines of progress go to standard error.
///
/// # Errors
/// It could not be run, which says nothing about the cluster.
pub async fn run(options: Options, folder: PathBuf) -> Result<Outcome, Failure> {
    // What servers are started with panics when that fails.
    tokio::spawn(async move { Run::start(options, &folder).await?.finish().await }).await?
}

struct Run {
    options: Options,
    cluster: Arc<Cluster>,
    watch: Watch,
    presence: Presence,
    probes: Probes,
    load: Load,
    begun: Instant,
    timeline: Timeline,
    /// What could not be done as planned.
    obstacles: Vec<String>,
}

impl Run {
    async fn start(options: Options, folder: &Path) -> Result<Self, Failure> {
        eprintln!("chaos: {}", options.conditions());
        let cluster = Arc::new(Cluster::start(folder, options.redis).await?);
        let presence = Presence::start(&cluster).await?;
        let probes = Probes::start(&cluster).await?;
        let amount = Amount {
            clients: options.clients,
            rate: options.rate,
            lasts: options.length,
            seed: options.seed,
        };
        let mut load = Load::start(folder, &cluster.address().await, amount)?;
        let watch = Watch::start(Arc::clone(&cluster));
        let give_up = Instant::now() + PATIENCE;
        while watch.acknowledged() < options.rate as u64 {
            if !load.goes_on() || Instant::now() > give_up {
                return Err(format!("chat-load does not send:\n{}", load.said()).into());
            }
            tokio::time::sleep(LOOK).await;
        }
        let (timeline, obstacles) = (Timeline::default(), Vec::new());
        let begun = Instant::now();
        Ok(Self { options, cluster, watch, presence, probes, load, begun, timeline, obstacles })
    }

    async fn finish(mut self) -> Result<Outcome, Failure> {
        let windows = schedule::windows(self.options.seed, self.options.length);
        for (number, window) in windows.iter().enumerate() {
            tokio::time::sleep_until((self.begun + window.at).into()).await;
            // A window in which something took its time moves the next ones.
            let left = self.options.length.saturating_sub(self.begun.elapsed());
            // Whether a load that is over was to be over it says itself.
            if left < window.length + REST || !self.obstacles.is_empty() || !self.load.goes_on() {
                break;
            }
            self.carry_out(number, window).await;
        }
        let obstacles = std::mem::take(&mut self.obstacles);
        let Self { options, cluster, watch, presence, probes, load, timeline, .. } = self;
        eprintln!("chaos: no more faults; waiting for the load to end and to verify");
        let found = load.ended().await?;
        eprintln!("chaos: the load has ended");
        let mut checks = found.checks(timeline.longest_fault());
        checks.extend([
            as_planned(&timeline, &obstacles),
            well(&timeline, watch.well().await),
            passed(&timeline, probes.pass().await),
            present(&timeline, presence.converges().await),
            left(watch.sessions_end(presence.sessions() + probes.sessions()).await),
            alive(&watch, &cluster).await,
            calm_logs(&cluster),
            small(&watch),
        ]);
        let mut faults = BTreeMap::new();
        for event in &timeline.0 {
            *faults.entry(event.fault.kind).or_default() += 1;
        }
        let verdict = Verdict { conditions: options.conditions(), faults, checks, load: found.report };
        Ok(Outcome { verdict, timeline })
    }

    /// One window: its faults, and whether everything is well afterwards.
    async fn carry_out(&mut self, number: usize, window: &Window) {
        let begun = Instant::now();
        let shift = self.begun.elapsed().saturating_sub(window.at);
        let events = match &window.faults[..] {
            [one, other] => {
                let (one, other) = tokio::join!(self.one(one, shift), self.one(other, shift));
                vec![one, other]
            }
            faults => {
                let mut events = Vec::new();
                for fault in faults {
                    events.push(self.one(fault, shift).await);
                }
                events
            }
        };
        let window_took = begun.elapsed();
        let well_after = self.watch.well().await;
        let passed_after = self.probes.pass().await;
        if let Err(error) = self.presence.turn(number).await {
            self.obstacles.push(format!("a guest cannot come in: {error}"));
        }
        let seen_after = self.presence.converges().await;
        for event in events {
            match event {
                Ok(mut event) => {
                    event.silence = self.watch.longest_silence(begun);
                    event.window_took = window_took;
                    event.well_after.clone_from(&well_after);
                    event.passed_after.clone_from(&passed_after);
                    event.seen_after.clone_from(&seen_after);
                    self.timeline.0.push(event);
                }
                Err(obstacle) => self.obstacles.push(obstacle),
            }
        }
    }

    async fn one(&self, fault: &Fault, shift: Duration) -> Result<Event, String> {
        tokio::time::sleep_until((self.begun + shift + fault.at).into()).await;
        let (at, begun, before) = (self.begun.elapsed(), Instant::now(), self.watch.acknowledged());
        let words = fault.to_string();
        self.watch.seen().under_way.push(words.clone());
        let done = self.cluster.inject(fault).await;
        self.watch.seen().under_way.retain(|other| *other != words);
        let note = done.map_err(|error| format!("{fault}: {error}"))?;
        Ok(Event {
            fault: fault.clone(),
            at,
            took: begun.elapsed(),
            window_took: Duration::ZERO,
            acknowledged: self.watch.acknowledged() - before,
            silence: Duration::ZERO,
            well_after: Ok(Duration::ZERO),
            passed_after: Ok(Duration::ZERO),
            seen_after: Ok(Duration::ZERO),
            note,
        })
    }
}

impl Options {
    fn conditions(&self) -> String {
        let redis = match self.redis {
            RedisKind::Single => "one Redis",
            RedisKind::Cluster => "a Redis Cluster of three masters",
        };
        format!(
            "seed {}, {:.1} minutes, MariaDB, {redis}, three nodes, nginx, {} clients, {} messages per second",
            self.seed,
            self.length.as_secs_f64() / 60.0,
            self.clients,
            self.rate
        )
    }
}

fn as_planned(timeline: &Timeline, obstacles: &[String]) -> Check {
    let (done, mut found) = (timeline.0.len(), obstacles.to_vec());
    if done == 0 {
        found.push("no fault was done, so that nothing is shown".into());
    }
    let holds = found.is_empty();
    let evidence = if holds { format!("{done} done") } else { found.join("; ") };
    Check { claim: "there were faults, and each could be done and undone", holds, evidence }
}

fn well(timeline: &Timeline, last: Result<Duration, String>) -> Check {
    let claim = "all nodes ready, and heard over Redis, in time after each fault";
    longest(claim, timeline.0.iter().map(|event| event.well_after.clone()).chain([last]))
}

fn passed(timeline: &Timeline, last: Result<Duration, String>) -> Check {
    let claim = "messages passed from every node to every other, in time after each fault";
    longest(claim, timeline.0.iter().map(|event| event.passed_after.clone()).chain([last]))
}

fn present(timeline: &Timeline, last: Result<Duration, String>) -> Check {
    let claim = "nobody seen online or offline who is not, in time after each fault";
    longest(claim, timeline.0.iter().map(|event| event.seen_after.clone()).chain([last]))
}

fn longest(claim: &'static str, all: impl Iterator<Item = Result<Duration, String>>) -> Check {
    match all.collect::<Result<Vec<_>, _>>() {
        Ok(all) => {
            let longest = all.into_iter().max().unwrap_or_default().as_secs_f64();
            Check { claim, holds: true, evidence: format!("{longest:.1} s at most") }
        }
        Err(found) => {
            let evidence = format!("after {} s: {found}", HEALED.as_secs());
            Check { claim, holds: false, evidence }
        }
    }
}

fn left(sessions: Result<(), u64>) -> Check {
    let claim = "no session is left of clients that have gone";
    match sessions {
        Ok(()) => Check { claim, holds: true, evidence: String::new() },
        Err(sessions) => Check { claim, holds: false, evidence: format!("{sessions} sessions") },
    }
}

async fn alive(watch: &Watch, cluster: &Cluster) -> Check {
    let mut deaths = watch.seen().deaths.clone();
    deaths.extend(cluster.ended().await);
    Check {
        claim: "no process ended that was not killed",
        holds: deaths.is_empty(),
        evidence: deaths.join("; "),
    }
}

fn calm_logs(cluster: &Cluster) -> Check {
    let panics: Vec<_> = cluster.nodes.iter().flat_map(super::node::Node::panics).collect();
    Check { claim: "no node panicked", holds: panics.is_empty(), evidence: panics.join("; ") }
}

fn small(watch: &Watch) -> Check {
    let nodes = watch.seen().resident_bytes;
    let mebibytes = |bytes: u64| bytes >> 20;
    let evidence = nodes.map(|(first, last, most)| {
        format!("{} → {}, at most {}", mebibytes(first), mebibytes(last), mebibytes(most))
    });
    let holds = nodes.iter().all(|(_, _, most)| *most < MEMORY_BYTES);
    Check {
        claim: "memory of each node stays small",
        holds,
        evidence: format!("{} MiB", evidence.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            fault: schedule::windows(1, Duration::from_secs(600))[0].faults[0].clone(),
            at: Duration::ZERO,
            took: Duration::from_secs(1),
            window_took: Duration::from_secs(1),
            acknowledged: 0,
            silence: Duration::ZERO,
            well_after: Ok(Duration::ZERO),
            passed_after: Ok(Duration::ZERO),
            seen_after: Ok(Duration::ZERO),
            note: String::new(),
        }
    }

    #[test]
    fn a_run_without_faults_shows_nothing() {
        let check = as_planned(&Timeline::default(), &[]);
        assert!(!check.holds && check.evidence.contains("no fault was done"), "{check:?}");
        assert!(as_planned(&Timeline(vec![event()]), &[]).holds);
        assert!(!as_planned(&Timeline(vec![event()]), &["Redis does not start".into()]).holds);
    }

    #[test]
    fn what_does_not_pass_in_time_fails_its_claim() {
        let mut late = event();
        late.passed_after = Err("a message through node 1 does not reach node 3".into());
        let check = passed(&Timeline(vec![event(), late]), Ok(Duration::ZERO));
        assert!(!check.holds && check.evidence.contains("does not reach node 3"), "{check:?}");
        assert!(!passed(&Timeline(vec![event()]), Err("node 1 does not take a message".into())).holds);
        assert!(passed(&Timeline(vec![event()]), Ok(Duration::ZERO)).holds);
    }
}
