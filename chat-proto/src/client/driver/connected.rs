//! The task while there is a connection.

use std::pin::pin;
use std::time::Duration;

use chat_core::{Credentials, Error, ErrorKind, Token};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::super::catch_up::Room;
use super::super::config::ClientConfig;
use super::super::deliveries::Delivery;
use super::super::error::ClientError;
use super::super::event::ClientEvent;
use super::super::link::{Break, Fit, Inbound, Link, Outbound};
use super::super::positions::Contradiction;
use super::super::requests::{Answered, Asker, Lateness, Stage, is_momentary, tell};
use super::{Driver, Verdict, verdict};
use crate::frame::HANDSHAKE_FRAME_BYTES;
use crate::message::{Identity, Limits, Push, Reply, Request, ServerFrame, Welcome};

/// So much is gathered before it is written; more requests wait in their lines.
const GATHERED_BYTES: usize = 64 * 1024;
/// How long the rest of what a server said is listened to once it takes nothing more.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long a server may take to accept the last words of ours.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long deliveries are gathered before the server is told.
const ACKNOWLEDGE_AFTER: Duration = Duration::from_millis(200);
/// The most positions of one acknowledgement.
const ACKNOWLEDGED_AT_ONCE: usize = 500;

/// When a connection needs a sign of life, and when it is dead.
#[derive(Clone, Copy, Debug)]
struct Pace {
    interval: Duration,
    asked: bool,
}

impl Pace {
    /// What a server announces is taken within reason.
    fn new(interval: Duration) -> Self {
        Self { interval: interval.clamp(Duration::from_secs(1), ClientConfig::LONGEST_WAIT), asked: false }
    }

    /// Asking at half the interval leaves the other half for the answer, so that a silent server is
    /// noticed within one.
    fn ask_at(&self, heard: Instant, spoke: Instant) -> Option<Instant> {
        (!self.asked).then(|| heard.min(spoke) + self.interval / 2)
    }

    fn dead_at(&self, heard: Instant, spoke: Instant, unwritten_bytes: usize) -> Instant {
        let silent = heard + self.interval;
        if unwritten_bytes == 0 { silent } else { silent.min(spoke + self.interval) }
    }
}

impl Driver {
    /// Takes the server's greeting.
    pub(super) fn welcomed(&mut self, welcome: &Welcome) -> Result<(), Break> {
        if let Some(refusal) = &welcome.refused {
            return Err(refused(refusal.clone()));
        }
        if self.token.is_some() && welcome.session.is_none() {
            return Err(refused(Error::new(ErrorKind::Unauthenticated, "the token was passed over")));
        }
        self.change_status(|status| (status.limits, status.epoch) = (welcome.limits, welcome.epoch));
        self.acknowledged.belongs_to(welcome.epoch);
        self.deliveries.connection(ClientEvent::Connected);
        self.catch_up.welcomed(welcome.epoch);
        self.deliver();
        welcome.session.map_or(Ok(()), |identity| self.begin(identity))
    }

    /// Uses a connection until it ends.
    pub(super) async fn converse<S>(&mut self, mut link: Link<S>, welcome: &Welcome) -> Verdict
    where
        S: AsyncRead + AsyncWrite,
    {
        match self.exchange(&mut link, welcome).await {
            Err(broken) => {
                tracing::debug!(?broken, "the connection ended");
                verdict::of_break(broken, self.acting())
            }
            Ok(()) => {
                if self.stage == Stage::Session {
                    self.acknowledge_at = Some(Instant::now());
                    self.acknowledge(Instant::now());
                }
                let sent = self.send(&mut link.outbound, welcome.limits, Instant::now());
                let finished = tokio::time::timeout(FAREWELL, link.outbound.finish()).await;
                tracing::debug!(?sent, ?finished, "closed");
                Verdict::Close
            }
        }
    }

