//! One client of the load: it connects, listens, sends until it has an answer, goes and comes back.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use chat_core::{ConversationId, Entry, Epoch, ErrorKind, Outgoing, Send, Seq, Token, UserId};
use chat_proto::client::{Client, ClientConfig, ClientError, ClientEvent, ClientEvents, PendingSend};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::accounts::{self, Person};
use super::witness::Witness;
use crate::measure::Failure;

/// A server that accepts and says nothing is left after this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Clients wait up to so long between attempts to connect.
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// The pause before something is tried again that the client has given up on.
const PAUSE: Duration = Duration::from_millis(200);

/// What all participants share.
#[derive(Debug)]
pub struct Stage {
    /// The servers.
    pub addresses: Vec<String>,
    /// From which everything random is drawn.
    pub seed: u64,
    /// Who watches, once the run has begun.
    pub witness: OnceLock<Arc<Witness>>,
    /// Connections that were made after one had broken.
    pub reconnections: AtomicU64,
    /// Requests that the client gave up on and that were made again.
    pub repetitions: AtomicU64,
    /// Why clients ended that nobody had ended.
    pub ended: Mutex<Vec<String>>,
}

/// A client of the load.
#[derive(Debug)]
pub struct Participant {
    /// Its number.
    pub number: u32,
    /// Whose device it is.
    pub user: UserId,
    token: Token,
    stage: Arc<Stage>,
    /// How often a connection was tried: whose turn it is among the addresses.
    attempts: Arc<AtomicUsize>,
    /// The client while it is there.
    client: watch::Sender<Option<Client>>,
    /// How often it had caught up.
    caught_up: watch::Sender<u64>,
    /// Guards the rest; held for moments.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// With what it comes back.
    cursors: Vec<(ConversationId, Seq)>,
    epoch: Option<Epoch>,
    listening: Option<JoinHandle<()>>,
}

/// A send that is under way.
#[derive(Debug)]
pub struct UnderWay {
    participant: Arc<Participant>,
    place: u32,
    at_us: u64,
    send: Send,
    pending: Result<PendingSend, ClientError>,
}

impl Stage {
    /// Who watches.
    ///
    /// # Panics
    /// Before the run has begun.
    pub fn witness(&self) -> &Arc<Witness> {
        self.witness.get().expect("the run has begun")
    }

    /// A client ended by itself.
    fn ended(&self, who: u32, why: &str) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.push(format!("client {who}: {why}"));
    }
}

impl Participant {
    /// Enters with an account, which is made if there is none yet, and begins to listen.
    ///
    /// # Errors
    /// No server can be reached, or the account is refused.
    pub async fn enter(stage: &Arc<Stage>, number: u32, person: &mut Person) -> Result<Arc<Self>, Failure> {
        let attempts = Arc::new(AtomicUsize::new(number as usize));
        let known = person.token();
        let config = config(stage, number, known);
        let (client, events) = open(stage, &attempts, config).await?;
        let (user, token) = match known {
            Some(known) => known,
            None => accounts::log_in(&client, person).await?,
        };
        let participant = Arc::new(Self {
            number,
            user,
            token,
            stage: Arc::clone(stage),
            attempts,
            client: watch::Sender::new(Some(client)),
            caught_up: watch::Sender::new(0),
            state: Mutex::default(),
        });
        let listening = tokio::spawn(Arc::clone(&participant).listen(events));
        participant.state().listening = Some(listening);
        Ok(participant)
    }

    /// The client, once it is there.
    pub async fn client(&self) -> Client {
        let mut client = self.client.subscribe();
        let there = client.wait_for(Option::is_some).await.expect("this holds the sender");
        there.clone().expect("it was waited for")
    }

    /// The client, if it is there.
    pub fn present(&self) -> Option<Client> {
        self.client.borrow().clone()
    }

    /// Whether it has a conversation up to this entry: it was shown it, or begins after it.
    pub async fn has(&self, conversation: ConversationId, upto: Seq) -> bool {
        let cursors = self.client().await.cursors();
        cursors.iter().any(|(of, seq)| *of == conversation && *seq >= upto)
    }

    /// Which conversation a place is.
    pub fn conversation(&self, place: u32) -> ConversationId {
        self.stage.witness().conversation(place)
    }

    /// Waits until it has caught up for the first time since it came.
    pub async fn has_caught_up(&self) {
        let waited = self.caught_up.subscribe().wait_for(|times| *times > 0).await.is_ok();
        debug_assert!(waited, "this holds the sender");
    }

    /// Closes the connection; what has arrived is taken still.
    pub async fn go(&self) {
        let Some(client) = self.client.send_replace(None) else { return };
        client.close().await;
        let listening = self.state().listening.take();
        if let Some(listening) = listening {
            // It ends with the client; a panic in it has been told already.
            let _ = listening.await;
        }
        let mut state = self.state();
        state.cursors = client.cursors();
        state.epoch = client.epoch();
    }

