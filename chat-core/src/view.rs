//! What a session is told when it asks.

use crate::{
    AccountName, ConversationId, DeviceId, DisplayName, Entry, Group, GroupId, Handle, JoinPolicy, Relation,
    Seq, Standing, Timestamp, UserId,
};

/// That a command was carried out, and where it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The entry's seq, in the conversation that the command was about: for accounts and contacts
    /// the own inbox, for a group's members the group.
    pub seq: Seq,
    /// The entry's time.
    pub time: Timestamp,
}

/// A group that was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupCreated {
    /// Its id.
    pub group: GroupId,
    /// When.
    pub time: Timestamp,
}

/// What everyone may know of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Who.
    pub user: UserId,
    /// The account's name.
    pub name: AccountName,
    /// The name shown.
    pub display_name: DisplayName,
    /// Whether the account was deleted.
    pub deleted: bool,
}

/// A user with whom there is a contact, a request or a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Who.
    pub profile: Profile,
    /// How the asking user stands to them.
    pub relation: Relation,
    /// Whether the asking user blocked them.
    pub blocked: bool,
    /// Whether they are online; `None` unless they are contacts.
    pub online: Option<bool>,
}

/// What everyone may know of a group that has a handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCard {
    /// Which group.
    pub group: GroupId,
    /// Its handle.
    pub handle: Handle,
    /// Its name.
    pub name: DisplayName,
    /// Its description, empty when there is none.
    pub description: String,
    /// Who may join.
    pub join: JoinPolicy,
    /// How many members it has.
    pub members: u32,
}

/// A member of a group, as other members see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Who.
    pub profile: Profile,
    /// As what.
    pub standing: Standing,
    /// The entry by which they became a member; with the user id the key of pages.
    pub joined_seq: Seq,
    /// Until when they may not write.
    pub muted_until: Option<Timestamp>,
}

/// An own device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Which.
    pub device: DeviceId,
    /// What the owner calls it.
    pub label: String,
    /// When it first logged in.
    pub created: Timestamp,
    /// When its last session began or ended.
    pub last_seen: Timestamp,
    /// Whether it has a session now.
    pub online: bool,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// How a conversation stands for the user who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationState {
    /// Which.
    pub conversation: ConversationId,
    /// Its last entry; for a former member the last that they may read.
    pub head: Seq,
    /// The time of the log's last entry.
    pub time: Timestamp,
    /// The first entry that they may read.
    pub first_seq: Seq,
    /// How far they have read.
    pub read: Seq,
    /// The number of messages of others after that.
    pub unread: u64,
    /// The last entry that reached one of their devices.
    pub delivered: Seq,
    /// What they are in it.
    pub standing: Standing,
    /// In a direct conversation, how they stand to the other.
    pub relation: Relation,
    /// In a direct conversation, whether they blocked the other.
    pub blocked: bool,
    /// Until when they may not write.
    pub muted_until: Option<Timestamp>,
    /// In a direct conversation, how far the other has read and received.
    pub peer: Option<PeerPosition>,
    /// The settings, in a group.
    pub group: Option<Group>,
}

/// How far the other user of a direct conversation has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerPosition {
    /// The last entry that they read.
    pub read: Seq,
    /// The last entry that reached one of their devices.
    pub delivered: Seq,
}

/// A page of what changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncPage {
    /// Conversations in the order of their keys, each with the entries after the client's cursor.
    pub conversations: Vec<SyncedConversation>,
    /// Where the next page starts, `None` at the end.
    pub next: Option<ConversationId>,
}

/// One conversation of a [`SyncPage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncedConversation {
    /// How it stands.
    pub state: ConversationState,
    /// The first entries after the cursor, gapless.
    pub entries: Vec<Entry>,
    /// Whether there are more up to `state.head`.
    pub more: bool,
}
