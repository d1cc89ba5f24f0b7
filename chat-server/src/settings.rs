//! What an operator can choose. Each field's doc is the manual of its key; `chat-server.example.toml`
//! says the same in the file's own form.
//!
//! A value comes from, in ascending order of precedence: its default, the TOML file, the
//! environment (`CHAT_` and the key in capitals with `_` for `.`, so `connections.max` is
//! `CHAT_CONNECTIONS_MAX`), the command line.

mod backends;
mod check;
mod connections;
mod engine;
mod error;
mod proxies;
mod source;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use backends::StoreAt;
pub use error::SettingsError;
pub use proxies::{NoNetwork, Proxies};
pub use source::Sources;

/// All settings of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// Where it listens, `IP:PORT`; port 0 takes a free one. Default `127.0.0.1:6060`.
    pub listen: SocketAddr,
    /// The proxies in front of it: addresses or networks, separated by commas (`10.0.0.7, fd00::/8`).
    /// A connection from one of them begins, within 5 s, with a header of the PROXY protocol, version 1
    /// or 2, that says whose it is; from anywhere else such a header is a violation of the protocol.
    /// Default empty.
    pub proxies: Proxies,
    /// Where it answers an operator over HTTP (`/healthz`, `/readyz`, `/metrics`), `IP:PORT`; empty
    /// for nowhere. Not for the public: it has no password. Default empty.
    pub http: String,
    /// The folder of the embedded store, made when it is absent. Default `./chat-data`.
    pub data: PathBuf,
    /// The store: `sqlite`, the embedded one in the folder `data`, or the address of a database that
    /// nodes share, `mysql://user:password@host:3306/name`. Default `sqlite`.
    pub store: String,
    /// The bus between nodes that share a store: `none`, or the address of Redis,
    /// `redis://host:6379` for one server, `redis-cluster://host:6379` for a cluster, `rediss://` and
    /// `rediss-cluster://` over TLS. Default `none`.
    pub bus: String,
    /// This node's name, unique in a cluster. Default `node`.
    pub node: String,
    /// What is logged, in the directives of tracing's `EnvFilter` (`info`, `warn,chat_core=debug`).
    /// Default `info`.
    pub log: String,
    /// How a line of the log is written. Default `text`.
    pub log_format: LogFormat,
    /// Within this time after a signal the server has told its clients, flushed and gone.
    /// Default 10 s.
    pub stop_seconds: u64,
    /// Network connections.
    pub connections: Connections,
    /// Accounts and their devices.
    pub accounts: Accounts,
    /// Contacts.
    pub contacts: Contacts,
    /// Messages.
    pub messages: Messages,
    /// Groups.
    pub groups: Groups,
    /// How fast one session may be.
    pub rates: Rates,
    /// What is kept for a session that reads slowly.
    pub sessions: Sessions,
    /// How sends are gathered into transactions.
    pub commits: Commits,
    /// How entries from several places are brought into order.
    pub gates: Gates,
    /// How presence is told.
    pub presence: Presence,
    /// How the shared store is used.
    pub mysql: Mysql,
    /// How the bus is used.
    pub redis: Redis,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 6060)),
            proxies: Proxies::default(),
            http: String::new(),
            data: PathBuf::from("./chat-data"),
            store: "sqlite".into(),
            bus: "none".into(),
            node: "node".into(),
            log: "info".into(),
            log_format: LogFormat::Text,
            stop_seconds: 10,
            connections: Connections::default(),
            accounts: Accounts::default(),
            contacts: Contacts::default(),
            messages: Messages::default(),
            groups: Groups::default(),
            rates: Rates::default(),
            sessions: Sessions::default(),
            commits: Commits::default(),
            gates: Gates::default(),
            presence: Presence::default(),
            mysql: Mysql::default(),
            redis: Redis::default(),
        }
    }
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for log collectors.
    Json,
}

/// Settings of network connections. How long a frame may be follows from `messages.body_limit_bytes`
/// and `page_bytes`, and is announced to clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Connections {
    /// The most at the same time; also kept below what the process may open. Default 100,000.
    pub max: usize,
    /// The most on which no session has begun; when there is one more, the one that has waited longest is
    /// told to come back later. Default 10,000.
    pub unauthenticated: usize,
    /// The most requests of one connection that are worked on at the same time. Default 64.
    pub requests_in_flight: u32,
    /// A connection on which no session has begun by then is closed. Default 10 s.
    pub handshake_deadline_ms: u64,
    /// After so many wrong passwords or tokens a connection is closed. Default 5.
    pub login_attempts: u32,
    /// Clients give a sign of life at least this often; after twice that silence a connection is
    /// closed. Default 30 s.
    pub ping_interval_ms: u64,
    /// A client that takes nothing of what is written to it for so long is closed. Default 10 s.
    pub write_deadline_ms: u64,
    /// While so many bytes wait to be written to a client, nothing more is read from it. Default 64 KiB.
    pub output_bytes: usize,
    /// What the system may keep of a client's output on its way, in bytes, since left to itself it keeps
    /// megabytes for each that does not read; divided by the round trip it bounds a client's rate. 0 leaves
    /// it to the system. Default 256 KiB.
    pub send_buffer_bytes: u32,
    /// The most bytes of entries of one page. Default 256 KiB.
    pub page_bytes: usize,
    /// The most bytes that wait in all connections together: frames that have not arrived as a whole, and
    /// output that clients do not take. A quarter of it is for connections without a session. Beyond it
    /// pages are refused, who has taken nothing for a second is closed, and who is in the middle of a long
    /// frame is told to come back later. Default 256 MiB.
    pub buffer_bytes: usize,
}