    async fn exchange<S>(&mut self, link: &mut Link<S>, welcome: &Welcome) -> Result<(), Break>
    where
        S: AsyncRead + AsyncWrite,
    {
        let Link { inbound, outbound } = link;
        let mut pace = Pace::new(welcome.ping_interval);
        // What came in one piece with the welcome is here already.
        self.take_frames(inbound, &mut pace)?;
        // The alarm is set anew only to ring earlier; ringing too early costs one turn.
        let mut alarm = pin!(tokio::time::sleep_until(inbound.heard));
        let mut rings_at = inbound.heard;
        loop {
            self.take_commands();
            if self.is_over() {
                return Ok(());
            }
            let now = Instant::now();
            if pace.dead_at(inbound.heard, outbound.spoke, outbound.unwritten_bytes()) <= now {
                return Err(ClientError::protocol("the server is silent").into());
            }
            if self.requests.expire(now) == Lateness::OfConnection {
                return Err(ClientError::protocol("the server does not answer").into());
            }
            self.ask(&mut pace, inbound.heard, outbound.spoke, now);
            self.send(outbound, welcome.limits, now)?;
            let due = self.next_turn(pace, inbound.heard, outbound, now);
            if due < rings_at || rings_at <= now {
                rings_at = due;
                alarm.as_mut().reset(due);
            }
            let accepting = self.is_accepting();
            // All of these are cancel-safe: they move whole bytes, take a whole command, or only wait.
            // Writing comes first and is bounded by the requests that may be in flight.
            tokio::select! {
                biased;
                () = self.asked_to_close.notified() => self.closing = true,
                written = outbound.write(), if outbound.unwritten_bytes() > 0 => {
                    if let Err(error) = written {
                        return self.last_words(inbound, ClientError::unreachable(error)).await;
                    }
                }
                received = inbound.receive() => {
                    received.map_err(ClientError::unreachable)?;
                    self.take_frames(inbound, &mut pace)?;
                }
                command = self.commands.recv(), if accepting => self.command(command),
                () = self.deliveries.has_room() => self.deliveries.advance(),
                () = self.acknowledged.news() => self.acknowledge_after(ACKNOWLEDGE_AFTER),
                () = self.deliveries.unheard(), if !self.commanded => {}
                () = &mut alarm => rings_at = now,
            }
        }
    }

    /// Listens on for a while when the server takes nothing more: it may have said why.
    async fn last_words<S: AsyncRead>(
        &mut self,
        inbound: &mut Inbound<S>,
        error: ClientError,
    ) -> Result<(), Break> {
        let mut pace = Pace::new(LAST_WORDS);
        let listening = async {
            loop {
                self.take_frames(inbound, &mut pace)?;
                if inbound.receive().await.is_err() {
                    return Ok::<(), Break>(());
                }
            }
        };
        tokio::time::timeout(LAST_WORDS, listening).await.unwrap_or(Ok(()))?;
        Err(error.into())
    }

    /// When there is something to do though nothing happens.
    fn next_turn<S>(&self, pace: Pace, heard: Instant, outbound: &Outbound<S>, now: Instant) -> Instant
    where
        S: AsyncWrite,
    {
        let dead_at = pace.dead_at(heard, outbound.spoke, outbound.unwritten_bytes());
        let acknowledge_at = self.acknowledge_at.filter(|_| self.stage == Stage::Session);
        let others = [pace.ask_at(heard, outbound.spoke), self.requests.due(now), acknowledge_at];
        others.into_iter().flatten().fold(dead_at, Instant::min)
    }

    /// Adds what the client itself asks for.
    fn ask(&mut self, pace: &mut Pace, heard: Instant, spoke: Instant, now: Instant) {
        let deadline = now + self.config.request_timeout;
        if pace.ask_at(heard, spoke).is_some_and(|at| at <= now) {
            pace.asked = true;
            self.requests.add(Request::Ping, Asker::Keepalive, deadline);
        }
        if self.stage == Stage::Entrance {
            return;
        }
        self.acknowledge(now);
        while self.deliveries.room() == Room::Free
            && self.deliveries.is_heard()
            && let Some((request, question)) = self.catch_up.next_question()
        {
            self.requests.add(request, Asker::CatchUp(question), deadline);
        }
    }

    fn acknowledge(&mut self, now: Instant) {
        if self.acknowledge_at.is_none_or(|at| at > now) {
            return;
        }
        let positions = self.acknowledged.take_untold(ACKNOWLEDGED_AT_ONCE);
        self.acknowledge_at = (positions.len() == ACKNOWLEDGED_AT_ONCE).then_some(now);
        if !positions.is_empty() {
            let deadline = now + self.config.request_timeout;
            self.requests.add(Request::MarkDelivered(positions), Asker::Acknowledgement, deadline);
        }
    }

    /// Tells the server what was delivered after this time, or earlier if that was intended.
    fn acknowledge_after(&mut self, delay: Duration) {
        self.acknowledge_at.get_or_insert(Instant::now() + delay.min(ClientConfig::LONGEST_WAIT));
    }

    /// Puts requests into frames, as many as may be in flight.
    fn send<S: AsyncWrite>(
        &mut self,
        outbound: &mut Outbound<S>,
        limits: Limits,
        now: Instant,
    ) -> Result<(), Break> {
        let limit_bytes = match self.stage {
            Stage::Entrance => HANDSHAKE_FRAME_BYTES,
            Stage::Session => limits.client_frame_bytes,
        };
        let in_flight_limit = usize::try_from(limits.in_flight.max(1)).unwrap_or(usize::MAX);
        while outbound.unwritten_bytes() < GATHERED_BYTES
            && let Some((id, request)) = self.requests.next_to_send(self.stage, in_flight_limit, now)
        {
            if outbound.put(id, request, limit_bytes) == Fit::TooLong {
                let error = Error::invalid(format!("more than the server admits: {limit_bytes} bytes"));
                self.give_up(id, error.into())?;
            }
        }
        Ok(())
    }

