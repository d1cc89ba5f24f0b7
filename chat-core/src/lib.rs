//! An embeddable chat engine.
//!
//! Without default features: the domain types alone.

pub mod content;

mod account;
mod conversation;
mod entry;
mod error;
mod ids;
mod name;
mod time;

#[cfg(feature = "engine")]
pub mod memory;
#[cfg(feature = "engine")]
pub mod store;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use account::{Account, Attachment, Device, TokenHash};
pub use content::{Body, ContactEvent, Content, DeviceEvent, GroupEvent};
pub use conversation::{
    Cursor, Group, GroupProfile, Head, HistoryPolicy, JoinPolicy, Member, Relation, Standing,
};
pub use entry::{Entry, Kind};
pub use error::{Error, ErrorKind};
pub use ids::{
    BootId, ClientId, ConversationId, ConversationKey, DeviceId, Epoch, GroupId, MAX_ID, MalformedId, Pair,
    Seq, UserId,
};
pub use name::{AccountName, DisplayName, Handle, NameError};
pub use time::Timestamp;
