//! What happens in a run, fact by fact: what the trace shows, the hash covers and the oracle judges.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::access::{Command, Done};
use super::report::{Act, ClientNumber, Counts, Fault, NodeNumber};
use crate::{
    ClientId, ConversationId, ConversationState, DeviceId, Entry, Ephemeral, ErrorKind, Head, Member,
    Relation, Seq, Timestamp, UserId,
};

/// Something that happened.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    /// Since the start of the run, in virtual time.
    pub(super) at: Duration,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Started(NodeNumber),
    Fault(Fault, Option<NodeNumber>, Duration),
    /// The store has written this, in this order.
    Committed(NodeNumber, Written),
    Entered {
        client: ClientNumber,
        node: NodeNumber,
        user: UserId,
        device: DeviceId,
    },
    Vanished(ClientNumber),
    Asked {
        client: ClientNumber,
        user: UserId,
        attempt: u64,
        act: Act,
        command: Box<Command>,
    },
    Answered {
        client: ClientNumber,
        attempt: u64,
        answer: Told,
    },
    /// The next entry of the client's own log.
    Received {
        client: ClientNumber,
        conversation: ConversationId,
        entry: Entry,
    },
    /// Entries that a page showed beside that.
    Shown {
        client: ClientNumber,
        conversation: ConversationId,
        entries: Vec<Entry>,
    },
    /// How a conversation stands, asked for when so many facts were known.
    State {
        client: ClientNumber,
        since: usize,
        source: Source,
        state: Box<ConversationState>,
    },
    Heard(ClientNumber, Ephemeral),
    /// A mark up to an entry, or of everything.
    Behind(ClientNumber, Option<(ConversationId, Seq)>),
    /// What a client finds wrong by itself.
    Flaw {
        client: ClientNumber,
        conversation: ConversationId,
        flaw: Flaw,
    },
    /// The most that waited on a node.
    Waiting {
        node: NodeNumber,
        sessions: usize,
        outbox_bytes: usize,
        commit_rows: usize,
    },
    Calm(Box<Calm>),
}

/// Where a state was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// In a page of a sync: head and cursor in one look.
    Sync,
    /// By itself: the head first.
    Single,
}

/// What a client finds wrong by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// After this entry came that one.
    Gap(Seq, Seq),
    /// A mark was given up to the latter, and nothing was there to be read after the former.
    Nothing(Seq, Seq),
    /// A position was said to be beyond the end.
    Epoch,
    /// This connection had told up to the former, and told what ends with the latter.
    Repeated(Seq, Seq),
}

/// What of an item the oracle looks at.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) client_id: Option<ClientId>,
    pub(super) appended: Vec<(ConversationId, Seq, UserId)>,
    /// Who blocked in which direct conversation, or unblocked.
    pub(super) blocks: Vec<(ConversationId, UserId, bool)>,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Acknowledged(Done),
    Refused(ErrorKind),
    /// An error after which the client tries again, or no answer at all.
    Unknown(Option<ErrorKind>),
}

/// How everything stands after faults have ended and everybody had time.
#[derive(Clone, Debug, Default)]
pub(super) struct Calm {
    /// As the store has it, by user.
    pub(super) memberships: BTreeMap<UserId, Vec<(Head, Member)>>,
    /// Clients that are online, by what they know.
    pub(super) clients: BTreeMap<ClientNumber, Known>,
    /// Clients that should be online and are not, or have commands that were never answered.
    pub(super) stuck: BTreeMap<ClientNumber, String>,
    /// By node, what still waits for sessions.
    pub(super) outbox_bytes: BTreeMap<NodeNumber, usize>,
}

/// What a client knows in a calm.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) user: UserId,
    pub(super) positions: BTreeMap<ConversationId, Seq>,
    /// What its node says of contacts and their presence.
    pub(super) contacts: Vec<(UserId, Relation, Option<bool>)>,
    /// Who is online according to the events that it heard, unless some may have been dropped.
    pub(super) seen_online: Option<BTreeSet<UserId>>,
}

