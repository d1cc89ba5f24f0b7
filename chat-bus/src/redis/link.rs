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
use fred::types::{ClusterHash, CustomCommand, Message, Resp3Frame};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::broadcast::Receiver;
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

/// What a cluster says of itself.
pub(super) struct ClusterView {
    pub(super) health: ClusterHealth,
    /// Grows whenever slots change hands.
    pub(super) epoch: u64,
}

/// Connects now, and again whenever the connection is lost, as long as it is kept.
pub(super) struct Connecting(JoinHandle<FredResult<()>>);

/// Moments at which subscriptions may have been lost.
pub(super) struct Disturbances {
    lost: Receiver<(Error, Option<Server>)>,
    connected: Receiver<Server>,
    cluster: Receiver<Vec<fred::types::ClusterStateChange>>,
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
                Some(ClusterView::read(info.as_deref().unwrap_or("")))
            }
        }
    }
}

impl ClusterView {
    /// Reads the reply of CLUSTER INFO.
    fn read(info: &str) -> Self {
        let field = |name: &str| {
            info.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| *key == name).map(|(_, v)| v)
        };
        let fine = field("cluster_state") == Some("ok");
        Self {
            health: if fine { ClusterHealth::Fine } else { ClusterHealth::Failing },
            epoch: field("cluster_current_epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0),
        }
    }
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
        // Receivers that lagged or are closed tell of a disturbance as well.
        tokio::select! {
            biased;
            // Cancel-safe, all three: broadcast receivers take a value only when they complete.
            _ = self.lost.recv() => {}
            _ = self.connected.recv() => {}
            _ = self.cluster.recv() => {}
        }
    }

    /// Whether there were any; there are none now.
    pub(super) fn drain(&mut self) -> bool {
        let before = self.lost.len() + self.connected.len() + self.cluster.len();
        self.lost = self.lost.resubscribe();
        self.connected = self.connected.resubscribe();
        self.cluster = self.cluster.resubscribe();
        before > 0
    }
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
        let ok = ClusterView::read("cluster_state:ok\r\ncluster_slots:3\r\ncluster_current_epoch:7\r\n");
        assert_eq!((ok.health, ok.epoch), (ClusterHealth::Fine, 7));
        for info in ["", "cluster_state:fail\r\n", "cluster_state", "ERR This instance has no cluster"] {
            assert_eq!(ClusterView::read(info).health, ClusterHealth::Failing);
        }
    }
}
