//! How clients reach a node: directly, or through whatever an implementation puts between.

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::{
    ClientId, Contact, ContactAction, ConversationId, ConversationState, CreateGroup, Credentials, DeviceId,
    Engine, Entry, Error, Event, Events, GroupAction, GroupCreated, GroupId, History, LoggedIn, Range,
    Receipt, Register, Send, Seq, Session, Sync, SyncPage, Token, UserId,
};

/// Lets simulated clients in. [`InProcess`] hands them sessions; the wire's implementation puts its
/// driver, its codec and a failing stream of bytes between.
#[async_trait]
pub trait Access: std::marker::Send + std::marker::Sync + 'static {
    /// Connects one client to a node.
    ///
    /// # Errors
    /// The node's refusal, or [`ErrorKind::Ended`](crate::ErrorKind::Ended) when the connection is
    /// lost on the way.
    ///
    /// # Cancel safety
    /// A dropped future may have been admitted, as when a client gives up.
    async fn enter(&self, engine: &Engine, entrance: Entrance) -> Result<Entered, Error>;

    /// Looks whether everything between clients and nodes is in order; called in each calm and in the
    /// end. Does nothing unless overridden.
    ///
    /// # Panics
    /// When something there has panicked, or ended as it must not.
    async fn check(&self) {}
}

/// How a client comes in.
#[derive(Clone, Debug)]
pub enum Entrance {
    /// With a new account.
    Register(Register),
    /// With what it knows.
    Login(Credentials),
}

/// A client that has come in.
pub struct Entered {
    /// Who it is.
    pub user: UserId,
    /// On which device.
    pub device: DeviceId,
    /// What it comes in with from now on, when the device is new.
    pub token: Option<Token>,
    /// What it speaks through.
    pub connection: Box<dyn Connection>,
}

/// A client's connection. Dropping it is how a client vanishes.
#[async_trait]
pub trait Connection: std::marker::Send + std::marker::Sync {
    /// Has a command carried out. Commands are begun in the order in which their futures are first
    /// polled.
    ///
    /// # Errors
    /// The node's refusal; [`ErrorKind::Ended`](crate::ErrorKind::Ended) also when the connection is
    /// lost before the answer.
    ///
    /// # Cancel safety
    /// A dropped future may or may not have done it.
    async fn carry_out(&self, command: Command) -> Result<Done, Error>;

    /// Asks something.
    ///
    /// # Errors
    /// As [`Connection::carry_out`].
    async fn ask(&self, question: Question) -> Result<Answer, Error>;

    /// The next event, `None` once there will be no more. One task listens.
    ///
    /// # Cancel safety
    /// A dropped future has taken nothing.
    async fn hear(&self) -> Option<Event>;
}

/// What changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// As [`Session::send`].
    Send(Send),
    /// As [`Session::contact`].
    Contact(ClientId, UserId, ContactAction),
    /// As [`Session::create_group`].
    CreateGroup(CreateGroup),
    /// As [`Session::group`].
    Group(ClientId, GroupId, GroupAction),
    /// As [`Session::mark_read`].
    MarkRead(ConversationId, Seq),
    /// As [`Session::mark_delivered`].
    MarkDelivered(ConversationId, Seq),
    /// As [`Session::typing`].
    Typing(ConversationId),
    /// As [`Session::log_out`].
    LogOut(ClientId),
    /// As [`Session::revoke_device`].
    Revoke(ClientId, DeviceId),
}

/// What a command led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// An entry.
    Receipt(Receipt),
    /// A group.
    Group(GroupCreated),
    /// Something without a place in a log.
    Nothing,
}

/// What only reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// As [`Session::sync`].
    Sync(Sync),
    /// As [`Session::entries`].
    Entries(ConversationId, Range),
    /// As [`Session::history`].
    History(ConversationId, Range),
    /// As [`Session::conversation`].
    Conversation(ConversationId),
    /// As [`Session::contacts`], with a limit that nobody here reaches.
    Contacts,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each answers the question of its name")]
