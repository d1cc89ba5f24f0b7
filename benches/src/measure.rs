//! Measuring the real server through real sockets: it runs in a process of its own, and so do the
//! crowds of clients.
//!
//! Accounts and groups are made in the store's folder before the server starts, so that hashing
//! passwords is no part of what is measured.

pub mod backends;
pub mod bare;
pub mod cluster;
pub mod connection;
pub mod crowd;
pub mod prepare;
pub mod scenario;
pub mod server;

/// Why a measurement failed.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
