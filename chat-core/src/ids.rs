//! Identifiers: every one a newtype, all opaque, none reused.

use std::fmt;

use thiserror::Error;

/// The text or bytes given are not an identifier of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("malformed {0}")]
pub struct MalformedId(pub &'static str);

/// Ids of users, groups and devices stay below this, so that every JSON parser holds them exactly.
pub const MAX_ID: u64 = 1 << 53;

macro_rules! numeric_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The id with this number.
            ///
            /// # Errors
            /// Zero and numbers of 2^53 and above are no ids.
            pub const fn new(number: u64) -> Result<Self, MalformedId> {
                if number == 0 || number >= MAX_ID { Err(MalformedId($what)) } else { Ok(Self(number)) }
            }

            /// The id that these 64 random bits stand for: their lower 53, and 1 in place of 0.
            pub const fn from_random(bits: u64) -> Self {
                let number = bits % MAX_ID;
                Self(if number == 0 { 1 } else { number })
            }

            /// The number, from 1 to 2^53 - 1.
            pub const fn number(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                text.parse().map_err(|_| MalformedId($what)).and_then(Self::new)
            }
        }
    };
}

numeric_id!(
    /// A user. Stays the same through renames and is never given to anybody else.
    UserId,
    "user id"
);
numeric_id!(
    /// A group conversation.
    GroupId,
    "group id"
);
numeric_id!(
    /// One device of a user: what holds a token and has at most one session at a time.
    DeviceId,
    "device id"
);

/// The number of an entry in its conversation: 1, 2, 3, … without holes. 0 stands before the first.
pub type Seq = u64;

/// What a client calls one command, so that repeating the command changes nothing: 16 bytes.
///
/// Time-ordered ids (UUIDv7, RFC 9562) keep the stores' uniqueness index growing at its end;
/// arbitrary ids are correct and slower.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub [u8; 16]);

impl ClientId {
    /// Reads an id from exactly 16 bytes.
    ///
    /// # Errors
    /// Any other length.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, MalformedId> {
        bytes.try_into().map(Self).map_err(|_| MalformedId("client id: 16 bytes expected"))
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientId(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// A conversation: a log of entries that its members share.
///
/// The order of keys is the order in which stores lock heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConversationId {
    /// Between two users; needs no creation.
    Direct(Pair),
    /// Among the members of a group.
    Group(GroupId),
    /// A user's own: contact requests and answers, invitations, notices about devices.
    Inbox(UserId),
}

/// Two different users, the lower id first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    low: UserId,
    high: UserId,
}

impl Pair {
    /// The pair of two users in either order, `None` when they are one.
    pub fn new(a: UserId, b: UserId) -> Option<Self> {
        (a != b).then(|| Self { low: a.min(b), high: a.max(b) })
    }

    /// The user with the lower id.
    pub const fn low(self) -> UserId {
        self.low
    }

    /// The user with the higher id.
    pub const fn high(self) -> UserId {
        self.high
    }

    /// Whether `user` is one of the two.
    pub fn contains(self, user: UserId) -> bool {
        self.low == user || self.high == user
    }

    /// The other one, `None` when `user` is neither.
    pub fn peer_of(self, user: UserId) -> Option<UserId> {
        if user == self.low {
            Some(self.high)
        } else if user == self.high {
            Some(self.low)
        } else {
            None
        }
    }
}

impl ConversationId {
    /// The direct conversation of two users, `None` when they are one.
    pub fn direct(a: UserId, b: UserId) -> Option<Self> {
        Pair::new(a, b).map(Self::Direct)
    }

    /// The canonical bytes: one for the kind, then eight per id, big-endian, so that the order of
    /// the bytes is the order of the ids.
    pub fn key(&self) -> ConversationKey {
        let mut bytes = [0; 17];
        let len = match self {
            Self::Direct(pair) => {
                bytes[0] = 1;
                bytes[1..9].copy_from_slice(&pair.low.0.to_be_bytes());
                bytes[9..17].copy_from_slice(&pair.high.0.to_be_bytes());
                17
            }
            Self::Group(group) => {
                bytes[0] = 2;
                bytes[1..9].copy_from_slice(&group.0.to_be_bytes());
                9
            }
            Self::Inbox(user) => {
                bytes[0] = 3;
                bytes[1..9].copy_from_slice(&user.0.to_be_bytes());
                9
            }
        };
        ConversationKey { bytes, len }
    }

    /// Reads what [`ConversationId::key`] wrote.
    ///
    /// # Errors
    /// Bytes that no conversation has.
    pub fn from_key(key: &[u8]) -> Result<Self, MalformedId> {
        const MALFORMED: MalformedId = MalformedId("conversation key");
        let id = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).map_err(|_| MALFORMED);
        match (key.first(), key.len()) {
            (Some(1), 17) => {
                let (low, high) = (UserId::new(id(&key[1..9])?)?, UserId::new(id(&key[9..])?)?);
                if low < high { Ok(Self::Direct(Pair { low, high })) } else { Err(MALFORMED) }
            }
            (Some(2), 9) => Ok(Self::Group(GroupId::new(id(&key[1..])?)?)),
            (Some(3), 9) => Ok(Self::Inbox(UserId::new(id(&key[1..])?)?)),
            _ => Err(MALFORMED),
        }
    }
}

/// The canonical bytes of a [`ConversationId`], without an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConversationKey {
    bytes: [u8; 17],
    len: u8,
}

impl std::ops::Deref for ConversationKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// One run of one node's process, drawn at its start: what was written by an earlier run is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub u64);

/// Which history a store holds: drawn when it is created or imported, changed after a restored backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u64) -> UserId {
        UserId::new(number).expect("a valid number")
    }

    #[test]
    fn keys_read_back_and_sort_like_their_ids() {
        let mut ids = vec![
            ConversationId::Inbox(user(3)),
            ConversationId::Group(GroupId::new(9).expect("valid")),
            ConversationId::direct(user(500), user(2)).expect("two users"),
            ConversationId::direct(user(2), user(7)).expect("two users"),
        ];
        for id in &ids {
            assert_eq!(ConversationId::from_key(&id.key()), Ok(*id));
        }
        let mut by_key = ids.clone();
        ids.sort();
        by_key.sort_by_key(ConversationId::key);
        assert_eq!(ids, by_key);
    }

    #[test]
    fn nobody_has_a_direct_conversation_alone() {
        assert_eq!(ConversationId::direct(user(1), user(1)), None);
        let mut twisted = ConversationId::direct(user(1), user(2)).expect("two users").key().to_vec();
        twisted[1..].rotate_left(8);
        assert!(ConversationId::from_key(&twisted).is_err());
    }

    #[test]
    fn ids_fit_a_javascript_number() {
        assert!(UserId::new(MAX_ID).is_err());
        assert!(UserId::new(0).is_err());
        assert_eq!(UserId::from_random(MAX_ID).number(), 1);
        assert_eq!("12".parse::<UserId>(), Ok(user(12)));
        assert!("-1".parse::<UserId>().is_err());
    }
}
