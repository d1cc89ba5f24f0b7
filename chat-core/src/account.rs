//! Accounts and the devices that act for them, as a store holds them.

use crate::{AccountName, BootId, DeviceId, DisplayName, Timestamp, UserId};

/// A user's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whose.
    pub user: UserId,
    /// The unique name; stays reserved after deletion.
    pub name: AccountName,
    /// The name shown; the only place where it is kept.
    pub display_name: DisplayName,
    /// The argon2id hash of the password in PHC string format; `None` where an embedder
    /// authenticates, and after deletion.
    pub password_hash: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// When it was deleted.
    pub deleted: Option<Timestamp>,
}

/// The hash under which a device's token is stored: the SHA-256 of its 32 random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// A device that may log in with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Which device.
    pub id: DeviceId,
    /// Whose.
    pub user: UserId,
    /// What its owner calls it, up to [`Device::LABEL_LIMIT_BYTES`] bytes.
    pub label: String,
    /// What its token hashes to.
    pub token_hash: TokenHash,
    /// When it first logged in.
    pub created: Timestamp,
    /// When its last session began or ended.
    pub last_seen: Timestamp,
    /// Where its session is, if it has one.
    pub attached: Option<Attachment>,
}

impl Device {
    /// The most bytes that a label has, in UTF-8.
    pub const LABEL_LIMIT_BYTES: usize = 128;
}

/// The slot of a device's one session, fenced: a run of a node clears only what it wrote itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attachment {
    /// The node that serves the session.
    pub node: String,
    /// Which run of that node.
    pub boot: BootId,
    /// Which of that run's sessions.
    pub session: u64,
}
