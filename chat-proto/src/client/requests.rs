//! Requests that are not answered yet.

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::error::ClientError;
use crate::message::{Reply, Request};

/// What the application's half asks the connection task for.
#[derive(Debug)]
pub(super) struct Command {
    /// `None` asks it to close.
    pub(super) request: Option<Request>,
    /// Who waits.
    pub(super) answer: oneshot::Sender<Result<Reply, ClientError>>,
    /// Until when.
    pub(super) deadline: Instant,
}
