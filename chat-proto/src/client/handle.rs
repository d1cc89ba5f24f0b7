//! The application's half: opens the connection, logs in, closes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chat_core::{
    AccountName, ClientId, ConversationId, Credentials, DeviceId, Epoch, Register, Seq, Token, UserId,
};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::acknowledged::Acknowledged;
use super::config::ClientConfig;
use super::connector::{Connector, Tcp};
use super::driver::{self, Status};
use super::error::ClientError;
use super::event::ClientEvents;
use super::requests::Command;
use crate::message::{Limits, LoggedIn, Reply, Request};

/// A client of a chat server; clones share one connection.
///
/// Commands are those of `chat_core`'s `Session`. Each is repeated by the client until it is answered
/// or [`ClientConfig::request_timeout`] is over, across reconnections, under the same client id.
///
/// # Cancel safety
/// Dropping the future of a command neither withdraws nor repeats it: whether it is carried out is not
/// known, and the same command with the same client id tells.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    request_timeout: Duration,
    status: Arc<Mutex<Status>>,
    acknowledged: Arc<Acknowledged>,
    /// Asks the connection task to close.
    closing: Arc<Notify>,
}

/// The account that a client acts for, and what the application keeps to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Who.
    pub user: UserId,
    /// The device that this client is.
    pub device: DeviceId,
    /// The account's name.
    pub name: AccountName,
    /// What the device logs in with from now on.
    pub token: Option<Token>,
    /// Which history cursors belong to.
    pub epoch: Epoch,
}

impl Client {
    /// Connects over TCP to [`ClientConfig::server`], and logs in when there is a token.
    ///
    /// From then on the client keeps the connection up by itself, until [`Client::close`], until it
    /// and its events are dropped, or until the server says that it shall not come back.
    ///
    /// # Errors
    /// The server cannot be reached, or does not accept the token.
    pub async fn connect(config: ClientConfig) -> Result<(Self, ClientEvents), ClientError> {
        let connector = Tcp::new(config.server.clone());
        Self::connect_with(config, connector).await
    }

    /// As [`Client::connect`], over connections of another kind.
    ///
    /// # Errors
    /// No connection comes about, or the server does not accept the token.
    pub async fn connect_with<C: Connector>(
        config: ClientConfig,
        connector: C,
    ) -> Result<(Self, ClientEvents), ClientError> {
        let request_timeout = config.request_timeout.min(ClientConfig::LONGEST_WAIT);
        let started = driver::start(config, connector).await?;
        let client = Self {
            commands: started.commands,
            request_timeout,
            status: started.status,
            acknowledged: started.acknowledged,
            closing: started.closing,
        };
        Ok((client, started.events))
    }

    /// Creates an account and acts for it.
    ///
    /// # Errors
    /// The name is taken or not admitted, or as for every command.
    pub async fn register(&self, register: Register) -> Result<Account, ClientError> {
        let name = register.name.clone();
        let logged_in = self.enter(Request::Register(register)).await?;
        Ok(self.account(logged_in, name, None))
    }

    /// Logs in to an account and acts for it. Unlike other commands a log-in with a password is not
    /// repeated when the connection breaks: each makes a device.
    ///
    /// # Errors
    /// The credentials are not right, or as for every command.
    pub async fn login(&self, credentials: Credentials) -> Result<Account, ClientError> {
        let (name, token) = match &credentials {
            Credentials::Password { name, .. } => (Some(name.clone()), None),
            Credentials::Token(token) => (None, Some(*token)),
            Credentials::External { .. } => (None, None),
        };
        let logged_in = self.enter(Request::Login(credentials)).await?;
        let name = match name {
            Some(name) => name,
            None => self.own_name(logged_in.session.user).await?,
        };
        Ok(self.account(logged_in, name, token))
    }

    /// A new id for a command (UUIDv7).
    pub fn new_id(&self) -> ClientId {
        ClientId(uuid::Uuid::now_v7().into_bytes())
    }

    /// How far the application has each conversation: what to start from next time.
    pub fn cursors(&self) -> Vec<(ConversationId, Seq)> {
        self.acknowledged.cursors()
    }

    /// Which history those cursors belong to.
    pub fn epoch(&self) -> Option<Epoch> {
        self.acknowledged.epoch()
    }

    /// What the server admits.
    pub fn limits(&self) -> Limits {
        self.status().limits
    }

    /// For whom the client acts, `None` before the log-in.
    pub fn user(&self) -> Option<UserId> {
        self.status().user
    }

    /// Ends the client: tells the server what has been delivered, closes the connection and waits
    /// until that is done. Commands without a result fail with [`ClientError::Closed`].
    pub async fn close(&self) {
        self.closing.notify_one();
        self.commands.closed().await;
    }

    /// Hands a request to the connection task, behind all that were handed over before.
    pub(super) async fn submit(
        &self,
        request: Request,
    ) -> Result<oneshot::Receiver<Result<Reply, ClientError>>, ClientError> {
        let deadline = Instant::now() + self.request_timeout;
        let (answer, answered) = oneshot::channel();
        let command = Command { request, answer, deadline };
        match self.commands.try_send(command) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(ClientError::Closed),
            Err(mpsc::error::TrySendError::Full(command)) => {
                match tokio::time::timeout_at(deadline, self.commands.send(command)).await {
                    Ok(sent) => sent.map_err(|_| ClientError::Closed)?,
                    Err(_) => return Err(ClientError::TimedOut),
                }
            }
        }
        Ok(answered)
    }

    /// Hands a request over and waits for its answer.
    pub(super) async fn ask(&self, request: Request) -> Result<Reply, ClientError> {
        self.submit(request).await?.await.unwrap_or(Err(ClientError::Closed))
    }

    async fn enter(&self, request: Request) -> Result<LoggedIn, ClientError> {
        match self.ask(request).await? {
            Reply::LoggedIn(logged_in) => Ok(logged_in),
            _ => Err(ClientError::protocol("an unfitting answer to a log-in")),
        }
    }

    async fn own_name(&self, user: UserId) -> Result<AccountName, ClientError> {
        let profile = self.profiles(&[user]).await?.into_iter().flatten().next();
        profile.map(|own| own.name).ok_or_else(|| ClientError::protocol("the own profile is missing"))
    }

    fn account(&self, logged_in: LoggedIn, name: AccountName, token: Option<Token>) -> Account {
        Account {
            user: logged_in.session.user,
            device: logged_in.session.device,
            name,
            token: logged_in.token.or(token),
            epoch: self.status().epoch,
        }
    }

    fn status(&self) -> Status {
        // It is replaced as a whole and copied out: never half changed.
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
