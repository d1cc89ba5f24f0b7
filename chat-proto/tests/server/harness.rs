//! A server in the process, and peers that speak to it in frames or in bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chat_core::memory::MemoryStore;
use chat_core::store::Store;
use chat_core::{
    AccountName, BlockingInline, Body, ClientId, ConversationId, Credentials, Engine, EngineConfig, Epoch,
    Error, Outgoing, Password, PasswordCost, Register, Send, Seq, Token,
};
use chat_proto::frame;
use chat_proto::message::{
    ClientFrame, Close, Hello, Identity, LoggedIn, Push, Reply, Request, ServerFrame, Welcome,
};
use chat_proto::server::{ConnectionConfig, Ending, serve};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) const PASSWORD: &str = "correct horse";

/// Nothing here takes that long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) struct Server {
    pub(crate) engine: Engine,
    config: Arc<ConnectionConfig>,
    stop: watch::Sender<bool>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}, |_| {}).await
    }

    pub(crate) async fn with(
        engine_config: impl FnOnce(&mut EngineConfig),
        connection_config: impl FnOnce(&mut ConnectionConfig),
    ) -> Self {
        Self::over(MemoryStore::new(Epoch(1)), engine_config, connection_config).await
    }

    pub(crate) async fn over(
        store: impl Store,
        engine_config: impl FnOnce(&mut EngineConfig),
        connection_config: impl FnOnce(&mut ConnectionConfig),
    ) -> Self {
        let mut settings = EngineConfig::default();
        settings.password_cost = PasswordCost { memory_kib: 8, passes: 1 };
        settings.commands_per_second = 1_000_000;
        settings.commands_burst = 1_000_000;
        engine_config(&mut settings);
        let mut config = ConnectionConfig::default();
        connection_config(&mut config);
        let engine = Engine::builder(store)
            .config(settings)
            .blocking(BlockingInline)
            .start()
            .await
            .expect("an engine");
        Self { engine, config: Arc::new(config), stop: watch::Sender::new(false) }
    }

    /// A connection through a pipe of so many bytes each way.
    pub(crate) fn connect_through(&self, pipe_bytes: usize) -> Peer {
        self.connect_with(pipe_bytes, |io| io)
    }

    /// The same with something between the pipe and the server.
    pub(crate) fn connect_with<S>(&self, pipe_bytes: usize, wrap: impl FnOnce(DuplexStream) -> S) -> Peer
    where
        S: AsyncRead + AsyncWrite + Unpin + std::marker::Send + 'static,
    {
        let (ours, theirs) = duplex(pipe_bytes);
        let theirs = wrap(theirs);
        let mut stopped = self.stop.subscribe();
        let stop = async move {
            let _stopped_or_gone = stopped.wait_for(|stop| *stop).await;
        };
        let serving = tokio::spawn(serve(theirs, self.engine.clone(), Arc::clone(&self.config), stop));
        Peer { io: ours, received: BytesMut::new(), last_id: 0, pushes: VecDeque::new(), serving }
    }

    pub(crate) fn connect(&self) -> Peer {
        self.connect_through(1 << 20)
    }

    /// A connection with a new account.
    pub(crate) async fn join(&self, name: &str) -> (Peer, LoggedIn) {
        let mut peer = self.connect();
        let logged_in = peer.join(name).await;
        (peer, logged_in)
    }

    /// Tells all connections to end.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

pub(crate) struct Peer {
    pub(crate) io: DuplexStream,
    received: BytesMut,
    last_id: u64,
    /// Heard while waiting for a reply.
    pushes: VecDeque<Push>,
    serving: JoinHandle<Ending>,
}

