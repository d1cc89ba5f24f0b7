//! How a client comes by a connection.

use std::future::Future;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Makes connections to one server. Closures that return a future of a stream are connectors, too:
/// for TLS, for a socket of another kind, or for a server in the same process.
pub trait Connector: Send + 'static {
    /// The stream of bytes that carries frames.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Makes one connection. The client limits the time that it takes by dropping the future.
    fn connect(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Connects over TCP, without encryption.
#[derive(Clone, Debug)]
pub struct Tcp {
    server: String,
}

impl Tcp {
    /// To `host:port`.
    pub fn new(server: impl Into<String>) -> Self {
        Self { server: server.into() }
    }
}

impl Connector for Tcp {
    type Stream = TcpStream;

    async fn connect(&mut self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.server).await?;
        // Frames are gathered before they are written; holding them back any longer only delays.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl<C, F, S> Connector for C
where
    C: FnMut() -> F + Send + 'static,
    F: Future<Output = io::Result<S>> + Send,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Stream = S;

    fn connect(&mut self) -> impl Future<Output = io::Result<S>> + Send {
        self()
    }
}
