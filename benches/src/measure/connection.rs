//! A lean client: one connection, no reconnection, no bookkeeping.

use bytes::BytesMut;
use chat_core::{Send, Token};
use chat_proto::frame;
use chat_proto::message::{ClientFrame, Hello, PROTOCOL, Reply, Request, ServerFrame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Failure;

/// The longest frame taken from a server.
const FRAME_BYTES: usize = 8 << 20;

/// A connection with a session.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
    requests: u64,
}

impl Connection {
    /// Connects and logs in by token.
    ///
    /// # Errors
    /// The server cannot be reached or does not accept the token.
    pub async fn open(address: &str, token: Token) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (input, output) = (BytesMut::new(), BytesMut::new());
        let mut connection = Self { stream, input, output, requests: 0 };
        connection.queue(Request::Hello(Hello {
            protocol_min: PROTOCOL,
            protocol_max: PROTOCOL,
            features: 0,
            token: Some(token),
            epoch: None,
            client: "measure".into(),
        }));
        connection.flush().await?;
        loop {
            if let ServerFrame::Reply { reply, .. } = connection.next().await? {
                return match reply? {
                    Reply::Welcome(welcome) if welcome.session.is_some() => Ok(connection),
                    other => Err(format!("no welcome with a session: {other:?}").into()),
                };
            }
        }
    }

    /// Writes a request into the buffer; returns its id.
    pub fn queue(&mut self, request: Request) -> u64 {
        self.requests += 1;
        ClientFrame { request_id: self.requests, request }.encode(&mut self.output);
        self.requests
    }

    /// Writes a send into the buffer; returns its id.
    pub fn queue_send(&mut self, send: Send) -> u64 {
        self.queue(Request::Send(send))
    }

    /// Sends what was buffered.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        self.stream.write_all_buf(&mut self.output).await?;
        Ok(())
    }

    /// The next frame. Pings of the server are answered.
    ///
    /// # Errors
    /// The connection is gone, or what arrived is no frame.
    ///
    /// # Cancel safety
    /// A dropped future loses nothing.
    pub async fn next(&mut self) -> Result<ServerFrame, Failure> {
        loop {
            if let Some(ready) = self.ready()? {
                return Ok(ready);
            }
            if !self.output.is_empty() {
                self.flush().await?;
            }
            self.input.reserve(16 * 1024);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
    }

    /// The next frame that has arrived already.
    ///
    /// # Errors
    /// What arrived is no frame.
    pub fn ready(&mut self) -> Result<Option<ServerFrame>, Failure> {
        let Some(payload) = frame::take(&mut self.input, FRAME_BYTES)? else { return Ok(None) };
        let decoded = ServerFrame::decode(payload)?;
        if matches!(decoded, ServerFrame::Push(chat_proto::message::Push::Ping)) {
            ClientFrame { request_id: 0, request: Request::Pong }.encode(&mut self.output);
        }
        Ok(Some(decoded))
    }
}