pub enum Answer {
    Sync(SyncPage),
    Entries(Vec<Entry>),
    History(History),
    Conversation(Box<ConversationState>),
    Contacts(Vec<Contact>),
}

impl Command {
    /// What the client calls it, if that counts.
    pub fn client_id(&self) -> Option<ClientId> {
        match self {
            Self::Send(send) => Some(send.client_id),
            Self::CreateGroup(create) => Some(create.client_id),
            Self::Contact(id, ..) | Self::Group(id, ..) | Self::LogOut(id) | Self::Revoke(id, _) => Some(*id),
            Self::MarkRead(..) | Self::MarkDelivered(..) | Self::Typing(_) => None,
        }
    }

    /// The conversation that it is about, for the trace.
    pub(super) fn conversation(&self, user: Option<UserId>) -> Option<ConversationId> {
        match self {
            Self::Send(send) => Some(send.conversation),
            Self::Group(_, group, _) => Some(ConversationId::Group(*group)),
            Self::Contact(_, peer, _) => ConversationId::direct(user?, *peer),
            Self::MarkRead(of, _) | Self::MarkDelivered(of, _) | Self::Typing(of) => Some(*of),
            Self::CreateGroup(_) | Self::LogOut(_) | Self::Revoke(..) => None,
        }
    }
}

/// Sessions, without anything between.
#[derive(Clone, Copy, Debug, Default)]
pub struct InProcess;

struct Direct {
    session: Session,
    events: Mutex<Events>,
}

#[async_trait]
impl Access for InProcess {
    async fn enter(&self, engine: &Engine, entrance: Entrance) -> Result<Entered, Error> {
        let LoggedIn { session, events, token } = match entrance {
            Entrance::Register(register) => engine.register(register).await?,
            Entrance::Login(credentials) => engine.login(credentials).await?,
        };
        let (user, device) = (session.user(), session.device());
        let connection = Box::new(Direct { session, events: Mutex::new(events) });
        Ok(Entered { user, device, token, connection })
    }
}

#[async_trait]
impl Connection for Direct {
    async fn carry_out(&self, command: Command) -> Result<Done, Error> {
        let session = &self.session;
        match command {
            Command::Send(send) => session.send(send).await.map(Done::Receipt),
            Command::Contact(id, peer, action) => session.contact(id, peer, action).await.map(Done::Receipt),
            Command::CreateGroup(create) => session.create_group(create).await.map(Done::Group),
            Command::Group(id, group, action) => session.group(id, group, action).await.map(Done::Receipt),
            Command::MarkRead(of, seq) => session.mark_read(of, seq).await.map(|()| Done::Nothing),
            Command::MarkDelivered(of, seq) => {
                session.mark_delivered(&[(of, seq)]).await.map(|()| Done::Nothing)
            }
            Command::Typing(of) => session.typing(of).map(|()| Done::Nothing),
            Command::LogOut(id) => session.log_out(id).await.map(|()| Done::Nothing),
            Command::Revoke(id, device) => session.revoke_device(id, device).await.map(Done::Receipt),
        }
    }

    async fn ask(&self, question: Question) -> Result<Answer, Error> {
        let session = &self.session;
        match question {
            Question::Sync(sync) => session.sync(&sync).await.map(Answer::Sync),
            Question::Entries(of, range) => session.entries(of, &range).await.map(Answer::Entries),
            Question::History(of, range) => session.history(of, &range).await.map(Answer::History),
            Question::Conversation(of) => {
                session.conversation(of).await.map(|state| Answer::Conversation(Box::new(state)))
            }
            Question::Contacts => session.contacts(None, 500).await.map(Answer::Contacts),
        }
    }

    async fn hear(&self) -> Option<Event> {
        self.events.lock().await.next().await
    }
}
