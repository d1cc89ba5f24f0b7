//! The driver of one connection: a future that moves bytes, replies and events until the end.

mod requests;

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use chat_core::{Engine, Event, Events, Session};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite};

use super::crowd::{Place, Room, Share};
use super::input::Input;
use super::life::{Life, Sign, TICKS};
use super::opening::Opening;
use super::output::Output;
use super::timer::{Due, Timer};
use super::work::{Done, Work};
use super::{ConnectionConfig, Ending};
use crate::frame;
use crate::message::{self, CloseCode, Limits, Push, Reply};

/// After so many turns the connection lets others run.
const TURNS: usize = 16;

/// The most commands other than sends that are under way: so many pages at most may be finished beyond
/// what the output has room for.
const COMMANDS: u32 = 4;

/// The most frames that are handled, and pieces of work that are finished, before what they led to
/// is written.
const STEPS: usize = 64;

/// As much of a frame may wait for the rest of it also where there is no room left: the short ones, so
/// that people can go on to talk.
const SHORT_FRAME_BYTES: usize = 4 * 1024;

/// One connection. The order of a turn: what waits is written, then replies, events, what the peer
/// sends, and what is due; so a peer that only sends cannot keep its own replies from leaving.
pub(super) struct Connection<S> {
    io: S,
    engine: Engine,
    config: Arc<ConnectionConfig>,
    limits: Limits,
    stage: Stage,
    /// Holds the signal to end, a log-in, and up to [`Limits::in_flight`] requests.
    work: FuturesUnordered<Work>,
    in_flight: u32,
    /// Those of them that are no sends: their replies may be pages.
    commands: u32,
    /// What is set aside for their replies.
    reserved_bytes: usize,
    /// What waits here, of what may wait in all connections.
    share: Share,
    /// Among those without a session, for as long as there is none.
    place: Option<Place>,
    /// A send waits for its place in the queue. What was sent after it waits too, for the order's sake.
    beginning: bool,
    input: Input,
    output: Output,
    timer: Timer,
    life: Life,
    /// The last turn ended waiting for the peer to send something.
    listening: bool,
    malformed: u32,
}

enum Stage {
    /// There is no session yet.
    Opening(Box<Opening>),
    Open(Open),
    /// Nothing more is read; what is in flight is finished.
    Draining {
        /// Keeps the session for as long.
        _events: Option<Events>,
        then: Option<CloseCode>,
    },
    /// Everything is said; the last bytes leave. Without a code it was the peer who ended it.
    Closing {
        code: Option<CloseCode>,
        /// Our side is closed: the peer shall hang up. Closing at once could, by a reset, take from
        /// the peer what it has not read yet.
        hung_up: bool,
    },
}

struct Open {
    session: Session,
    events: Events,
    /// The client's cursors are of another history, and it has not started over.
    other_epoch: bool,
}

