//! What is done to a cluster, and when: decided by a seed and a length alone.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::NODES;

/// How long nodes of the cluster may be silent until they count as dead.
pub const LEASE: Duration = Duration::from_secs(4);

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A node is killed and started again later.
    KillNode,
    /// A node stands still for less than its lease.
    PauseNode,
    /// A node stands still for longer than its lease.
    FreezeNode,
    /// All nodes are stopped in order and started again, one after the other.
    RollNodes,
    /// Redis is killed and started again later, empty. Of a cluster, one master.
    KillRedis,
    /// Redis is stopped in order and started again at once, empty. Of a cluster, each master in turn.
    RestartRedis,
    /// Redis stands still. Of a cluster, one master.
    FreezeRedis,
    /// Redis is emptied.
    FlushRedis,
    /// MariaDB is killed and started again later.
    KillMariadb,
    /// MariaDB is stopped in order and started again at once.
    RestartMariadb,
    /// MariaDB stands still.
    FreezeMariadb,
    /// The process of nginx that serves all connections is killed.
    KillNginxWorker,
    /// nginx is told to read its configuration, and cuts connections that there are a second later.
    ReloadNginx,
    /// A node's connections to Redis end, and new ones end at once.
    CutRedis,
    /// Nothing passes between a node and Redis, and neither is told.
    SilenceRedis,
    /// Whatever passes between a node and Redis is late.
    SlowRedis,
    /// A node's connections to MariaDB end, and new ones end at once.
    CutMariadb,
    /// Nothing passes between a node and MariaDB, and neither is told.
    SilenceMariadb,
    /// Whatever passes between a node and MariaDB is late.
    SlowMariadb,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is done.
    pub kind: Kind,
    /// To which node or master, where it is done to one.
    pub target: usize,
    /// When, from the beginning.
    pub at: Duration,
    /// How long until it is undone.
    pub lasts: Duration,
    /// How late things are, where they are.
    pub late: Duration,
}

/// A time in which one fault or two happen, and then everything is left alone until it has healed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// From the beginning.
    pub at: Duration,
    /// With the calm at its end, a third of it or more.
    pub length: Duration,
    /// In order of time.
    pub faults: Vec<Fault>,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::KillNode,
        Self::PauseNode,
        Self::FreezeNode,
        Self::RollNodes,
        Self::KillRedis,
        Self::RestartRedis,
        Self::FreezeRedis,
        Self::FlushRedis,
        Self::KillMariadb,
        Self::RestartMariadb,
        Self::FreezeMariadb,
        Self::KillNginxWorker,
        Self::ReloadNginx,
        Self::CutRedis,
        Self::SilenceRedis,
        Self::SlowRedis,
        Self::CutMariadb,
        Self::SilenceMariadb,
        Self::SlowMariadb,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::KillNode => "kill -9 a node",
            Self::PauseNode => "pause a node",
            Self::FreezeNode => "freeze a node",
            Self::RollNodes => "rolling restart",
            Self::KillRedis => "kill -9 redis",
            Self::RestartRedis => "restart redis",
            Self::FreezeRedis => "freeze redis",
            Self::FlushRedis => "empty redis",
            Self::KillMariadb => "kill -9 mariadb",
            Self::RestartMariadb => "restart mariadb",
            Self::FreezeMariadb => "freeze mariadb",
            Self::KillNginxWorker => "kill -9 nginx worker",
            Self::ReloadNginx => "reload nginx",
            Self::CutRedis => "cut node–redis",
            Self::SilenceRedis => "silence node–redis",
            Self::SlowRedis => "slow node–redis",
            Self::CutMariadb => "cut node–mariadb",
            Self::SilenceMariadb => "silence node–mariadb",
            Self::SlowMariadb => "slow node–mariadb",
        }
    }

    /// The shortest and the longest that it lasts, in milliseconds. What cannot be undone lasts
    /// nothing, or as long as it takes.
    fn lasts_ms(self) -> (u64, u64) {
        let lease = u64::try_from(LEASE.as_millis()).expect("it is short");
        match self {
            Self::PauseNode => (200, lease - 1_000),
            Self::FreezeNode => (lease + 500, lease + 3_000),
            Self::KillNode => (0, 8_000),
            Self::KillRedis | Self::KillMariadb => (100, 7_000),
            Self::FreezeRedis | Self::FreezeMariadb => (500, 8_000),
            Self::CutRedis | Self::CutMariadb => (100, 8_000),
            Self::SilenceRedis | Self::SilenceMariadb => (500, 9_000),
            Self::SlowRedis | Self::SlowMariadb => (2_000, 9_000),
            Self::RollNodes | Self::RestartRedis | Self::FlushRedis => (0, 0),
            Self::RestartMariadb | Self::KillNginxWorker | Self::ReloadNginx => (0, 0),
        }
    }

    /// What it is done to. Faults at the same time have nothing of it in common, so that each is seen.
    fn parts(self, target: usize) -> Vec<Part> {
        match self {
            Self::KillNode | Self::PauseNode | Self::FreezeNode => vec![Part::Node(target)],
            Self::RollNodes => (0..NODES).map(Part::Node).collect(),
            Self::KillRedis | Self::RestartRedis | Self::FreezeRedis | Self::FlushRedis => vec![Part::Redis],
            Self::KillMariadb | Self::RestartMariadb | Self::FreezeMariadb => vec![Part::Mariadb],
            Self::KillNginxWorker | Self::ReloadNginx => vec![Part::Nginx],
            Self::CutRedis | Self::SilenceRedis | Self::SlowRedis => vec![Part::Redis, Part::Node(target)],
            Self::CutMariadb | Self::SilenceMariadb | Self::SlowMariadb => {
                vec![Part::Mariadb, Part::Node(target)]
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Node(usize),
    Redis,
    Mariadb,
    Nginx,
}

impl Fault {
    fn drawn(kind: Kind, at: Duration, random: &mut StdRng) -> Self {
        let (shortest, longest) = kind.lasts_ms();
        Self {
            kind,
            target: random.random_range(0..NODES),
            at,
            lasts: Duration::from_millis(random.random_range(shortest..=longest)),
            late: Duration::from_millis(random.random_range(5..=300)),
        }
    }

    /// Whether both can be seen at the same time.
    fn is_apart_from(&self, other: &Self) -> bool {
        let parts = other.kind.parts(other.target);
        !self.kind.parts(self.target).iter().any(|part| parts.contains(part))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.kind.name())?;
        if self.kind.parts(self.target).contains(&Part::Node(self.target)) && self.kind != Kind::RollNodes {
            write!(out, " {}", self.target + 1)?;
        }
        if matches!(self.kind, Kind::SlowRedis | Kind::SlowMariadb) {
            write!(out, " by {} ms", self.late.as_millis())?;
        }
        if !self.lasts.is_zero() {
            write!(out, " for {:.1} s", self.lasts.as_secs_f64())?;
        }
        Ok(())
    }
}

/// The windows of so long a time. Kinds are drawn as cards are: none twice before all have come.
pub fn windows(seed: u64, length: Duration) -> Vec<Window> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut cards = Vec::new();
    let (mut windows, mut at) = (Vec::new(), Duration::ZERO);
    loop {
        let mut faults = vec![Fault::drawn(next(&mut cards, &mut random), at, &mut random)];
        if random.random_bool(0.4) {
            let kind = next(&mut cards, &mut random);
            let later = at + faults[0].lasts.mul_f64(random.random_range(0.0..1.0));
            let other = Fault::drawn(kind, later, &mut random);
            if other.is_apart_from(&faults[0]) {
                faults.push(other);
            } else {
                cards.push(kind);
            }
        }
        let last = faults.iter().map(|fault| fault.at + fault.lasts).max().unwrap_or(at);
        let calm = (last - at).div_f64(2.0).max(Duration::from_secs(3));
        let end = last + calm + Duration::from_millis(random.random_range(0..4_000));
        if end > length {
            return windows;
        }
        windows.push(Window { at, length: end - at, faults });
        at = end;
    }
}

