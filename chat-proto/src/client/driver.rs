//! The task that owns the connection.

use std::sync::{Arc, Mutex};

use chat_core::{Epoch, UserId};
use tokio::sync::mpsc;

use super::acknowledged::Acknowledged;
use super::config::ClientConfig;
use super::connector::Connector;
use super::error::ClientError;
use super::event::ClientEvents;
use super::requests::Command;
use crate::message::Limits;

/// What the application's half can look up without asking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Status {
    /// What the server admits.
    pub(super) limits: Limits,
    /// For whom the client acts.
    pub(super) user: Option<UserId>,
    /// The server's history.
    pub(super) epoch: Epoch,
}

/// A client whose connection task runs.
pub(super) struct Started {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) status: Arc<Mutex<Status>>,
    pub(super) acknowledged: Arc<Acknowledged>,
    pub(super) events: ClientEvents,
}

/// Connects for the first time and starts the task.
#[expect(clippy::unused_async, reason = "the connection is not made yet")]
pub(super) async fn start<C: Connector>(config: ClientConfig, _connector: C) -> Result<Started, ClientError> {
    let (commands, _) = mpsc::channel::<Command>(config.command_queue.max(1));
    let (_, deliveries) = mpsc::channel(config.event_queue.max(1));
    let _ = commands;
    let _ = ClientEvents::new(deliveries, Arc::new(Acknowledged::new(config.cursors)));
    Err(ClientError::Closed)
}
