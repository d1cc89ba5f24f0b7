//! One connection that speaks in frames or in bytes: no reconnection, no bookkeeping.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::BytesMut;
use chat_core::{ConversationId, Entry, Error, ErrorKind, Seq, Token};
use chat_proto::frame;
use chat_proto::message::{ClientFrame, Close, LoggedIn, Push, Reply, Request, ServerFrame, Welcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::requests;
use crate::server::{LOOK, in_time};

/// No server here takes that long, and pings come less often: they do not look like progress.
const PATIENCE: Duration = Duration::from_secs(25);

pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    received: BytesMut,
    last_id: u64,
    /// Heard while waiting for a reply.
    pushes: VecDeque<Push>,
    /// The last entry of each conversation that [`Connection::entries`] was told.
    positions: BTreeMap<ConversationId, Seq>,
    /// What of a conversation it takes for read.
    known: BTreeMap<ConversationId, Seq>,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Self {
        Self::over(TcpStream::connect(address).await.expect("the server accepts"))
    }

    /// One for which the system keeps as little as it can of what is not read.
    pub(crate) async fn open_narrow(address: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a socket has that");
        let address = address.parse().expect("an address");
        Self::over(socket.connect(address).await.expect("the server accepts"))
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("it is connected");
        let (received, pushes, last_id) = (BytesMut::new(), VecDeque::new(), 0);
        let (positions, known) = (BTreeMap::new(), BTreeMap::new());
        Self { stream, received, last_id, pushes, positions, known }
    }

    /// One with a new account.
    pub(crate) async fn join(address: &str, name: &str) -> (Self, LoggedIn) {
        let mut connection = Self::open(address).await;
        let logged_in = connection.register(name).await;
        (connection, logged_in)
    }

    /// One with a known device.
    pub(crate) async fn resume(address: &str, token: Token) -> Self {
        let mut connection = Self::open(address).await;
        let welcome = connection.hello(Some(token)).await;
        assert!(welcome.session.is_some(), "{:?}", welcome.refused);
        connection
    }

    /// One that logs in by password, with a new device, as soon as no other is in the way: a node that
    /// somebody left has to say so, and one that died has to be missed.
    pub(crate) async fn enter_when_free(address: &str, name: &str) -> (Self, LoggedIn) {
        in_time("nobody is in the way", async {
            loop {
                // Each attempt on a connection of its own: few are admitted on one.
                let mut connection = Self::open(address).await;
                connection.hello(None).await;
                match connection.enter(requests::login(name)).await {
                    Ok(logged_in) => return (connection, logged_in),
                    Err(error) => assert!(
                        matches!(error.kind(), ErrorKind::AlreadyOnline | ErrorKind::Unavailable),
                        "{error:?}"
                    ),
                }
                tokio::time::sleep(LOOK).await;
            }
        })
        .await
    }

    pub(crate) async fn register(&mut self, name: &str) -> LoggedIn {
        self.hello(None).await;
        self.enter(requests::register(name)).await.expect("a new account")
    }

    pub(crate) async fn hello(&mut self, token: Option<Token>) -> Welcome {
        match self.ask(requests::hello(token)).await {
            Ok(Reply::Welcome(welcome)) => *welcome,
            other => panic!("a welcome expected: {other:?}"),
        }
    }

    pub(crate) async fn enter(&mut self, request: Request) -> Result<LoggedIn, Error> {
        match self.ask(request).await? {
            Reply::LoggedIn(logged_in) => Ok(logged_in),
            other => panic!("a log-in expected: {other:?}"),
        }
    }

    /// The frame of a request, not sent yet.
    pub(crate) fn frame(&mut self, request: Request) -> (u64, BytesMut) {
        self.last_id += 1;
        let mut out = BytesMut::new();
        ClientFrame { request_id: self.last_id, request }.encode(&mut out);
        (self.last_id, out)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        in_time("the server reads", self.stream.write_all(bytes)).await.expect("the connection goes on");
    }

    pub(crate) async fn begin(&mut self, request: Request) -> u64 {
        let (id, bytes) = self.frame(request);
        self.write(&bytes).await;
        id
    }

    pub(crate) async fn ask(&mut self, request: Request) -> Result<Reply, Error> {
        let id = self.begin(request).await;
        self.reply(id).await
    }

    /// The reply to a request; pushes are kept for later.
    pub(crate) async fn reply(&mut self, id: u64) -> Result<Reply, Error> {
        match self.any_reply().await {
            (request_id, reply) if request_id == id => reply,
            other => panic!("the reply to {id} expected: {other:?}"),
        }
    }

    /// The next reply, to whatever request.
    pub(crate) async fn any_reply(&mut self) -> (u64, Result<Reply, Error>) {
        loop {
            match self.next().await {
                Some(ServerFrame::Reply { request_id, reply }) => return (request_id, reply),
                Some(ServerFrame::Push(push)) => self.pushes.push_back(push),
                other => panic!("a reply expected: {other:?}"),
            }
        }
    }

    /// The next push.
    pub(crate) async fn push(&mut self) -> Push {
        match self.pushes.pop_front() {
            Some(push) => push,
            None => match self.next().await {
                Some(ServerFrame::Push(push)) => push,
                other => panic!("a push expected: {other:?}"),
            },
        }
    }

    /// Takes a conversation for read up to an entry, as if it had been: what is told of that is passed over.
    pub(crate) fn know(&mut self, of: ConversationId, upto: Seq) {
        self.known.insert(of, upto);
        self.positions.insert(of, upto);
    }

    /// Entries of this conversation, until there are so many: pushed, or read where the server says that
    /// this connection is behind, and then passed over when they are pushed as well.
    pub(crate) async fn entries(&mut self, of: ConversationId, count: usize) -> Vec<Entry> {
        let (mut heard, mut read) = (Vec::new(), 0);
        while heard.len() < count {
            let position = self.positions.get(&of).copied().unwrap_or(0);
            let told = match self.push().await {
                Push::Entries { conversation, entries } if conversation == of => entries,
                Push::Behind { conversation, upto } if conversation == of && upto > position => {
                    let page = self.ask(requests::entries(of, position + 1, upto)).await;
                    let Ok(Reply::Entries(page)) = page else {
                        panic!("a page of entries expected: {page:?}")
                    };
                    heard.extend(page);
                    read = upto;
                    self.positions.insert(of, upto);
                    continue;
                }
                _ => continue,
            };
            let passed_over = read.max(self.known.get(&of).copied().unwrap_or(0));
            heard.extend(told.into_iter().filter(|entry| entry.seq > passed_over));
            if let Some(last) = heard.last() {
                self.positions.insert(of, last.seq.max(position));
            }
        }
        heard
    }

    /// The whole log of a conversation.
    pub(crate) async fn log(&mut self, of: ConversationId) -> Vec<Entry> {
        let mut log: Vec<Entry> = Vec::new();
        loop {
            let from = log.last().map_or(1, |last| last.seq + 1);
            match self.ask(requests::entries(of, from, requests::END)).await {
                Ok(Reply::Entries(page)) if page.is_empty() => return log,
                Ok(Reply::Entries(page)) => log.extend(page),
                other => panic!("a page of entries expected: {other:?}"),
            }
        }
    }

    /// The next frame, `None` at the end. Pings are answered.
    pub(crate) async fn next(&mut self) -> Option<ServerFrame> {
        let frame = self.next_in_silence().await;
        if let Some(ServerFrame::Push(Push::Ping)) = frame {
            self.pong().await;
        }
        frame
    }

    /// The same without an answer to pings.
    pub(crate) async fn next_in_silence(&mut self) -> Option<ServerFrame> {
        loop {
            let taken = frame::take(&mut self.received, frame::MAX_FRAME_BYTES);
            if let Some(payload) = taken.expect("frames within the limit") {
                return Some(ServerFrame::decode(payload).expect("a frame that makes sense"));
            }
            let reading = timeout(PATIENCE, self.stream.read_buf(&mut self.received));
            if reading.await.expect("a frame or the end in time").unwrap_or(0) == 0 {
                assert!(self.received.is_empty(), "the stream ends within a frame");
                return None;
            }
        }
    }

    /// Reads to the end, which must be announced, and says how.
    pub(crate) async fn closed(&mut self) -> Close {
        let mut last = self.pushes.pop_back();
        while let Some(frame) = self.next().await {
            last = if let ServerFrame::Push(push) = frame { Some(push) } else { None };
        }
        match last {
            Some(Push::Close(close)) => close,
            other => panic!("a close expected: {other:?}"),
        }
    }

    /// Hangs up and waits until the server has, too.
    pub(crate) async fn leave(mut self) {
        self.stream.shutdown().await.expect("it is connected");
        while self.next().await.is_some() {}
    }

    /// Breaks off: what was not sent yet is lost, what was not read yet too.
    pub(crate) fn cut(self) {
        self.stream.set_zero_linger().expect("it is connected");
    }

    async fn pong(&mut self) {
        let mut out = BytesMut::new();
        ClientFrame { request_id: 0, request: Request::Pong }.encode(&mut out);
        // The connection may be over already; whoever reads on is told.
        let _ = self.stream.write_all(&out).await;
    }
}
