//! The two connections to Redis, and the few commands that the bus needs of them.
//!
//! fred (10.1) answers SUBSCRIBE, UNSUBSCRIBE and SUNSUBSCRIBE as soon as they are *written*, whatever
//! the server makes of them; only SSUBSCRIBE is answered by its first confirmation. It pairs replies
//! with commands by their order alone. Hence: nothing but subscribing happens on the subscriber's
//! connection, a SUBSCRIBE is confirmed by a PING behind it whose own text must come back, and an
//! SSUBSCRIBE names one channel, which the confirmation must name too.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use bytes::Bytes;
use fred::clients::{Client, WithOptions};
use fred::error::Error;
use fred::interfaces::{ClientLike, ClusterInterface, EventInterface, FredResult, PubsubInterface};
use fred::types::config::{Options, Server};
use fred::types::{ClusterHash, ClusterStateChange, CustomCommand, Message, Resp3Frame, Value};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};
use tokio::task::JoinHandle;

use super::health::ClusterHealth;
use super::options::{Mode, Setup};

/// How many arriving messages may wait to be taken out of the client: 30 ms at the rate that one
/// connection reaches. The client reserves memory for each, in several queues (some 5 MB together).
const RECEIVE_CAPACITY: usize = 8_192;

/// The publisher receives nothing but a few events that nobody reads.
const EVENT_CAPACITY: usize = 16;

/// How many channels one SUBSCRIBE names.
const SUBSCRIBE_BATCH: usize = 1_000;

/// How many SSUBSCRIBE are under way at once.
const SHARD_WINDOW: usize = 256;

/// The connection that is subscribed to everything wanted.
#[derive(Clone)]
pub(super) struct Subscriber {
    mode: Mode,
    client: WithOptions<Client>,
}

/// The connection that publishes, and asks a cluster how it is.
#[derive(Clone)]
pub(super) struct Publisher {
    mode: Mode,
    client: WithOptions<Client>,
}

/// Why subscribing failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The server could not be asked, or refused: try again.
    Refused(Error),
    /// Replies do not belong to their commands: this connection is not to be trusted again.
    Confused,
}

/// What a node of a cluster says of it.
pub(super) struct ClusterView {
    pub(super) health: ClusterHealth,
    /// Which master has which slots, `None` when that was not to be learnt.
    pub(super) owners: Option<Vec<SlotRange>>,
}

/// The first and the last slot of a range, and the id of the master that has them.
pub(super) type SlotRange = (u64, u64, String);

/// Connects now, and again whenever the connection is lost, as long as it is kept.
pub(super) struct Connecting(JoinHandle<FredResult<()>>);

/// Moments at which subscriptions may have been lost.
pub(super) struct Disturbances {
    lost: Receiver<(Error, Option<Server>)>,
    connected: Receiver<Server>,
    cluster: Receiver<Vec<ClusterStateChange>>,
}

impl Subscriber {
    pub(super) fn new(setup: &Setup) -> Result<Self, Error> {
        let client = setup.client(RECEIVE_CAPACITY)?.with_options(&once(setup.options.command_timeout));
        Ok(Self { mode: setup.mode, client })
    }

    pub(super) fn connect(&self) -> Connecting {
        Connecting(self.client.connect())
    }

    /// To be called before connecting, so that nothing is missed.
    pub(super) fn messages(&self) -> Receiver<Message> {
        self.client.message_rx()
    }

    /// To be called before connecting, so that nothing is missed.
    pub(super) fn disturbances(&self) -> Disturbances {
        Disturbances {
            lost: self.client.error_rx(),
            connected: self.client.reconnect_rx(),
            cluster: self.client.cluster_change_rx(),
        }
    }

    /// Waits for a connection, at most so long.
    pub(super) async fn connected(&self, at_most: Duration) -> bool {
        self.client.is_connected()
            || matches!(tokio::time::timeout(at_most, self.client.wait_for_connect()).await, Ok(Ok(())))
    }

