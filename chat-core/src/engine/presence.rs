//! Who is online: told to contacts, once a change has lasted, wherever the user is connected.
//!
//! - here: users with sessions of this node, and those whose last session ended so lately that it may
//!   be a reconnection; `elsewhere`: those of other nodes, as these have said.
//! - `announce`: what this node says to others.
//!
//! Contacts are told in one place, [`run`], and always what is true at that moment: whatever order
//! changes come in, the last thing that is told is what lasts.

mod announce;
mod elsewhere;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Inner;
use super::planted::Planted;
use crate::bus::{NodePresence, NodeSaid, Origin, Payload, Topic};
use crate::{Ephemeral, UserId};

pub(super) use announce::announce;
use elsewhere::Elsewhere;

/// After so many users whose contacts were told, others get their turn.
const TOLD_PER_TURN: usize = 64;

/// What is known of who is online.
pub(crate) struct Presence {
    debounce: Duration,
    state: Mutex<State>,
    /// There is somebody to tell of, or somebody leaves earlier than known before.
    wake: Notify,
    /// There is something to say to other nodes.
    announce_wake: Notify,
}

struct State {
    /// Who is online here, those who are leaving included.
    online: BTreeSet<UserId>,
    leaving: Leaving,
    elsewhere: Elsewhere,
    /// Whose contacts are to be told.
    changed: BTreeSet<UserId>,
    /// New contacts: who is to be told of whom.
    introduced: BTreeSet<(UserId, UserId)>,
    /// Whose coming or going others have not been told of, and whether they think them online.
    unannounced: BTreeMap<UserId, bool>,
    /// Others want to hear: that this node lives, and who is online on it.
    asked_beat: bool,
    asked_all: bool,
    /// What others said may have been lost: they are to say again how far they are.
    lagged: bool,
    /// Nodes that are to be asked for their rosters.
    to_ask: BTreeSet<Origin>,
}

/// Users by name and by when they are due, so that a storm of departures costs each of them the same.
#[derive(Default)]
struct Leaving {
    users: BTreeMap<UserId, Instant>,
    due: BTreeSet<(Instant, UserId)>,
}

impl Leaving {
    fn insert(&mut self, user: UserId, due: Instant) {
        self.remove(user);
        self.due.insert((due, user));
        self.users.insert(user, due);
    }

    fn remove(&mut self, user: UserId) {
        if let Some(due) = self.users.remove(&user) {
            self.due.remove(&(due, user));
        }
    }

    /// Takes those who are due by now.
    fn take_due(&mut self, now: Instant) -> Vec<UserId> {
        let mut gone = Vec::new();
        while let Some((due, user)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.due.remove(&(due, user));
            self.users.remove(&user);
            gone.push(user);
        }
        gone
    }

    fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }
}

