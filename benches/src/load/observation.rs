//! What happened in a run, one thing at a time: the lines of a record, and all that verifying needs.

use std::fmt;
use std::str::FromStr;

use chat_core::{ClientId, Content, Entry, Kind, Outgoing, Seq, UserId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The version of the record's format.
pub const VERSION: u32 = 1;

/// One line of a record. Times (`t`) are microseconds since the run began; `n` is a client's number,
/// `p` a place's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "r", rename_all = "snake_case")]
pub enum Observation {
    /// The first line.
    Run {
        /// [`VERSION`].
        version: u32,
        /// What was run.
        scenario: String,
        /// From which everything random was drawn.
        seed: u64,
    },
    /// A connection of a user; several clients may be devices of one user.
    Client {
        /// Its number.
        n: u32,
        /// Whose it is.
        user: u64,
    },
    /// A conversation that is written to in the run.
    Place {
        /// Its number.
        p: u32,
        /// `direct:LOWER:HIGHER` or `group:ID`.
        conversation: String,
        /// Its last entry before the run.
        base: Seq,
        /// The clients of its members, in ascending order.
        members: Vec<u32>,
    },
    /// A client is about to send this for the first time.
    Sent {
        /// When it was to be sent.
        t: u64,
        /// By whom.
        n: u32,
        /// Where.
        p: u32,
        /// Under which client id.
        id: Id,
        /// The checksum of what it says.
        sum: u32,
    },
    /// What was sent is acknowledged.
    Acked {
        /// When.
        t: u64,
        /// To whom.
        n: u32,
        /// Where.
        p: u32,
        /// What.
        id: Id,
        /// As which entry.
        seq: Seq,
    },
    /// What was sent is refused for good.
    Refused {
        /// When.
        t: u64,
        /// To whom.
        n: u32,
        /// Where.
        p: u32,
        /// What.
        id: Id,
        /// Why: a stable code of the protocol.
        code: String,
    },
    /// What was sent has no answer at the end of the run: it may be stored or not.
    Unknown {
        /// By whom it was sent.
        n: u32,
        /// Where.
        p: u32,
        /// What.
        id: Id,
    },
    /// An entry arrived at a client.
    Saw {
        /// When.
        t: u64,
        /// At whom.
        n: u32,
        /// Where.
        p: u32,
        /// The entry.
        seq: Seq,
        /// What its sender's client called it.
        id: Option<Id>,
        /// Its sender.
        by: u64,
        /// The checksum of what it says.
        sum: u32,
    },
    /// An entry of a conversation that is no place of the run arrived at a client.
    Stray {
        /// At whom.
        n: u32,
        /// Where.
        conversation: String,
        /// The entry.
        seq: Seq,
    },
    /// An entry of the history that a member read at the end.
    Stored {
        /// Where.
        p: u32,
        /// The entry.
        seq: Seq,
        /// What its sender's client called it.
        id: Option<Id>,
        /// Its sender.
        by: u64,
        /// The checksum of what it says.
        sum: u32,
    },
    /// A place's history was read to its end.
    Read {
        /// Where.
        p: u32,
        /// The last entry, the base when there was none after it.
        upto: Seq,
    },
    /// Everybody had the time that was given to receive everything.
    Settled,
    /// The last line.
    End {
        /// How many lines of each sort came before it.
        #[serde(flatten)]
        counts: Counts,
        /// The CRC-32 of all bytes before it; earlier versions told none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<u32>,
    },
}

/// How many observations there are of each sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// [`Observation::Sent`].
    pub sent: u64,
    /// [`Observation::Acked`].
    pub acked: u64,
    /// [`Observation::Refused`].
    pub refused: u64,
    /// [`Observation::Unknown`].
    pub unknown: u64,
    /// [`Observation::Saw`].
    pub saw: u64,
    /// [`Observation::Stored`].
    pub stored: u64,
}

impl Counts {
    /// Counts one more.
    pub fn add(&mut self, observation: &Observation) {
        let count = match observation {
            Observation::Sent { .. } => &mut self.sent,
            Observation::Acked { .. } => &mut self.acked,
            Observation::Refused { .. } => &mut self.refused,
            Observation::Unknown { .. } => &mut self.unknown,
            Observation::Saw { .. } => &mut self.saw,
            Observation::Stored { .. } => &mut self.stored,
            _ => return,
        };
        *count += 1;
    }
}

impl Observation {
    /// The place that it is about.
    pub fn place(&self) -> Option<u32> {
        match self {
            Self::Place { p, .. }
            | Self::Sent { p, .. }
            | Self::Acked { p, .. }
            | Self::Refused { p, .. }
            | Self::Unknown { p, .. }
            | Self::Saw { p, .. }
            | Self::Stored { p, .. }
            | Self::Read { p, .. } => Some(*p),
            Self::Run { .. }
            | Self::Client { .. }
            | Self::Stray { .. }
            | Self::Settled
            | Self::End { .. } => None,
        }
    }
}

/// A client id, in records 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 16]);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

impl FromStr for Id {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 32 {
            return Err("an id has 32 digits");
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| "an id has hexadecimal digits")?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// What an entry is known by, wherever it turns up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print {
    /// What its sender's client called it.
    pub id: Option<Id>,
    /// Its sender.
    pub by: u64,
    /// The checksum of kind, target and content.
    pub sum: u32,
}

impl Print {
    /// Of an entry.
    pub fn of(entry: &Entry) -> Self {
        let content = entry.content.as_deref().unwrap_or_default();
        Self {
            id: entry.client_id.map(|id| Id(id.0)),
            by: entry.sender.number(),
            sum: sum(entry.kind, entry.target, content),
        }
    }

    /// Of the entry that this shall become.
    pub fn expected(by: UserId, id: ClientId, outgoing: &Outgoing) -> Self {
        let (content, target) = match outgoing.clone() {
            Outgoing::Message { body, reply_to } => (Content::Message(body), reply_to),
            Outgoing::Edit { target, body } => (Content::Edit(body), Some(target)),
            Outgoing::Recall { target } => (Content::Recall, Some(target)),
            Outgoing::Reaction { target, symbol, set } => (Content::Reaction { symbol, set }, Some(target)),
        };
        let kind = content.kind().expect("what is sent has a kind");
        Self { id: Some(Id(id.0)), by: by.number(), sum: sum(kind, target, &content.encode()) }
    }
}

fn sum(kind: Kind, target: Option<Seq>, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&kind.number().to_le_bytes());
    hasher.update(&target.unwrap_or(0).to_le_bytes());
    hasher.update(content);
    hasher.finalize()
}
