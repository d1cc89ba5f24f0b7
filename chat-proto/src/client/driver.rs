//! The task that owns the connection: makes it, logs in, and makes it again when it breaks.

mod connected;
mod verdict;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chat_core::{EndReason, Epoch, Error, ErrorKind, Token, UserId};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::acknowledged::Acknowledged;
use super::backoff::Waits;
use super::catch_up::CatchUp;
use super::config::ClientConfig;
use super::connector::Connector;
use super::deliveries::{Deliveries, Delivery};
use super::error::ClientError;
use super::event::{ClientEvent, ClientEvents};
use super::link::{self, Break, Link};
use super::requests::{Asker, Command, Requests, Stage, tell};
use crate::message::{Hello, Limits, PROTOCOL, Reply, Request, Welcome};
use verdict::{Acting, Verdict};

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
    pub(super) closing: Arc<Notify>,
    pub(super) status: Arc<Mutex<Status>>,
    pub(super) acknowledged: Arc<Acknowledged>,
    pub(super) events: ClientEvents,
}

/// Connects for the first time and starts the task, which ends by itself: see
/// [`Client::connect`](super::Client::connect).
pub(super) async fn start<C: Connector>(
    mut config: ClientConfig,
    mut connector: C,
) -> Result<Started, ClientError> {
    config.request_timeout = config.request_timeout.min(ClientConfig::LONGEST_WAIT);
    let opened =
        link::open(&mut connector, hello(&config, config.token, config.epoch), config.connect_timeout);
    let (link, welcome) = opened.await.map_err(verdict::error)?;
    if let Some(refusal) = &welcome.refused {
        return Err(refusal.clone().into());
    }
    let (commands, commanded) = mpsc::channel(config.command_queue.max(1));
    let (queue, delivered) = mpsc::channel(config.event_queue.max(1));
    let acknowledged = Arc::new(Acknowledged::new(config.cursors.iter().copied(), config.epoch));
    let status = Status { limits: welcome.limits, user: None, epoch: welcome.epoch };
    let status = Arc::new(Mutex::new(status));
    let closing = Arc::new(Notify::new());
    let driver = Driver {
        commands: commanded,
        asked_to_close: Arc::clone(&closing),
        deliveries: Deliveries::new(queue),
        status: Arc::clone(&status),
        acknowledged: Arc::clone(&acknowledged),
        requests: Requests::new(),
        catch_up: CatchUp::new(config.cursors.iter().copied(), config.epoch),
        waits: Waits::new(config.backoff, config.seed),
        token: config.token,
        user: None,
        stage: Stage::Entrance,
        acknowledge_at: None,
        // The application may have tried before, and given up waiting.
        entering_until: config.token.map(|_| Instant::now() + LATE_LOG_IN).into_iter().collect(),
        commanded: true,
        closing: false,
        config,
    };
    // It needs no owner to end: `Client::close` waits for it, and it ends when nobody holds the client.
    tokio::spawn(driver.run(connector, link, welcome));
    let events = ClientEvents::new(delivered, Arc::clone(&acknowledged));
    Ok(Started { commands, closing, status, acknowledged, events })
}

fn hello(config: &ClientConfig, token: Option<Token>, epoch: Option<Epoch>) -> Hello {
    Hello {
        protocol_min: PROTOCOL,
        protocol_max: PROTOCOL,
        features: 0,
        token,
        epoch,
        client: config.software.clone(),
    }
}

/// The state that outlives connections.
struct Driver {
    config: ClientConfig,
    commands: mpsc::Receiver<Command>,
    asked_to_close: Arc<Notify>,
    deliveries: Deliveries,
    status: Arc<Mutex<Status>>,
    acknowledged: Arc<Acknowledged>,
    requests: Requests,
    catch_up: CatchUp,
    waits: Waits,
    token: Option<Token>,
    /// For whom the client acts, from the first log-in to its end.
    user: Option<UserId>,
    stage: Stage,
    /// When the server is to be told what was delivered.
    acknowledge_at: Option<Instant>,
    /// Until when log-ins that broke off unanswered may still be carried out by the server, each.
    entering_until: VecDeque<Instant>,
    /// Whether somebody can still give commands.
    commanded: bool,
    closing: bool,
}

/// A server carries out a log-in whose connection broke within this time, or not at all.
const LATE_LOG_IN: Duration = Duration::from_secs(30);

impl Driver {
    async fn run<C: Connector>(mut self, mut connector: C, link: Link<C::Stream>, welcome: Welcome) {
        let mut opened = Some((link, welcome));
        while let Some((link, welcome)) = opened {
            let ended = match self.welcomed(&welcome) {
                Ok(()) => self.converse(link, &welcome).await,
                Err(broken) => verdict::of_break(broken, self.acting()),
            };
            let ended = self.unless_by_itself(ended);
            opened = self.next_connection(&mut connector, ended).await;
        }
        // Nobody can hand in commands from here on; those that wait fail.
        self.commands.close();
        self.requests.fail_all(&ClientError::Closed);
        while let Ok(command) = self.commands.try_recv() {
            let _ = command.answer.send(Err(ClientError::Closed));
        }
        drop(self.commands);
        if !self.closing {
            self.deliveries.finish().await;
        }
    }

