//! Connections to the operator's endpoint: a bounded number, each for a bounded time.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// The most connections at the same time; further ones wait in the system's queue.
const CONNECTIONS: usize = 32;

/// How long a connection may take with all of it: the request's head, the answer, its reader.
const LIFE: Duration = Duration::from_secs(10);

/// How long accepting rests when it fails.
const REST: Duration = Duration::from_millis(100);

/// A listener that keeps to these bounds, and cuts its connections when the sender of `stop` is gone.
pub(super) struct Bounded {
    listener: TcpListener,
    room: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener, stop: watch::Receiver<bool>) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(CONNECTIONS)), stop }
    }
}

impl Listener for Bounded {
    type Io = Brief;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Brief, SocketAddr) {
        let room = Arc::clone(&self.room).acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let mut stop = self.stop.clone();
                    let end = Box::pin(async move {
                        // Told to stop, it may finish; without anybody to tell, it may not.
                        let cut = async { while stop.changed().await.is_ok() {} };
                        let _ = tokio::time::timeout(LIFE, cut).await;
                    });
                    return (Brief { stream, end, _room: room }, peer);
                }
                Err(error) => {
                    tracing::debug!(%error, "a request over http cannot be accepted");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails once its time has come.
pub(super) struct Brief {
    stream: TcpStream,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
    _room: OwnedSemaphorePermit,
}

impl Brief {
    fn in_time(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => {
                // Whoever asks again is told the same.
                self.end = Box::pin(std::future::ready(()));
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }
}

impl AsyncRead for Brief {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Brief {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.in_time(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
