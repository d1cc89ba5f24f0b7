//! What a run found and what happened in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::ConversationId;

/// A node of a simulated cluster, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeNumber(pub usize);

impl fmt::Display for NodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node-{}", self.0 + 1)
    }
}

/// A simulated client, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientNumber(pub usize);

impl fmt::Display for ClientNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client-{}", self.0 + 1)
    }
}

/// A promise of the design, checked in the file of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// What was acknowledged is stored as it was sent.
    Durable,
    /// A command is carried out once, and always answered the same.
    Once,
    /// All see one gapless order.
    Ordered,
    /// Once faults have ended, every client that is online has everything.
    Complete,
    /// What waits in memory stays within its limits.
    Bounded,
    /// Everybody sees those online who are, and nobody else.
    Presence,
    /// Memberships, groups and contacts change as a whole.
    Atomic,
    /// Unread is what a recount of the log gives.
    Unread,
    /// Positions never move back, and never past the end.
    Cursors,
    /// Nobody receives or writes anything outside their membership.
    Private,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Durable,
        Self::Once,
        Self::Ordered,
        Self::Complete,
        Self::Bounded,
        Self::Presence,
        Self::Atomic,
        Self::Unread,
        Self::Cursors,
        Self::Private,
    ];
}

/// Something that goes wrong in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A node's bus loses messages.
    BusLoss,
    /// It brings messages twice.
    BusRepetition,
    /// It delays messages, so that later ones overtake them.
    BusDelay,
    /// Two nodes hear nothing of each other, or one nothing at all.
    Partition,
    /// A bus says that it may have lost something.
    BusLag,
    /// A node's store takes its time to answer.
    StoreSlow,
    /// It answers with what was true a while ago.
    StoreLate,
    /// It answers nothing for a while.
    StoreFrozen,
    /// It is away.
    StoreAway,
    /// It takes no writes.
    StoreRefusing,
    /// A commit is carried out and its answer lost.
    CommitInDoubt,
    /// A commit is lost, and so is its answer.
    CommitLost,
    /// A commit's answer is lost, and it is carried out later.
    CommitDelayed,
    /// A commit is seen by others before its writer hears of it.
    CommitLate,
    /// A node loses all its memory and starts again.
    Crash,
    /// A node's clock jumps.
    ClockJump,
    /// A client vanishes in the middle of a request.
    Vanish,
    /// A client stops reading for a while.
    Stall,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::BusLoss,
        Self::BusRepetition,
        Self::BusDelay,
        Self::Partition,
        Self::BusLag,
        Self::StoreSlow,
        Self::StoreLate,
        Self::StoreFrozen,
        Self::StoreAway,
        Self::StoreRefusing,
        Self::CommitInDoubt,
        Self::CommitLost,
        Self::CommitDelayed,
        Self::CommitLate,
        Self::Crash,
        Self::ClockJump,
        Self::Vanish,
        Self::Stall,
    ];
}

/// Something that clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the command, the question or the deed of its name")]
pub enum Act {
    Text,
    Reply,
    Edit,
    Recall,
    React,
    /// Another command under an id that was used.
    Reuse,
    /// A command once more that was acknowledged long ago.
    Repeat,
    MarkRead,
    MarkDelivered,
    Typing,
    Request,
    Accept,
    Decline,
    RemoveContact,
    Block,
    Unblock,
    CreateGroup,
    Join,
    Leave,
    Invite,
    AcceptInvitation,
    Approve,
    Add,
    RemoveMember,
    SetRole,
    Mute,
    ChangeProfile,
    History,
    Entries,
    Sync,
    State,
    LogOut,
    Revoke,
    /// Comes back through another connection.
    Reconnect,
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 34] = [
        Self::Text,
        Self::Reply,
        Self::Edit,
        Self::Recall,
        Self::React,
        Self::Reuse,
        Self::Repeat,
        Self::MarkRead,
        Self::MarkDelivered,
        Self::Typing,
        Self::Request,
        Self::Accept,
        Self::Decline,
        Self::RemoveContact,
        Self::Block,
        Self::Unblock,
        Self::CreateGroup,
        Self::Join,
        Self::Leave,
        Self::Invite,
        Self::AcceptInvitation,
        Self::Approve,
        Self::Add,
        Self::RemoveMember,
        Self::SetRole,
        Self::Mute,
        Self::ChangeProfile,
        Self::History,
        Self::Entries,
        Self::Sync,
        Self::State,
        Self::LogOut,
        Self::Revoke,
        Self::Reconnect,
    ];
}

