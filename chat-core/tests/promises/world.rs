//! A small world to test in: engines over one store, on one bus or none, and people who use them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chat_core::bus::Bus;
use chat_core::memory::{InProcessBus, MemoryStore};
use chat_core::store::Store;
use chat_core::{
    AccountName, BlockingInline, Body, ClientId, Clock, ContactAction, ConversationId, CreateGroup,
    Credentials, Direction, DisplayName, Engine, EngineBuilder, EngineConfig, Entry, Epoch, ErrorKind,
    GroupAction, GroupId, GroupProfile, Handle, HistoryPolicy, JoinPolicy, Outgoing, Password, PasswordCost,
    Range, Receipt, Register, Send, Seq, Session, Timestamp, Token, UserId,
};

use crate::client::Client;

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) const EVERYTHING: Range =
    Range { from: 1, to: Seq::MAX, direction: Direction::Forward, limit: 1_000, limit_bytes: 1 << 30 };

/// A clock that stands still until it is moved.
#[derive(Clone, Debug)]
pub(crate) struct Hand(Arc<AtomicU64>);

impl Hand {
    pub(crate) fn at(millis: u64) -> Self {
        Self(Arc::new(AtomicU64::new(millis)))
    }

    pub(crate) fn forward(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

pub(crate) fn config() -> EngineConfig {
    let mut config = EngineConfig::default();
    config.password_cost = PasswordCost { memory_kib: 8, passes: 1 };
    config.commands_per_second = 0;
    config
}

/// A fresh id for a command.
pub(crate) fn id() -> ClientId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    numbered(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The id with this number, for commands that are repeated or replayed.
pub(crate) fn numbered(number: u64) -> ClientId {
    ClientId(u128::from(number).to_be_bytes())
}

pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: InProcessBus,
    pub(crate) clock: Hand,
    nodes: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new(Epoch(1))))
    }

    pub(crate) fn over(store: Arc<dyn Store>) -> Self {
        Self { store, bus: InProcessBus::new(), clock: Hand::at(1_000_000), nodes: AtomicU64::new(0) }
    }

    /// A builder of one more node, with the settings of tests, connected to nothing but the store.
    pub(crate) fn builder(&self, config: EngineConfig) -> EngineBuilder {
        self.builder_over(Arc::clone(&self.store), config)
    }

    pub(crate) fn builder_over(&self, store: Arc<dyn Store>, mut config: EngineConfig) -> EngineBuilder {
        config.node = format!("node-{}", self.nodes.fetch_add(1, Ordering::Relaxed) + 1);
        Engine::builder_shared(store).config(config).clock(self.clock.clone()).blocking(BlockingInline)
    }

    /// A node on no bus.
    pub(crate) async fn alone(&self) -> Engine {
        self.alone_with(config()).await
    }

    pub(crate) async fn alone_with(&self, config: EngineConfig) -> Engine {
        self.builder(config).start().await.expect("an engine")
    }

    /// A node on the bus.
    pub(crate) async fn node(&self) -> Engine {
        self.node_on(self.bus.endpoint()).await
    }

    pub(crate) async fn node_on(&self, bus: impl Bus) -> Engine {
        self.builder(config()).bus(bus).start().await.expect("an engine")
    }

    /// All entries of a conversation, as they are stored.
    pub(crate) async fn log(&self, of: ConversationId) -> Vec<Entry> {
        let (mut log, mut from) = (Vec::new(), 1);
        loop {
            let page = self.store.entries(of, &Range { from, ..EVERYTHING }).await.expect("the store");
            let Some(last) = page.last() else { return log };
            from = last.seq + 1;
            log.extend(page);
        }
    }
}

pub(crate) fn name(name: &str) -> AccountName {
    AccountName::parse(name).expect("a name")
}

pub(crate) fn registration(who: &str) -> Register {
    Register {
        client_id: id(),
        name: name(who),
        display_name: None,
        password: Password::new(PASSWORD),
        device_label: format!("{who}'s first"),
    }
}

/// A new user with one device.
pub(crate) async fn join(engine: &Engine, who: &str) -> Client {
    let new = engine.register(registration(who)).await.expect("registered");
    Client::begin(new, engine).await
}

/// One more device of a user, by password.
pub(crate) async fn another(engine: &Engine, who: &str) -> Client {
    Client::begin(login(engine, who).await.expect("logged in"), engine).await
}

pub(crate) async fn login(engine: &Engine, who: &str) -> Result<chat_core::LoggedIn, chat_core::Error> {
    let password = Password::new(PASSWORD);
    engine.login(Credentials::Password { name: name(who), password, device_label: "another".into() }).await
}

/// A known device once more.
pub(crate) async fn again(engine: &Engine, token: Token) -> Client {
    let known = engine.login(Credentials::Token(token)).await.expect("logged in");
    Client::begin(known, engine).await
}

pub(crate) fn direct(a: &Client, b: &Client) -> ConversationId {
    ConversationId::direct(a.user(), b.user()).expect("two users")
}

pub(crate) fn group(id: GroupId) -> ConversationId {
    ConversationId::Group(id)
}

pub(crate) fn text(to: ConversationId, text: impl Into<String>) -> Send {
    let message = Outgoing::Message { body: Body::Text(text.into()), reply_to: None };
    Send { client_id: id(), conversation: to, message, read_up_to: None }
}

pub(crate) fn outgoing(to: ConversationId, message: Outgoing) -> Send {
    Send { client_id: id(), conversation: to, message, read_up_to: None }
}

/// Says something and waits until it is stored.
pub(crate) async fn say(who: &Session, to: ConversationId, words: impl Into<String>) -> Receipt {
    who.send(text(to, words)).await.expect("sent")
}

/// A group that its members keep to themselves.
pub(crate) fn closed(name: &str) -> GroupProfile {
    GroupProfile {
        name: DisplayName::parse(name).expect("a name"),
        description: String::new(),
        handle: None,
        join: JoinPolicy::Invitation,
        history: HistoryPolicy::SinceJoin,
    }
}

/// A group that is found by its name.
pub(crate) fn found(name: &str, join: JoinPolicy) -> GroupProfile {
    GroupProfile { handle: Some(Handle::parse(name).expect("a handle")), join, ..closed(name) }
}

pub(crate) async fn create(owner: &Session, profile: GroupProfile, members: &[UserId]) -> GroupId {
    let command = CreateGroup { client_id: id(), profile, members: members.to_vec() };
    owner.create_group(command).await.expect("created").group
}

/// Does something in a group that is expected to be allowed.
pub(crate) async fn act(who: &Session, group: GroupId, action: GroupAction) -> Receipt {
    who.group(id(), group, action).await.expect("allowed")
}

/// Tries something in a group that is expected to be refused.
pub(crate) async fn refused(who: &Session, group: GroupId, action: GroupAction) -> ErrorKind {
    who.group(id(), group, action).await.expect_err("refused").kind()
}

pub(crate) async fn befriend(a: &Session, b: &Session) {
    a.contact(id(), b.user(), ContactAction::Request { note: String::new() }).await.expect("asked");
    b.contact(id(), a.user(), ContactAction::Accept).await.expect("accepted");
}

/// What a refusal looks like from outside, to be compared with another one.
pub(crate) fn told<T: std::fmt::Debug>(result: Result<T, chat_core::Error>) -> String {
    let error = result.expect_err("refused");
    format!("{:?} {:?} {:?}", error.kind(), error.message(), error.retry_delay())
}