    /// Makes connections until one is welcomed; `None` when there shall be none.
    async fn next_connection<C: Connector>(
        &mut self,
        connector: &mut C,
        mut verdict: Verdict,
    ) -> Option<(Link<C::Stream>, Welcome)> {
        loop {
            self.disconnected();
            let not_before = match verdict {
                Verdict::Close => return None,
                Verdict::End(event) => {
                    let event = self.farewell(event);
                    self.deliveries.push(Delivery::Event(event));
                    return None;
                }
                Verdict::Again { not_before } => not_before,
            };
            let wait = self.waits.reconnect(not_before);
            // Without an account there is nothing to be connected for until somebody wants something.
            let idle = self.acting() == Acting::ForNobody && self.requests.len() == 0;
            let retry_in = (!idle).then_some(wait);
            tracing::debug!(?retry_in, "disconnected");
            self.deliveries.connection(ClientEvent::Disconnected { retry_in });
            let pause =
                async { if idle { std::future::pending().await } else { tokio::time::sleep(wait).await } };
            self.meanwhile(pause, idle).await?;
            let hello = hello(&self.config, self.token, self.catch_up.epoch());
            let opening = link::open(connector, hello, self.config.connect_timeout);
            verdict = match self.meanwhile(opening, false).await? {
                Some(Ok(opened)) => return Some(opened),
                Some(Err(broken)) => {
                    if matches!(&broken, Break::Lost(error) if error.kind().is_none()) {
                        self.entering_until.push_back(Instant::now() + LATE_LOG_IN);
                    }
                    verdict::of_break(broken, self.acting())
                }
                None => Verdict::Again { not_before: None },
            };
        }
    }

    /// An own log-in that was cut short can overtake the one after it, and then supersede it: that
    /// is nobody else's doing, and the client comes back, once for each.
    fn unless_by_itself(&mut self, verdict: Verdict) -> Verdict {
        let now = Instant::now();
        self.entering_until.retain(|until| now < *until);
        let superseded = matches!(verdict, Verdict::End(ClientEvent::Ended(EndReason::Superseded)));
        if superseded && self.entering_until.pop_front().is_some() {
            Verdict::Again { not_before: None }
        } else {
            verdict
        }
    }

    /// Goes on with everything but a connection until this is done. `None` when the client is to
    /// close, `Some(None)` when a command came and that was to be waited for.
    async fn meanwhile<T>(&mut self, done: impl Future<Output = T>, until_needed: bool) -> Option<Option<T>> {
        let mut done = std::pin::pin!(done);
        loop {
            self.take_commands();
            if self.is_over() {
                return None;
            }
            if until_needed && self.requests.len() > 0 {
                return Some(None);
            }
            let due = self.requests.due(Instant::now());
            let accepting = self.is_accepting();
            // All of these are cancel-safe: they wait for a moment or take a whole command.
            tokio::select! {
                biased;
                () = self.asked_to_close.notified() => self.closing = true,
                done = &mut done => return Some(Some(done)),
                command = self.commands.recv(), if accepting => self.command(command),
                () = self.deliveries.has_room() => self.deliveries.advance(),
                () = self.deliveries.unheard(), if !self.commanded => {}
                () = at(due) => drop(self.requests.expire(Instant::now())),
            }
        }
    }

    /// The connection is gone.
    fn disconnected(&mut self) {
        self.stage = Stage::Entrance;
        self.catch_up.disconnected();
        for request in self.requests.disconnected() {
            if let Request::MarkDelivered(positions) = request {
                self.acknowledged.untold(&positions);
            }
        }
        self.refuse_without_account();
    }

    /// The last event: what the application asked for itself, if that is what it comes from.
    fn farewell(&mut self, event: ClientEvent) -> ClientEvent {
        if !verdict::voids_token(&event) {
            return event;
        }
        let Some((request, asker)) = self.requests.take_farewell() else { return event };
        tell(asker, Ok(Reply::Done));
        ClientEvent::Ended(match request {
            Request::DeleteAccount { .. } => EndReason::AccountDeleted,
            _ => EndReason::LoggedOut,
        })
    }

    /// Takes the commands that are there, while there is room for them.
    fn take_commands(&mut self) {
        while self.is_accepting() {
            match self.commands.try_recv() {
                Ok(command) => self.command(Some(command)),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => self.command(None),
            }
        }
    }

    fn command(&mut self, command: Option<Command>) {
        let Some(Command { request, answer, deadline }) = command else {
            self.commanded = false;
            return;
        };
        let asker = Asker::Application(answer);
        let refusal = match request {
            Request::Register(_) | Request::Login(_) if self.acting() == Acting::ForSomebody => {
                Some(Error::invalid("a client acts for one account"))
            }
            Request::Register(_) | Request::Login(_) if self.requests.is_entering() => {
                Some(Error::invalid("a log-in is under way"))
            }
            Request::Register(_) | Request::Login(_) => None,
            _ if self.acting() == Acting::ForNobody && !self.requests.is_entering() => Some(nobody()),
            _ => None,
        };
        match refusal {
            Some(refusal) => tell(asker, Err(refusal.into())),
            None => self.requests.add(request, asker, deadline),
        }
    }

    /// Fails what waits for a log-in that will not come.
    fn refuse_without_account(&mut self) {
        if self.acting() == Acting::ForNobody && !self.requests.is_entering() {
            self.requests.refuse_waiting(&nobody());
        }
    }

    fn is_accepting(&self) -> bool {
        self.commanded && !self.closing && self.requests.len() < self.config.command_queue.max(1)
    }

    /// Whether nobody wants the client any more.
    fn is_over(&mut self) -> bool {
        self.closing |= !self.commanded && !self.deliveries.is_heard();
        self.closing
    }

    fn acting(&self) -> Acting {
        if self.user.is_some() || self.token.is_some() { Acting::ForSomebody } else { Acting::ForNobody }
    }

    fn change_status(&self, change: impl FnOnce(&mut Status)) {
        // It holds plain values: whoever panicked in between left none half written.
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn nobody() -> Error {
    Error::new(ErrorKind::Unauthenticated, "nobody has logged in")
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
