//! Why a command of a client failed.

use std::io;
use std::sync::Arc;

use chat_core::ErrorKind;

use crate::convert::Malformed;
use crate::frame::Oversized;
use crate::message::CloseCode;

/// Why a command failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server refused it; its error says whether and when a retry can help.
    #[error(transparent)]
    Refused(#[from] chat_core::Error),
    /// There is no connection, or it broke during a command that must not be repeated by itself.
    #[error("the server cannot be reached: {source}")]
    Unreachable {
        /// What the network said.
        source: Arc<io::Error>,
    },
    /// The server closed the connection or said what makes no sense.
    #[error("the connection cannot go on: {reason}")]
    Protocol {
        /// What was said.
        reason: String,
        /// Why the server closed the connection, if it did.
        close: Option<CloseCode>,
    },
    /// There was no result in time. Whether the command was carried out is not known; repeated with
    /// the same client id it gives the first result.
    #[error("timed out")]
    TimedOut,
    /// The client was closed or has ended.
    #[error("the client is closed")]
    Closed,
}

impl ClientError {
    /// The kind of the server's refusal, `None` when it refused nothing.
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Refused(error) => Some(error.kind()),
            _ => None,
        }
    }

    pub(super) fn unreachable(source: io::Error) -> Self {
        Self::Unreachable { source: Arc::new(source) }
    }

    pub(super) fn protocol(reason: impl Into<String>) -> Self {
        Self::Protocol { reason: reason.into(), close: None }
    }
}

impl From<Malformed> for ClientError {
    fn from(malformed: Malformed) -> Self {
        Self::protocol(malformed.to_string())
    }
}

impl From<Oversized> for ClientError {
    fn from(oversized: Oversized) -> Self {
        Self::protocol(oversized.to_string())
    }
}
