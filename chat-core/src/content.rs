//! What entries say, and the canonical bytes of it.
//!
//! Each kind has a number, and its content is a protobuf message of that kind's own (the file
//! `entry.proto` of chat-proto is their schema). A field may be added to a kind; a change that older
//! readers would misunderstand takes a new number.

pub mod fields;

mod encoding;

use bytes::Bytes;

use crate::{DeviceId, DisplayName, GroupId, GroupProfile, Kind, Standing, Timestamp, UserId};

#[cfg(feature = "engine")]
pub(crate) use encoding::GROUP_NOTICE;
pub(crate) use encoding::numbered;

/// What a person writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Text.
    Text(String),
    /// Anything else: opaque to the engine, encrypted ones included.
    Data {
        /// What the bytes are (RFC 6838).
        media_type: String,
        /// The bytes.
        bytes: Bytes,
    },
}

/// What happened between two users or in a user's view of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContactEvent {
    /// The sender asked the other to become a contact.
    Requested,
    /// A request was accepted, or none was needed: they are contacts.
    Accepted,
    /// The sender declined the other's request.
    Declined,
    /// The sender took back a request.
    Withdrawn,
    /// The sender ended the contact.
    Removed,
    /// The owner of this inbox blocked the other.
    Blocked,
    /// The owner of this inbox unblocked the other.
    Unblocked,
}

/// What happened to the owner of an inbox, or in their care, in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupEvent {
    /// `user` became a member: created it, joined, was added or approved, accepted an invitation.
    Entered,
    /// `user` is no longer a member: left, was removed, or the group was dissolved.
    Left,
    /// `user` was invited.
    Invited,
    /// `user`'s invitation was declined or taken back.
    InvitationEnded,
    /// `user` asks to join.
    Asked,
    /// `user`'s request to join was declined or withdrawn.
    RequestEnded,
}

/// What happened to a device: it came, or lost its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceEvent {
    /// It logged in: for the first time, or again while another node still had its last session.
    Added,
    /// It logged out.
    LoggedOut,
    /// Another device revoked it.
    Revoked,
    /// A newer one took its place, as the device policy says.
    Replaced,
}

/// The content of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// A message.
    Message(Body),
    /// A new body for the target.
    Edit(Body),
    /// The target was taken back by its sender, or removed by an owner or admin.
    Recall,
    /// The sender reacts to the target.
    Reaction {
        /// An emoji or a short text, up to 64 bytes.
        symbol: String,
        /// Whether it is set or taken off again.
        set: bool,
    },
    /// The first entry of a group: its profile and first members, the owner (the sender) among them.
    GroupCreated {
        /// How it began.
        profile: GroupProfile,
        /// Who was in it from the start.
        members: Vec<UserId>,
    },
    /// The group has a new profile.
    GroupChanged(GroupProfile),
    /// An owner or admin added these users, or approved their request.
    MembersAdded(Vec<UserId>),
    /// The sender joined.
    Joined,
    /// The sender left.
    Left,
    /// An owner or admin removed this user.
    MemberRemoved(UserId),
    /// This user has a new role.
    RoleChanged {
        /// Who.
        user: UserId,
        /// What they are now. A new owner makes the former one an admin.
        role: Standing,
    },
    /// This user may not write until then; a time that has passed lifts it.
    Muted {
        /// Who.
        user: UserId,
        /// Until when.
        until: Timestamp,
    },
    /// The group is no more.
    Dissolved,
    /// Inbox: the account exists.
    AccountCreated,
    /// Inbox: the owner has a new display name.
    DisplayNameChanged(DisplayName),
    /// Inbox: the owner has a new password.
    PasswordChanged,
    /// Inbox: the account was deleted.
    AccountDeleted,
    /// Inbox: a device of the owner.
    Device {
        /// What happened.
        event: DeviceEvent,
        /// To which.
        device: DeviceId,
        /// What it is called.
        label: String,
    },
    /// Inbox: a contact.
    Contact {
        /// What happened.
        event: ContactEvent,
        /// With whom, seen from the owner of the inbox.
        peer: UserId,
        /// The note of a request, else empty.
        note: String,
    },
    /// Inbox: a group.
    Group {
        /// What happened.
        event: GroupEvent,
        /// Where.
        group: GroupId,
        /// To whom: the owner of the inbox, or who awaits their decision.
        user: UserId,
        /// The group's name at that time.
        name: String,
    },
    /// The entry was redacted: its seq remains, what it said is gone.
    Redacted,
    /// Of a kind that this version does not know.
    Unknown(Kind, Bytes),
}