type Turn<T> = ControlFlow<Ending, T>;

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(
        io: S,
        engine: Engine,
        config: Arc<ConnectionConfig>,
        shutdown: BoxFuture<'static, ()>,
    ) -> Self {
        let mut timer = Timer::new(config.ping_interval / TICKS);
        timer.stage(Some(config.handshake_deadline));
        Self {
            io,
            limits: config.limits(engine.config()),
            engine,
            stage: Stage::Opening(Box::default()),
            work: FuturesUnordered::from_iter([Work::Shutdown(shutdown)]),
            in_flight: 0,
            commands: 0,
            reserved_bytes: 0,
            share: config.crowd.share(Room::Strangers, config.buffer_bytes),
            place: Some(config.crowd.enter(config.unauthenticated)),
            config,
            beginning: false,
            input: Input::default(),
            output: Output::default(),
            timer,
            life: Life::default(),
            listening: false,
            malformed: 0,
        }
    }

    /// Does what can be done now; continues with whether there was anything.
    fn turn(&mut self, cx: &mut Context<'_>) -> Turn<bool> {
        self.write(cx)?;
        let mut moved = self.take_work(cx);
        moved |= self.take_events(cx);
        moved |= self.read(cx)?;
        moved |= self.take_due(cx)?;
        moved |= self.give_up_place(cx);
        moved |= self.advance(cx)?;
        self.count();
        ControlFlow::Continue(moved)
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Turn<()> {
        if self.output.has_left() {
            return ControlFlow::Continue(());
        }
        let (progress, written) = self.output.poll_write(&mut self.io, cx);
        if progress || written.is_ready() {
            self.timer.write_progressed();
        }
        match written {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return ControlFlow::Break(Ending::Broken(error)),
            Poll::Pending => self.timer.write_blocked(self.config.write_deadline),
        }
        ControlFlow::Continue(())
    }

    fn has_room(&self) -> bool {
        let waiting = self.output.len();
        waiting < self.config.output_bytes.max(1) && (waiting == 0 || !self.share.is_crowded())
    }

    /// Counts what waits here among what waits everywhere.
    fn count(&mut self) {
        self.share.set(self.input.len() + self.output.len() + self.reserved_bytes);
    }

    /// Whether so much of a frame has arrived that its rest cannot be waited for.
    fn is_in_the_way(&self) -> bool {
        self.input.len() > SHORT_FRAME_BYTES && self.share.is_crowded()
    }

    /// Also while there is no room: what is under way may hold what others wait for, such as a
    /// connection to a database, until it is finished.
    fn take_work(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        for _ in 0..STEPS {
            if matches!(self.stage, Stage::Closing { .. }) {
                break;
            }
            let Poll::Ready(Some(done)) = self.work.poll_next_unpin(cx) else { break };
            moved = true;
            match done {
                Done::Begun { request_id, begun } => {
                    self.beginning = false;
                    self.begun(request_id, begun);
                }
                Done::Sent { request_id, receipt } => self.finish(request_id, receipt.map(Reply::Receipt)),
                Done::Command { request_id, reserved_bytes, reply } => {
                    self.commands -= 1;
                    self.reserved_bytes -= reserved_bytes;
                    self.finish(request_id, reply);
                }
                Done::Entered(entered) => self.entered(entered),
                Done::Shutdown => self.drain(Some(CloseCode::SHUTTING_DOWN)),
            }
        }
        moved
    }

    fn take_events(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while self.has_room() {
            let Stage::Open(open) = &mut self.stage else { break };
            let Poll::Ready(event) = open.events.poll_next(cx) else { break };
            moved = true;
            match event {
                Some(Event::Entries(chunk)) => {
                    self.life.told();
                    self.output.push_shared(message::chunk_frames(&chunk));
                }
                Some(Event::Behind { conversation, upto }) => self.push(Push::Behind { conversation, upto }),
                Some(Event::BehindEverywhere) => self.push(Push::BehindEverywhere),
                Some(Event::Ephemeral(event)) => self.push(Push::Ephemeral(event)),
                Some(Event::Ended(reason)) => self.drain(Some(reason.into())),
                Some(_) => {}
                None => self.drain(Some(CloseCode::RESET)),
            }
        }
        moved
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Turn<bool> {
        self.listening = false;
        let mut moved = false;
        for _ in 0..STEPS {
            let Some(limit_bytes) = self.admitted_bytes() else { break };
            match self.input.next_frame(limit_bytes) {
                Ok(Some(payload)) => {
                    self.handle(payload, cx);
                    self.count();
                }
                Ok(None) => match self.input.poll_fill(&mut self.io, cx) {
                    Poll::Ready(Ok(0)) => self.drain(None),
                    Poll::Ready(Ok(_)) => self.life.heard(),
                    Poll::Ready(Err(error)) => return ControlFlow::Break(Ending::Broken(error)),
                    Poll::Pending => {
                        self.listening = true;
                        self.count();
                        if self.is_in_the_way() {
                            self.close(Some(CloseCode::OVERLOADED));
                            moved = true;
                        }
                        break;
                    }
                },
                Err(oversized) => {
                    tracing::debug!(%oversized, "closing a connection");
                    self.close(Some(CloseCode::OVERSIZED));
                }
            }
            moved = true;
        }
        ControlFlow::Continue(moved)
    }

    /// How long a frame may be that is read now; `None` while nothing is to be read.
    fn admitted_bytes(&self) -> Option<usize> {
        if !self.has_room() {
            return None;
        }
        match &self.stage {
            Stage::Opening(opening) => (!opening.is_entering()).then_some(frame::HANDSHAKE_FRAME_BYTES),
            Stage::Open(_) => {
                (!self.beginning && self.in_flight < self.limits.in_flight && self.commands < COMMANDS)
                    .then_some(self.limits.client_frame_bytes)
            }
            Stage::Draining { .. } | Stage::Closing { .. } => None,
        }
    }

    fn take_due(&mut self, cx: &mut Context<'_>) -> Turn<bool> {
        let mut moved = false;
        while let Poll::Ready(due) = self.timer.poll_due(cx) {
            moved = true;
            match (due, &self.stage) {
                (Due::Tick, Stage::Open(_)) if self.is_in_the_way() => {
                    self.close(Some(CloseCode::OVERLOADED));
                }
                (Due::Tick, Stage::Open(_)) => {
                    if !self.listening {
                        self.life.heard();
                    }
                    match self.life.tick() {
                        Sign::Fine => {}
                        Sign::Ping => self.push(Push::Ping),
                        Sign::Silent => self.close(Some(CloseCode::SILENT)),
                    }
                }
                (Due::Tick, _) | (Due::Stage, Stage::Open(_)) => {}
                // It is not the peer who is slow.
                (Due::Stage, Stage::Opening(opening)) if opening.is_entering() => {
                    self.timer.stage(Some(self.config.handshake_deadline));
                }
                (Due::Stage, Stage::Opening(_)) => self.close(Some(CloseCode::HANDSHAKE_TIMEOUT)),
                (Due::Stage, Stage::Draining { then, .. }) => {
                    let then = *then;
                    self.close(then);
                }
                (Due::Stage | Due::Write, Stage::Closing { code, .. }) => {
                    return ControlFlow::Break(Self::ending(*code));
                }
                (Due::Look, Stage::Open(_)) if !self.share.is_crowded() => {}
                (Due::Look, Stage::Opening(_) | Stage::Draining { .. } | Stage::Closing { .. }) => {}
                (Due::Write | Due::Look, _) => {
                    self.close(Some(CloseCode::SLOW_READER));
                    self.timer.stage(Some(self.config.linger));
                }
            }
        }
        ControlFlow::Continue(moved)
    }

    /// Leaves when others without a session need the place more.
    fn give_up_place(&mut self, cx: &mut Context<'_>) -> bool {
        let taken_back = self.place.take_if(|place| place.poll_taken_back(cx).is_ready()).is_some();
        if taken_back {
            self.close(Some(CloseCode::OVERLOADED));
        }
        taken_back
    }

    /// Stops reading, to finish what is in flight and then close.
    fn drain(&mut self, then: Option<CloseCode>) {
        if matches!(self.stage, Stage::Draining { .. } | Stage::Closing { .. }) {
            return;
        }
        let draining = Stage::Draining { _events: None, then };
        if let Stage::Open(open) = std::mem::replace(&mut self.stage, draining) {
            self.stage = Stage::Draining { _events: Some(open.events), then };
        }
        self.timer.stage(Some(self.config.drain_deadline));
    }

    /// Ends the session, says good-bye and closes.
    fn close(&mut self, code: Option<CloseCode>) {
        if let Some(code) = code {
            tracing::debug!(?code, "closing a connection");
            self.push(Push::Close(code.into()));
        }
        self.work = FuturesUnordered::new();
        self.in_flight = 0;
        self.commands = 0;
        self.reserved_bytes = 0;
        self.place = None;
        self.input = Input::default();
        self.stage = Stage::Closing { code, hung_up: false };
        self.timer.stage(Some(self.config.drain_deadline));
    }

    /// Takes the last stages further.
    fn advance(&mut self, cx: &mut Context<'_>) -> Turn<bool> {
        match &mut self.stage {
            Stage::Opening(_) | Stage::Open(_) => ControlFlow::Continue(false),
            Stage::Draining { then, .. } => {
                let then = *then;
                let finished = self.in_flight == 0;
                if finished {
                    self.close(then);
                }
                ControlFlow::Continue(finished)
            }
            Stage::Closing { .. } if !self.output.has_left() => ControlFlow::Continue(false),
            Stage::Closing { code, hung_up } => {
                if !*hung_up {
                    match Pin::new(&mut self.io).poll_shutdown(cx) {
                        Poll::Pending => return ControlFlow::Continue(false),
                        Poll::Ready(Ok(())) if code.is_some() => *hung_up = true,
                        Poll::Ready(_) => return ControlFlow::Break(Self::ending(*code)),
                    }
                    self.timer.stage(Some(self.config.linger));
                    return ControlFlow::Continue(true);
                }
                match self.input.poll_discard(&mut self.io, cx) {
                    Poll::Pending => ControlFlow::Continue(false),
                    Poll::Ready(Ok(true)) => ControlFlow::Continue(true),
                    Poll::Ready(Ok(false) | Err(_)) => ControlFlow::Break(Self::ending(*code)),
                }
            }
        }
    }

    fn ending(code: Option<CloseCode>) -> Ending {
        code.map_or(Ending::PeerLeft, Ending::Closed)
    }
}

impl<S> Future for Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    type Output = Ending;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ending> {
        let connection = self.get_mut();
        for _ in 0..TURNS {
            match connection.turn(cx) {
                ControlFlow::Continue(true) => {}
                ControlFlow::Continue(false) => return Poll::Pending,
                ControlFlow::Break(ending) => return Poll::Ready(ending),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
