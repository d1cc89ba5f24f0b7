//! Simulated clients that speak to the driver in frames.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chat_core::testkit::simulation::{
    Access, Answer, Command, Connection, Done, Entered, Entrance, Question,
};
use chat_core::{Chunk, Credentials, Engine, Error, ErrorKind, Event};
use chat_proto::frame;
use chat_proto::message::{ClientFrame, CloseCode, Hello, PROTOCOL, Push, Reply, Request, ServerFrame};
use chat_proto::server::{ConnectionConfig, Ending, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::stream::{Severed, cut_pipe};

/// While so many pushes wait and no reply is awaited, a client reads no further, as one whose reader
/// is slow.
const PUSHES: usize = 4;

/// Lets clients in through a wire.
pub(crate) struct Wire {
    seed: u64,
    config: Arc<ConnectionConfig>,
    connections: AtomicU64,
    lost: Lost,
    /// The servers' sides; they end by themselves once the client's is gone.
    serving: Mutex<JoinSet<Ending>>,
    /// What clients could make no sense of.
    nonsense: Nonsense,
}

type Nonsense = Arc<Mutex<Vec<String>>>;

/// How many connections were lost in the middle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lost(Arc<AtomicU64>);

impl Lost {
    pub(crate) fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wire {
    pub(crate) fn new(seed: u64) -> Self {
        let mut config = ConnectionConfig::default();
        // Small enough for readers to be behind.
        config.output_bytes = 2 * 1024;
        Self {
            seed,
            config: Arc::new(config),
            connections: AtomicU64::new(0),
            lost: Lost::default(),
            serving: Mutex::default(),
            nonsense: Nonsense::default(),
        }
    }

    pub(crate) fn lost(&self) -> Lost {
        self.lost.clone()
    }

    fn connect(&self, engine: &Engine) -> Link {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let seed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number;
        let capacity = [64, 1_024, 16 * 1_024][(number % 3) as usize];
        let (theirs, ours) = cut_pipe(capacity, seed, self.lost.clone());
        let serving = serve(theirs, engine.clone(), Arc::clone(&self.config), std::future::pending());
        self.serving.lock().unwrap_or_else(PoisonError::into_inner).spawn(serving);
        Link::over(ours, Arc::clone(&self.nonsense))
    }
}

#[async_trait]
impl Access for Wire {
    async fn enter(&self, engine: &Engine, entrance: Entrance) -> Result<Entered, Error> {
        let link = self.connect(engine);
        let token = match entrance {
            Entrance::Login(Credentials::Token(token)) => Some(token),
            _ => None,
        };
        let hello = Hello {
            protocol_min: PROTOCOL,
            protocol_max: PROTOCOL,
            features: 0,
            token,
            epoch: None,
            client: "simulation".into(),
        };
        let Reply::Welcome(welcome) = link.request(Request::Hello(hello)).await? else { return Err(lost()) };
        if let Some(refused) = welcome.refused {
            return Err(refused);
        }
        let (identity, token) = match (welcome.session, entrance) {
            (Some(session), _) => (session, None),
            (None, entrance) => {
                let request = match entrance {
                    Entrance::Register(register) => Request::Register(register),
                    Entrance::Login(credentials) => Request::Login(credentials),
                };
                let Reply::LoggedIn(logged_in) = link.request(request).await? else { return Err(lost()) };
                (logged_in.session, logged_in.token)
            }
        };
        Ok(Entered { user: identity.user, device: identity.device, token, connection: Box::new(link) })
    }

    async fn check(&self) {
        let nonsense = self.nonsense.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert_eq!(nonsense, Vec::<String>::new(), "frames that make no sense");
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = serving.try_join_next() {
            let ending = ended.expect("a driver panics never");
            let blames = matches!(
                ending,
                Ending::Closed(CloseCode::MALFORMED | CloseCode::OVERSIZED | CloseCode::UNSUPPORTED_VERSION)
            );
            assert!(!blames, "clients speak soundly, and are told {ending:?}");
        }
    }
}

/// The client's side of one connection. Dropping it hangs up.
struct Link {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Bytes>,
    _tasks: JoinSet<()>,
}

struct Shared {
    /// Held for one look at a time.
    state: Mutex<State>,
    /// There is a push, or there will be no more.
    heard: Notify,
    /// There may be room to read on.
    room: Notify,
}

#[derive(Default)]
struct State {
    last_id: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Result<Reply, Error>>>,
    pushes: VecDeque<Push>,
    over: bool,
}

impl Link {
    fn over(io: Severed, nonsense: Nonsense) -> Self {
        let (reading, writing) = split(io);
        let shared = Arc::new(Shared { state: Mutex::default(), heard: Notify::new(), room: Notify::new() });
        let (requests, to_write) = mpsc::channel(64);
        let mut tasks = JoinSet::new();
        tasks.spawn(write(writing, to_write));
        let (reading_into, pongs) = (Arc::clone(&shared), requests.clone());
        tasks.spawn(async move {
            if let Err(words) = read(reading, &reading_into, pongs).await {
                nonsense.lock().unwrap_or_else(PoisonError::into_inner).push(words);
            }
            reading_into.is_over();
        });
        Self { shared, requests, _tasks: tasks }
    }

    async fn request(&self, request: Request) -> Result<Reply, Error> {
        let (told, reply) = oneshot::channel();
        let mut out = BytesMut::new();
        {
            let mut state = self.shared.lock();
            if state.over {
                return Err(lost());
            }
            state.last_id += 1;
            let request_id = state.last_id;
            state.waiting.insert(request_id, told);
            ClientFrame { request_id, request }.encode(&mut out);
        }
        self.shared.room.notify_one();
        self.requests.send(out.freeze()).await.map_err(|_| lost())?;
        reply.await.map_err(|_| lost())?
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(mut io: WriteHalf<Severed>, mut to_write: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = to_write.recv().await {
        if io.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Takes in what the server says, until that is over or makes no sense.
async fn read(
    mut io: ReadHalf<Severed>,
    shared: &Shared,
    requests: mpsc::Sender<Bytes>,
) -> Result<(), String> {
    let mut received = BytesMut::new();
    loop {
        while let Some(payload) =
            frame::take(&mut received, frame::MAX_FRAME_BYTES).map_err(|error| error.to_string())?
        {
            let frame = ServerFrame::decode(payload).map_err(|error| error.to_string())?;
            let is_ping = matches!(frame, ServerFrame::Push(Push::Ping));
            shared.take(frame);
            if is_ping {
                let mut out = BytesMut::new();
                ClientFrame { request_id: 0, request: Request::Pong }.encode(&mut out);
                let _written_or_over = requests.send(out.freeze()).await;
            }
        }
        while !shared.wants_more() {
            shared.room.notified().await;
        }
        if io.read_buf(&mut received).await.unwrap_or(0) == 0 {
            return Ok(());
        }
    }
}

impl Shared {
    /// Nothing more is answered or told.
    fn is_over(&self) {
        let mut state = self.lock();
        state.over = true;
        state.waiting.clear();
        drop(state);
        self.heard.notify_one();
    }

    fn wants_more(&self) -> bool {
        let state = self.lock();
        state.pushes.len() < PUSHES || !state.waiting.is_empty()
    }

    fn take(&self, frame: ServerFrame) {
        let mut state = self.lock();
        match frame {
            ServerFrame::Reply { request_id, reply } => {
                if let Some(waiting) = state.waiting.remove(&request_id) {
                    // Whoever asked may have gone.
                    let _told = waiting.send(reply);
                }
            }
            ServerFrame::Push(push) => {
                state.pushes.push_back(push);
                drop(state);
                self.heard.notify_one();
            }
            ServerFrame::Unknown { .. } => {}
        }
    }
}

#[async_trait]
impl Connection for Link {
    async fn carry_out(&self, command: Command) -> Result<Done, Error> {
        let request = match command {
            Command::Send(send) => Request::Send(send),
            Command::Contact(client_id, user, action) => Request::Contact { client_id, user, action },
            Command::CreateGroup(create) => Request::CreateGroup(create),
            Command::Group(client_id, group, action) => Request::Group { client_id, group, action },
            Command::MarkRead(conversation, seq) => Request::MarkRead { conversation, seq },
            Command::MarkDelivered(conversation, seq) => Request::MarkDelivered(vec![(conversation, seq)]),
            Command::Typing(conversation) => Request::Typing(conversation),
            Command::LogOut(client_id) => Request::LogOut(client_id),
            Command::Revoke(client_id, device) => Request::RevokeDevice { client_id, device },
        };
        match self.request(request).await? {
            Reply::Receipt(receipt) => Ok(Done::Receipt(receipt)),
            Reply::GroupCreated(created) => Ok(Done::Group(created)),
            Reply::Done => Ok(Done::Nothing),
            other => panic!("no answer to a command: {other:?}"),
        }
    }

    async fn ask(&self, question: Question) -> Result<Answer, Error> {
        let request = match question {
            Question::Sync(sync) => Request::Sync(sync),
            Question::Entries(conversation, range) => Request::Entries { conversation, range },
            Question::History(conversation, range) => Request::History { conversation, range },
            Question::Conversation(conversation) => Request::Conversation(conversation),
            Question::Contacts => Request::Contacts { after: None, limit: 0 },
        };
        match self.request(request).await? {
            Reply::SyncPage(page) => Ok(Answer::Sync(page)),
            Reply::Entries(entries) => Ok(Answer::Entries(entries)),
            Reply::History(history) => Ok(Answer::History(history)),
            Reply::Conversation(state) => Ok(Answer::Conversation(state)),
            Reply::Contacts(contacts) => Ok(Answer::Contacts(contacts)),
            other => panic!("no answer to a question: {other:?}"),
        }
    }

    async fn hear(&self) -> Option<Event> {
        loop {
            let push = {
                let mut state = self.shared.lock();
                let push = state.pushes.pop_front();
                if push.is_none() && state.over {
                    return None;
                }
                push
            };
            self.shared.room.notify_one();
            match push {
                Some(Push::Entries { conversation, entries }) => {
                    let chunk = Chunk::new(conversation, entries).expect("entries without holes");
                    return Some(Event::Entries(Arc::new(chunk)));
                }
                Some(Push::Behind { conversation, upto }) => {
                    return Some(Event::Behind { conversation, upto });
                }
                Some(Push::BehindEverywhere) => return Some(Event::BehindEverywhere),
                Some(Push::Ephemeral(ephemeral)) => return Some(Event::Ephemeral(ephemeral)),
                Some(Push::Close(_)) => return None,
                Some(_) => {}
                None => self.shared.heard.notified().await,
            }
        }
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Ended, "the connection was lost")
}
