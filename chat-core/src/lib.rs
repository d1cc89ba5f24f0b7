//! An embeddable chat engine.
//!
//! Without default features: the domain types alone.

pub mod content;

mod account;
mod chunk;
mod command;
mod conversation;
mod entry;
mod error;
mod event;
mod ids;
mod name;
mod page;
mod time;
mod view;

#[cfg(feature = "engine")]
pub mod bus;
#[cfg(feature = "engine")]
mod engine;
#[cfg(feature = "engine")]
pub mod memory;
#[cfg(feature = "engine")]
pub mod store;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use account::{Account, Attachment, Device, TokenHash};
pub use chunk::{Chunk, WireFormat};
pub use command::{
    ContactAction, CreateGroup, Credentials, GroupAction, LeftMessages, Outgoing, Password, Register, Send,
    Sync, Token,
};
pub use content::{Body, ContactEvent, Content, DeviceEvent, GroupEvent};
pub use conversation::{
    Cursor, Group, GroupProfile, Head, HistoryPolicy, JoinPolicy, Member, Relation, Standing,
};
#[cfg(feature = "engine")]
pub use engine::{
    Authenticator, Blocking, BlockingInline, BlockingThreads, BusFigures, Clock, CommitFigures,
    ContactPolicy, DeliveryFigures, DevicePolicy, Engine, EngineBuilder, EngineConfig, Events, Figures,
    Health, Histogram, Hooks, Identity, Job, JournalFigures, LoggedIn, PasswordCost, PendingSend,
    QueueFigures, RepairFigures, SendFigures, Session, StartError, SystemClock, Unready, Verdict,
    WritePolicy,
};
pub use entry::{Entry, Kind};
pub use error::{Error, ErrorKind};
pub use event::{EndReason, Ephemeral, Event};
pub use ids::{
    BootId, ClientId, ConversationId, ConversationKey, DeviceId, Epoch, GroupId, MAX_ID, MalformedId, Pair,
    Seq, UserId,
};
pub use name::{AccountName, DisplayName, Handle, NameError};
pub use page::{Direction, History, Range};
pub use time::Timestamp;
pub use view::{
    Contact, ConversationState, DeviceInfo, GroupCard, GroupCreated, GroupMember, PeerPosition, Profile,
    Receipt, SyncPage, SyncedConversation,
};
