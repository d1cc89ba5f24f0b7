//! One connection: greets, and turns a stream of bytes into frames.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::Instant;

use super::connector::Connector;
use super::error::ClientError;
use crate::frame;
use crate::message::{Close, Hello, PROTOCOL, Push, Reply, Request, ServerFrame, Welcome, encode_request};

/// Room for this much is made before each read.
const READ_BYTES: usize = 16 * 1024;

/// The number of the greeting; all other requests have higher ones.
pub(super) const HELLO_ID: u64 = 1;

/// Why a connection ended.
#[derive(Clone, Debug)]
pub(super) enum Break {
    /// It broke, or makes no sense.
    Lost(ClientError),
    /// The server said goodbye.
    Closed(Close),
}

/// An open connection; its halves are used at the same time.
#[derive(Debug)]
pub(super) struct Link<S> {
    pub(super) inbound: Inbound<S>,
    pub(super) outbound: Outbound<S>,
}

/// What comes from the server.
#[derive(Debug)]
pub(super) struct Inbound<S> {
    reader: ReadHalf<S>,
    received: BytesMut,
    limit_bytes: usize,
    /// When something last came.
    pub(super) heard: Instant,
}

/// What goes to the server.
#[derive(Debug)]
pub(super) struct Outbound<S> {
    writer: WriteHalf<S>,
    unwritten: BytesMut,
    /// When something was last written.
    pub(super) spoke: Instant,
}

/// Connects and exchanges greetings, within this time.
///
/// # Cancel safety
/// Dropping the future drops the connection.
pub(super) async fn open<C: Connector>(
    connector: &mut C,
    hello: Hello,
    timeout: Duration,
) -> Result<(Link<C::Stream>, Welcome), Break> {
    let greeting = async {
        let stream = connector.connect().await.map_err(ClientError::unreachable)?;
        let mut link = Link::new(stream);
        if link.outbound.put(HELLO_ID, &Request::Hello(hello), frame::HANDSHAKE_FRAME_BYTES) == Fit::TooLong {
            return Err(ClientError::protocol("the software's name is too long").into());
        }
        link.outbound.write_all().await.map_err(ClientError::unreachable)?;
        let welcome = link.inbound.welcome().await?;
        Ok((link, welcome))
    };
    tokio::time::timeout(timeout, greeting).await.unwrap_or_else(|_| {
        let late = io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        Err(Break::Lost(ClientError::unreachable(late)))
    })
}

impl<S: AsyncRead + AsyncWrite> Link<S> {
    fn new(stream: S) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let now = Instant::now();
        let limit_bytes = frame::HANDSHAKE_FRAME_BYTES;
        Self {
            inbound: Inbound { reader, received: BytesMut::new(), limit_bytes, heard: now },
            outbound: Outbound { writer, unwritten: BytesMut::new(), spoke: now },
        }
    }
}

impl<S: AsyncRead> Inbound<S> {
    /// Receives some bytes.
    ///
    /// # Errors
    /// The connection broke, or the server has closed it.
    ///
    /// # Cancel safety
    /// What was received stays.
    pub(super) async fn receive(&mut self) -> io::Result<()> {
        self.received.reserve(READ_BYTES);
        if self.reader.read_buf(&mut self.received).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        self.heard = Instant::now();
        Ok(())
    }

    /// The next frame, if it is there as a whole.
    ///
    /// # Errors
    /// The frame makes no sense.
    pub(super) fn next_frame(&mut self) -> Result<Option<ServerFrame>, ClientError> {
        match frame::take(&mut self.received, self.limit_bytes)? {
            Some(payload) => Ok(Some(ServerFrame::decode(payload)?)),
            None => Ok(None),
        }
    }

    async fn welcome(&mut self) -> Result<Welcome, Break> {
        loop {
            while let Some(frame) = self.next_frame()? {
                match frame {
                    ServerFrame::Reply { request_id: HELLO_ID, reply: Ok(Reply::Welcome(welcome)) } => {
                        if welcome.protocol != PROTOCOL {
                            return Err(ClientError::protocol("a version that was not offered").into());
                        }
                        // The server announces what it sends; what it cannot announce is not taken.
                        self.limit_bytes = welcome.limits.server_frame_bytes.min(frame::MAX_FRAME_BYTES);
                        return Ok(*welcome);
                    }
                    ServerFrame::Reply { reply: Err(error), .. } => {
                        return Err(ClientError::Refused(error).into());
                    }
                    ServerFrame::Push(Push::Close(close)) => return Err(Break::Closed(close)),
                    ServerFrame::Push(_) | ServerFrame::Unknown { request_id: 0 } => {}
                    ServerFrame::Reply { .. } | ServerFrame::Unknown { .. } => {
                        return Err(ClientError::protocol("an unfitting answer to a greeting").into());
                    }
                }
            }
            self.receive().await.map_err(ClientError::unreachable)?;
        }
    }
}

impl<S: AsyncWrite> Outbound<S> {
    /// Appends a request to what is to be written, unless it is longer than that.
    pub(super) fn put(&mut self, request_id: u64, request: &Request, limit_bytes: usize) -> Fit {
        let start = self.unwritten.len();
        encode_request(request_id, request, &mut self.unwritten);
        if self.unwritten.len() - start - frame::HEADER_BYTES > limit_bytes {
            self.unwritten.truncate(start);
            return Fit::TooLong;
        }
        Fit::Put
    }

    /// How much waits to be written.
    pub(super) fn unwritten_bytes(&self) -> usize {
        self.unwritten.len()
    }

    /// Writes what the other side takes at once of what waits, which must be something.
    ///
    /// # Cancel safety
    /// What was written no longer waits, all else does.
    pub(super) async fn write(&mut self) -> io::Result<()> {
        if self.writer.write_buf(&mut self.unwritten).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.spoke = Instant::now();
        Ok(())
    }

    /// Writes everything.
    pub(super) async fn write_all(&mut self) -> io::Result<()> {
        while !self.unwritten.is_empty() {
            self.write().await?;
        }
        self.writer.flush().await
    }

    /// Writes everything and says that nothing follows.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        self.write_all().await?;
        self.writer.shutdown().await
    }
}

/// Whether a request fits a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It waits to be written.
    Put,
    /// It is longer than the server admits.
    TooLong,
}

impl From<ClientError> for Break {
    fn from(error: ClientError) -> Self {
        Self::Lost(error)
    }
}
