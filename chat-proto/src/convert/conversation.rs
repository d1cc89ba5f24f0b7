//! Conversations: their ids, what is written into them, and how they stand.

use chat_core::{
    Body, ConversationId, ConversationState, Direction, Entry, Ephemeral, Group, History, PeerPosition,
    Range, Receipt, Relation, Seq, Standing, SyncPage, SyncedConversation, Timestamp, UserId,
};

use super::group::group_id;
use super::{Malformed, Wire, count, position, seq, size, user};
use crate::wire;

impl Wire for ConversationId {
    type Form = wire::ConversationId;

    fn write(&self) -> wire::ConversationId {
        use wire::conversation_id::Id;
        let id = match self {
            Self::Direct(pair) => {
                Id::Direct(wire::DirectId { low: pair.low().number(), high: pair.high().number() })
            }
            Self::Group(group) => Id::Group(group.number()),
            Self::Inbox(user) => Id::Inbox(user.number()),
        };
        wire::ConversationId { id: Some(id) }
    }

    fn read(form: wire::ConversationId) -> Result<Self, Malformed> {
        use wire::conversation_id::Id;
        match form.id.ok_or_else(|| Malformed::missing("conversation.id"))? {
            Id::Direct(wire::DirectId { low, high }) => {
                let low = user("conversation.direct.low", low)?;
                let high = user("conversation.direct.high", high)?;
                Self::direct(low, high).ok_or_else(|| Malformed::new("conversation.direct", "one user"))
            }
            Id::Group(group) => group_id("conversation.group", group).map(Self::Group),
            Id::Inbox(owner) => user("conversation.inbox", owner).map(Self::Inbox),
        }
    }
}

impl Wire for (ConversationId, Seq) {
    type Form = wire::Position;

    fn write(&self) -> wire::Position {
        wire::Position { conversation: Some(self.0.write()), seq: self.1 }
    }

    fn read(form: wire::Position) -> Result<Self, Malformed> {
        let conversation = ConversationId::required("position.conversation", form.conversation)?;
        Ok((conversation, position("position.seq", form.seq)?))
    }
}

impl Wire for Body {
    type Form = wire::Body;

    fn write(&self) -> wire::Body {
        let body = match self {
            Self::Text(text) => wire::body::Body::Text(text.clone()),
            Self::Data { media_type, bytes } => wire::body::Body::Data(wire::DataBody {
                media_type: media_type.clone(),
                bytes: bytes.clone(),
            }),
        };
        wire::Body { body: Some(body) }
    }

    fn read(form: wire::Body) -> Result<Self, Malformed> {
        Ok(match form.body.ok_or_else(|| Malformed::missing("body"))? {
            wire::body::Body::Text(text) => Self::Text(text),
            // Without one an edit to data could not be told from one to text.
            wire::body::Body::Data(wire::DataBody { media_type, .. }) if media_type.is_empty() => {
                return Err(Malformed::missing("body.data.media_type"));
            }
            wire::body::Body::Data(wire::DataBody { media_type, bytes }) => Self::Data { media_type, bytes },
        })
    }
}

impl Wire for Range {
    type Form = wire::Range;

    fn write(&self) -> wire::Range {
        let direction = match self.direction {
            Direction::Forward => wire::Direction::Forward,
            Direction::Backward => wire::Direction::Backward,
        };
        wire::Range {
            from: self.from,
            to: self.to,
            direction: direction.into(),
            limit: count(self.limit),
            limit_bytes: count(self.limit_bytes),
        }
    }

    fn read(form: wire::Range) -> Result<Self, Malformed> {
        let direction = match wire::Direction::try_from(form.direction) {
            Ok(wire::Direction::Forward) => Direction::Forward,
            Ok(wire::Direction::Backward) => Direction::Backward,
            Err(_) => return Err(Malformed::new("range.direction", "unknown number")),
        };
        Ok(Self {
            from: seq("range.from", form.from)?,
            to: form.to,
            direction,
            limit: size(form.limit),
            limit_bytes: size(form.limit_bytes),
        })
    }
}

impl Wire for Receipt {
    type Form = wire::Receipt;

    fn write(&self) -> wire::Receipt {
        wire::Receipt { seq: self.seq, time: self.time.0 }
    }

    fn read(form: wire::Receipt) -> Result<Self, Malformed> {
        Ok(Self { seq: position("receipt.seq", form.seq)?, time: Timestamp(form.time) })
    }
}

impl Wire for ConversationState {
    type Form = wire::ConversationState;

    fn write(&self) -> wire::ConversationState {
        wire::ConversationState {
            conversation: Some(self.conversation.write()),
            head: self.head,
            time: self.time.0,
            first_seq: self.first_seq,
            read: self.read,
            unread: self.unread,
            delivered: self.delivered,
            standing: self.standing.write(),
            relation: self.relation.write(),
            blocked: self.blocked,
            muted_until: self.muted_until.map(|until| until.0),
            peer: self.peer.map(|PeerPosition { read, delivered }| wire::PeerPosition { read, delivered }),
            group: self.group.as_ref().map(Group::write),
        }
    }

