//! What a frame from the peer leads to, and what is said in return.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use chat_core::{Credentials, Error, ErrorKind, LoggedIn, PendingSend, Send, Session};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, Open, Stage};
use crate::frame::HEADER_BYTES;
use crate::message::{
    ClientFrame, CloseCode, Identity, LoggedIn as LoggedInReply, PROTOCOL, Push, Rejected, Reply, Request,
    ServerFrame, Welcome,
};
use crate::server::command::{self, Bounds};
use crate::server::crowd::Room;
use crate::server::opening::{Entrance, Step};
use crate::server::work::Work;

/// When to ask again for a page where no more may wait: those who take nothing are closed by then.
const CROWDED_RETRY: Duration = Duration::from_secs(1);

/// As much of what a client calls itself goes into the log.
const CLIENT_LOGGED_CHARS: usize = 64;

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn handle(&mut self, payload: Bytes, cx: &mut Context<'_>) {
        let ClientFrame { request_id, request } = match ClientFrame::decode(payload) {
            Ok(frame) => frame,
            Err(rejected) => return self.reject(rejected),
        };
        match &mut self.stage {
            Stage::Opening(opening) => {
                if let Request::Hello(hello) = &request {
                    let client: String = hello.client.chars().take(CLIENT_LOGGED_CHARS).collect();
                    tracing::debug!(?client, "a client says hello");
                }
                let step = opening.request(request_id, request, &self.config);
                self.open(request_id, step);
            }
            Stage::Open(open) => match request {
                Request::Ping => self.reply(request_id, Ok(Reply::Pong)),
                Request::Pong => {}
                Request::Send(send) => {
                    let session = open.session.clone();
                    self.begin(request_id, session, send, cx);
                }
                Request::Hello(_) | Request::Register(_) | Request::Login(_) => {
                    self.reply(request_id, Err(Error::invalid("the connection has a session")));
                }
                Request::Sync(sync) if open.other_epoch && !sync.cursors.is_empty() => {
                    let error = Error::new(ErrorKind::EpochChanged, "the cursors are of another history");
                    self.reply(request_id, Err(error));
                }
                request => {
                    let bounds = Bounds::from(&*self.config);
                    let reserved_bytes = command::answer_bytes(&request, bounds);
                    if reserved_bytes > 0 && self.share.is_crowded() {
                        let error = Error::new(ErrorKind::Overloaded, "too much waits to be read by others");
                        return self.reply(request_id, Err(error.retry_after(CROWDED_RETRY)));
                    }
                    open.other_epoch &= !matches!(request, Request::Sync(_));
                    let reply = Box::pin(command::run(open.session.clone(), request, bounds));
                    self.in_flight += 1;
                    self.commands += 1;
                    self.reserved_bytes += reserved_bytes;
                    self.work.push(Work::Command { request_id, reserved_bytes, reply });
                }
            },
            Stage::Draining { .. } | Stage::Closing { .. } => {}
        }
    }

    /// Answers what cannot be carried out. A person's mistake, or a request of a newer version, does
    /// not count as nonsense.
    fn reject(&mut self, rejected: Rejected) {
        let close = match &mut self.stage {
            Stage::Opening(opening) => opening.count(&self.config),
            _ => None,
        };
        self.malformed += u32::from(matches!(rejected, Rejected::Undecodable { .. }));
        self.reply(rejected.request_id(), Err(rejected.into()));
        if let Some(code) = close {
            self.close(Some(code));
        } else if self.malformed >= self.config.malformed_frames {
            self.close(Some(CloseCode::MALFORMED));
        }
    }

    fn open(&mut self, request_id: u64, step: Step) {
        let engine = self.engine.clone();
        match step {
            Step::Pass => {}
            Step::Answer(reply) => self.reply(request_id, reply),
            Step::Welcome => self.welcome(request_id, None, None),
            Step::EnterByToken(token) => {
                let credentials = Credentials::Token(token);
                self.work.push(Work::Entering(Box::pin(async move { engine.login(credentials).await })));
            }
            Step::Register(register) => {
                self.work.push(Work::Entering(Box::pin(async move { engine.register(register).await })));
            }
            Step::Login(credentials) => {
                self.work.push(Work::Entering(Box::pin(async move { engine.login(credentials).await })));
            }
            Step::Close(code) => self.close(Some(code)),
        }
    }

    pub(super) fn entered(&mut self, entered: Result<LoggedIn, Error>) {
        let Stage::Opening(opening) = &mut self.stage else { return };
        let Some(entrance) = opening.entered() else { return };
        match entered {
            Ok(LoggedIn { session, events, token }) => {
                let other_epoch = opening.is_of_other_epoch(self.engine.epoch());
                let identity = Identity { user: session.user(), device: session.device() };
                self.stage = Stage::Open(Open { session, events, other_epoch });
                self.place = None;
                self.share = self.config.crowd.share(Room::Users, self.config.buffer_bytes);
                self.timer.stage(None);
                match entrance {
                    Entrance::Hello { request_id } => self.welcome(request_id, Some(identity), None),
                    Entrance::Login { request_id } => {
                        let reply = Reply::LoggedIn(LoggedInReply { session: identity, token });
                        self.reply(request_id, Ok(reply));
                    }
                }
            }
            Err(error) => {
                let close = opening.failed(&error, &self.config);
                match entrance {
                    Entrance::Hello { request_id } => self.welcome(request_id, None, Some(error)),
                    Entrance::Login { request_id } => self.reply(request_id, Err(error)),
                }
                if close.is_some() {
                    self.close(close);
                }
            }
        }
    }

    fn welcome(&mut self, request_id: u64, session: Option<Identity>, refused: Option<Error>) {
        let welcome = Welcome {
            protocol: PROTOCOL,
            features: 0,
            epoch: self.engine.epoch(),
            server_time: self.engine.now(),
            ping_interval: self.config.ping_interval,
            limits: self.limits,
            session,
            refused,
        };
        self.reply(request_id, Ok(Reply::Welcome(Box::new(welcome))));
    }

    /// Begins a send. Mostly it has its place in the queue at once.
    fn begin(&mut self, request_id: u64, session: Session, send: Send, cx: &mut Context<'_>) {
        self.in_flight += 1;
        let mut begun: BoxFuture<'static, _> = Box::pin(async move { session.begin_send(send).await });
        match begun.as_mut().poll(cx) {
            Poll::Ready(begun) => self.begun(request_id, begun),
            Poll::Pending => {
                self.beginning = true;
                self.work.push(Work::Beginning { request_id, begun });
            }
        }
    }

    pub(super) fn begun(&mut self, request_id: u64, begun: Result<PendingSend, Error>) {
        match begun {
            Ok(pending) => self.work.push(Work::Sending { request_id, pending }),
            Err(error) => self.finish(request_id, Err(error)),
        }
    }

    /// Answers a request that was in flight.
    pub(super) fn finish(&mut self, request_id: u64, reply: Result<Reply, Error>) {
        self.in_flight -= 1;
        self.reply(request_id, reply);
    }

    fn reply(&mut self, request_id: u64, reply: Result<Reply, Error>) {
        let start = self.output.tail().len();
        self.send(&ServerFrame::Reply { request_id, reply });
        let tail = self.output.tail();
        if tail.len() - start > self.limits.server_frame_bytes + HEADER_BYTES {
            tail.truncate(start);
            let error = Error::new(ErrorKind::LimitReached, "the answer does not fit a frame: ask for less");
            self.send(&ServerFrame::Reply { request_id, reply: Err(error) });
        }
    }

    pub(super) fn push(&mut self, push: Push) {
        self.send(&ServerFrame::Push(push));
    }

    fn send(&mut self, frame: &ServerFrame) {
        self.life.told();
        frame.encode(self.output.tail());
    }
}
