//! Taking connections: a bounded number of them, each served in a task that is awaited at the end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chat_core::Engine;
use chat_proto::message::CloseCode;
use chat_proto::server::{ConnectionConfig, refuse, serve};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::proxy::{self, HeaderError};
use crate::settings::Proxies;
use crate::traffic::{self, Traffic};

/// How long accepting rests when the system has no more files or memory for a connection: those that
/// end meanwhile make room, and a full log would help nobody.
const REST: Duration = Duration::from_millis(100);

/// How many connections at once are told that there are too many; further ones are just closed.
const REFUSALS: usize = 64;

/// How long such a connection may take to hear it.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// Takes connections until it is told to stop, and then waits for them to end.
pub(crate) struct Acceptor {
    listener: TcpListener,
    engine: Engine,
    config: Arc<ConnectionConfig>,
    proxies: Proxies,
    traffic: Arc<Traffic>,
    room: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
    connections: JoinSet<Option<Arrival>>,
    /// The last attempt to accept failed for want of files or memory.
    starved: bool,
}

impl Acceptor {
    /// An acceptor for at most `max` connections; it stops when `stop` turns true or its sender is gone.
    pub(crate) fn new(
        listener: TcpListener,
        engine: Engine,
        config: ConnectionConfig,
        proxies: Proxies,
        traffic: Arc<Traffic>,
        max: usize,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            listener,
            engine,
            config: Arc::new(config),
            proxies,
            traffic,
            room: Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            stop,
            connections: JoinSet::new(),
            starved: false,
        }
    }

    /// Runs to the end of the last connection. Dropping the future ends all of them at once.
    pub(crate) async fn run(mut self) {
        let mut stop = self.stop.clone();
        loop {
            // Every branch may be dropped and polled again without losing anything.
            tokio::select! {
                biased;
                () = told(&mut stop) => break,
                Some(ended) = self.connections.join_next(), if !self.connections.is_empty() => match ended {
                    Ok(None) => {}
                    Ok(Some(arrival)) => self.serve(arrival),
                    Err(error) => tracing::error!(%error, "a connection's task failed"),
                },
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.take(stream, peer),
                    Err(error) => self.rest(&error).await,
                }
            }
        }
        // From here on nobody can connect: the next server may listen already.
        drop(self.listener);
        while self.connections.join_next().await.is_some() {}
    }

    /// A connection that failed before it was accepted is its peer's affair; a lack of files or memory
    /// is ours, and passes.
    async fn rest(&mut self, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::WouldBlock => {
                tracing::debug!(%error, "a connection ended before it was accepted");
            }
            _ => {
                if !self.starved {
                    tracing::warn!(%error, "cannot accept connections; trying until it is possible again");
                }
                self.starved = true;
                tokio::time::sleep(REST).await;
            }
        }
    }

    fn take(&mut self, stream: TcpStream, peer: SocketAddr) {
        if std::mem::take(&mut self.starved) {
            tracing::info!("accepting connections again");
        }
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            self.refuse(stream, peer);
            return;
        };
        if let Err(error) = stream.set_nodelay(true) {
            // The peer has gone already.
            tracing::debug!(%peer, %error, "a connection ended at once");
            return;
        }
        let arrival = Arrival { stream, peer, room, open: self.traffic.accepted() };
        if self.proxies.contains(peer.ip()) {
            self.ask_proxy(arrival);
        } else {
            self.serve(arrival);
        }
    }

    /// Reads whose connection a proxy brings, in a task that hands it back: the one that serves it then
    /// holds nothing of this.
    fn ask_proxy(&mut self, mut arrival: Arrival) {
        let deadline = proxy::DEADLINE.min(self.config.handshake_deadline);
        let mut stop = self.stop.clone();
        self.connections.spawn(async move {
            let proxy = arrival.peer;
            // A header that was read in part is of no use: the connection ends either way.
            let read = tokio::select! {
                biased;
                () = told(&mut stop) => return None,
                read = timeout(deadline, proxy::read_header(&mut arrival.stream)) => read,
            };
            let header = read.unwrap_or(Err(HeaderError::Late));
            match header {
                Ok(source) => arrival.peer = source.unwrap_or(proxy),
                // So do health checks that merely connect.
                Err(error @ (HeaderError::Absent | HeaderError::Broken(_))) => {
                    tracing::debug!(%proxy, %error, "a connection ended before its PROXY header");
                    return None;
                }
                // Nobody but the proxy can be the cause, and to its clients it looks like an outage.
                Err(error) => {
                    tracing::warn!(%proxy, %error, "closing a connection whose PROXY header is of no use");
                    return None;
                }
            }
            Some(arrival)
        });
    }

    fn serve(&mut self, arrival: Arrival) {
        let Arrival { stream, peer, room, open } = arrival;
        let mut stop = self.stop.clone();
        let stopped = async move { told(&mut stop).await };
        let serving = serve(stream, self.engine.clone(), Arc::clone(&self.config), stopped);
        self.connections.spawn(async move {
            let ending = serving.await;
            tracing::debug!(%peer, ?ending, "a connection ended");
            drop((room, open));
            None
        });
    }

    fn refuse(&mut self, stream: TcpStream, peer: SocketAddr) {
        self.traffic.refused();
        tracing::debug!(%peer, "a connection beyond the limit was refused");
        if let Ok(turn) = Arc::clone(&self.refusals).try_acquire_owned() {
            self.connections.spawn(async move {
                refuse(stream, CloseCode::OVERLOADED, REFUSAL_PATIENCE).await;
                drop(turn);
                None
            });
        }
    }
}

/// A connection that has its place and waits to be served.
struct Arrival {
    stream: TcpStream,
    /// Whose it is; until its header is read, the proxy.
    peer: SocketAddr,
    room: OwnedSemaphorePermit,
    open: traffic::Open,
}

/// Waits until it is time to stop; a sender that is gone says so too.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
