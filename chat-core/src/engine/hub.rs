//! Who listens on this node: sessions by user, gates by conversation, and delivery between them.

mod bonds;
mod census;
mod consequences;
mod listening;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::figures::Delivered;
use super::gate::{Gate, Offered, Step};
use super::outbox::Outbox;
use super::planted::{Defect, Planted};
use super::presence::Presence;
use super::sync::{Mutex, MutexGuard};
use crate::{Chunk, ConversationId, Entry, Ephemeral, GroupId, Seq, UserId};
use consequences::leaver;

/// Maps are split so that different conversations rarely meet at a lock.
const SHARDS: usize = 64;

/// Up to so many listeners are served by whoever offers; more are left to the fan-out tasks, so that
/// a large group holds up neither its writer nor a pair.
const INLINE_LISTENERS: usize = if cfg!(interleavings) { 1 } else { 64 };

/// After so many deliveries a fan-out task lets others run.
const DELIVERIES_PER_TURN: usize = 256;

/// The listeners of one node.
pub(crate) struct Hub {
    gates: Vec<Mutex<BTreeMap<ConversationId, Arc<Gate>>>>,
    users: Vec<Mutex<BTreeMap<UserId, LocalUser>>>,
    /// By user, wherever connected: the users with sessions here whose contact that is.
    watchers: Vec<Mutex<BTreeMap<UserId, BTreeSet<UserId>>>>,
    presence: Arc<Presence>,
    gate_bytes: usize,
    pub(crate) delivered: Delivered,
    /// Gates whose turn was given to the fan-out tasks; each stands here at most once.
    turns: Mutex<VecDeque<Arc<Gate>>>,
    pub(crate) turns_wake: Notify,
    /// Gates with a hole, and since when.
    holes: Mutex<BTreeMap<ConversationId, Instant>>,
    pub(crate) holes_wake: Notify,
    /// Users who have entered a group and whose sessions are to listen to it, and up to which entry these
    /// were told of it.
    entered: Mutex<BTreeMap<(UserId, GroupId), Seq>>,
    pub(crate) entered_wake: Notify,
    /// Users of whose devices one may have connected to another node.
    moved: Mutex<BTreeSet<UserId>>,
    pub(crate) moved_wake: Notify,
    /// Conversations whose gates were closed, and whose topics may be of no use any more.
    closed: Mutex<BTreeSet<ConversationId>>,
    pub(crate) closed_wake: Notify,
    planted: Planted,
}

/// A user with sessions on this node.
#[derive(Default)]
struct LocalUser {
    sessions: Vec<Arc<Outbox>>,
    contacts: BTreeSet<UserId>,
    /// Whom this user has blocked.
    blocked: BTreeSet<UserId>,
    /// Whom notices named as contacts no more: what was read before them does not count.
    parted: BTreeSet<UserId>,
}

impl Hub {
    pub(crate) fn new(gate_bytes: usize, presence: Arc<Presence>, planted: Planted) -> Self {
        Self {
            gates: (0..SHARDS).map(|_| Mutex::default()).collect(),
            users: (0..SHARDS).map(|_| Mutex::default()).collect(),
            watchers: (0..SHARDS).map(|_| Mutex::default()).collect(),
            presence,
            gate_bytes,
            delivered: Delivered::default(),
            turns: Mutex::default(),
            turns_wake: Notify::new(),
            holes: Mutex::default(),
            holes_wake: Notify::new(),
            entered: Mutex::default(),
            entered_wake: Notify::new(),
            moved: Mutex::default(),
            moved_wake: Notify::new(),
            closed: Mutex::default(),
            closed_wake: Notify::new(),
            planted,
        }
    }

    /// Adds a session.
    pub(crate) fn add_session(&self, outbox: &Arc<Outbox>) {
        let mut users = self.user_shard(outbox.user);
        users.entry(outbox.user).or_default().sessions.push(Arc::clone(outbox));
    }

    /// Removes a session from its user and from every gate; whether it was the user's last here.
    pub(crate) fn remove_session(&self, outbox: &Outbox) -> bool {
        let last_of_user = {
            let mut users = self.user_shard(outbox.user);
            match users.get_mut(&outbox.user) {
                Some(user) => {
                    user.sessions.retain(|session| session.session != outbox.session);
                    let last = user.sessions.is_empty();
                    if last && let Some(gone) = users.remove(&outbox.user) {
                        for contact in &gone.contacts {
                            self.unwatch(*contact, outbox.user);
                        }
                    }
                    last
                }
                None => false,
            }
        };
        for conversation in outbox.take_attached() {
            self.close_if(&conversation, |gate| gate.detach(outbox.session));
            self.go_on_without(&conversation);
        }
        last_of_user
    }