impl Peer {
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.expect("the server reads");
    }

    /// The frame of a request, not sent yet.
    pub(crate) fn frame(&mut self, request: Request) -> (u64, BytesMut) {
        self.last_id += 1;
        let mut out = BytesMut::new();
        ClientFrame { request_id: self.last_id, request }.encode(&mut out);
        (self.last_id, out)
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
        loop {
            match self.next().await {
                Some(ServerFrame::Reply { request_id, reply }) if request_id == id => return reply,
                Some(ServerFrame::Push(push)) => self.pushes.push_back(push),
                other => panic!("the reply to {id} expected: {other:?}"),
            }
        }
    }

    /// The reply to a request, passing over those to others.
    pub(crate) async fn reply_after_others(&mut self, id: u64) -> Result<Reply, Error> {
        loop {
            match self.next().await.expect("the connection goes on") {
                ServerFrame::Reply { request_id, reply } if request_id == id => return reply,
                _ => {}
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

    /// The next frame, `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<ServerFrame> {
        let payload = timeout(PATIENCE, self.payload()).await.expect("a frame or the end in time")?;
        Some(ServerFrame::decode(payload).expect("a frame that makes sense"))
    }

    async fn payload(&mut self) -> Option<Bytes> {
        loop {
            let taken = frame::take(&mut self.received, frame::MAX_FRAME_BYTES);
            if let Some(payload) = taken.expect("frames within the limit") {
                return Some(payload);
            }
            if self.io.read_buf(&mut self.received).await.unwrap_or(0) == 0 {
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

    /// Hangs up, and says how the server took it.
    pub(crate) async fn leave(self) -> Ending {
        drop(self.io);
        timeout(PATIENCE, self.serving).await.expect("the connection ends").expect("no panic")
    }

    pub(crate) async fn hello(&mut self, token: Option<Token>, epoch: Option<Epoch>) -> Welcome {
        match self.ask(hello(token, epoch)).await {
            Ok(Reply::Welcome(welcome)) => *welcome,
            other => panic!("a welcome expected: {other:?}"),
        }
    }

    pub(crate) async fn join(&mut self, name: &str) -> LoggedIn {
        self.hello(None, None).await;
        self.enter(register(name)).await.expect("a new account")
    }

    pub(crate) async fn enter(&mut self, request: Request) -> Result<LoggedIn, Error> {
        match self.ask(request).await? {
            Reply::LoggedIn(logged_in) => Ok(logged_in),
            other => panic!("a log-in expected: {other:?}"),
        }
    }
}

pub(crate) fn hello(token: Option<Token>, epoch: Option<Epoch>) -> Request {
    Request::Hello(Hello {
        protocol_min: 1,
        protocol_max: 1,
        features: 0,
        token,
        epoch,
        client: "test".into(),
    })
}

pub(crate) fn register(name: &str) -> Request {
    let mut client_id = [0; 16];
    client_id[..name.len()].copy_from_slice(name.as_bytes());
    Request::Register(Register {
        client_id: ClientId(client_id),
        name: AccountName::parse(name).expect("a name"),
        display_name: None,
        password: Password::new(PASSWORD),
        device_label: "test".into(),
    })
}

pub(crate) fn login(name: &str, password: &str) -> Request {
    Request::Login(Credentials::Password {
        name: AccountName::parse(name).expect("a name"),
        password: Password::new(password),
        device_label: "test".into(),
    })
}

pub(crate) fn direct(a: Identity, b: Identity) -> ConversationId {
    ConversationId::direct(a.user, b.user).expect("two users")
}

pub(crate) fn text(number: u64, conversation: ConversationId, text: impl Into<String>) -> Request {
    message(number, conversation, text.into(), None)
}

pub(crate) fn reply(number: u64, conversation: ConversationId, to: Seq) -> Request {
    message(number, conversation, "a reply".into(), Some(to))
}

fn message(number: u64, conversation: ConversationId, text: String, reply_to: Option<Seq>) -> Request {
    let mut client_id = [0x77; 16];
    client_id[..8].copy_from_slice(&number.to_be_bytes());
    Request::Send(Send {
        client_id: ClientId(client_id),
        conversation,
        message: Outgoing::Message { body: Body::Text(text), reply_to },
        read_up_to: None,
    })
}
