//! What a client needs to know before it connects.

use std::time::Duration;

use chat_core::{ConversationId, Epoch, Seq, Token};

/// The settings of a [`Client`](super::Client). Start from [`ClientConfig::new`] and change fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// Where the server listens: `host:port`.
    pub server: String,
    /// What the client logs in with on every connection. Default: none, so that
    /// [`Client::login`](super::Client::login) or [`Client::register`](super::Client::register)
    /// comes first.
    pub token: Option<Token>,
    /// What the application has already: entries up to these are not delivered again. A conversation
    /// that is not named starts after the read cursor that the server holds. Default: none.
    pub cursors: Vec<(ConversationId, Seq)>,
    /// The epoch of those cursors, from [`Client::epoch`](super::Client::epoch). Default: none.
    pub epoch: Option<Epoch>,
    /// How long one attempt to connect may take, greeting included. Default 10 s.
    pub connect_timeout: Duration,
    /// How long a command may take, reconnections and retries included; at most a day. Default 30 s.
    pub request_timeout: Duration,
    /// How long to wait between attempts to connect.
    pub backoff: Backoff,
    /// How many events wait for the application, at least 1. While they do, entries that arrive are
    /// not kept: they are read from the log once there is room. Default 1,024.
    pub event_queue: usize,
    /// How many commands wait for the connection before further ones are held back, at least 1.
    /// Default 1,024.
    pub command_queue: usize,
    /// Makes the random waits repeatable. Default: none, they differ from client to client.
    pub seed: Option<u64>,
    /// Name and version of the software, for the operator's log. Default: this crate's.
    pub software: String,
}

/// How long a client waits before it tries again: a random while (full jitter) below a bound that
/// doubles with each attempt.
///
/// Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the first wait. Default 500 ms.
    pub first: Duration,
    /// The bound that is never exceeded. Default 30 s.
    pub max: Duration,
}

impl ClientConfig {
    /// Longer than this nothing waits, whatever the settings or the server say: a day.
    pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

    /// The defaults for this server.
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            token: None,
            cursors: Vec::new(),
            epoch: None,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            backoff: Backoff::default(),
            event_queue: 1024,
            command_queue: 1024,
            seed: None,
            software: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), max: Duration::from_secs(30) }
    }
}