/// Collects facts. Clones collect into the same record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    start: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    facts: Vec<Fact>,
    hash: Sha256,
    line: String,
    counts: Counts,
    /// When the store last wrote an entry.
    wrote: Instant,
}

/// A run that has more facts than this is out of hand.
const FACTS_LIMIT: usize = 500_000;

impl Record {
    pub(super) fn begin() -> Self {
        let start = Instant::now();
        let state = State {
            facts: Vec::new(),
            hash: Sha256::new(),
            line: String::new(),
            counts: Counts::default(),
            wrote: start,
        };
        Self { start, state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn put(&self, what: What) {
        let at = self.start.elapsed();
        let mut state = self.lock();
        assert!(state.facts.len() < FACTS_LIMIT, "a run is short");
        state.count(&what);
        if let What::Committed(..) = what {
            state.wrote = Instant::now();
        }
        let State { facts, hash, line, .. } = &mut *state;
        line.clear();
        let written = writeln!(line, "{at:?} {what:?}");
        written.expect("a String takes everything");
        hash.update(line.as_bytes());
        facts.push(Fact { at, what });
    }

    /// How many facts are known.
    pub(super) fn len(&self) -> usize {
        self.lock().facts.len()
    }

    /// When the store last wrote an entry.
    pub(super) fn wrote(&self) -> Instant {
        self.lock().wrote
    }

    /// Counts an attempt.
    pub(super) fn answered(&self, act: Act, told: Told) {
        let mut state = self.lock();
        let answers = state.counts.acts.entry(act).or_default();
        match told {
            Told::Acknowledged(_) => answers.acknowledged += 1,
            Told::Refused(_) => answers.refused += 1,
            Told::Unknown(_) => answers.unknown += 1,
        }
    }

    /// Ends the record: the facts, their hash, and how much happened.
    pub(super) fn end(&self) -> (Vec<Fact>, [u8; 32], Counts) {
        let mut state = self.lock();
        let facts = std::mem::take(&mut state.facts);
        let hash = std::mem::take(&mut state.hash).finalize().into();
        (facts, hash, std::mem::take(&mut state.counts))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, what: &What) {
        let counts = &mut self.counts;
        match what {
            What::Fault(fault, ..) => *counts.faults.entry(*fault).or_default() += 1,
            What::Received { .. } => counts.received += 1,
            What::Behind(_, Some(_)) => counts.behind += 1,
            What::Behind(_, None) => counts.behind_everywhere += 1,
            What::Entered { .. } => counts.connections += 1,
            What::Heard(..) => counts.ephemerals += 1,
            _ => {}
        }
    }
}

/// Everything that the oracle judges.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub(super) facts: Vec<Fact>,
    /// Every conversation as it is stored in the end.
    pub(super) logs: BTreeMap<ConversationId, Log>,
    pub(super) limits: Limits,
}

/// A conversation in the end.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) head: Head,
    pub(super) entries: Vec<Entry>,
    pub(super) members: Vec<Member>,
}

/// What bounds memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) session_bytes: usize,
    pub(super) commit_rows: usize,
}

impl Log {
    pub(super) fn entry(&self, seq: Seq) -> Option<&Entry> {
        self.entries.get(usize::try_from(seq.checked_sub(1)?).ok()?)
    }
}

impl Evidence {
    /// The time of day that mutes are compared with: so far in the future that no clock gets there.
    pub(super) const FAR: Timestamp = Timestamp(4_000_000_000_000);

    /// The calms, each with its place among the facts.
    pub(super) fn calms(&self) -> impl Iterator<Item = (usize, &Calm)> {
        self.facts.iter().enumerate().filter_map(|(index, fact)| match &fact.what {
            What::Calm(calm) => Some((index, &**calm)),
            _ => None,
        })
    }
}
