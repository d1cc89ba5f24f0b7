//! A server: a store, an engine over it, and a listener in front.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chat_core::Engine;
use chat_proto::server::ConnectionConfig;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout_at};

use crate::accept::Acceptor;
use crate::backend::{self, AbortOnDrop, OpenStore};
use crate::http::Endpoint;
use crate::open_files;
use crate::settings::Settings;
use crate::traffic::Traffic;

/// Connections that wait to be accepted; the system may have a lower limit.
const BACKLOG: u32 = 1024;

/// Why a server could not start. The messages are for operators; causes are sources.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store cannot be opened: another server uses the folder, the database is away, it is not
    /// ours, or a newer version made it.
    #[error("cannot open the store")]
    Store(#[source] Box<dyn Error + Send + Sync>),
    /// The bus cannot be made from its settings. One that is away is no error.
    #[error("cannot make the bus")]
    Bus(#[source] Box<dyn Error + Send + Sync>),
    /// The engine cannot start over the store.
    #[error("cannot start the engine")]
    Engine(#[source] chat_core::StartError),
    /// The address cannot be listened at.
    #[error("cannot listen at {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The thread that opens the store failed.
    #[error("cannot open the store")]
    Interrupted(#[source] JoinError),
}

/// The whole story of an error in one line, causes included.
pub fn in_full(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line += &format!(": {error}");
        cause = error.source();
    }
    line
}

/// How a server stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Everyone was told, and everything is stored.
    Cleanly,
    /// The deadline came first: connections were cut; what was acknowledged is stored all the same.
    AtDeadline,
}

/// Starts servers.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Opens the store, starts the engine and accepts connections.
    ///
    /// # Errors
    /// [`StartError`] says what is in the way.
    pub async fn start(settings: Settings) -> Result<RunningServer, StartError> {
        let OpenStore { store, pruning } = backend::open_store(&settings).await?;
        let mut builder = Engine::builder_shared(store).config(settings.engine());
        if let Some(bus) = backend::open_bus(&settings)? {
            builder = builder.bus(bus);
        }
        let engine = builder.start().await.map_err(StartError::Engine)?;
        let (listener, address) = match listen(settings.listen, settings.connections.send_buffer_bytes) {
            Ok(listening) => listening,
            Err(source) => {
                engine.shutdown().await;
                return Err(StartError::Listen { address: settings.listen, source });
            }
        };
        if !address.ip().is_loopback() {
            tracing::warn!(
                %address,
                "listening beyond this machine without TLS: passwords and messages travel in the clear"
            );
        }
        let (stop, stopping) = watch::channel(false);
        let deadline = settings.stop_deadline();
        let traffic = Arc::<Traffic>::default();
        let connection = settings.connection();
        let http = match open_http(&settings, &engine, &traffic, &connection, &stopping).await {
            Ok(http) => http,
            Err(error) => {
                engine.shutdown().await;
                return Err(error);
            }
        };
        let max = open_files::connections_within(settings.connections.max);
        let proxies = settings.proxies;
        let acceptor = Acceptor::new(listener, engine.clone(), connection, proxies, traffic, max, stopping);
        let accepting = tokio::spawn(acceptor.run());
        tracing::info!(%address, node = settings.node, "accepting connections");
        Ok(RunningServer { address, engine, stop, accepting, http, deadline, _pruning: pruning })
    }
}

async fn open_http(
    settings: &Settings,
    engine: &Engine,
    traffic: &Arc<Traffic>,
    connections: &ConnectionConfig,
    stopping: &watch::Receiver<bool>,
) -> Result<Option<Endpoint>, StartError> {
    let Some(address) = settings.http_at() else { return Ok(None) };
    let (engine, traffic, connections) = (engine.clone(), Arc::clone(traffic), connections.clone());
    let endpoint = Endpoint::start(address, engine, traffic, connections, stopping.clone()).await;
    let endpoint = endpoint.map_err(|source| StartError::Listen { address, source })?;
    tracing::info!(address = %endpoint.address(), "answering an operator over http");
    Ok(Some(endpoint))
}

/// Listens as `TcpListener::bind` does, with what the system may keep of each connection's output.
fn listen(address: SocketAddr, send_buffer_bytes: u32) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that was restarted need not wait for the connections of the one before it to be forgotten.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    if send_buffer_bytes > 0 {
        // Connections have it from their listener.
        socket.set_send_buffer_size(send_buffer_bytes)?;
    }
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// A server that accepts connections. Dropping it cuts them; [`RunningServer::stop`] ends them in
/// order.
pub struct RunningServer {
    address: SocketAddr,
    engine: Engine,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    http: Option<Endpoint>,
    deadline: Duration,
    _pruning: Option<AbortOnDrop>,
}

impl RunningServer {
    /// Where it listens; the port that was taken, if none was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where it answers an operator over HTTP, if it does.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(Endpoint::address)
    }

    /// The engine behind it: what embedders use beside the network.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Accepts no more, lets connections finish what is under way and tells their clients to come
    /// back, then writes what is left and closes the store. Takes no longer than the deadline of the
    /// settings.
    pub async fn stop(mut self) -> Stopped {
        let deadline = Instant::now() + self.deadline;
        tracing::info!("stopping");
        // The acceptor holds a receiver until it has ended.
        let _ = self.stop.send(true);
        // A part of the time is the store's, even when clients take all of theirs.
        let drained = timeout_at(deadline - self.deadline / 4, &mut self.accepting).await;
        if drained.is_err() {
            tracing::warn!("connections were still open at the deadline; they are cut");
            self.accepting.abort();
        }
        let closed = timeout_at(deadline, self.engine.shutdown()).await;
        if closed.is_err() {
            tracing::warn!("the store was still being closed at the deadline");
        }
        if let Some(http) = self.http.take() {
            http.stop(deadline).await;
        }
        match (drained, closed) {
            (Ok(_), Ok(())) => Stopped::Cleanly,
            _ => Stopped::AtDeadline,
        }
    }
}

impl fmt::Debug for RunningServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