/// What a log-in does to the user's other devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Devices {
    /// Nothing: several at once, up to `device_limit`.
    Several,
    /// The newest replaces all others.
    NewestOnly,
    /// A log-in is refused while another device is online.
    RefuseWhileOnline,
}

/// Settings of accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Accounts {
    /// Default `several`.
    pub devices: Devices,
    /// The most devices of a user, where there may be several. Default 16.
    pub device_limit: usize,
    /// How many passwords are hashed at the same time; 0 for one per core. Default 0.
    pub password_hashes_at_once: usize,
    /// The memory that one password hash takes, in KiB. Default 19,456.
    pub password_memory_kib: u32,
    /// How often a password hash passes over its memory. Default 2.
    pub password_passes: u32,
}

/// Whether a contact request needs an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Asking {
    /// It does.
    AskFirst,
    /// The two are contacts at once.
    Immediate,
}

/// Settings of contacts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Contacts {
    /// Default `ask_first`.
    pub requests: Asking,
    /// The most contacts, requests and blocks of a user together. Default 10,000.
    pub limit: usize,
}

/// Who may write to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Writing {
    /// Everyone to everyone who has not blocked them.
    Everyone,
    /// Contacts to each other.
    ContactsOnly,
}

/// Settings of messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Messages {
    /// Default `everyone`.
    pub writing: Writing,
    /// The most bytes of a message's body, at most 8 MiB. Default 64 KiB.
    pub body_limit_bytes: usize,
}

/// Settings of groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Groups {
    /// The most members of a group. Default 100,000.
    pub member_limit: u32,
    /// The most members named in one creation or addition. Default 1,000.
    pub first_members_limit: usize,
    /// How far members have read is told to the others in groups up to this size. Default 100.
    pub positions_member_limit: u32,
}

/// Settings of rates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Rates {
    /// Durable commands per second that a session may sustain. 0 for no limit. Default 100.
    pub commands_per_second: u32,
    /// Durable commands that a session may save up for a burst. Default 500.
    pub commands_burst: u32,
    /// Pages that a session may read per second; 0 for no limit. Default 200.
    pub reads_per_second: u32,
    /// Pages that a session may save up for a burst. Default 2,000.
    pub reads_burst: u32,
}

/// Settings of sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Sessions {
    /// The most bytes of events that wait in one session. Default 256 KiB.
    pub queue_bytes: usize,
    /// The most bytes of events that wait in all sessions together. Default 512 MiB.
    pub all_queues_bytes: usize,
    /// The most conversations in which a session is kept account of as behind. Default 64.
    pub behind_limit: usize,
}

/// Settings of commits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Commits {
    /// The most commands that wait to be stored. Default 32,768.
    pub queue_rows: usize,
    /// The most bytes of content that wait to be stored. Default 64 MiB.
    pub queue_bytes: usize,
    /// The most commands of one transaction. Default 1,024.
    pub batch_rows: usize,
    /// The most bytes of content of one transaction. Default 4 MiB.
    pub batch_bytes: usize,
    /// After this time a command that still waits is withdrawn. Default 10 s.
    pub deadline_ms: u64,
    /// How often the journal is followed. Default 1 s.
    pub journal_interval_ms: u64,
}

/// Settings of gates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Gates {
    /// The most bytes that wait in one conversation's gate. Default 1 MiB.
    pub queue_bytes: usize,
    /// How long a gate waits for what is missing before it reads the store. Default 50 ms.
    pub patience_ms: u64,
    /// The longest hole, in entries, that a gate reads for its sessions. Default 1,000.
    pub repair_limit: u64,
}

/// Settings of presence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Presence {
    /// How long a user stays online after the last session, so that a reconnection is not seen.
    /// Default 2 s.
    pub debounce_ms: u64,
    /// A node of which nothing was heard for so long counts as dead, and its users as offline.
    /// Default 10 s.
    pub lease_ms: u64,
}

/// Settings of the store on MySQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Mysql {
    /// The most connections that read. Default 8.
    pub readers: usize,
    /// The connections that write, each one transaction at a time. Default 4.
    pub writers: usize,
    /// Into how many shards conversations fall, by `CRC32(conversation) MOD shards`; messages of several
    /// are not written in one transaction. For an engine that shards by conversation. Default 1.
    pub shards: u32,
    /// How long a call may take, the wait for a connection included. Default 5 s.
    pub deadline_ms: u64,
    /// A file with the certificates, in PEM, that the server's own is checked against; with it,
    /// connections use TLS. Empty for what the address says and the usual authorities. Default empty.
    pub tls_ca: PathBuf,
    /// Rows of the journal are deleted after this time: other nodes, and whoever else follows it, must
    /// have read them by then. Default 24 hours.
    pub journal_hours: u64,
}

/// Settings of the bus on Redis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Redis {
    /// What the names of all channels begin with: 1 to 64 letters, digits and `-_.:`. Nodes of one
    /// installation have the same. Default `chat`.
    pub namespace: String,
    /// How long Redis may take to answer. Default 2 s.
    pub command_timeout_ms: u64,
    /// How often the path is proven; three times without a proof, and it counts as degraded.
    /// Default 1 s.
    pub proof_interval_ms: u64,
    /// A file with the certificates, in PEM, that those of the servers are checked against; the address
    /// is one over TLS then. Empty for the authorities that the system trusts. Default empty.
    pub tls_ca: PathBuf,
    /// The most bytes that wait to be published. Default 16 MiB.
    pub outgoing_bytes: usize,
    /// The most bytes that wait to be received. Default 64 MiB.
    pub incoming_bytes: usize,
}

#[cfg(test)]
mod tests;