/// How often something was answered in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Carried out, and said so.
    pub acknowledged: u64,
    /// Refused for good.
    pub refused: u64,
    /// Not answered, or with an error after which it is tried again.
    pub unknown: u64,
}

/// How much happened in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// By what clients did; each attempt counts.
    pub acts: BTreeMap<Act, Answers>,
    /// By what went wrong.
    pub faults: BTreeMap<Fault, u64>,
    /// Entries that clients added to their logs.
    pub received: u64,
    /// Times that a client was told that it is behind.
    pub behind: u64,
    /// Times that a client was told so of everything.
    pub behind_everywhere: u64,
    /// Times that a client came in.
    pub connections: u64,
    /// Presence, typing and positions that clients were told.
    pub ephemerals: u64,
}

impl Counts {
    /// All answers together.
    pub fn answers(&self) -> Answers {
        self.acts.values().fold(Answers::default(), |all, one| Answers {
            acknowledged: all.acknowledged + one.acknowledged,
            refused: all.refused + one.refused,
            unknown: all.unknown + one.unknown,
        })
    }

    /// Adds what happened in another run.
    pub fn add(&mut self, other: &Self) {
        for (act, answers) in &other.acts {
            let sum = self.acts.entry(*act).or_default();
            sum.acknowledged += answers.acknowledged;
            sum.refused += answers.refused;
            sum.unknown += answers.unknown;
        }
        for (fault, times) in &other.faults {
            *self.faults.entry(*fault).or_default() += times;
        }
        self.received += other.received;
        self.behind += other.behind;
        self.behind_everywhere += other.behind_everywhere;
        self.connections += other.connections;
        self.ephemerals += other.ephemerals;
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// Where, if it is about one conversation.
    pub conversation: Option<ConversationId>,
    /// What is wrong, in words.
    pub evidence: String,
    /// What happened in that conversation and to the nodes, in order.
    pub trace: String,
}

/// The outcome of one run. Its `Display` is what a failing seed prints.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Which test replays it.
    pub test: &'static str,
    /// A hash of everything that happened, in order: the same for each run of a seed.
    pub trace_hash: [u8; 32],
    /// How much happened.
    pub counts: Counts,
    /// The promises that were broken.
    pub violations: Vec<Violation>,
}

impl Report {
    /// The promises that were broken, each once.
    pub fn broken(&self) -> BTreeSet<Invariant> {
        self.violations.iter().map(|violation| violation.invariant).collect()
    }
}

/// So many violations are shown with their traces; the others are mostly their consequences.
const SHOWN: usize = 3;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, test, violations, .. } = self;
        if violations.is_empty() {
            let answers = self.counts.answers();
            return write!(f, "seed {seed}: clean; {} acknowledged", answers.acknowledged);
        }
        writeln!(f, "seed {seed}: {} violations", violations.len())?;
        for violation in violations.iter().take(SHOWN) {
            write!(f, "\n{:?}", violation.invariant)?;
            if let Some(conversation) = violation.conversation {
                write!(f, " in {conversation:?}")?;
            }
            writeln!(f, ": {}\n{}", violation.evidence, violation.trace)?;
        }
        for violation in violations.iter().skip(SHOWN).take(20) {
            writeln!(f, "also {:?}: {}", violation.invariant, violation.evidence)?;
        }
        writeln!(f, "\nreplay: {}", replay_command(*seed, test))
    }
}

/// The command that runs one seed of a test again.
pub(super) fn replay_command(seed: u64, test: &str) -> String {
    format!("SIM_SEED={seed} cargo test {test} -- --nocapture")
}