    /// The sessions of a user on this node.
    pub(crate) fn sessions(&self, user: UserId) -> Vec<Arc<Outbox>> {
        self.user_shard(user).get(&user).map_or_else(Vec::new, |user| user.sessions.clone())
    }

    /// Every session of this node.
    pub(crate) fn all_sessions(&self) -> Vec<Arc<Outbox>> {
        let mut all = Vec::new();
        for shard in &self.users {
            for user in lock(shard).values() {
                all.extend(user.sessions.iter().cloned());
            }
        }
        all
    }

    /// Whether a user has a session on this node.
    pub(crate) fn is_online(&self, user: UserId) -> bool {
        self.user_shard(user).contains_key(&user)
    }

    /// Queues an ephemeral event for all sessions of a user but one.
    pub(crate) fn tell_user(&self, user: UserId, ephemeral: Ephemeral, except: Option<u64>) {
        for session in self.sessions(user) {
            if Some(session.session) != except {
                session.push_ephemeral(ephemeral);
            }
        }
    }

    /// Queues an ephemeral event for all who listen to a conversation, but one session.
    pub(crate) fn tell(&self, conversation: &ConversationId, ephemeral: Ephemeral, except: Option<u64>) {
        if let Some(gate) = self.gate(conversation) {
            let only = self.is_cut(conversation).then(|| ephemeral.user());
            for listener in gate.listeners().iter() {
                let concerned = only.is_none_or(|user| user == listener.user);
                if concerned && Some(listener.session) != except && !listener.is_held(conversation) {
                    listener.push_ephemeral(ephemeral);
                }
            }
        }
    }

    /// The gate of a conversation, if anyone here listens to it.
    pub(crate) fn gate(&self, conversation: &ConversationId) -> Option<Arc<Gate>> {
        self.gate_shard(conversation).get(conversation).cloned()
    }

    /// Cuts consecutive entries into chunks, each ending where somebody stops being a member.
    pub(crate) fn cut(&self, conversation: ConversationId, entries: Vec<Entry>) -> Vec<Arc<Chunk>> {
        if self.planted.is(Defect::ChunkGoesOnAfterRemoval) {
            return Chunk::new(conversation, entries).map(Arc::new).into_iter().collect();
        }
        cut(conversation, entries)
    }

    /// Offers committed entries to whoever listens here.
    pub(crate) fn offer(&self, chunk: Arc<Chunk>) {
        if let Some(gate) = self.gate_or_create(chunk.conversation()) {
            let offered = gate.offer(chunk, self.gate_bytes);
            self.carry_on(&gate, offered);
        }
    }

    /// Tells that a conversation has reached a head.
    pub(crate) fn note(&self, conversation: &ConversationId, head: Seq) {
        if let Some(gate) = self.gate_or_create(*conversation) {
            let offered = gate.note(head);
            self.carry_on(&gate, offered);
        }
    }

    /// Gives up on a hole.
    pub(crate) fn skip(&self, gate: &Arc<Gate>) {
        let offered = gate.skip();
        self.carry_on(gate, offered);
    }

    /// Takes the holes that have stood open since `before` or longer, and when the next is due.
    pub(crate) fn take_holes(&self, before: Instant) -> (Vec<ConversationId>, Option<Instant>) {
        let mut holes = lock(&self.holes);
        let due: Vec<_> = holes
            .iter()
            .filter(|(_, since)| **since <= before)
            .map(|(conversation, _)| *conversation)
            .collect();
        for conversation in &due {
            holes.remove(conversation);
        }
        (due, holes.values().min().copied())
    }

    /// Has a user's sessions listen to a group, who were told of its entries up to `told`.
    pub(crate) fn enter(&self, user: UserId, group: GroupId, told: Seq) {
        lock(&self.entered)
            .entry((user, group))
            .and_modify(|least| *least = told.min(*least))
            .or_insert(told);
        self.entered_wake.notify_one();
    }

