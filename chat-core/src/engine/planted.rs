//! Defects that a test may plant, to show that what looks for such defects finds them.
//!
//! Without the feature `planted-defects` there is no way to plant one and [`Planted::is`] is always
//! false, so that nothing of them is left in the code.

#[cfg(feature = "planted-defects")]
mod acts;

/// A fault of the kind that other systems shipped, to be planted into an engine, its store or its bus.
///
/// For this project's own tests: an engine with any of these loses, repeats or betrays messages.
#[cfg_attr(
    not(feature = "planted-defects"),
    expect(dead_code, unreachable_pub, reason = "only those of the engine itself are named in it")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Defect {
    /// A node counts a conversation's seqs in its memory, and says these.
    ///
    /// Of chat servers whose counter lives in the process, or in a cache beside the database. Breaks
    /// *durable*: what is acknowledged stands elsewhere.
    SequenceFromMemory,
    /// What a change was decided on is not compared under the lock.
    ///
    /// Checking a permission and writing in two statements. Breaks *private*: who was removed still writes.
    DecisionNotComparedUnderLock,
    /// Whether a command is a repetition is looked up before the transaction, not in it.
    ///
    /// "Select, then insert" without a unique index. Breaks *once*.
    DuplicateCheckOutsideTransaction,
    /// Commands are remembered by the run of the node that carried them out, and by nobody else.
    ///
    /// A cache of recent ids in one process, so that a resend elsewhere gives a second entry. Breaks *once*.
    DuplicatesRememberedInMemory,
    /// The journal is followed by one number, drawn as a batch begins.
    ///
    /// Polling a table by its auto-increment id: rows that become visible late are passed over. Breaks
    /// *complete*, where the bus does not bring what the journal hides.
    JournalSkipsWhatIsVisibleLate,
    /// After an error the journal is followed from its end.
    ///
    /// A consumer whose offset is reset to the latest. Breaks *complete*, where the bus brings nothing
    /// either.
    JournalResumesAtItsEnd,
    /// Nothing follows the journal: what the bus drops is lost unless more comes after it.
    ///
    /// Publish and subscribe as the only way between nodes. Breaks *complete*.
    LastMessageLostWithTheBus,
    /// How many messages are unread is a counter that is raised by messages and set to zero by reading.
    ///
    /// A counter beside the log, which drifts. Breaks *unread*.
    UnreadAsCounter,
    /// The read cursor is what was written last, wherever it was before.
    ///
    /// Last write wins. Breaks *cursors*.
    CursorMovesBack,
    /// Sending marks as read what precedes the message.
    ///
    /// A text that was queued offline marks what its sender never saw. Breaks *cursors*.
    SendingMarksAsRead,
    /// A group is created first and given its members then, and others are told last, each in a transaction
    /// of its own.
    ///
    /// One request, several writes. Breaks *atomic* where something fails in between.
    ChangeInSteps,
    /// Who is a member of a group is cached, and nobody invalidates it.
    ///
    /// A cache in front of a table of members. Breaks *private*.
    MembershipCached,
    /// Pages are not cut to the time for which the reader is a member.
    ///
    /// History that asks whether somebody is a member, not since when and until when. Breaks *private*.
    PagesNotCutToMembership,
    /// An entry has the time of the node that wrote it, whatever the one before it has.
    ///
    /// Clocks of several machines in one log. Breaks *ordered*.
    TimeRunsBack,
    /// When the bus returns, topics are subscribed once; when that fails they never are.
    ///
    /// Clients of message brokers whose loop ends with the first error. Breaks *presence*; entries still come
    /// by the journal.
    ResubscriptionGivesUp,
    /// Entries are published where they are expected to stand, and committed then.
    ///
    /// Broadcast first, store later. Breaks *ordered*: another entry may come to stand there.
    PublishedBeforeCommit,
    /// A send is acknowledged where it is expected to stand, and committed then.
    ///
    /// Write-behind, and commits that are not waited for. Breaks *durable*.
    AcknowledgedBeforeCommit,
    /// A commit whose outcome is unknown counts as refused when a look finds nothing of it.
    ///
    /// It may still be on its way. Breaks *once*: what was refused is there.
    AmbiguitySettledByLook,
    /// A recall is written, and empties nothing.
    ///
    /// "Deleted" as a flag that each client is trusted to honour. Breaks *durable*: what was taken back is
    /// still there to be read.
    RecallEmptiesNothing,
    /// What this node wrote is released at once, whatever is missing before it.
    ///
    /// Local echo through the same queue as everything else. Breaks *ordered*.
    OwnEntryOvertakes,
    /// A session listens once it has read where its conversations stand.
    ///
    /// Read, then subscribe: what is written in between is lost. Breaks *complete*.
    SubscribedAfterSnapshot,
    /// What was written to one device's connection counts as delivered to its user.
    ///
    /// Rows of undelivered messages that are deleted before anybody confirmed, as XMPP had them before stream
    /// management (XEP-0198). Breaks *complete*.
    OfflineRowsDeletedEarly,
    /// What does not fit into the queue of a slow reader is dropped without a word.
    ///
    /// A bounded channel of which nobody looks whether it was full. Breaks *ordered*: the reader has a hole.
    SlowReaderDropped,
    /// A full queue becomes a mark for the one conversation that did not fit any more.
    ///
    /// Breaks *complete* for all the others.
    CollapseForgetsOthers,
    /// The queue of a slow reader takes everything.
    ///
    /// An unbounded channel. Breaks *bounded*.
    OutboxWithoutBound,
    /// What a node published comes back to its sessions, past the gates.
    ///
    /// An own message that is not recognised. Breaks *ordered*: it overtakes what is not there yet.
    EchoDeliveredTwice,
    /// Entries are queued for a session twice.
    ///
    /// A queue that delivers at least once, with nobody behind it who drops repetitions. Breaks *once*.
    DeliveredTwice,
    /// What is missing in a gate is waited for and never read.
    ///
    /// Waiting for a message that was lost. Breaks *complete*.
    HolesNeverRead,
    /// Who was removed from a group is not taken from its listeners.
    ///
    /// Topics are joined with the membership and left with the connection. Breaks *private*.
    RemovedGoOnListening,
    /// A removal does not end its chunk.
    ///
    /// Membership that is looked at once for a batch. Breaks *private*, where a hole is read that holds more
    /// than the removal: in one commit nothing follows it, since it changes the rules.
    ChunkGoesOnAfterRemoval,
    /// Whether a session may listen to a group is read a second before it listens, and not again.
    ///
    /// Check, then subscribe. Breaks *private*.
    MembershipReadBeforeListening,
    /// A repetition is refused when its sender may no longer write.
    ///
    /// Permissions that are looked at before duplicates. Breaks *once*.
    RepetitionRefused,
    /// A device that is given up loses its session and keeps its token.
    ///
    /// A log-out that closes connections, and tokens that hold until they expire. Breaks *private*.
    TokenOutlivesItsDevice,
    /// Words of a node count whichever run they are of, in whatever order they come.
    ///
    /// Presence under a node's name alone. Breaks *presence*.
    PresenceWithoutFencing,
    /// A node that starts clears who is online, on all nodes.
    ///
    /// A start that removes all keys of a kind. Breaks *presence*.
    RestartClearsPresence,
    /// The users of a node that died stay online.
    ///
    /// Presence that ends with a good-bye only. Breaks *presence*.
    DeadNodesStayOnline,
}