impl Presence {
    pub(crate) fn new(debounce: Duration, lease: Duration, planted: Planted) -> Self {
        let state = State {
            online: BTreeSet::new(),
            leaving: Leaving::default(),
            elsewhere: Elsewhere::new(lease, debounce, planted),
            changed: BTreeSet::new(),
            introduced: BTreeSet::new(),
            unannounced: BTreeMap::new(),
            asked_beat: false,
            asked_all: false,
            lagged: false,
            to_ask: BTreeSet::new(),
        };
        Self { debounce, state: Mutex::new(state), wake: Notify::new(), announce_wake: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether contacts see a user as online.
    pub(crate) fn is_online(&self, user: UserId) -> bool {
        self.lock().is_online(user)
    }

    /// Whether a user has sessions here and, as far as other nodes have said, nowhere else.
    ///
    /// A node that a user has just come to says so some 50 ms later: what is not published to it until
    /// then, it finds in the journal.
    pub(super) fn is_here_alone(&self, user: UserId) -> bool {
        let state = self.lock();
        let is_here = state.online.contains(&user) && !state.leaving.users.contains_key(&user);
        is_here && state.elsewhere.knows_absence(user, Instant::now())
    }

    /// A session of a user has begun here, and its contacts are known.
    pub(crate) fn came(&self, user: UserId) {
        let mut state = self.lock();
        state.leaving.remove(user);
        if state.online.insert(user) {
            state.unannounced.entry(user).or_insert(false);
            if !state.elsewhere.is_online(user) {
                state.changed.insert(user);
                self.wake.notify_one();
            }
            self.announce_wake.notify_one();
        }
    }

    /// A user's last session here has ended; `lasting` when it was meant so.
    pub(crate) fn went(&self, user: UserId, lasting: Lasting) {
        let due = match lasting {
            Lasting::Yes => Instant::now(),
            Lasting::Unknown => Instant::now() + self.debounce,
        };
        let mut state = self.lock();
        if state.online.contains(&user) {
            state.leaving.insert(user, due);
            if state.leaving.next_due() == Some(due) {
                self.wake.notify_one();
            }
        }
    }

    /// Two have become contacts: `user` is told that the other is online, if that is so.
    pub(crate) fn introduce(&self, user: UserId, peer: UserId) {
        self.lock().introduced.insert((user, peer));
        self.wake.notify_one();
    }

    /// What nodes said may have been lost.
    pub(crate) fn lagged(&self) {
        let mut state = self.lock();
        state.lagged = true;
        state.asked_beat = true;
        drop(state);
        self.announce_wake.notify_one();
    }

    /// Whether a run of another node is known to be over, or dead.
    pub(crate) fn is_over(&self, origin: &Origin) -> bool {
        self.lock().elsewhere.is_over(origin, Instant::now())
    }

    /// Somebody is to be told again whether a user is online.
    fn tell_of(&self, users: impl IntoIterator<Item = UserId>) {
        let mut state = self.lock();
        for user in users {
            if !state.online.contains(&user) {
                state.changed.insert(user);
            }
        }
        if !state.changed.is_empty() {
            self.wake.notify_one();
        }
    }
}

impl State {
    fn is_online(&self, user: UserId) -> bool {
        self.online.contains(&user) || self.elsewhere.is_online(user)
    }

    /// Lets those go who have stayed away.
    fn part(&mut self, now: Instant, has_come_back: impl Fn(UserId) -> bool) -> bool {
        let gone = self.leaving.take_due(now);
        let mut any = false;
        for user in gone {
            // One who is back and whose session has not begun in full yet says so when it has.
            if !has_come_back(user) && self.online.remove(&user) {
                any = true;
                self.unannounced.entry(user).or_insert(true);
                if !self.elsewhere.is_online(user) {
                    self.changed.insert(user);
                }
            }
        }
        any
    }
}

/// Whether a user is known to stay away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// Logged out.
    Yes,
    /// The connection ended, perhaps to begin again.
    Unknown,
}

impl Inner {
    /// Takes in what a node said of who is online on it.
    pub(super) fn hear(&self, from: &Origin, presence: &NodePresence) {
        let own_name = from.node == self.origin.node;
        let now = Instant::now();
        let mut state = self.presence.lock();
        if own_name && from.boot == self.origin.boot {
            state.elsewhere.returned(now);
            return;
        }
        if own_name && presence.said == NodeSaid::Beat {
            tracing::error!(node = %from.node, "another node has this node's name");
        }
        match &presence.said {
            NodeSaid::Ask(None) => state.asked_beat = true,
            NodeSaid::Ask(Some(whom)) if *whom == self.origin => state.asked_all = true,
            _ => {}
        }
        let mut talk = state.asked_beat || state.asked_all;
        let consequences = state.elsewhere.hear(from, presence, now);
        if consequences.ask {
            state.to_ask.insert(from.clone());
            talk = true;
        }
        drop(state);
        if consequences.revenant {
            tracing::error!(node = %from.node, "two nodes share a name");
        }
        self.presence.tell_of(consequences.changed);
        if talk {
            self.presence.announce_wake.notify_one();
        }
    }

    /// Tells contacts whether a user is online, as of now.
    fn tell_contacts(&self, user: UserId) {
        let watchers = self.hub.watchers(user);
        if watchers.is_empty() {
            return;
        }
        let online = self.presence.is_online(user);
        for watcher in watchers {
            self.hub.tell_user(watcher, Ephemeral::Presence { user, online }, None);
        }
    }

    /// Tells other nodes that this one stops in order: they need not wait whether it comes back.
    pub(super) fn say_farewell(&self) {
        self.tell_nodes(0, NodeSaid::Leaving);
    }

    /// Says something to all nodes.
    fn tell_nodes(&self, version: u64, said: NodeSaid) {
        if let Some(bus) = &self.bus {
            let payload = Payload::Presence(NodePresence { version, said });
            let origin = self.origin.clone();
            let _ = bus.publish(Topic::Nodes, crate::bus::Message { origin, payload });
        }
    }
}

/// Tells contacts of those who came and, once they have stayed away, of those who went.
pub(super) async fn run(inner: Arc<Inner>) {
    let presence = &inner.presence;
    loop {
        let (changed, introduced, next) = {
            let mut state = presence.lock();
            if state.part(Instant::now(), |user| inner.hub.is_online(user)) {
                presence.announce_wake.notify_one();
            }
            let introduced = std::mem::take(&mut state.introduced);
            (std::mem::take(&mut state.changed), introduced, state.leaving.next_due())
        };
        let idle = changed.is_empty() && introduced.is_empty();
        for (user, peer) in introduced {
            if presence.is_online(peer) {
                inner.hub.tell_user(user, Ephemeral::Presence { user: peer, online: true }, None);
            }
        }
        for (told, user) in changed.into_iter().enumerate() {
            inner.tell_contacts(user);
            if told % TOLD_PER_TURN == TOLD_PER_TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        if !idle {
            continue;
        }
        let wake = presence.wake.notified();
        match next {
            // Cancel-safe: the next look finds whatever the wake stood for.
            Some(due) => drop(tokio::time::timeout_at(due, wake).await),
            None => wake.await,
        }
    }
}
