//! How a connection ended.

use std::io;

use crate::message::CloseCode;

/// How a connection ended, for logs and metrics.
#[derive(Debug)]
pub enum Ending {
    /// The peer hung up.
    PeerLeft,
    /// The server closed it, saying why.
    Closed(CloseCode),
    /// The stream below failed.
    Broken(io::Error),
}
