//! What a store holds of a conversation beside its log: the head, the members and their cursors.

use crate::{ConversationId, DisplayName, GroupId, Handle, Seq, Timestamp, UserId};

/// The state of a conversation's log, locked by whoever writes to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which conversation.
    pub conversation: ConversationId,
    /// The seq of the last entry, 0 while there is none.
    pub seq: Seq,
    /// The number of countable entries.
    pub ordinal: u64,
    /// The time of the last entry.
    pub time: Timestamp,
    /// The first entry that retention has kept; 1 while it took none.
    pub first_seq: Seq,
    /// Grows with each change of what decides who may write here: memberships, roles, mutes,
    /// settings, and blocks and contacts of a direct conversation's two users. For entries of the
    /// log that change them it is at least their seq; a block raises it and leaves no trace in the log.
    pub rules_seq: u64,
    /// The settings, when it is a group.
    pub group: Option<Group>,
}

impl Head {
    /// The head of a conversation into which nothing was written.
    pub fn empty(conversation: ConversationId) -> Self {
        Self { conversation, seq: 0, ordinal: 0, time: Timestamp(0), first_seq: 1, rules_seq: 0, group: None }
    }
}

/// Who may become a member of a group, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinPolicy {
    /// Anyone who knows the handle joins.
    Open,
    /// Anyone who knows the handle asks; an owner or admin approves.
    Request,
    /// Only who was invited or added; such a group needs no handle.
    Invitation,
}

/// How far back a new member may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HistoryPolicy {
    /// From the entry by which they joined.
    #[default]
    SinceJoin,
    /// From the beginning.
    All,
}

/// What a group is called and how it admits: what its owner and admins may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupProfile {
    /// The name shown.
    pub name: DisplayName,
    /// A text of up to [`GroupProfile::DESCRIPTION_LIMIT_BYTES`], empty when there is none.
    pub description: String,
    /// The unique name by which it is found; kept for as long as the group exists.
    pub handle: Option<Handle>,
    /// Who may become a member.
    pub join: JoinPolicy,
    /// How far back a new member may read.
    pub history: HistoryPolicy,
}

impl GroupProfile {
    /// The most bytes that a description has, in UTF-8.
    pub const DESCRIPTION_LIMIT_BYTES: usize = 1024;
}

/// The settings and state of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which group.
    pub id: GroupId,
    /// Name, description, handle and policies.
    pub profile: GroupProfile,
    /// How many members it has.
    pub members: u32,
    /// Whether it was dissolved: nobody is a member any more, and nothing more is written.
    pub dissolved: bool,
}

/// What a user is in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// The one owner of a group: everything an admin may, and roles, ownership, dissolution.
    Owner,
    /// May admit, remove and mute members and change the profile.
    Admin,
    /// Reads and writes. Both users of a direct conversation and the owner of an inbox are members.
    Member,
    /// Was invited and has not answered.
    Invited,
    /// Asked to join and was not answered.
    Asking,
    /// Was a member, or was invited or asked in vain.
    Former,
}

impl Standing {
    /// Whether it lets its holder read what is new.
    pub const fn is_member(self) -> bool {
        matches!(self, Self::Owner | Self::Admin | Self::Member)
    }

    /// Whether it lets its holder decide about others.
    pub const fn is_staff(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }
}

/// How one user of a direct conversation stands to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Relation {
    /// Nothing binds them.
    #[default]
    None,
    /// Has asked the other to become a contact.
    Outgoing,
    /// Was asked by the other.
    Incoming,
    /// Contacts of each other.
    Contact,
}

/// How far a member has read: an entry, and what was counted up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The last entry read; 0 before the first.
    pub seq: Seq,
    /// The number of countable entries up to it.
    pub ordinal: u64,
    /// How many of those the member wrote.
    pub own: u64,
}

/// One user's place in one conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where.
    pub conversation: ConversationId,
    /// Who.
    pub user: UserId,
    /// As what.
    pub standing: Standing,
    /// In a direct conversation, how this user stands to the other.
    pub relation: Relation,
    /// In a direct conversation, whether this user has blocked the other.
    pub blocked: bool,
    /// Until when this member may not write.
    pub muted_until: Option<Timestamp>,
    /// The entry by which they became a member; 0 where that needs none.
    pub joined_seq: Seq,
    /// The first entry that they may read.
    pub visible_from: Seq,
    /// The last entry that they may read, for a former member.
    pub left_seq: Option<Seq>,
    /// How far they have read.
    pub read: Cursor,
    /// The last entry that reached one of their devices.
    pub delivered: Seq,
    /// How many countable entries they wrote here.
    pub own: u64,
}

impl Member {
    /// The place of a user about whom nothing is stored: nothing in a group, a member without any
    /// relation in a direct conversation.
    pub fn blank(conversation: ConversationId, user: UserId) -> Self {
        let standing = match conversation {
            ConversationId::Group(_) => Standing::Former,
            ConversationId::Direct(_) | ConversationId::Inbox(_) => Standing::Member,
        };
        Self {
            conversation,
            user,
            standing,
            relation: Relation::None,
            blocked: false,
            muted_until: None,
            joined_seq: 0,
            visible_from: 1,
            left_seq: if standing.is_member() { None } else { Some(0) },
            read: Cursor::default(),
            delivered: 0,
            own: 0,
        }
    }

    /// The number of countable entries of others after the read cursor, given the log's head.
    ///
    /// For a former member it counts to the end of the log and is not meaningful.
    pub fn unread(&self, head: &Head) -> u64 {
        let written = head.ordinal.saturating_sub(self.read.ordinal);
        written.saturating_sub(self.own.saturating_sub(self.read.own))
    }

    /// Whether the entry with this seq may be shown to them.
    pub fn may_read(&self, seq: Seq) -> bool {
        seq >= self.visible_from && self.left_seq.is_none_or(|left| seq <= left)
    }
}
