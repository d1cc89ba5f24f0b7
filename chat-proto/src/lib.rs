//! The chat.v1 wire protocol: framing, messages, the server's driver and the client.
//!
//! The files under `proto/chat/v1` are the schema, and with their comments the whole description of
//! the protocol. [`frame`] cuts a stream of bytes into frames, [`message`] says in chat-core's terms
//! what a frame holds. With the feature `client`, `client` keeps up a connection to a server. The
//! generated types stay inside.

#[cfg(feature = "client")]
pub mod client;
pub mod frame;
pub mod message;
#[cfg(feature = "server")]
pub mod server;

mod convert;
#[rustfmt::skip]
#[allow(unreachable_pub, clippy::all, reason = "generated")]
mod wire;

pub use convert::Malformed;