    /// Takes the users who have entered groups.
    pub(crate) fn take_entered(&self) -> BTreeMap<(UserId, GroupId), Seq> {
        std::mem::take(&mut *lock(&self.entered))
    }

    /// Has it looked at whether a user's sessions still have the slots of their devices.
    pub(crate) fn suspect(&self, user: UserId) {
        lock(&self.moved).insert(user);
        self.moved_wake.notify_one();
    }

    /// Takes the users of whose devices one may have connected to another node.
    pub(crate) fn take_moved(&self) -> BTreeSet<UserId> {
        std::mem::take(&mut *lock(&self.moved))
    }

    /// Takes the conversations whose gates were closed.
    pub(crate) fn take_closed(&self) -> BTreeSet<ConversationId> {
        std::mem::take(&mut *lock(&self.closed))
    }

    /// Runs one turn that was left to the fan-out tasks; whether there was one.
    pub(crate) async fn run_turn(&self) -> bool {
        let Some(gate) = lock(&self.turns).pop_front() else { return false };
        let mut deliveries = 0;
        while let Some((step, listeners)) = gate.step() {
            let mut queued = 0;
            for listener in listeners.iter() {
                queued += usize::from(deliver(&gate, &step, listener));
                deliveries += 1;
                if deliveries % DELIVERIES_PER_TURN == 0 {
                    tokio::task::yield_now().await;
                }
            }
            self.delivered.count(&step, queued);
            self.after(&gate, &step);
        }
        // Whoever offered what was released has gone on, and does not look whether that was all.
        if gate.missing().is_some() {
            self.report_hole(gate.conversation);
        }
        true
    }

    fn carry_on(&self, gate: &Arc<Gate>, offered: Offered) {
        match offered {
            Offered::Settled => {}
            Offered::Hole => self.report_hole(gate.conversation),
            Offered::Turn if gate.listeners().len() > INLINE_LISTENERS => {
                lock(&self.turns).push_back(Arc::clone(gate));
                self.turns_wake.notify_one();
            }
            Offered::Turn => {
                while let Some((step, listeners)) = gate.step() {
                    let queued = listeners.iter().filter(|listener| deliver(gate, &step, listener)).count();
                    self.delivered.count(&step, queued);
                    self.after(gate, &step);
                }
                if gate.missing().is_some() {
                    self.report_hole(gate.conversation);
                }
            }
        }
    }

    fn report_hole(&self, conversation: ConversationId) {
        lock(&self.holes).entry(conversation).or_insert_with(Instant::now);
        self.holes_wake.notify_one();
    }

    fn gate_shard(&self, of: &ConversationId) -> MutexGuard<'_, BTreeMap<ConversationId, Arc<Gate>>> {
        lock(&self.gates[shard_of(&of.key())])
    }

    fn watcher_shard(&self, user: UserId) -> MutexGuard<'_, BTreeMap<UserId, BTreeSet<UserId>>> {
        lock(&self.watchers[shard_of(&user.number().to_be_bytes())])
    }

    fn user_shard(&self, user: UserId) -> MutexGuard<'_, BTreeMap<UserId, LocalUser>> {
        lock(&self.users[shard_of(&user.number().to_be_bytes())])
    }
}

fn cut(conversation: ConversationId, entries: Vec<Entry>) -> Vec<Arc<Chunk>> {
    let mut chunks = Vec::with_capacity(1);
    let mut part = Vec::with_capacity(entries.len());
    let mut close = |part: &mut Vec<Entry>| {
        if let Some(chunk) = Chunk::new(conversation, std::mem::take(part)) {
            chunks.push(Arc::new(chunk));
        }
    };
    for entry in entries {
        let ends =
            matches!(conversation, ConversationId::Group(_)) && !entry.countable && leaver(&entry).is_some();
        part.push(entry);
        if ends {
            close(&mut part);
        }
    }
    close(&mut part);
    chunks
}

/// Whether entries were queued.
fn deliver(gate: &Gate, step: &Step, listener: &Outbox) -> bool {
    match step {
        Step::Chunk(chunk) => listener.push(chunk),
        Step::Behind(upto) => {
            listener.push_behind(gate.conversation, *upto);
            false
        }
    }
}

/// FNV-1a: the same on every node and in every run.
pub(crate) fn stable_hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn shard_of(bytes: &[u8]) -> usize {
    (stable_hash(bytes) % SHARDS as u64) as usize
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
