//! The server's side of one connection: it runs any stream of bytes against an engine.
//!
//! ```text
//!            ┌──────────────────────── Connection ────────────────────────┐
//!  bytes ──▶ │ Input ─ frames ─▶ ClientFrame ─ opening ─▶ engine          │
//!            │                               └ command ─▶ session ─▶ Work │
//!  bytes ◀── │ Output ◀─ frames ─ replies ◀──────────────────────── Work  │
//!            │                 └─ pushes  ◀─────────────────────── Events │
//!            └────────────────────────────────────────────────────────────┘
//! ```
//!
//! One task, no queue of its own beyond bounds that [`ConnectionConfig`] names: while requests are
//! in flight up to the limit, or what was written waits for the peer, the connection reads no
//! further, and while what was written waits, it takes no events either. The engine's session bounds
//! those, and marks the reader as behind.

mod command;
mod config;
mod connection;
mod ending;
mod input;
mod life;
mod opening;
mod output;
mod refuse;
mod timer;
mod work;

use std::sync::Arc;

use chat_core::Engine;
use tokio::io::{AsyncRead, AsyncWrite};

use connection::Connection;

pub use config::ConnectionConfig;
pub use ending::Ending;
pub use refuse::refuse;

/// Runs a connection until it ends, and says how it did.
///
/// When `shutdown` completes the connection reads no further, finishes what is in flight within
/// [`ConnectionConfig::drain_deadline`], tells the client to come back, and ends.
///
/// # Cancel safety
/// Dropping the future ends the connection and its session at once. Sends that were begun may still
/// be committed.
pub async fn serve<S, F>(io: S, engine: Engine, config: Arc<ConnectionConfig>, shutdown: F) -> Ending
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    Connection::new(io, engine, config, Box::pin(shutdown)).await
}
