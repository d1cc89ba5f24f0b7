//! What a session hears without asking.

use std::sync::Arc;

use crate::{Chunk, ConversationId, DeviceEvent, Seq, UserId};

/// One event of a session's stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// New entries: no earlier event of the session has told the last one. Those whose seq the receiver has
    /// already are to be passed over.
    Entries(Arc<Chunk>),
    /// Entries of this conversation up to this seq were not queued, since the receiver was slow. They
    /// are read from the log; everything after them follows as events.
    Behind {
        /// Where.
        conversation: ConversationId,
        /// The last one that was passed over.
        upto: Seq,
    },
    /// As [`Event::Behind`], in more conversations than are kept account of: sync everything.
    BehindEverywhere,
    /// Something that is true now and stored nowhere; dropped first when the receiver is slow.
    Ephemeral(Ephemeral),
    /// The session has ended; the last event.
    Ended(EndReason),
}

/// What passes without a trace in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ephemeral {
    /// A contact came online or went offline.
    Presence {
        /// Who.
        user: UserId,
        /// Whether they are online now.
        online: bool,
    },
    /// Somebody is typing.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
    },
    /// Somebody has read up to an entry: another member, or the same user on another device.
    Read {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// The last entry read.
        seq: Seq,
    },
    /// Entries up to this one reached a device of somebody.
    Delivered {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// The last entry.
        seq: Seq,
    },
}

impl Ephemeral {
    /// Whom it is about.
    pub const fn user(&self) -> UserId {
        match self {
            Self::Presence { user, .. }
            | Self::Typing { user, .. }
            | Self::Read { user, .. }
            | Self::Delivered { user, .. } => *user,
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// It logged out.
    LoggedOut,
    /// The same device connected again.
    Superseded,
    /// The device lost its token, see [`DeviceEvent`].
    Device(DeviceEvent),
    /// The account was deleted.
    AccountDeleted,
    /// The node lost track of what concerns the session: come back.
    Reset,
    /// The engine is shutting down: come back.
    ShuttingDown,
}
