//! A stream that passes bytes in pieces of any size, and is lost after so many of them, and with it what
//! was written and has not arrived.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

use crate::wire::Lost;

/// Both ends of a pipe: the first is the server's, and made worse; with it the other is lost.
pub(crate) fn cut_pipe(capacity: usize, seed: u64, lost: Lost) -> (Cut, Severed) {
    let (ours, theirs) = duplex(capacity);
    let severed = Arc::<AtomicBool>::default();
    (Cut::new(theirs, seed, lost, Arc::clone(&severed)), Severed { io: ours, severed })
}

/// The client's end.
#[derive(Debug)]
pub(crate) struct Severed {
    io: DuplexStream,
    severed: Arc<AtomicBool>,
}

/// The server's end.
#[derive(Debug)]
pub(crate) struct Cut {
    io: DuplexStream,
    draw: StdRng,
    /// The most bytes that pass at once.
    piece_bytes: u64,
    /// After so many more bytes, in whatever direction, it is lost; `None` for never.
    left: Option<u64>,
    lost: Lost,
    severed: Arc<AtomicBool>,
}

impl Cut {
    fn new(io: DuplexStream, seed: u64, lost: Lost, severed: Arc<AtomicBool>) -> Self {
        let mut draw = StdRng::seed_from_u64(seed);
        let piece_bytes = [1, 7, 100, 10_000][(draw.next_u64() % 4) as usize];
        // In the middle of a greeting as well as after all that a client does.
        let within = [100, 1_000, 10_000, 100_000][(draw.next_u64() % 4) as usize];
        let left = (draw.next_u64() % 3 == 0).then(|| draw.next_u64() % within);
        Self { io, draw, piece_bytes, left, lost, severed }
    }

    /// How much passes now, at least a byte.
    fn piece(&mut self, wanted: usize) -> io::Result<usize> {
        let drawn = 1 + self.draw.next_u64() % self.piece_bytes;
        let piece = drawn.min(wanted as u64).min(self.left.unwrap_or(u64::MAX));
        if piece == 0 && wanted > 0 {
            self.lost.one();
            self.severed.store(true, Ordering::Relaxed);
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(piece as usize)
    }

    fn passed(&mut self, bytes: usize) {
        if let Some(left) = &mut self.left {
            *left -= bytes as u64;
        }
    }
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let piece = self.piece(buf.remaining())?;
        let mut part = buf.take(piece);
        let polled = Pin::new(&mut self.io).poll_read(cx, &mut part);
        let read = part.filled().len();
        let read_bytes = part.filled().to_vec();
        if polled.is_ready() {
            buf.put_slice(&read_bytes);
            self.passed(read);
        }
        polled
    }
}

impl AsyncWrite for Cut {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let piece = self.piece(bytes.len())?;
        let polled = Pin::new(&mut self.io).poll_write(cx, &bytes[..piece]);
        if let Poll::Ready(Ok(written)) = polled {
            self.passed(written);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl AsyncRead for Severed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The server's end is dropped then, which wakes whoever reads.
        if self.severed.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Severed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
