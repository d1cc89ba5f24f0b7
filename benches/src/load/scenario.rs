//! What the clients do: each scenario plans who meets where, and then lets them act.

mod direct;
mod group;
mod idle;
mod mixed;
mod offline;
mod storm;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chat_core::{Body, Outgoing};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::cast::{Cast, Meeting, Plan};
use super::options::{Options, Scenario};
use super::participant::{Participant, Stage};
use super::schedule::{Pace, Pacer, Turns};
use super::sending::{Act, Script, act};
use super::servers::Servers;
use super::witness::Witness;
use crate::measure::Failure;

/// A run that is under way.
#[derive(Debug)]
pub struct Run {
    /// What was asked for.
    pub options: Options,
    /// What all clients share.
    pub stage: Arc<Stage>,
    /// The clients.
    pub cast: Cast,
    /// Who watches.
    pub witness: Arc<Witness>,
    /// The servers' processes.
    pub servers: Arc<Servers>,
    /// Figures of the scenario's own, by names that end in their units.
    figures: Mutex<BTreeMap<&'static str, f64>>,
}

/// How senders go about it when no pace is asked for.
#[derive(Clone, Copy, Debug)]
enum Usual {
    /// Each has one message under way.
    OneByOne,
    /// Each acts so often per second.
    RateEach(f64),
}

/// Who is to meet where.
///
/// # Errors
/// The scenario cannot be played by so many.
pub fn plan(options: &Options) -> Result<Plan, Failure> {
    let clients = options.clients() as usize;
    match options.scenario {
        Scenario::Group => Ok(group::plan(clients)),
        Scenario::Mixed => Ok(mixed::plan(clients)),
        _ if !clients.is_multiple_of(2) => Err("pairs need an even number of clients".into()),
        _ => Ok(pairs(clients)),
    }
}

/// Lets the clients act.
///
/// # Errors
/// Something went wrong that is not the server's doing.
pub async fn play(run: &Run) -> Result<(), Failure> {
    match run.options.scenario {
        Scenario::Direct => direct::play(run).await,
        Scenario::Group => group::play(run).await,
        Scenario::Offline => offline::play(run).await,
        Scenario::Idle => idle::play(run).await,
        Scenario::Storm => storm::play(run).await,
        Scenario::Mixed => mixed::play(run).await,
    }
}

impl Run {
    /// Begins it.
    pub fn new(
        options: Options,
        stage: Arc<Stage>,
        cast: Cast,
        witness: Arc<Witness>,
        servers: Arc<Servers>,
    ) -> Self {
        Self { options, stage, cast, witness, servers, figures: Mutex::default() }
    }

    /// Figures of the scenario's own, by names that end in their units.
    pub fn figures(&self) -> BTreeMap<&'static str, f64> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn figure(&self, name: &'static str, value: f64) {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).insert(name, value);
    }

    fn span(&self) -> Duration {
        Duration::from_secs(self.options.seconds)
    }

    fn settle(&self) -> Duration {
        Duration::from_secs(self.options.settle)
    }

    /// A text as long as was asked for, different from all others by what it begins with.
    fn text(&self, who: u32, number: u64) -> Outgoing {
        text(who, number, self.options.bytes.unwrap_or(100) as usize)
    }

    /// Lets these act until the time is over and they have their answers, or no more time is given them.
    async fn act(&self, actors: Vec<(Arc<Participant>, Script)>, usual: Usual) -> Result<(), Failure> {
        let (begin, count) = (Instant::now(), actors.len());
        let until = begin + self.span();
        let rate = match (self.options.rate, self.options.window, usual) {
            (Some(rate), _, _) => Some(rate),
            (None, None, Usual::RateEach(rate)) => Some(rate * count as f64),
            _ => None,
        };
        let window = self.options.window.unwrap_or(1) as usize;
        let (mut acting, mut wakes) = (JoinSet::new(), Vec::new());
        let mut turns = rate.map(|rate| Turns::shared(rate, count).into_iter());
        let all_turns = turns.as_ref().and_then(|turns| turns.as_slice().first().cloned());
        for (who, script) in actors {
            let pace = match turns.as_mut().and_then(Iterator::next) {
                Some(turns) => {
                    let wake = Arc::new(Notify::new());
                    wakes.push(Arc::clone(&wake));
                    Pace::Open { turns, wake }
                }
                None => Pace::Closed { window },
            };
            acting.spawn(act(who, script, pace, begin, until));
        }
        let _pacer = rate.map(|rate| Pacer::start(rate, wakes, begin, until)).transpose()?;
        tokio::time::sleep_until(until.into()).await;
        self.witness.sending_ended();
        let answers = async {
            while let Some(one) = acting.join_next().await {
                one?;
            }
            Ok::<_, Failure>(())
        };
        // Whoever has no answer by then is stopped with the set.
        let answered = tokio::time::timeout_at((until + self.settle()).into(), answers).await;
        // A client that could not keep up, or waits for an answer still, has left turns.
        let left = all_turns.map_or(0, |turns| turns.left(self.span()));
        self.figure("turns_not_taken", left as f64);
        answered.unwrap_or(Ok(()))
    }

    /// Lets each of these send once, and waits for the answers.
    async fn say_once(&self, who: impl IntoIterator<Item = (Arc<Participant>, u32, u64)>) {
        let mut saying = JoinSet::new();
        for (who, place, number) in who {
            let outgoing = self.text(who.number, number);
            saying.spawn(async move { who.begin(place, outgoing, Instant::now()).await.answered().await });
        }
        let answers = async { while saying.join_next().await.is_some() {} };
        // What has no answer by then is stopped with the set, and told at the end.
        let _ = tokio::time::timeout(self.settle(), answers).await;
    }

    /// One that sends texts to one place.
    fn texts(&self, who: &Arc<Participant>, place: u32) -> (Arc<Participant>, Script) {
        let (number, bytes) = (who.number, self.options.bytes.unwrap_or(100) as usize);
        let mut sent = 0;
        let script = move || {
            sent += 1;
            Act::Send { place, outgoing: text(number, sent, bytes), tell: Vec::new() }
        };
        (Arc::clone(who), Box::new(script))
    }

    /// All clients at once do something; how long each took, in ascending order.
    async fn all_at_once<F>(
        &self,
        who: impl Iterator<Item = Arc<Participant>>,
        what: impl Fn(Arc<Participant>) -> F,
    ) -> Vec<Duration>
    where
        F: Future<Output = Duration> + Send + 'static,
    {
        let all: JoinSet<Duration> = who.map(what).collect();
        let mut times = all.join_all().await;
        times.sort_unstable();
        times
    }
}

fn pairs(clients: usize) -> Plan {
    let meetings = (0..clients / 2).map(|pair| Meeting::Pair(2 * pair, 2 * pair + 1)).collect();
    Plan { devices: vec![1; clients], meetings }
}

/// The pair's place of a client under [`pairs`].
fn pair_of(client: u32) -> u32 {
    client / 2
}

fn text(who: u32, number: u64, bytes: usize) -> Outgoing {
    let mut text = format!("{who} {number} ");
    let missing = bytes.saturating_sub(text.len());
    text.extend(std::iter::repeat_n('x', missing));
    text.truncate(bytes.max(1));
    Outgoing::Message { body: Body::Text(text), reply_to: None }
}

/// The middle of times in ascending order, and the last, in microseconds.
fn middle_and_last(times: &[Duration]) -> (f64, f64) {
    let micros = |at: Option<&Duration>| at.map_or(0.0, |time| time.as_secs_f64() * 1e6);
    (micros(times.get(times.len() / 2)), micros(times.last()))
}