    /// Subscribes to channels; returns once the server has confirmed every one.
    pub(super) async fn subscribe(&self, channels: Vec<String>) -> Result<(), Failed> {
        match self.mode {
            Mode::Single => {
                for batch in channels.chunks(SUBSCRIBE_BATCH) {
                    self.client.subscribe(batch.to_vec()).await?;
                }
                let text = format!("{:016x}", random());
                let back: String = self.client.ping(Some(text.clone())).await?;
                if back == text { Ok(()) } else { Err(Failed::Confused) }
            }
            Mode::Cluster => {
                stream::iter(channels)
                    .map(|channel| self.subscribe_shard(channel))
                    .buffer_unordered(SHARD_WINDOW)
                    .try_collect()
                    .await
            }
        }
    }

    /// Ends subscriptions, some time soon.
    pub(super) async fn unsubscribe(&self, channels: Vec<String>) -> Result<(), Failed> {
        match self.mode {
            Mode::Single => {
                for batch in channels.chunks(SUBSCRIBE_BATCH) {
                    self.client.unsubscribe(batch.to_vec()).await?;
                }
            }
            Mode::Cluster => {
                for channel in channels {
                    self.client.sunsubscribe(channel).await?;
                }
            }
        }
        Ok(())
    }

    async fn subscribe_shard(&self, channel: String) -> Result<(), Failed> {
        let command = CustomCommand::new_static("SSUBSCRIBE", ClusterHash::FirstKey, false);
        let reply = self.client.custom_raw(command, vec![channel.clone()]).await?;
        match reply {
            Resp3Frame::Push { data, .. } | Resp3Frame::Array { data, .. }
                if data.first().is_some_and(|word| is_text(word, "ssubscribe"))
                    && data.get(1).is_some_and(|name| is_text(name, &channel)) =>
            {
                Ok(())
            }
            Resp3Frame::SimpleError { data, .. } => {
                Err(Failed::Refused(Error::new(fred::error::ErrorKind::Unknown, data.to_string())))
            }
            _ => Err(Failed::Confused),
        }
    }
}

impl Publisher {
    pub(super) fn new(setup: &Setup) -> Result<Self, Error> {
        let client = setup.client(EVENT_CAPACITY)?.with_options(&once(setup.options.command_timeout));
        Ok(Self { mode: setup.mode, client })
    }

    pub(super) fn connect(&self) -> Connecting {
        Connecting(self.client.connect())
    }

    pub(super) async fn publish(&self, channel: String, payload: Bytes) -> Result<(), Error> {
        match self.mode {
            Mode::Single => self.client.publish(channel, payload).await,
            Mode::Cluster => self.client.spublish(channel, payload).await,
        }
    }

    /// How the cluster is; `None` where there is none.
    pub(super) async fn cluster(&self) -> Option<ClusterView> {
        match self.mode {
            Mode::Single => None,
            Mode::Cluster => {
                let info: Result<String, Error> = self.client.cluster_info().await;
                let slots: Result<Value, Error> = self.client.cluster_slots().await;
                Some(ClusterView {
                    health: health(info.as_deref().unwrap_or("")),
                    owners: slots.ok().map(owners),
                })
            }
        }
    }
}

/// Reads the reply of CLUSTER INFO.
fn health(info: &str) -> ClusterHealth {
    if info.lines().any(|line| line == "cluster_state:ok") {
        ClusterHealth::Fine
    } else {
        ClusterHealth::Failing
    }
}

/// Reads the reply of CLUSTER SLOTS: of each range its bounds, its master (address, port, id), and
/// replicas. What does not look so is passed over.
fn owners(slots: Value) -> Vec<SlotRange> {
    let range = |range: &Value| match range {
        Value::Array(range) => match range.get(..3)? {
            [first, last, Value::Array(master)] => {
                Some((first.as_u64()?, last.as_u64()?, master.get(2)?.as_string()?))
            }
            _ => None,
        },
        _ => None,
    };
    let mut owners: Vec<_> = slots.into_array().iter().filter_map(range).collect();
    owners.sort_unstable();
    owners
}

