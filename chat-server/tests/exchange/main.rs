//! An installation moves from one store to another by the command line, as an operator does it: the
//! server is stopped, exported, imported elsewhere and started there.
//!
//! With the feature `server-tests` it also moves into MariaDB and back.

#![cfg(unix)]

#[cfg(feature = "server-tests")]
#[path = "../../../chat-bus/tests/redis/authority.rs"]
#[expect(dead_code, reason = "the bus's own tests want more of it")]
mod authority;
mod command;
#[path = "../black_box/connection.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod connection;
#[path = "../black_box/guard.rs"]
mod guard;
mod killing;
#[cfg(feature = "server-tests")]
#[path = "../../../chat-store/tests/mysql/server.rs"]
#[expect(dead_code, reason = "the store's own tests want more of it")]
mod mariadb;
mod moving;
#[cfg(feature = "server-tests")]
#[path = "../black_box/nginx.rs"]
#[expect(dead_code, reason = "other tests use it")]
mod nginx;
#[path = "../black_box/node.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod node;
#[path = "../black_box/ports.rs"]
mod ports;
#[cfg(feature = "server-tests")]
#[path = "../../../chat-bus/tests/redis/servers.rs"]
#[expect(dead_code, reason = "the bus's own tests want more of it")]
mod redis;
mod refusing;
#[path = "../black_box/requests.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod requests;
#[path = "../black_box/server.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod server;
