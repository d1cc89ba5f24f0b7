//! What a session can be asked to do.

use std::fmt;

use bytes::Bytes;

use crate::{
    AccountName, Body, ClientId, ConversationId, DisplayName, GroupProfile, Seq, Standing, Timestamp, UserId,
};

/// A password on its way to be hashed or verified; not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The fewest bytes that a new password has.
    pub const MINIMUM_BYTES: usize = 8;
    /// The most bytes that a password has.
    pub const LIMIT_BYTES: usize = 256;

    /// Takes what somebody typed; its length is checked where it is used.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What was typed.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What a device logs in with after its first time: 32 random bytes, stored only as their hash; not
/// shown by `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(pub [u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A new account, and the device that logs in to it at once.
#[derive(Clone, Debug)]
pub struct Register {
    /// What the client calls this command; repeating it with the same name and password logs in.
    pub client_id: ClientId,
    /// The unique name.
    pub name: AccountName,
    /// The name shown; the account name when there is none.
    pub display_name: Option<DisplayName>,
    /// The password, at least [`Password::MINIMUM_BYTES`].
    pub password: Password,
    /// What the owner calls the device.
    pub device_label: String,
}

/// Who somebody is, and how they prove it.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A name and its password: a new device, which is given a token.
    Password {
        /// The account's name.
        name: AccountName,
        /// Its password.
        password: Password,
        /// What the owner calls the device.
        device_label: String,
    },
    /// The token of a known device.
    Token(Token),
    /// Whatever the embedder's `Authenticator` understands.
    External {
        /// The proof.
        secret: Bytes,
        /// What the owner calls the device.
        device_label: String,
    },
}

/// What becomes of the messages of a deleted account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeftMessages {
    /// They stay, under a tombstone.
    Keep,
    /// Their contents are emptied everywhere.
    Redact,
}

/// One thing that a user writes into a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// What the client calls it; repeating it returns the first receipt and writes nothing.
    pub client_id: ClientId,
    /// Where.
    pub conversation: ConversationId,
    /// What.
    pub message: Outgoing,
    /// Moves the sender's read cursor to this entry with the same commit. A send by itself never
    /// moves it.
    pub read_up_to: Option<Seq>,
}

/// What can be written into a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A message.
    Message {
        /// What it says.
        body: Body,
        /// The entry that it answers.
        reply_to: Option<Seq>,
    },
    /// A new body for an own message.
    Edit {
        /// Which.
        target: Seq,
        /// What it says now.
        body: Body,
    },
    /// Empties a message: an own one, or in a group anyone's by an owner or admin.
    Recall {
        /// Which.
        target: Seq,
    },
    /// Sets or takes off an own reaction.
    Reaction {
        /// To which message.
        target: Seq,
        /// An emoji or a short text, 1 to 64 bytes.
        symbol: String,
        /// Whether it is set or taken off.
        set: bool,
    },
}

/// What a user can do about another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContactAction {
    /// Ask to become contacts; contacts at once when the other has asked too, or the installation
    /// does not ask.
    Request {
        /// A word to the other, up to [`ContactAction::NOTE_LIMIT_BYTES`] bytes.
        note: String,
    },
    /// Accept the other's request.
    Accept,
    /// Decline the other's request.
    Decline,
    /// Take back an own request.
    Withdraw,
    /// Stop being contacts.
    Remove,
    /// Let the other write no more; also ends contact and requests between the two.
    Block,
    /// Undo a block.
    Unblock,
}

impl ContactAction {
    /// The most bytes that a note has, in UTF-8.
    pub const NOTE_LIMIT_BYTES: usize = 512;
}

/// A new group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateGroup {
    /// What the client calls this command.
    pub client_id: ClientId,
    /// How the group begins.
    pub profile: GroupProfile,
    /// Who is in it from the start beside its creator; each must be someone whom the creator may
    /// write to. At most the installation's limit (1,000 by default).
    pub members: Vec<UserId>,
}

/// What a user can do in or about a group. Who may do what:
///
/// | action | owner | admin | member | others |
/// |---|---|---|---|---|
/// | `Join` (open: enters; by request: asks) | | | | yes |
/// | `WithdrawRequest`, `AcceptInvitation`, `DeclineInvitation` | | | | who asked, who was invited |
/// | `Leave` | after `Transfer`, unless alone | yes | yes | |
/// | `Invite`, `WithdrawInvitation`, `Approve`, `Reject`, `Add`, `ChangeProfile` | yes | yes | | |
/// | `Remove`, `Mute` | everyone else | members | | |
/// | `SetRole`, `Transfer`, `Dissolve` | yes | | | |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupAction {
    /// Enter an open group, or ask to be admitted to one that is joined by request.
    Join,
    /// Take back the own request to join.
    WithdrawRequest,
    /// Leave.
    Leave,
    /// Invite a user.
    Invite(UserId),
    /// Take back an invitation.
    WithdrawInvitation(UserId),
    /// Accept the own invitation.
    AcceptInvitation,
    /// Decline the own invitation.
    DeclineInvitation,
    /// Admit a user who asked.
    Approve(UserId),
    /// Turn down a user who asked.
    Reject(UserId),
    /// Add users without asking them; each must be someone whom the actor may write to. At most the
    /// installation's limit at once.
    Add(Vec<UserId>),
    /// Remove a member.
    Remove(UserId),
    /// Make a member an admin or an admin a member.
    SetRole(UserId, Standing),
    /// Make another member the owner; the owner becomes an admin.
    Transfer(UserId),
    /// Keep a member from writing until then; a time that has passed lifts it.
    Mute(UserId, Timestamp),
    /// Give the group a new profile. The handle can be set once and then stays.
    ChangeProfile(GroupProfile),
    /// End the group for everyone.
    Dissolve,
}

/// What a client holds already and asks to be brought up to date on: one page of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// How far the client has each conversation, in the order of their keys. A conversation without
    /// a cursor starts at its read cursor.
    pub cursors: Vec<(ConversationId, Seq)>,
    /// Where the previous page ended.
    pub after: Option<ConversationId>,
    /// The last conversation that `cursors` speaks about, when it does not go to the end: the page
    /// stops there.
    pub until: Option<ConversationId>,
    /// The most conversations of the page.
    pub limit: usize,
    /// The most entries of one conversation; what is beyond is read with `entries`.
    pub entries_limit: usize,
}
