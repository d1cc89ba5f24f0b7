//! A server that says what a test wants, frame by frame.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use chat_core::{
    AccountName, Body, ClientId, ConversationId, ConversationState, DeviceId, Entry, Epoch, Error, Kind,
    Outgoing, Receipt, Relation, Send, Seq, Standing, Sync, SyncPage, SyncedConversation, Timestamp, Token,
    UserId,
};
use chat_proto::client::{Client, ClientConfig, ClientEvent, ClientEvents};
use chat_proto::frame;
use chat_proto::message::{
    ClientFrame, CloseCode, Hello, Identity, Limits, Push, Rate, Reply, Request, ServerFrame, Welcome,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Nothing takes that long, unless it hangs; the clock is paused.
const PATIENCE: Duration = Duration::from_secs(3600);

pub(crate) const EPOCH: Epoch = Epoch(1);
pub(crate) const TOKEN: Token = Token([7; 32]);
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(30);

pub(crate) fn user(number: u64) -> UserId {
    UserId::new(number).expect("an id")
}

/// Whom the clients of these tests act for.
pub(crate) fn me() -> UserId {
    user(1)
}

pub(crate) fn with(peer: u64) -> ConversationId {
    ConversationId::direct(me(), user(peer)).expect("two users")
}

pub(crate) fn identity() -> Identity {
    Identity { user: me(), device: DeviceId::new(9).expect("an id") }
}

pub(crate) fn name() -> AccountName {
    AccountName::parse("ada").expect("a name")
}

pub(crate) fn entry(seq: Seq) -> Entry {
    Entry {
        seq,
        time: Timestamp(seq),
        sender: user(2),
        client_id: None,
        countable: true,
        ordinal: seq,
        target: None,
        kind: Kind::new(16).expect("a kind"),
        content: None,
    }
}

pub(crate) fn entries(seqs: impl IntoIterator<Item = Seq>) -> Vec<Entry> {
    seqs.into_iter().map(entry).collect()
}

pub(crate) fn push(conversation: ConversationId, seqs: impl IntoIterator<Item = Seq>) -> Push {
    Push::Entries { conversation, entries: entries(seqs) }
}

pub(crate) fn state(conversation: ConversationId, read: Seq, head: Seq) -> ConversationState {
    ConversationState {
        conversation,
        head,
        time: Timestamp(0),
        first_seq: 1,
        read,
        unread: 0,
        delivered: 0,
        standing: Standing::Member,
        relation: Relation::None,
        blocked: false,
        muted_until: None,
        peer: None,
        group: None,
    }
}

pub(crate) fn synced(
    conversation: ConversationId,
    head: Seq,
    seqs: impl IntoIterator<Item = Seq>,
) -> SyncedConversation {
    let entries = entries(seqs);
    let more = entries.last().is_some_and(|last| last.seq < head);
    SyncedConversation { state: state(conversation, 0, head), entries, more }
}

pub(crate) fn send(number: u8) -> Send {
    Send {
        client_id: ClientId([number; 16]),
        conversation: with(2),
        message: Outgoing::Message { body: Body::Text("hi".into()), reply_to: None },
        read_up_to: None,
    }
}

pub(crate) fn receipt(seq: Seq) -> Result<Reply, Error> {
    Ok(Reply::Receipt(Receipt { seq, time: Timestamp(seq) }))
}

/// Where the connections of a client arrive.
pub(crate) struct Listener {
    arrivals: mpsc::Receiver<DuplexStream>,
}

/// The server's end of a connection.
pub(crate) struct Peer {
    io: DuplexStream,
    received: BytesMut,
}

/// A client and its first connection, greeted but not synced.
pub(crate) struct Scene {
    pub(crate) client: Client,
    pub(crate) events: ClientEvents,
    pub(crate) peer: Peer,
    pub(crate) listener: Listener,
}

impl Scene {
    /// A client with a token.
    pub(crate) async fn open(configure: impl FnOnce(&mut ClientConfig)) -> Self {
        let logged_in = |config: &mut ClientConfig| {
            config.token = Some(TOKEN);
            configure(config);
        };
        Self::open_with(logged_in, Some(identity())).await
    }

    /// A client for which nobody has logged in.
    pub(crate) async fn open_without_account() -> Self {
        Self::open_with(|_| {}, None).await
    }

    /// A client that is in sync with a server on which there is nothing.
    pub(crate) async fn open_in_sync(configure: impl FnOnce(&mut ClientConfig)) -> Self {
        let mut scene = Self::open(configure).await;
        scene.peer.sync(Vec::new()).await;
        scene.expect_connected().await;
        scene.expect_caught_up().await;
        scene
    }

    async fn open_with(configure: impl FnOnce(&mut ClientConfig), session: Option<Identity>) -> Self {
        let (connected, arrivals) = mpsc::channel(8);
        let mut listener = Listener { arrivals };
        let connector = move || {
            let connected = connected.clone();
            async move {
                let (ours, theirs) = duplex(1 << 20);
                let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
                connected.try_send(theirs).map_err(refused)?;
                Ok(ours)
            }
        };
        let mut config = ClientConfig::new("nowhere:1");
        config.seed = Some(1);
        configure(&mut config);
        let greeted = async {
            let mut peer = listener.accept().await;
            peer.greet(EPOCH, session).await;
            peer
        };
        let (connected, peer) = tokio::join!(Client::connect_with(config, connector), greeted);
        let (client, events) = connected.expect("a connection");
        Self { client, events, peer, listener }
    }

    pub(crate) async fn event(&mut self) -> Option<ClientEvent> {
        timeout(PATIENCE, self.events.next()).await.expect("an event, or the end of them")
    }

    pub(crate) async fn expect_connected(&mut self) {
        let event = self.event().await;
        assert!(matches!(event, Some(ClientEvent::Connected)), "{event:?}");
    }

    pub(crate) async fn expect_disconnected(&mut self) -> Option<Duration> {
        match self.event().await {
            Some(ClientEvent::Disconnected { retry_in }) => retry_in,
            other => panic!("a break expected: {other:?}"),
        }
    }

    pub(crate) async fn expect_caught_up(&mut self) {
        let event = self.event().await;
        assert!(matches!(event, Some(ClientEvent::CaughtUp)), "{event:?}");
    }

    pub(crate) async fn expect_state(&mut self, conversation: ConversationId) {
        match self.event().await {
            Some(ClientEvent::Conversation(state)) => assert_eq!(state.conversation, conversation),
            other => panic!("a conversation expected: {other:?}"),
        }
    }

    pub(crate) async fn expect_entries(
        &mut self,
        conversation: ConversationId,
        seqs: impl IntoIterator<Item = Seq>,
    ) {
        for seq in seqs {
            match self.event().await {
                Some(ClientEvent::Entry { conversation: of, entry }) => {
                    assert_eq!((of, entry.seq), (conversation, seq));
                }
                other => panic!("entry {seq} expected: {other:?}"),
            }
        }
    }

    /// Breaks the connection and greets the next one.
    pub(crate) async fn reconnect(&mut self, epoch: Epoch) {
        self.peer = Peer { io: duplex(1).0, received: BytesMut::new() };
        self.peer = self.listener.accept().await;
        self.peer.greet(epoch, Some(identity())).await;
    }
}

impl Listener {
    pub(crate) async fn accept(&mut self) -> Peer {
        let io = timeout(PATIENCE, self.arrivals.recv()).await.expect("a connection in time");
        Peer { io: io.expect("the client lives"), received: BytesMut::new() }
    }

    /// Breaks a connection and takes the next one.
    pub(crate) async fn accept_after(&mut self, broken: Peer) -> Peer {
        drop(broken);
        self.accept().await
    }

    /// Whether the client stays away, however long one waits.
    pub(crate) async fn stays_empty(&mut self) -> bool {
        !matches!(timeout(PATIENCE, self.arrivals.recv()).await, Ok(Some(_)))
    }
}

impl Peer {
    /// The next request that is not a sign of life; those are answered.
    pub(crate) async fn request(&mut self) -> (u64, Request) {
        timeout(PATIENCE, self.patient_request()).await.expect("a request in time")
    }

    /// The same, however long it takes.
    pub(crate) async fn patient_request(&mut self) -> (u64, Request) {
        loop {
            match self.frame().await {
                Some(ClientFrame { request_id, request: Request::Ping }) => {
                    self.reply(request_id, Ok(Reply::Pong)).await;
                }
                Some(ClientFrame { request_id, request }) => return (request_id, request),
                None => panic!("the client hung up"),
            }
        }
    }

    /// Waits until the client has hung up.
    pub(crate) async fn hung_up(&mut self) {
        while let Some(frame) = timeout(PATIENCE, self.frame()).await.expect("the end in time") {
            assert!(matches!(frame.request, Request::Ping), "{frame:?}");
        }
    }

    async fn frame(&mut self) -> Option<ClientFrame> {
        loop {
            let payload = frame::take(&mut self.received, frame::MAX_FRAME_BYTES).expect("within the limit");
            if let Some(payload) = payload {
                return Some(ClientFrame::decode(payload).expect("a frame that makes sense"));
            }
            if self.io.read_buf(&mut self.received).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    pub(crate) async fn reply(&mut self, request_id: u64, reply: Result<Reply, Error>) {
        self.say(&ServerFrame::Reply { request_id, reply }).await;
    }

    /// A reply of a kind that the client does not know.
    pub(crate) async fn reply_strangely(&mut self, request_id: u64) {
        let mut out = BytesMut::new();
        let request_id = u8::try_from(request_id).expect("few requests");
        frame::put(&mut out, |out| out.extend_from_slice(&[0x08, request_id, 0xfa, 0x7f, 0x00]));
        self.io.write_all(&out).await.expect("the client reads");
    }

    pub(crate) async fn push(&mut self, push: Push) {
        self.say(&ServerFrame::Push(push)).await;
    }

    pub(crate) async fn close(&mut self, code: CloseCode) {
        self.push(Push::Close(code.into())).await;
    }

    async fn say(&mut self, frame: &ServerFrame) {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        self.io.write_all(&out).await.expect("the client reads");
    }

    /// Answers the greeting.
    pub(crate) async fn greet(&mut self, epoch: Epoch, session: Option<Identity>) -> Hello {
        self.greet_with(epoch, session, None).await
    }

    /// Answers the greeting with a refusal of the token.
    pub(crate) async fn refuse(&mut self, refused: Error) {
        self.greet_with(EPOCH, None, Some(refused)).await;
    }

    async fn greet_with(&mut self, epoch: Epoch, session: Option<Identity>, refused: Option<Error>) -> Hello {
        let (id, Request::Hello(hello)) = self.request().await else { panic!("a greeting comes first") };
        let limits = Limits {
            client_frame_bytes: 64 * 1024,
            server_frame_bytes: 1024 * 1024,
            body_bytes: 16 * 1024,
            in_flight: 16,
            commands: Rate { per_second: 0, burst: 0 },
            reads: Rate { per_second: 0, burst: 0 },
        };
        let welcome = Welcome {
            protocol: 1,
            features: 0,
            epoch,
            server_time: Timestamp(0),
            ping_interval: PING_INTERVAL,
            limits,
            session,
            refused,
        };
        self.reply(id, Ok(Reply::Welcome(Box::new(welcome)))).await;
        hello
    }

    /// Answers a sync with the only page; says what was asked.
    pub(crate) async fn sync(&mut self, conversations: Vec<SyncedConversation>) -> Sync {
        let (id, Request::Sync(sync)) = self.request().await else { panic!("a sync expected") };
        self.reply(id, Ok(Reply::SyncPage(SyncPage { conversations, next: None }))).await;
        sync
    }

    /// Answers the read of a log that goes up to `head`; says what was asked.
    pub(crate) async fn read(&mut self, conversation: ConversationId, limit: u64) -> (Seq, Seq) {
        match self.request().await {
            (id, Request::Entries { conversation: of, range }) if of == conversation => {
                let to = range.to.min(range.from + limit - 1);
                self.reply(id, Ok(Reply::Entries(entries(range.from..=to)))).await;
                (range.from, range.to)
            }
            other => panic!("a read expected: {other:?}"),
        }
    }
}
