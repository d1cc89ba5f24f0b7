//! What was received and not handled yet: the rest of a frame, or frames that wait for their turn.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

use crate::frame::{self, Oversized};

/// As much is read at once, into memory that all connections of a thread share: its stack.
const READ_BYTES: usize = 16 * 1024;

/// The bytes that were received. Holds no memory while there are none.
#[derive(Default)]
pub(super) struct Input {
    received: BytesMut,
}

impl Input {
    /// How many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.received.len()
    }

    /// Takes the payload of the next frame, if it is there as a whole.
    pub(super) fn next_frame(&mut self, limit_bytes: usize) -> Result<Option<Bytes>, Oversized> {
        let taken = frame::take(&mut self.received, limit_bytes);
        if self.received.is_empty() {
            self.received = BytesMut::new();
        }
        taken
    }

    /// Reads what has arrived; ready with the number of bytes, 0 at the end of the stream.
    pub(super) fn poll_fill(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut scratch = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut scratch = ReadBuf::uninit(&mut scratch);
        ready!(Pin::new(io).poll_read(cx, &mut scratch))?;
        self.received.extend_from_slice(scratch.filled());
        Poll::Ready(Ok(scratch.filled().len()))
    }

    /// Reads and forgets what has arrived; ready with whether the stream goes on.
    pub(super) fn poll_discard(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        let read = ready!(self.poll_fill(io, cx))?;
        self.received = BytesMut::new();
        Poll::Ready(Ok(read > 0))
    }
}
