//! The server as its users and operators meet it: processes, sockets, signals, a folder.
//!
//! One binary, so that the server's processes and the connections to it are described once. Its
//! stories are told on a folder, and with the feature `server-tests` also on a database and as a
//! cluster: MariaDB and Redis are started once for all of them, with a database and channels for
//! each, and nginx for each cluster.

#![cfg(unix)]

#[macro_use]
mod stories;

#[cfg(feature = "server-tests")]
#[path = "../../../chat-bus/tests/redis/authority.rs"]
#[expect(dead_code, reason = "the bus's own tests want more of it")]
mod authority;
mod clients;
mod connection;
mod contents;
mod crash;
mod crowd;
mod guard;
#[cfg(feature = "server-tests")]
#[path = "../../../chat-store/tests/mysql/server.rs"]
#[expect(dead_code, reason = "the store's own tests want more of it")]
mod mariadb;
#[cfg(feature = "server-tests")]
#[expect(dead_code, reason = "the tests of the cluster want more of it")]
mod nginx;
#[expect(dead_code, reason = "the tests of the cluster want more of it")]
mod node;
mod ports;
mod proxy;
#[cfg(feature = "server-tests")]
#[path = "../../../chat-bus/tests/redis/servers.rs"]
#[expect(dead_code, reason = "the bus's own tests want more of it")]
mod redis;
mod requests;
mod seed_faults;
#[expect(dead_code, reason = "the tests of the cluster want more of it")]
mod server;
mod shutdown;
mod slow_reader;
