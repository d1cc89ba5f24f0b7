//! Peers who mean harm, by themselves and in crowds, against the real process: what is promised to all
//! others holds meanwhile, and the process stays within the bounds that it is configured with.
//!
//! Each test has the machine to itself as far as this binary goes: they count open files, and measure
//! memory and latency.

#![cfg(unix)]

#[path = "../../../chat-bus/tests/redis/authority.rs"]
#[expect(dead_code, reason = "the bus's own tests want more of it")]
mod authority;
#[path = "../black_box/clients.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod clients;
#[path = "../black_box/connection.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod connection;
mod deaf;
mod flood;
mod fuzzer;
#[path = "../black_box/guard.rs"]
mod guard;
mod honest;
#[path = "../../../chat-store/tests/mysql/server.rs"]
#[expect(dead_code, reason = "the store's own tests want more of it")]
mod mariadb;
mod measured;
#[path = "../black_box/nginx.rs"]
#[expect(dead_code, reason = "the tests of the cluster want more of it")]
mod nginx;
#[path = "../black_box/node.rs"]
#[expect(dead_code, reason = "the tests of the cluster want more of it")]
mod node;
#[path = "../black_box/ports.rs"]
mod ports;
#[path = "../../../chat-bus/tests/redis/servers.rs"]
#[expect(dead_code, reason = "the bus's own tests want more of it")]
mod redis;
#[path = "../black_box/requests.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod requests;
#[path = "../black_box/server.rs"]
#[expect(dead_code, reason = "the tests of the cluster want more of it")]
mod server;
mod strangers;

use tokio::sync::{Mutex, MutexGuard};

/// The machine, for one test at a time.
async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}
