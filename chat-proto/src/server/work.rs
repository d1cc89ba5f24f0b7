//! What a connection waits for beside its peer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use chat_core::{Error, LoggedIn, PendingSend, Receipt};
use futures_util::future::BoxFuture;

use crate::message::Reply;

/// Something under way.
pub(super) enum Work {
    /// A send that waits for its place in the queue; nothing after it is looked at until it has it.
    Beginning { request_id: u64, begun: BoxFuture<'static, Result<PendingSend, Error>> },
    /// A send that waits for its commit.
    Sending { request_id: u64, pending: PendingSend },
    /// Any other command, and what is set aside for its reply.
    Command { request_id: u64, reserved_bytes: usize, reply: BoxFuture<'static, Result<Reply, Error>> },
    /// A registration or log-in.
    Entering(BoxFuture<'static, Result<LoggedIn, Error>>),
    /// The signal to end.
    Shutdown(BoxFuture<'static, ()>),
}

/// What has become of it.
pub(super) enum Done {
    Begun { request_id: u64, begun: Result<PendingSend, Error> },
    Sent { request_id: u64, receipt: Result<Receipt, Error> },
    Command { request_id: u64, reserved_bytes: usize, reply: Result<Reply, Error> },
    Entered(Result<LoggedIn, Error>),
    Shutdown,
}

impl Future for Work {
    type Output = Done;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Done> {
        Poll::Ready(match self.get_mut() {
            Self::Beginning { request_id, begun } => {
                let begun = ready!(begun.as_mut().poll(cx));
                Done::Begun { request_id: *request_id, begun }
            }
            Self::Sending { request_id, pending } => {
                let receipt: Result<Receipt, Error> = ready!(Pin::new(pending).poll(cx));
                Done::Sent { request_id: *request_id, receipt }
            }
            Self::Command { request_id, reserved_bytes, reply } => {
                let reply = ready!(reply.as_mut().poll(cx));
                Done::Command { request_id: *request_id, reserved_bytes: *reserved_bytes, reply }
            }
            Self::Entering(entered) => Done::Entered(ready!(entered.as_mut().poll(cx))),
            Self::Shutdown(signal) => {
                ready!(signal.as_mut().poll(cx));
                Done::Shutdown
            }
        })
    }
}
