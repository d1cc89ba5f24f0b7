//! What other nodes have said of who is online on them, and which of them are alive.
//!
//! Pure: time is passed in, and what follows from a message is returned.
//!
//! A node counts as dead when nothing was heard from it for a lease while own messages came back all
//! the time: silence proves something about the node only where the path is known to work. What is
//! known of a node is never more than it said itself, under its name and run, in the order of its
//! versions; so nobody can end the presence of another node's users.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::bus::{NodePresence, NodeSaid, Origin};
use crate::engine::planted::{Defect, Planted};
use crate::{BootId, UserId};

/// So many ended runs of a node are remembered, so that late messages of theirs are told apart.
const RETIRED_RUNS: usize = 8;

/// A part of a roster that cannot be meant: it would need parts of one user each.
const MOST_PARTS: u32 = 1 << 16;

/// Who is online on other nodes.
pub(super) struct Elsewhere {
    lease: Duration,
    /// How long the users of a node that stopped in order, or was started anew, have to come back.
    grace: Duration,
    peers: BTreeMap<Origin, Peer>,
    /// On how many nodes each user is online.
    users: BTreeMap<UserId, usize>,
    /// Runs that are over, by node.
    retired: BTreeMap<Arc<str>, VecDeque<BootId>>,
    path: Option<Path>,
    planted: Planted,
}

/// The time through which own messages came back without a pause.
#[derive(Clone, Copy)]
struct Path {
    since: Instant,
    last: Instant,
}

struct Peer {
    heard: Instant,
    /// The last version that its users are known of, `None` until they are known at all.
    version: Option<u64>,
    users: BTreeSet<UserId>,
    /// Parts of a roster that is not complete yet.
    parts: Option<Parts>,
    asked: Option<Instant>,
    /// It is over, and its users are forgotten then.
    ends: Option<Instant>,
}

struct Parts {
    version: u64,
    missing: BTreeSet<u32>,
    users: BTreeSet<UserId>,
}

/// What follows from something heard.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Consequences {
    /// Users who came online elsewhere, or are so nowhere any more.
    pub(super) changed: Vec<UserId>,
    /// The node is to be asked for its whole roster.
    pub(super) ask: bool,
    /// A run that was over, by the rules of the cluster, speaks on: two nodes share a name.
    pub(super) revenant: bool,
}

impl Elsewhere {
    pub(super) fn new(lease: Duration, grace: Duration, planted: Planted) -> Self {
        Self {
            lease,
            grace,
            peers: BTreeMap::new(),
            users: BTreeMap::new(),
            retired: BTreeMap::new(),
            path: None,
            planted,
        }
    }

    /// Whether a user is online on another node.
    pub(super) fn is_online(&self, user: UserId) -> bool {
        self.users.contains_key(&user)
    }

    /// Whether a user is known to be online on no other node: the path works, and all nodes that were
    /// heard of have told their rosters.
    pub(super) fn knows_absence(&self, user: UserId, now: Instant) -> bool {
        let hears = self.path.is_some_and(|path| self.is_unbroken(path, now));
        hears && !self.is_online(user) && self.peers.values().all(|peer| peer.version.is_some())
    }

    /// An own message has come back.
    pub(super) fn returned(&mut self, now: Instant) {
        let since = self.path.filter(|path| self.is_unbroken(*path, now)).map_or(now, |path| path.since);
        self.path = Some(Path { since, last: now });
    }

    /// Takes in what another node said.
    pub(super) fn hear(&mut self, from: &Origin, presence: &NodePresence, now: Instant) -> Consequences {
        let mut changed = Vec::new();
        let unfenced = self.planted.is(Defect::PresenceWithoutFencing);
        let from = if unfenced { &Origin { node: Arc::clone(&from.node), boot: BootId(0) } } else { from };
        if self.is_retired(from) && !unfenced {
            return Consequences { revenant: presence.said == NodeSaid::Beat, ..Consequences::default() };
        }
        if !self.peers.contains_key(from) {
            if presence.said == NodeSaid::Leaving {
                self.retire(from);
                return Consequences::default();
            }
            self.succeed(from, now);
            changed = self.cleared();
            self.peers.insert(from.clone(), Peer::new(now));
        }
        let Some(peer) = self.peers.get_mut(from) else { return Consequences::default() };
        peer.heard = now;
        match &presence.said {
            NodeSaid::Leaving => {
                peer.ends = Some(now + self.grace);
                self.retire(from);
                return Consequences::default();
            }
            NodeSaid::Changed { online, offline }
                if unfenced || peer.version.is_some_and(|known| known + 1 == presence.version) =>
            {
                peer.version = Some(presence.version);
                for user in online.iter().filter(|user| peer.users.insert(**user)) {
                    changed.extend(join(&mut self.users, *user));
                }
                for user in offline.iter().filter(|user| peer.users.remove(user)) {
                    changed.extend(leave(&mut self.users, *user));
                }
            }
            NodeSaid::All { part, parts, online } => {
                if let Some(users) = peer.take_part(presence.version, *part, *parts, online) {
                    for user in users.difference(&peer.users) {
                        changed.extend(join(&mut self.users, *user));
                    }
                    for user in peer.users.difference(&users) {
                        changed.extend(leave(&mut self.users, *user));
                    }
                    peer.users = users;
                    peer.version = Some(presence.version);
                }
            }
            // Nobody has ever been online there.
            _ if presence.version == 0 && peer.version.is_none() => peer.version = Some(0),
            _ => {}
        }
        Consequences { changed, ask: peer.asks(presence.version, self.lease, now), revenant: false }
    }

