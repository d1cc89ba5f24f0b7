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
mod crowd;
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
/// ```
/// use std::sync::Arc;
///
/// use chat_core::Engine;
/// use chat_proto::server::{ConnectionConfig, serve};
/// use tokio::net::TcpListener;
/// use tokio::sync::watch;
/// use tokio::task::JoinSet;
///
/// /// Accepts until `stop` is true, then waits for the connections that there are.
/// async fn run(listener: TcpListener, engine: Engine, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
///     let config = Arc::new(ConnectionConfig::default());
///     let mut connections = JoinSet::new();
///     loop {
///         let accepted = tokio::select! {
///             biased;
///             _ = stop.wait_for(|stop| *stop) => break,
///             Some(_) = connections.join_next() => continue,
///             accepted = listener.accept() => accepted,
///         };
///         let (stream, _) = accepted?;
///         stream.set_nodelay(true)?;
///         let mut stop = stop.clone();
///         let shutdown = async move { drop(stop.wait_for(|stop| *stop).await) };
///         connections.spawn(serve(stream, engine.clone(), Arc::clone(&config), shutdown));
///     }
///     while connections.join_next().await.is_some() {}
///     Ok(())
/// }
/// ```
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