    /// Fails a request that cannot be answered; without one of the client's own the connection is of
    /// no use.
    fn give_up(&mut self, id: u64, error: ClientError) -> Result<(), Break> {
        match self.requests.give_up(id) {
            Some(asker @ Asker::Application(_)) => tell(asker, Err(error)),
            Some(Asker::Nobody) | None => {}
            Some(_) => return Err(ClientError::protocol(error.to_string()).into()),
        }
        Ok(())
    }

    fn take_frames<S: AsyncRead>(&mut self, inbound: &mut Inbound<S>, pace: &mut Pace) -> Result<(), Break> {
        while let Some(frame) = inbound.next_frame()? {
            match frame {
                ServerFrame::Push(push) => self.pushed(push)?,
                ServerFrame::Reply { request_id: 0, reply } => {
                    tracing::warn!(?reply, "the server could not read a request");
                }
                ServerFrame::Reply { request_id, reply } => self.replied(request_id, reply, pace)?,
                ServerFrame::Unknown { request_id } => {
                    self.give_up(request_id, ClientError::protocol("an answer of an unknown kind"))?;
                }
            }
        }
        Ok(())
    }

    fn pushed(&mut self, push: Push) -> Result<(), Break> {
        let room = self.deliveries.room();
        match push {
            Push::Close(close) => return Err(Break::Closed(close)),
            Push::Ping => {}
            _ if !self.deliveries.is_heard() => {}
            Push::Entries { conversation, entries } => self.catch_up.pushed(conversation, entries, room),
            Push::Behind { conversation, upto } => self.catch_up.behind(conversation, upto),
            Push::BehindEverywhere => self.catch_up.behind_everywhere(),
            Push::Ephemeral(ephemeral) if room == Room::Free => {
                self.deliveries.push(Delivery::Event(ClientEvent::Ephemeral(ephemeral)));
            }
            Push::Ephemeral(_) => {}
        }
        self.deliver();
        Ok(())
    }

    fn replied(&mut self, id: u64, reply: Result<Reply, Error>, pace: &mut Pace) -> Result<(), Break> {
        let waits = &mut self.waits;
        let answered = self.requests.answered(id, reply, Instant::now(), |tries| waits.repeat(tries));
        let Some(Answered { request, asker, answer }) = answered else { return Ok(()) };
        match asker {
            Asker::Keepalive => pace.asked = false,
            Asker::Acknowledgement => {
                if let (Err(error), Request::MarkDelivered(positions)) = (answer, request) {
                    tracing::debug!(%error, "an acknowledgement was refused");
                    if is_momentary(error.kind()) {
                        self.acknowledged.untold(&positions);
                        self.acknowledge_after(error.retry_delay().unwrap_or(ACKNOWLEDGE_AFTER));
                    }
                }
            }
            Asker::CatchUp(question) => {
                let taken = self.catch_up.answered(question, answer);
                taken.map_err(|Contradiction(reason)| ClientError::protocol(reason))?;
                self.deliver();
            }
            Asker::Application(_) | Asker::Nobody => {
                match request {
                    Request::Register(_) => self.entered(&answer, None)?,
                    Request::Login(Credentials::Token(token)) => self.entered(&answer, Some(token))?,
                    Request::Login(_) => self.entered(&answer, None)?,
                    _ if answer.is_ok() => self.waits.reset(),
                    _ => {}
                }
                tell(asker, answer.map_err(ClientError::Refused));
            }
        }
        Ok(())
    }

    /// Takes the answer to a registration or log-in.
    fn entered(&mut self, answer: &Result<Reply, Error>, token: Option<Token>) -> Result<(), Break> {
        match answer {
            Ok(Reply::LoggedIn(logged_in)) => {
                self.token = logged_in.token.or(token);
                self.begin(logged_in.session)
            }
            _ => {
                self.refuse_without_account();
                Ok(())
            }
        }
    }

    /// A session has begun on this connection.
    fn begin(&mut self, identity: Identity) -> Result<(), Break> {
        if self.user.is_some_and(|user| user != identity.user) {
            return Err(refused(Error::new(ErrorKind::Unauthenticated, "the token is another account's")));
        }
        self.user = Some(identity.user);
        self.stage = Stage::Session;
        self.change_status(|status| status.user = Some(identity.user));
        self.acknowledged.acts_for(identity.user);
        if self.deliveries.is_heard() {
            self.catch_up.begin();
        }
        Ok(())
    }

    fn deliver(&mut self) {
        for delivery in self.catch_up.take_deliveries() {
            if let Delivery::Event(ClientEvent::CaughtUp) = delivery {
                self.waits.reset();
            }
            self.deliveries.push(delivery);
        }
    }
}

fn refused(error: Error) -> Break {
    ClientError::Refused(error).into()
}