    /// Forgets nodes that have died or are over; the users who are online elsewhere no more by that.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<UserId> {
        let sure = self.knows_silence(now) && !self.planted.is(Defect::DeadNodesStayOnline);
        let over = |peer: &Peer| {
            let ended = peer.ends.is_some_and(|ends| ends <= now);
            ended || (sure && peer.ends.is_none() && peer.heard + self.lease <= now)
        };
        let dead: Vec<_> =
            self.peers.iter().filter(|(_, peer)| over(peer)).map(|(origin, _)| origin.clone()).collect();
        let mut gone = Vec::new();
        for origin in dead {
            let Some(peer) = self.peers.remove(&origin) else { continue };
            if peer.ends.is_none() {
                tracing::warn!(node = %origin.node, "nothing was heard from a node for a lease: it counts as dead");
            }
            gone.extend(peer.users.into_iter().filter_map(|user| leave(&mut self.users, user)));
        }
        gone
    }

    /// [`Defect::RestartClearsPresence`]: forgets the users of all nodes; those who are online nowhere
    /// by that.
    fn cleared(&mut self) -> Vec<UserId> {
        if !self.planted.is(Defect::RestartClearsPresence) {
            return Vec::new();
        }
        let users = self.peers.values_mut().flat_map(|peer| std::mem::take(&mut peer.users));
        users.filter_map(|user| leave(&mut self.users, user)).collect()
    }

    /// When [`Elsewhere::expire`] has something to do at the earliest, as far as is known now.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.peers.values().map(|peer| peer.ends.unwrap_or(peer.heard + self.lease)).min()
    }

    /// Whether a run of a node is known to be over, or dead.
    pub(super) fn is_over(&self, origin: &Origin, now: Instant) -> bool {
        if self.is_retired(origin) {
            return true;
        }
        match self.peers.get(origin) {
            Some(peer) => self.knows_silence(now) && peer.heard + self.lease <= now,
            // Who lives would have been heard by now; or it has been started anew.
            None => self.knows_silence(now) || self.peers.keys().any(|other| other.node == origin.node),
        }
    }

    /// Whether silence means something: own messages have come back for a lease.
    fn knows_silence(&self, now: Instant) -> bool {
        self.path.is_some_and(|path| self.is_unbroken(path, now) && path.since + self.lease <= now)
    }

    /// Own messages come back three times in a lease.
    fn is_unbroken(&self, path: Path, now: Instant) -> bool {
        now.saturating_duration_since(path.last) <= self.lease / 2
    }

    /// A new run of a node: the one before is over.
    fn succeed(&mut self, origin: &Origin, now: Instant) {
        let before: Vec<_> = self.peers.keys().filter(|other| other.node == origin.node).cloned().collect();
        for other in before {
            if let Some(peer) = self.peers.get_mut(&other) {
                peer.ends.get_or_insert(now + self.grace);
            }
            self.retire(&other);
        }
    }

    fn retire(&mut self, origin: &Origin) {
        let runs = self.retired.entry(Arc::clone(&origin.node)).or_default();
        if !runs.contains(&origin.boot) {
            runs.push_back(origin.boot);
            if runs.len() > RETIRED_RUNS {
                runs.pop_front();
            }
        }
    }

    fn is_retired(&self, origin: &Origin) -> bool {
        self.retired.get(&origin.node).is_some_and(|runs| runs.contains(&origin.boot))
    }
}

impl Peer {
    fn new(now: Instant) -> Self {
        Self { heard: now, version: None, users: BTreeSet::new(), parts: None, asked: None, ends: None }
    }

    /// Whether its roster is to be asked for, since it is further than what is known of it. Not again
    /// while the answer may be on its way.
    fn asks(&mut self, version: u64, lease: Duration, now: Instant) -> bool {
        let behind = self.version.is_none_or(|known| known < version);
        let may = self.asked.is_none_or(|asked| asked + lease / 10 <= now);
        if behind && may {
            self.asked = Some(now);
        }
        behind && may
    }

    /// Takes a part of its roster; all of it once it is complete and newer than what is known.
    fn take_part(
        &mut self,
        version: u64,
        part: u32,
        parts: u32,
        online: &[UserId],
    ) -> Option<BTreeSet<UserId>> {
        if parts > MOST_PARTS || self.version.is_some_and(|known| known >= version) {
            return None;
        }
        if self.parts.as_ref().is_none_or(|assembled| assembled.version < version) {
            let missing = (0..parts).collect();
            self.parts = Some(Parts { version, missing, users: BTreeSet::new() });
        }
        let assembled = self.parts.as_mut().filter(|assembled| assembled.version == version)?;
        if assembled.missing.remove(&part) {
            assembled.users.extend(online);
        }
        let complete = assembled.missing.is_empty();
        complete.then(|| self.parts.take().map(|assembled| assembled.users)).flatten()
    }
}

/// Counts a user on one more node; the user, when it is the first.
fn join(users: &mut BTreeMap<UserId, usize>, user: UserId) -> Option<UserId> {
    let nodes = users.entry(user).or_default();
    *nodes += 1;
    (*nodes == 1).then_some(user)
}

/// Counts a user on one node less; the user, when it was the last.
fn leave(users: &mut BTreeMap<UserId, usize>, user: UserId) -> Option<UserId> {
    let nodes = users.get_mut(&user)?;
    *nodes -= 1;
    (*nodes == 0).then(|| users.remove(&user)).map(|_| user)
}

#[cfg(test)]
mod tests;
