//! The client's side of a connection, which it keeps up by itself.
//!
//! ```text
//! Client ──commands──▶ ┌────────────┐ ──frames──▶ ┌────────┐
//!                      │ connection │             │ server │
//! ClientEvents ◀events─│    task    │ ◀──frames── └────────┘
//!                      └────────────┘
//! ```
//!
//! One task owns the socket. When the connection breaks it makes a new one, logs in with the device's
//! token, repeats every request that was not answered under the same client id and reads from the log
//! what it missed. To the application that is a pause: each command has one result, and each entry
//! arrives once and in order.
//!
//! A client acts for one account from log-in to its end: once it has ended, the next account needs a
//! new client, so that nothing of one user is ever shown to another.

mod acknowledged;
mod backoff;
mod catch_up;
mod commands;
mod config;
mod connector;
mod deliveries;
mod driver;
mod error;
mod event;
mod handle;
mod link;
mod positions;
mod requests;

pub use commands::PendingSend;
pub use config::{Backoff, ClientConfig};
pub use connector::{Connector, Tcp};
pub use error::ClientError;
pub use event::{ClientEvent, ClientEvents};
pub use handle::{Account, Client};