fn next(cards: &mut Vec<Kind>, random: &mut StdRng) -> Kind {
    if cards.is_empty() {
        cards.extend(Kind::ALL);
        cards.shuffle(random);
    }
    cards.pop().expect("there are kinds")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const LONG: Duration = Duration::from_secs(30 * 60);

    fn faults(windows: &[Window]) -> impl Iterator<Item = &Fault> {
        windows.iter().flat_map(|window| &window.faults)
    }

    #[test]
    fn one_seed_gives_one_schedule_and_another_one_another() {
        assert_eq!(windows(7, LONG), windows(7, LONG));
        assert_ne!(windows(7, LONG), windows(8, LONG));
    }

    #[test]
    fn a_shorter_run_is_the_beginning_of_a_longer_one() {
        let (short, long) = (windows(7, LONG / 10), windows(7, LONG));
        assert!(!short.is_empty());
        assert_eq!(short, long[..short.len()]);
    }

    #[test]
    fn in_half_an_hour_everything_happens_several_times() {
        for seed in 0..100 {
            let windows = windows(seed, LONG);
            for kind in Kind::ALL {
                let times = faults(&windows).filter(|fault| fault.kind == kind).count();
                assert!(times >= 3, "{kind:?} {times} times with seed {seed}");
            }
            let targets: BTreeSet<_> = faults(&windows).map(|fault| fault.target).collect();
            assert_eq!(targets, (0..NODES).collect());
        }
    }

    #[test]
    fn faults_keep_to_their_window_and_a_third_of_it_is_calm() {
        for seed in 0..100 {
            let mut end = Duration::ZERO;
            for window in windows(seed, LONG) {
                assert_eq!(window.at, end);
                end = window.at + window.length;
                let undone = window.faults.iter().map(|fault| fault.at + fault.lasts).max();
                let calm = end - undone.expect("something happens");
                assert!(calm * 3 + Duration::from_millis(1) >= window.length, "{window:?}");
                assert!(window.faults.iter().all(|fault| fault.at >= window.at));
            }
            assert!(end <= LONG);
        }
    }

    #[test]
    fn what_happens_at_the_same_time_happens_to_different_parts() {
        for seed in 0..100 {
            for window in windows(seed, LONG) {
                if let [one, other] = &window.faults[..] {
                    assert!(one.is_apart_from(other), "{window:?}");
                }
            }
        }
    }

    #[test]
    fn a_node_is_frozen_for_longer_than_its_lease_and_paused_for_less() {
        for fault in faults(&windows(1, LONG)) {
            match fault.kind {
                Kind::PauseNode => assert!(fault.lasts < LEASE),
                Kind::FreezeNode => assert!(fault.lasts > LEASE),
                _ => {}
            }
        }
    }
}