    /// Comes back as an application that was started again: with its token and what it has already.
    /// Tries until it succeeds; says how long it took until it had everything.
    pub async fn come(self: &Arc<Self>) -> Duration {
        let came = Instant::now();
        if let Some(witness) = self.stage.witness.get() {
            witness.came(self.number);
        }
        self.caught_up.send_replace(0);
        loop {
            let mut config = config(&self.stage, self.number, Some((self.user, self.token)));
            {
                let state = self.state();
                config.cursors.clone_from(&state.cursors);
                config.epoch = state.epoch;
            }
            match open(&self.stage, &self.attempts, config).await {
                Ok((client, events)) => {
                    let listening = tokio::spawn(Arc::clone(self).listen(events));
                    self.state().listening = Some(listening);
                    self.client.send_replace(Some(client));
                    self.has_caught_up().await;
                    return came.elapsed();
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Hands something to the server that was to be sent at `at`. It is under way from then on, and only
    /// [`UnderWay::answered`] takes it to its answer.
    pub async fn begin(self: &Arc<Self>, place: u32, outgoing: Outgoing, at: Instant) -> UnderWay {
        let witness = self.stage.witness();
        let client = self.client().await;
        let (client_id, conversation) = (client.new_id(), witness.conversation(place));
        let at_us = witness.micros(at);
        witness.sent(self.number, place, at_us, client_id, &outgoing);
        let send = Send { client_id, conversation, message: outgoing, read_up_to: None };
        let pending = client.begin_send(send.clone()).await;
        UnderWay { participant: Arc::clone(self), place, at_us, send, pending }
    }

    async fn listen(self: Arc<Self>, mut events: ClientEvents) {
        let mut away = false;
        while let Some(event) = events.next().await {
            match event {
                ClientEvent::Entry { conversation, entry } => self.saw(conversation, &entry),
                ClientEvent::Disconnected { .. } => away = true,
                ClientEvent::Connected if std::mem::take(&mut away) => {
                    self.stage.reconnections.fetch_add(1, Ordering::Relaxed);
                }
                ClientEvent::CaughtUp => self.caught_up.send_modify(|times| *times += 1),
                ClientEvent::EpochChanged => {
                    self.stage.ended(self.number, "the server's history is another one");
                }
                ClientEvent::Ended(reason) => self.stage.ended(self.number, &format!("{reason:?}")),
                ClientEvent::GaveUp(error) => self.stage.ended(self.number, &error.to_string()),
                _ => {}
            }
        }
    }

    fn saw(&self, conversation: ConversationId, entry: &Entry) {
        // What was written before the run is no part of it.
        if let Some(witness) = self.stage.witness.get() {
            witness.saw(self.number, conversation, entry);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// Waits for the answer, and makes the request again under the same client id until there is one.
    /// `Some` seq when it is stored, `None` when it is refused for good.
    pub async fn answered(self) -> Option<Seq> {
        let Self { participant, place, at_us, send, mut pending } = self;
        let (id, witness) = (send.client_id, participant.stage.witness());
        loop {
            let answer = match pending {
                Ok(pending) => pending.await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(receipt) => {
                    witness.acknowledged(participant.number, place, at_us, id, receipt.seq);
                    return Some(receipt.seq);
                }
                Err(ClientError::Refused(error)) if !is_momentary(error.kind()) => {
                    witness.refused(participant.number, place, id, error.kind());
                    return None;
                }
                Err(_) => {
                    participant.stage.repetitions.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(PAUSE).await;
                    pending = participant.client().await.begin_send(send.clone()).await;
                }
            }
        }
    }
}

/// Refusals that say nothing about what was sent.
pub(crate) fn is_momentary(kind: ErrorKind) -> bool {
    use ErrorKind::{Ended, OutcomeUnknown, Overloaded, RateLimited, Unavailable};
    matches!(kind, Ended | OutcomeUnknown | Overloaded | RateLimited | Unavailable)
}

fn config(stage: &Stage, number: u32, known: Option<(UserId, Token)>) -> ClientConfig {
    let mut config = ClientConfig::new("");
    config.token = known.map(|(_, token)| token);
    config.connect_timeout = CONNECT_TIMEOUT;
    config.backoff.max = LONGEST_BACKOFF;
    config.seed = Some(stage.seed ^ u64::from(number));
    config.software = concat!("chat-load/", env!("CARGO_PKG_VERSION")).into();
    config
}

/// Connects to the first address that accepts, beginning with the one whose turn it is.
async fn open(
    stage: &Stage,
    attempts: &Arc<AtomicUsize>,
    config: ClientConfig,
) -> Result<(Client, ClientEvents), Failure> {
    let addresses: Arc<[String]> = stage.addresses.clone().into();
    let connector = {
        let (addresses, attempts) = (Arc::clone(&addresses), Arc::clone(attempts));
        move || {
            let address = addresses[attempts.fetch_add(1, Ordering::Relaxed) % addresses.len()].clone();
            async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(stream)
            }
        }
    };
    let mut failed = None;
    for _ in 0..addresses.len() {
        match Client::connect_with(config.clone(), connector.clone()).await {
            Ok(opened) => return Ok(opened),
            Err(error) => failed = Some(error),
        }
    }
    let error = failed.ok_or("there is no address")?;
    Err(format!("{}: {error}", addresses.join(", ")).into())
}
