//! A bus that loses, repeats, delays and so reorders what it carries, or is cut off.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::bus::{Bus, BusCounts, BusEvent, BusState, BusUnavailable, Message, Published, Topic};

/// How a bus treats messages for the time being. Chances are in percent, drawn for each message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusWeather {
    /// How many are lost without a word.
    pub lost_percent: u64,
    /// How many arrive twice, the second time delayed.
    pub repeated_percent: u64,
    /// How many are delayed, so that later ones overtake them.
    pub delayed_percent: u64,
    /// By how much, at most.
    pub delay_at_most: Duration,
}

impl BusWeather {
    /// Nothing gets through.
    pub const LOST: Self =
        Self { lost_percent: 100, repeated_percent: 0, delayed_percent: 0, delay_at_most: Duration::ZERO };
}

/// Says how a [`FaultyBus`] fails, and tells what it is subscribed to. Clones steer the same bus.
#[derive(Clone, Debug)]
pub struct BusFaults {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug)]
struct State {
    draws: StdRng,
    sending: BusWeather,
    receiving: BusWeather,
    /// Nodes of which nothing arrives.
    deaf_to: BTreeSet<String>,
    lagged: bool,
    topics: BTreeSet<Topic>,
    late: VecDeque<(Instant, Message)>,
    says: Option<BusState>,
}

impl BusFaults {
    /// What becomes of what this endpoint publishes from now on: only losses.
    pub fn sending(&self, weather: BusWeather) {
        self.shared.lock().sending = weather;
    }

    /// What becomes of what it receives from now on.
    pub fn receiving(&self, weather: BusWeather) {
        self.shared.lock().receiving = weather;
    }

    /// Of which nodes nothing arrives from now on: a partition, when these are deaf to this one, too.
    pub fn deaf_to(&self, nodes: impl IntoIterator<Item = String>) {
        self.shared.lock().deaf_to = nodes.into_iter().collect();
    }

    /// Fair weather in both directions; what is still delayed arrives.
    pub fn cease(&self) {
        let mut state = self.shared.lock();
        state.sending = BusWeather::default();
        state.receiving = BusWeather::default();
        state.deaf_to.clear();
    }

    /// Tells the node that it may have missed something, as a bus does when it is back.
    pub fn lag(&self) {
        self.shared.lock().lagged = true;
        self.shared.wake.notify_one();
    }

    /// What it says of its state from now on, whatever becomes of messages; `None` for the truth.
    pub fn says(&self, state: Option<BusState>) {
        self.shared.lock().says = state;
    }

    /// What the node has subscribed to.
    pub fn topics(&self) -> BTreeSet<Topic> {
        self.shared.lock().topics.clone()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn happens(&mut self, percent: u64) -> bool {
        percent > 0 && self.draws.next_u64() % 100 < percent
    }

    fn delay(&mut self, message: Message) {
        let most = u64::try_from(self.receiving.delay_at_most.as_micros()).unwrap_or(u64::MAX).max(1);
        let due = Instant::now() + Duration::from_micros(self.draws.next_u64() % most);
        self.late.push_back((due, message));
    }

    /// What of a message arrives now.
    fn pass(&mut self, message: Message) -> Option<Message> {
        let weather = self.receiving;
        if self.deaf_to.contains(&*message.origin.node) || self.happens(weather.lost_percent) {
            return None;
        }
        if self.happens(weather.repeated_percent) {
            self.delay(message.clone());
        }
        if self.happens(weather.delayed_percent) {
            self.delay(message);
            return None;
        }
        Some(message)
    }

    fn take_due(&mut self, now: Instant) -> Option<Message> {
        let due = self.late.iter().position(|(due, _)| *due <= now)?;
        self.late.remove(due).map(|(_, message)| message)
    }
}

/// An endpoint that fails as its [`BusFaults`] say.
#[derive(Debug)]
pub struct FaultyBus<B> {
    bus: B,
    faults: BusFaults,
}

impl<B: Bus> FaultyBus<B> {
    /// Decorates an endpoint; the seed decides what happens to which message.
    pub fn new(bus: B, seed: u64) -> (Self, BusFaults) {
        let state = State {
            draws: StdRng::seed_from_u64(seed),
            sending: BusWeather::default(),
            receiving: BusWeather::default(),
            deaf_to: BTreeSet::new(),
            lagged: false,
            topics: BTreeSet::new(),
            late: VecDeque::new(),
            says: None,
        };
        let faults = BusFaults { shared: Arc::new(Shared { state: Mutex::new(state), wake: Notify::new() }) };
        (Self { bus, faults: faults.clone() }, faults)
    }
}

#[async_trait]
impl<B: Bus> Bus for FaultyBus<B> {
    fn publish(&self, topic: Topic, message: Message) -> Published {
        let lost = {
            let mut state = self.faults.shared.lock();
            let percent = state.sending.lost_percent;
            state.happens(percent)
        };
        if lost { Published::Dropped } else { self.bus.publish(topic, message) }
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<(), BusUnavailable> {
        self.faults.shared.lock().topics.extend(topics);
        self.bus.subscribe(topics).await
    }

    fn unsubscribe(&self, topics: &[Topic]) {
        {
            let mut state = self.faults.shared.lock();
            state.topics.retain(|topic| !topics.contains(topic));
        }
        self.bus.unsubscribe(topics);
    }

    async fn receive(&self) -> Option<BusEvent> {
        loop {
            let next = {
                let mut state = self.faults.shared.lock();
                if std::mem::take(&mut state.lagged) {
                    return Some(BusEvent::Lagged);
                }
                if let Some(message) = state.take_due(Instant::now()) {
                    return Some(BusEvent::Message(message));
                }
                state.late.iter().map(|(due, _)| *due).min()
            };
            let next = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                biased;
                // Cancel-safe, as the trait has it.
                event = self.bus.receive() => match event {
                    Some(BusEvent::Message(message)) => {
                        let arrived = self.faults.shared.lock().pass(message);
                        if let Some(message) = arrived {
                            return Some(BusEvent::Message(message));
                        }
                    }
                    other => return other,
                },
                () = self.faults.shared.wake.notified() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    fn state(&self) -> BusState {
        self.faults.shared.lock().says.unwrap_or_else(|| self.bus.state())
    }

    fn counts(&self) -> BusCounts {
        self.bus.counts()
    }

    /// What is still delayed is lost.
    async fn close(&self) {
        self.bus.close().await;
        let mut state = self.faults.shared.lock();
        state.late.clear();
        state.lagged = false;
    }
}