impl Connecting {
    /// Returns when the client has given up, which it does on errors that it takes for permanent.
    pub(super) async fn ended(mut self) {
        if let Ok(Err(error)) = (&mut self.0).await {
            tracing::warn!(%error, "the connection to redis was given up");
        }
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Disturbances {
    /// The next one.
    ///
    /// # Cancel safety
    /// A dropped future loses nothing.
    pub(super) async fn next(&mut self) {
        loop {
            // Receivers that lagged or are closed tell of a disturbance as well.
            tokio::select! {
                biased;
                // Cancel-safe, all three: broadcast receivers take a value only when they complete.
                _ = self.lost.recv() => return,
                _ = self.connected.recv() => return,
                changes = self.cluster.recv() => {
                    if !changes.is_ok_and(|changes| leave_connections_alone(&changes)) {
                        return;
                    }
                }
            }
        }
    }

    /// Why connecting failed last, if it was told since this was last asked.
    pub(super) fn failure(&mut self) -> Option<Error> {
        let mut last = None;
        drain(&mut self.lost, |(error, _)| {
            last = Some(error.clone());
            true
        });
        last
    }

    /// Whether there were any; there are none now.
    pub(super) fn drain(&mut self) -> bool {
        let lost = drain(&mut self.lost, |_| true);
        let connected = drain(&mut self.connected, |_| true);
        let changed = drain(&mut self.cluster, |changes| !leave_connections_alone(changes));
        lost || connected || changed
    }
}

/// Takes everything that waits; says whether any of it counts. What was missed does.
fn drain<T: Clone>(events: &mut Receiver<T>, mut counts: impl FnMut(&T) -> bool) -> bool {
    let mut any = false;
    loop {
        match events.try_recv() {
            Ok(event) => any |= counts(&event),
            Err(TryRecvError::Lagged(_)) => any = true,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return any,
        }
    }
}

/// Whether slots moved between nodes that were connected before and are so now.
fn leave_connections_alone(changes: &[ClusterStateChange]) -> bool {
    changes.iter().all(|change| *change == ClusterStateChange::Rebalance)
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// 64 bits that no other endpoint draws: the standard library seeds its hash tables at random.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(())
}

/// No command is kept for another connection, since it would come late or twice.
fn once(timeout: Duration) -> Options {
    Options { max_attempts: Some(1), timeout: Some(timeout), fail_fast: true, ..Options::default() }
}

fn is_text(frame: &Resp3Frame, text: &str) -> bool {
    match frame {
        Resp3Frame::BlobString { data, .. } => data == text.as_bytes(),
        Resp3Frame::SimpleString { data, .. } => data == text.as_bytes(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_fine_only_when_it_says_so() {
        assert_eq!(health("cluster_slots:3\r\ncluster_state:ok\r\n"), ClusterHealth::Fine);
        for info in ["", "cluster_state:fail\r\n", "cluster_state", "ERR This instance has no cluster"] {
            assert_eq!(health(info), ClusterHealth::Failing);
        }
    }

    #[test]
    fn owners_of_slots_are_read_and_the_rest_is_passed_over() {
        let text = |text: &str| Value::String(text.into());
        let node = |id: &str| Value::Array(vec![text("127.0.0.1"), Value::Integer(7_000), text(id)]);
        let range = |first, last, id| {
            Value::Array(vec![Value::Integer(first), Value::Integer(last), node(id), node("replica")])
        };
        let odd = [Value::Null, Value::Array(vec![]), Value::Array(vec![text("a"), text("b"), node("c")])];
        let mut slots = vec![range(8, 9, "b"), range(0, 7, "a")];
        slots.extend(odd);
        assert_eq!(owners(Value::Array(slots)), [(0, 7, "a".to_owned()), (8, 9, "b".to_owned())]);
        assert_eq!(owners(Value::Null), []);
    }
}
