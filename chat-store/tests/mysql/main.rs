//! The shared store on a real MariaDB, which the tests start: the contract, and what can go wrong.
//!
//! They need `mariadbd`, `mariadb-install-db`, the provider of Galera and `openssl`, and run with the feature `server-tests`.

mod archive;
mod cluster;
mod conformance;
mod contention;
mod faults;
mod fixture;
#[path = "../archive/folder.rs"]
mod folder;
mod freeze;
mod galera;
mod link;
mod records;
mod schema;
mod script;
#[expect(dead_code, reason = "others want more of it")]
mod server;
mod shards;
mod splitting;
mod spread;
mod tls;