#[cfg(feature = "planted-defects")]
impl Defect {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::SequenceFromMemory,
        Self::DecisionNotComparedUnderLock,
        Self::DuplicateCheckOutsideTransaction,
        Self::DuplicatesRememberedInMemory,
        Self::JournalSkipsWhatIsVisibleLate,
        Self::JournalResumesAtItsEnd,
        Self::LastMessageLostWithTheBus,
        Self::UnreadAsCounter,
        Self::CursorMovesBack,
        Self::SendingMarksAsRead,
        Self::ChangeInSteps,
        Self::MembershipCached,
        Self::PagesNotCutToMembership,
        Self::TimeRunsBack,
        Self::ResubscriptionGivesUp,
        Self::PublishedBeforeCommit,
        Self::AcknowledgedBeforeCommit,
        Self::AmbiguitySettledByLook,
        Self::RecallEmptiesNothing,
        Self::OwnEntryOvertakes,
        Self::SubscribedAfterSnapshot,
        Self::OfflineRowsDeletedEarly,
        Self::SlowReaderDropped,
        Self::CollapseForgetsOthers,
        Self::OutboxWithoutBound,
        Self::EchoDeliveredTwice,
        Self::DeliveredTwice,
        Self::HolesNeverRead,
        Self::RemovedGoOnListening,
        Self::ChunkGoesOnAfterRemoval,
        Self::MembershipReadBeforeListening,
        Self::RepetitionRefused,
        Self::TokenOutlivesItsDevice,
        Self::PresenceWithoutFencing,
        Self::RestartClearsPresence,
        Self::DeadNodesStayOnline,
    ];
}

/// Which defect an engine has, if any.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planted {
    #[cfg(feature = "planted-defects")]
    defect: Option<Defect>,
}

#[cfg(feature = "planted-defects")]
impl Planted {
    pub(super) fn with(defect: Defect) -> Self {
        Self { defect: Some(defect) }
    }

    /// Whether it is this one.
    pub(crate) fn is(self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }
}

#[cfg(not(feature = "planted-defects"))]
impl Planted {
    /// It is none.
    #[expect(clippy::unused_self, reason = "a constant, in place of a look")]
    pub(crate) const fn is(self, _: Defect) -> bool {
        false
    }
}
