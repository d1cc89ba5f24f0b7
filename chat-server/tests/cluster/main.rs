//! Three nodes on a database and a bus, behind nginx: what may fail, and what holds all the same.
//!
//! Everything here is a process of its own, started by the tests on free ports and ended with them.
//! A load of clients runs through each fault and knows what it was told (`load`); what it was told is
//! compared with what every member heard and with what the store holds.

#![cfg(unix)]

#[path = "../../../chat-bus/tests/redis/authority.rs"]
#[expect(dead_code, reason = "the bus's own tests want more of it")]
mod authority;
mod bus;
#[path = "../black_box/clients.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod clients;
#[path = "../black_box/connection.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod connection;
mod database;
mod devices;
mod freezing;
#[path = "../black_box/guard.rs"]
mod guard;
mod killing;
#[expect(dead_code, reason = "chaos wants more of it")]
mod link;
mod load;
#[path = "../../../chat-store/tests/mysql/server.rs"]
#[expect(dead_code, reason = "the store's own tests want more of it")]
mod mariadb;
mod moving;
#[path = "../black_box/nginx.rs"]
#[expect(dead_code, reason = "chaos wants more of it")]
mod nginx;
#[path = "../black_box/node.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod node;
#[path = "../black_box/ports.rs"]
mod ports;
#[path = "../../../chat-bus/tests/redis/servers.rs"]
#[expect(dead_code, reason = "the bus's own tests want more of it")]
mod redis;
#[path = "../black_box/requests.rs"]
mod requests;
mod seed_faults;
#[path = "../black_box/server.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod server;
mod settling;
mod unavailable;

use std::time::Duration;

/// How long a node may be silent.
const LEASE: Duration = Duration::from_secs(2);

/// What every cluster here runs with: nodes are missed soon, and contacts need no answer.
const SETTINGS: [(&str, &str); 2] =
    [("CHAT_CONTACTS_REQUESTS", "immediate"), ("CHAT_PRESENCE_LEASE_MS", "2000")];

/// Clients leave a node soon that says nothing.
const PINGS: (&str, &str) = ("CHAT_CONNECTIONS_PING_INTERVAL_MS", "1000");

/// The journal is read so seldom at intervals that nothing comes by that: only when the bus has lost
/// something, and when it could not be read before.
const RARELY: (&str, &str) = ("CHAT_COMMITS_JOURNAL_INTERVAL_MS", "600000");

/// Whoever has not been told of something for so long is told of it by nothing that goes on: longer than
/// what is promised, and than what the journal takes at intervals.
const LACKING: Duration = Duration::from_secs(2);

/// Those, and further ones.
fn settings(further: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&SETTINGS, further].concat()
}
