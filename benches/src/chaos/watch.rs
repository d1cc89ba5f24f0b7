//! What nodes say of themselves, looked at twice a second.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};

use super::bounds::HEALED;
use super::cluster::Cluster;
use super::node::Health;
use super::{LOOK, NODES};

/// How long between two looks.
const EVERY: Duration = Duration::from_millis(500);

/// How long between two lines of progress.
const LINES: Duration = Duration::from_secs(5);

/// How many looks are kept: five minutes.
const KEPT: usize = 600;

/// Looks until it is dropped.
pub(super) struct Watch {
    seen: Arc<Mutex<Seen>>,
    looking: JoinHandle<()>,
}

/// What was seen so far.
#[derive(Default)]
pub(super) struct Seen {
    looks: u64,
    /// By all nodes, in all their lives.
    acknowledged: u64,
    /// When how many had been acknowledged.
    progress: VecDeque<(Instant, u64)>,
    /// Of each node, what it said last of its present life.
    lives: [u64; NODES],
    /// Of each node, `None` where it says nothing.
    health: [Option<Health>; NODES],
    /// Of each node: first, last, most.
    pub(super) resident_bytes: [(u64, u64, u64); NODES],
    /// Processes that ended and were not meant to.
    pub(super) deaths: Vec<String>,
    /// What is done at present.
    pub(super) under_way: Vec<String>,
}

impl Watch {
    /// Prints a line now and then.
    pub(super) fn start(cluster: Arc<Cluster>) -> Self {
        let seen = Arc::default();
        let looking = tokio::spawn(look(cluster, Arc::clone(&seen)));
        Self { seen, looking }
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    /// How many messages nodes have acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.seen().acknowledged
    }

    /// The longest time since then in which nothing was acknowledged, as seen twice a second.
    pub(super) fn longest_silence(&self, since: Instant) -> Duration {
        let seen = self.seen();
        let (mut longest, mut last) = (Duration::ZERO, None::<(Instant, u64)>);
        for (when, count) in seen.progress.iter().filter(|(when, _)| *when >= since) {
            match last {
                Some((begun, before)) if before == *count => longest = longest.max(*when - begun),
                _ => last = Some((*when, *count)),
            }
        }
        longest
    }

    /// Waits until all nodes are ready and hear each other over Redis; says how long that took.
    ///
    /// # Errors
    /// What they said last after [`HEALED`].
    pub(super) async fn well(&self) -> Result<Duration, String> {
        let begun = Instant::now();
        let looks = self.seen().looks;
        loop {
            let health = self.seen().health;
            // The next look may have begun before.
            if self.seen().looks >= looks + 2
                && health.iter().all(|one| one.is_some_and(|one| one.ready && one.bus))
            {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > HEALED {
                return Err(format!("{health:?}"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until nodes have no more than so many sessions.
    ///
    /// # Errors
    /// How many they have after [`HEALED`].
    pub(super) async fn sessions_end(&self, left: usize) -> Result<(), u64> {
        let begun = Instant::now();
        loop {
            let health = self.seen().health;
            let sessions: u64 = health.iter().flatten().map(|one| one.sessions).sum();
            if health.iter().all(Option::is_some) && sessions <= left as u64 {
                return Ok(());
            }
            if begun.elapsed() > HEALED {
                return Err(sessions);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

impl Seen {
    fn take(&mut self, node: usize, health: Option<Health>, resident_bytes: Option<u64>) {
        self.health[node] = health;
        if let Some(health) = health {
            // A new life counts from nothing.
            let before = if health.acknowledged < self.lives[node] { 0 } else { self.lives[node] };
            self.acknowledged += health.acknowledged - before;
            self.lives[node] = health.acknowledged;
        }
        if let Some(bytes) = resident_bytes {
            let (first, last, most) = &mut self.resident_bytes[node];
            if *first == 0 {
                *first = bytes;
            }
            (*last, *most) = (bytes, bytes.max(*most));
        }
    }

    fn line(&self, since: Instant) -> String {
        let well = self.health.iter().flatten().filter(|one| one.ready && one.bus).count();
        let under_way = if self.under_way.is_empty() { "calm".into() } else { self.under_way.join(", ") };
        format!(
            "{:>5} s  {:>8} acknowledged  {well}/{NODES} well  {under_way}",
            since.elapsed().as_secs(),
            self.acknowledged
        )
    }
}

async fn look(cluster: Arc<Cluster>, seen: Arc<Mutex<Seen>>) {
    let begun = Instant::now();
    let mut told = begun;
    let mut revived = JoinSet::new();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let [one, other, third] = &cluster.nodes[..] else { return };
        let healths = tokio::join!(one.health(), other.health(), third.health());
        let healths = <[_; NODES]>::from(healths);
        let mut seen = lock(&seen);
        for (node, health) in healths.into_iter().enumerate() {
            seen.take(node, health, cluster.nodes[node].resident_bytes());
            if let Some(status) = cluster.nodes[node].has_died() {
                seen.deaths.push(format!("node {} ended by itself with {status}", node + 1));
                let cluster = Arc::clone(&cluster);
                revived.spawn(async move { cluster.nodes[node].start().await.map(drop) });
            }
        }
        seen.looks += 1;
        let acknowledged = seen.acknowledged;
        seen.progress.push_back((Instant::now(), acknowledged));
        if seen.progress.len() > KEPT {
            seen.progress.pop_front();
        }
        if told.elapsed() >= LINES {
            told = Instant::now();
            eprintln!("{}", seen.line(begun));
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
