//! How to reach Redis, and within which bounds.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use fred::clients::Client;
use fred::types::config::{Config, ReconnectPolicy};
use fred::types::{Builder, RespVersion};
use thiserror::Error;

use super::channels::Channels;
use super::tls;

/// The shortest and the longest pause between two attempts to connect, and what is added at random.
const RECONNECT_MIN_MS: u32 = 50;
const RECONNECT_MAX_MS: u32 = 2_000;
const RECONNECT_JITTER_MS: u32 = 50;

/// The most commands that wait inside the client; publishing keeps far fewer under way.
const COMMAND_BUFFER: usize = 8_192;

/// Settings of a [`RedisBus`](super::RedisBus).
#[derive(Clone)]
#[non_exhaustive]
pub struct RedisBusOptions {
    /// `redis://[user:password@]host[:port]` for one server, `redis-cluster://…[?node=host:port&…]`
    /// for a cluster, `rediss://` and `rediss-cluster://` for either over TLS.
    pub url: String,
    /// The user, in place of the URL's.
    pub username: Option<String>,
    /// The password, in place of the URL's.
    pub password: Option<String>,
    /// A file with the certificates, in PEM, that those of the servers are checked against, in place of
    /// the authorities that the system trusts. A certificate has to name the host that the URL, or the
    /// cluster, says. Only for a URL over TLS.
    pub tls_ca: Option<PathBuf>,
    /// What the names of all channels begin with: 1 to 64 letters, digits and `-_.:`. Default `chat`.
    pub namespace: String,
    /// How long Redis may take to answer. Default 2 s.
    pub command_timeout: Duration,
    /// How often the path is proven. Three intervals without a proof mean degraded. Default 1 s.
    pub proof_interval: Duration,
    /// The most bytes that wait to be published; beyond it messages are dropped. Default 16 MiB.
    pub outgoing_limit_bytes: usize,
    /// The most bytes that wait to be received; beyond it they are lost, and that is told.
    /// Default 64 MiB.
    pub incoming_limit_bytes: usize,
}

/// Settings that no bus can be made with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is none, or of a scheme other than those named in [`RedisBusOptions::url`].
    #[error("read the url of redis")]
    Url(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The namespace is empty, too long, or has characters other than those allowed.
    #[error("use the namespace: 1 to 64 letters, digits and -_.: expected")]
    Namespace,
    /// The file of [`RedisBusOptions::tls_ca`] cannot be read, or holds no certificates.
    #[error("read the certificates that redis is checked against from {}", file.display())]
    Certificates {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Certificates are given for a URL without TLS.
    #[error("check the certificates of redis: rediss:// or rediss-cluster:// expected in its url")]
    CertificatesWithoutTls,
    /// No TLS can be set up.
    #[error("set up tls")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// One Redis server, or a cluster of them with sharded publish-subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Single,
    Cluster,
}

/// Options that were found sound.
pub(super) struct Setup {
    pub(super) mode: Mode,
    pub(super) channels: Channels,
    pub(super) options: RedisBusOptions,
    config: Config,
}

impl RedisBusOptions {
    /// Options with which everything but the URL is at its default.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            username: None,
            password: None,
            tls_ca: None,
            namespace: "chat".into(),
            command_timeout: Duration::from_secs(2),
            proof_interval: Duration::from_secs(1),
            outgoing_limit_bytes: 16 << 20,
            incoming_limit_bytes: 64 << 20,
        }
    }
}

impl fmt::Debug for RedisBusOptions {
    /// Without the URL and the password: both hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBusOptions").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Setup {
    pub(super) fn new(options: RedisBusOptions) -> Result<Self, ConnectError> {
        let channels = Channels::new(&options.namespace).ok_or(ConnectError::Namespace)?;
        // fred is given the URL as one without TLS: for others it would set up TLS by itself, with
        // whatever provider of cryptography the process has, and panic where there are two.
        let (mode, tls, url) = match options.url.split_once("://") {
            Some(("redis", _)) => (Mode::Single, false, options.url.clone()),
            Some(("rediss", rest)) => (Mode::Single, true, format!("redis://{rest}")),
            Some(("redis-cluster", _)) => (Mode::Cluster, false, options.url.clone()),
            Some(("rediss-cluster", rest)) => (Mode::Cluster, true, format!("redis-cluster://{rest}")),
            _ => return Err(ConnectError::Url(None)),
        };
        let mut config = Config::from_url(&url).map_err(|error| ConnectError::Url(Some(error.into())))?;
        config.tls = match (tls, &options.tls_ca) {
            (true, ca) => Some(tls::config(ca.as_deref())?),
            (false, Some(_)) => return Err(ConnectError::CertificatesWithoutTls),
            (false, None) => None,
        };
        // With the third version of the protocol a subscribed connection takes other commands too,
        // such as the PING by which subscriptions are confirmed.
        config.version = RespVersion::RESP3;
        // A server that is away at the start is as one that goes away later.
        config.fail_fast = false;
        config.username = options.username.clone().or(config.username);
        config.password = options.password.clone().or(config.password);
        Ok(Self { mode, channels, options, config })
    }

    /// A client that is not connected yet. `capacity` messages and events may wait in it, for which
    /// it reserves memory.
    pub(super) fn client(&self, capacity: usize) -> Result<Client, fred::error::Error> {
        let timeout = self.options.command_timeout;
        let mut policy = ReconnectPolicy::new_exponential(0, RECONNECT_MIN_MS, RECONNECT_MAX_MS, 2);
        policy.set_jitter(RECONNECT_JITTER_MS);
        Builder::from_config(self.config.clone())
            .set_policy(policy)
            .with_performance_config(|performance| {
                performance.default_command_timeout = timeout;
                performance.broadcast_channel_capacity = capacity;
            })
            .with_connection_config(|connection| {
                connection.connection_timeout = timeout;
                connection.internal_command_timeout = timeout;
                connection.max_command_buffer_len = COMMAND_BUFFER;
                connection.unresponsive.max_timeout = Some(timeout * 2);
                connection.unresponsive.interval = timeout / 2;
            })
            .build()
    }
}
