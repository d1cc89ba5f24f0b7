//! What waits to be written: everything of one turn leaves in as few writes as the peer takes.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

/// Shared frames up to this size are copied next to their neighbours: cheaper than a slice of their
/// own in a vectored write, and than keeping the whole chunk for a slow reader.
const COPY_BYTES: usize = 2048;

/// So many parts go into one vectored write.
const SLICES: usize = 32;

/// The bytes on their way to the peer. Holds no memory while there are none.
#[derive(Default)]
pub(super) struct Output {
    /// Ahead of `tail`.
    parts: VecDeque<Bytes>,
    parts_bytes: usize,
    /// What is being appended to.
    tail: BytesMut,
    /// Whether the stream below may keep written bytes back until it is flushed.
    unflushed: bool,
}

impl Output {
    /// How many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.parts_bytes + self.tail.len()
    }

    /// Whether everything has left.
    pub(super) fn has_left(&self) -> bool {
        self.is_empty() && !self.unflushed
    }

    /// Where to append frames.
    pub(super) fn tail(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Appends frames that others send too.
    pub(super) fn push_shared(&mut self, frames: &Bytes) {
        if frames.len() <= COPY_BYTES {
            self.tail.extend_from_slice(frames);
            return;
        }
        if !self.tail.is_empty() {
            let ahead = std::mem::take(&mut self.tail).freeze();
            self.parts_bytes += ahead.len();
            self.parts.push_back(ahead);
        }
        self.parts_bytes += frames.len();
        self.parts.push_back(frames.clone());
    }

    /// Writes until nothing is left or the peer takes no more; ready with whether anything left.
    pub(super) fn poll_write(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> (bool, Poll<io::Result<()>>) {
        let mut progress = false;
        while !self.is_empty() {
            match self.poll_write_some(io, cx) {
                Poll::Ready(Ok(0)) => return (progress, Poll::Ready(Err(io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(written)) => {
                    self.advance(written);
                    self.unflushed = true;
                    progress = true;
                }
                Poll::Ready(Err(error)) => return (progress, Poll::Ready(Err(error))),
                Poll::Pending => return (progress, Poll::Pending),
            }
        }
        let flushed = if self.unflushed { self.poll_flush(io, cx) } else { Poll::Ready(Ok(())) };
        (progress, flushed)
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn poll_flush(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(io).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_write_some(
        &self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(front) = self.parts.front() else {
            return Pin::new(io).poll_write(cx, &self.tail);
        };
        if !io.is_write_vectored() {
            return Pin::new(io).poll_write(cx, front);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let parts = self.parts.iter().map(|part| &part[..]).chain([&self.tail[..]]);
        let used = slices.iter_mut().zip(parts).map(|(slice, part)| *slice = IoSlice::new(part)).count();
        Pin::new(io).poll_write_vectored(cx, &slices[..used])
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(front) = self.parts.front_mut() {
            if written < front.len() {
                front.advance(written);
                self.parts_bytes -= written;
                return;
            }
            written -= front.len();
            self.parts_bytes -= front.len();
            self.parts.pop_front();
        }
        self.tail.advance(written);
        if self.tail.is_empty() {
            self.tail = BytesMut::new();
            self.parts = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes at a time.
    struct Narrow {
        at_once: usize,
        vectored: bool,
        taken: Vec<u8>,
        writes: usize,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let mut room = self.at_once;
            for slice in slices {
                let part = &slice[..slice.len().min(room)];
                self.taken.extend_from_slice(part);
                room -= part.len();
            }
            self.writes += 1;
            Poll::Ready(Ok(self.at_once - room))
        }

        fn is_write_vectored(&self) -> bool {
            self.vectored
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn written(at_once: usize, vectored: bool) -> (Vec<u8>, usize, Vec<u8>) {
        let large = [Bytes::from(vec![1; COPY_BYTES + 1]), Bytes::from(vec![2; COPY_BYTES + 7])];
        let mut output = Output::default();
        let mut expected = Vec::new();
        for part in [&b"a"[..], &large[0], &large[1], b"bc", b"d", &large[0], b"e"] {
            let before = output.len();
            if part.len() > 1 {
                output.push_shared(&Bytes::copy_from_slice(part));
            } else {
                output.tail().extend_from_slice(part);
            }
            expected.extend_from_slice(part);
            assert_eq!(output.len(), before + part.len());
        }
        let mut io = Narrow { at_once, vectored, taken: Vec::new(), writes: 0 };
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(output.poll_write(&mut io, &mut cx), (true, Poll::Ready(Ok(())))));
        assert!(output.has_left());
        assert_eq!(output.len(), 0);
        (io.taken, io.writes, expected)
    }

    #[test]
    fn bytes_leave_in_order_however_few_are_taken_at_a_time() {
        for vectored in [false, true] {
            for at_once in [1, 2, 3, COPY_BYTES, COPY_BYTES + 1, COPY_BYTES + 3, 1 << 20] {
                let (taken, _, expected) = written(at_once, vectored);
                assert!(taken == expected, "{at_once} at a time, vectored: {vectored}");
            }
        }
    }

    #[test]
    fn one_vectored_write_takes_all_parts() {
        let (_, writes, _) = written(1 << 20, true);
        assert_eq!(writes, 1);
    }
}
