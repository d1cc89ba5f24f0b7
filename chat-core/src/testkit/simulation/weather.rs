//! Faults of nodes: which, when, where and for how long, all drawn.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::draw::Draw;
use super::nodes::{Node, Nodes};
use super::record::{Record, What};
use super::report::{Fault, NodeNumber};
use super::settings::Settings;
use crate::testkit::faults::{BusWeather, CommitFault, StoreWeather};

/// Clocks go wrong by up to so much, in milliseconds.
const CLOCKS_OFF_MILLIS: u64 = 120_000;

/// Brings bad weather to the nodes.
pub(super) struct Weather {
    nodes: Arc<Nodes>,
    record: Record,
    settings: Settings,
    draw: Draw,
}

impl Weather {
    pub(super) fn new(seed: u64, nodes: Arc<Nodes>, record: Record, settings: Settings) -> Self {
        Self { nodes, record, settings, draw: Draw::new(seed, 3) }
    }

    /// A storm of this length; at its end all nodes run, and nothing is wrong any more.
    pub(super) async fn storm(&mut self, length: Duration) {
        let own = |fault: &Fault| !matches!(fault, Fault::Vanish | Fault::Stall);
        let faults: Vec<_> = self.settings.faults.iter().copied().filter(own).collect();
        let end = tokio::time::Instant::now() + length;
        let mut under_way = JoinSet::new();
        loop {
            let most = u64::try_from(self.settings.fault_every.as_millis()).unwrap_or(u64::MAX);
            let pause = self.draw.millis(20, most.max(20));
            if tokio::time::Instant::now() + pause >= end {
                break;
            }
            tokio::time::sleep(pause).await;
            if let Some(fault) = self.draw.any_of(&faults) {
                self.strike(fault, &mut under_way);
            }
        }
        tokio::time::sleep_until(end).await;
        under_way.shutdown().await;
        for node in self.nodes.all() {
            node.store.cease();
            node.bus.cease();
        }
        for number in self.nodes.numbers() {
            if self.nodes.running(number).is_none() {
                self.nodes.start(number).await;
            }
        }
    }

    fn strike(&mut self, fault: Fault, under_way: &mut JoinSet<()>) {
        let number = NodeNumber(self.draw.below(self.settings.nodes));
        let Some(node) = self.nodes.running(number) else { return };
        let length = self.draw.millis(100, 4_000);
        self.record.put(What::Fault(fault, Some(number), length));
        match fault {
            Fault::BusLoss | Fault::BusRepetition | Fault::BusDelay | Fault::Partition => {
                self.disturb_bus(fault, &node);
                under_way.spawn(async move {
                    tokio::time::sleep(length).await;
                    node.bus.cease();
                });
            }
            Fault::BusLag => node.bus.lag(),
            Fault::StoreSlow
            | Fault::StoreLate
            | Fault::StoreFrozen
            | Fault::StoreAway
            | Fault::StoreRefusing => {
                self.disturb_store(fault, &node);
                under_way.spawn(async move {
                    tokio::time::sleep(length).await;
                    node.store.commits(StoreWeather::Fair);
                    node.store.reads(StoreWeather::Fair);
                });
            }
            Fault::CommitInDoubt | Fault::CommitLost | Fault::CommitDelayed | Fault::CommitLate => {
                let late = self.draw.millis(1, 1_500);
                let fault = match fault {
                    Fault::CommitInDoubt => CommitFault::DoneButAmbiguous,
                    Fault::CommitLost => CommitFault::NotDoneAndAmbiguous,
                    Fault::CommitDelayed => CommitFault::AmbiguousThenDone(late),
                    _ => CommitFault::DoneButLate(late),
                };
                node.store.on_next_commits(std::iter::repeat_n(fault, 1 + self.draw.below(3)));
            }
            Fault::Crash => {
                self.nodes.crash(number);
                let nodes = Arc::clone(&self.nodes);
                under_way.spawn(async move {
                    tokio::time::sleep(length).await;
                    nodes.start(number).await;
                });
            }
            Fault::ClockJump => {
                let off = (self.draw.number() % (2 * CLOCKS_OFF_MILLIS)).cast_signed();
                self.nodes.jump(number, off - CLOCKS_OFF_MILLIS.cast_signed());
            }
            Fault::Vanish | Fault::Stall => {}
        }
    }

    fn disturb_bus(&mut self, fault: Fault, node: &Node) {
        let percent = 10 + self.draw.number() % 90;
        let mut weather = BusWeather { delay_at_most: self.draw.millis(5, 1_500), ..BusWeather::default() };
        match fault {
            Fault::BusLoss if self.draw.happens(50) => {
                node.bus.sending(BusWeather { lost_percent: percent, ..weather });
                return;
            }
            Fault::BusLoss => weather.lost_percent = percent,
            Fault::BusRepetition => weather.repeated_percent = percent,
            Fault::BusDelay => weather.delayed_percent = percent,
            _ => {
                let other = NodeNumber(self.draw.below(self.settings.nodes));
                if other == node.number {
                    // Cut off from everything, its own words included.
                    node.bus.sending(BusWeather::LOST);
                    weather = BusWeather::LOST;
                } else {
                    node.bus.deaf_to([Nodes::name(other)]);
                    if let Some(other) = self.nodes.running(other).filter(|_| self.draw.happens(70)) {
                        other.bus.deaf_to([Nodes::name(node.number)]);
                    }
                    return;
                }
            }
        }
        node.bus.receiving(weather);
    }

    fn disturb_store(&mut self, fault: Fault, node: &Node) {
        let delay = self.draw.millis(1, 400);
        let (slow, late) = (StoreWeather::Slow(delay), StoreWeather::Late(delay));
        let (commits, reads) = match fault {
            Fault::StoreSlow => (slow, self.draw.one_of(&[slow, StoreWeather::Fair])),
            Fault::StoreLate => (self.draw.one_of(&[late, StoreWeather::Fair]), late),
            Fault::StoreFrozen => (StoreWeather::Frozen, self.draw.one_of(&[StoreWeather::Frozen, slow])),
            Fault::StoreAway => (StoreWeather::Away, self.draw.one_of(&[StoreWeather::Away, slow])),
            _ => (StoreWeather::ReadOnly, StoreWeather::Fair),
        };
        node.store.commits(commits);
        node.store.reads(reads);
    }
}
