//! Buses that carry [`chat_core`]'s events between nodes.
//!
//! [`RedisBus`] carries them through one Redis server or a Redis Cluster. It keeps the contract of
//! [`chat_core::bus`]: a hint, which loses nothing but latency when it fails.

#[cfg(feature = "redis")]
mod envelope;
#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "redis")]
pub use redis::{ConnectError, RedisBus, RedisBusOptions};