    fn read(form: wire::ConversationState) -> Result<Self, Malformed> {
        Ok(Self {
            conversation: ConversationId::required("state.conversation", form.conversation)?,
            head: position("state.head", form.head)?,
            time: Timestamp(form.time),
            first_seq: position("state.first_seq", form.first_seq)?,
            read: position("state.read", form.read)?,
            unread: form.unread,
            delivered: position("state.delivered", form.delivered)?,
            standing: Standing::read(form.standing)?,
            relation: Relation::read(form.relation)?,
            blocked: form.blocked,
            muted_until: form.muted_until.map(Timestamp),
            peer: form.peer.map(|wire::PeerPosition { read, delivered }| PeerPosition { read, delivered }),
            group: form.group.map(Group::read).transpose()?,
        })
    }
}

impl Wire for SyncedConversation {
    type Form = wire::SyncedConversation;

    fn write(&self) -> wire::SyncedConversation {
        wire::SyncedConversation {
            state: Some(self.state.write()),
            entries: Entry::write_all(&self.entries),
            more: self.more,
        }
    }

    fn read(form: wire::SyncedConversation) -> Result<Self, Malformed> {
        Ok(Self {
            state: ConversationState::required("synced.state", form.state)?,
            entries: Entry::read_all(form.entries)?,
            more: form.more,
        })
    }
}

impl Wire for SyncPage {
    type Form = wire::SyncPage;

    fn write(&self) -> wire::SyncPage {
        wire::SyncPage {
            conversations: SyncedConversation::write_all(&self.conversations),
            next: self.next.as_ref().map(ConversationId::write),
        }
    }

    fn read(form: wire::SyncPage) -> Result<Self, Malformed> {
        Ok(Self {
            conversations: SyncedConversation::read_all(form.conversations)?,
            next: form.next.map(ConversationId::read).transpose()?,
        })
    }
}

impl Wire for History {
    type Form = wire::HistoryPage;

    fn write(&self) -> wire::HistoryPage {
        wire::HistoryPage {
            entries: Entry::write_all(&self.entries),
            referring: Entry::write_all(&self.referring),
            more: self.more,
        }
    }

    fn read(form: wire::HistoryPage) -> Result<Self, Malformed> {
        Ok(Self {
            entries: Entry::read_all(form.entries)?,
            referring: Entry::read_all(form.referring)?,
            more: form.more,
        })
    }
}

/// Writes an ephemeral event; one of a kind that has no form yet is nothing.
pub(super) fn write_ephemeral(event: &Ephemeral) -> wire::Ephemeral {
    use wire::ephemeral::What;
    let moved = |conversation: ConversationId, user: UserId, seq| wire::PositionMoved {
        conversation: Some(conversation.write()),
        user: user.number(),
        seq,
    };
    let what = match *event {
        Ephemeral::Presence { user, online } => {
            Some(What::Presence(wire::Presence { user: user.number(), online }))
        }
        Ephemeral::Typing { conversation, user } => {
            Some(What::Typing(wire::Typing { conversation: Some(conversation.write()), user: user.number() }))
        }
        Ephemeral::Read { conversation, user, seq } => Some(What::Read(moved(conversation, user, seq))),
        Ephemeral::Delivered { conversation, user, seq } => {
            Some(What::Delivered(moved(conversation, user, seq)))
        }
        _ => None,
    };
    wire::Ephemeral { what }
}

/// Reads an ephemeral event; `None` of a kind that a newer server knows.
pub(super) fn read_ephemeral(form: wire::Ephemeral) -> Result<Option<Ephemeral>, Malformed> {
    use wire::ephemeral::What;
    let moved = |form: wire::PositionMoved| {
        let conversation = ConversationId::required("moved.conversation", form.conversation)?;
        Ok((conversation, user("moved.user", form.user)?, position("moved.seq", form.seq)?))
    };
    Ok(match form.what {
        None => None,
        Some(What::Presence(presence)) => {
            Some(Ephemeral::Presence { user: user("presence.user", presence.user)?, online: presence.online })
        }
        Some(What::Typing(typing)) => Some(Ephemeral::Typing {
            conversation: ConversationId::required("typing.conversation", typing.conversation)?,
            user: user("typing.user", typing.user)?,
        }),
        Some(What::Read(form)) => {
            let (conversation, user, seq) = moved(form)?;
            Some(Ephemeral::Read { conversation, user, seq })
        }
        Some(What::Delivered(form)) => {
            let (conversation, user, seq) = moved(form)?;
            Some(Ephemeral::Delivered { conversation, user, seq })
        }
    })
}
