//! What nodes tell each other of who is online on them.

use std::sync::Arc;

use super::Origin;
use crate::UserId;

/// Something that a node says to all others, published to [`Topic::Nodes`](super::Topic::Nodes).
///
/// A node numbers the changes of who is online on it. Whoever receives all of them in order knows its
/// roster; whoever finds a number missing, or hears of a node for the first time, asks for all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePresence {
    /// The number of the node's last change, that of this message included.
    pub version: u64,
    /// What it says.
    pub said: NodeSaid,
}

/// What a node says, see [`NodePresence`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeSaid {
    /// It is alive.
    Beat,
    /// One change: these users came online on it, and those went offline. No user is in both.
    Changed {
        /// Who came.
        online: Arc<[UserId]>,
        /// Who went.
        offline: Arc<[UserId]>,
    },
    /// A part of all users who are online on it as of this version.
    All {
        /// Which part, from 0.
        part: u32,
        /// How many parts there are, at least 1.
        parts: u32,
        /// The users in it.
        online: Arc<[UserId]>,
    },
    /// It wants to be told all by this run of a node; or a beat by every node.
    Ask(Option<Origin>),
    /// It stops in order: nobody is online on it any more.
    Leaving,
}
