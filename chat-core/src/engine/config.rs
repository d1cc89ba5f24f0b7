//! What an installation can choose, with its defaults.

use std::time::Duration;

use super::passwords::PasswordCost;

/// How many devices a user may have, and what a log-in does to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevicePolicy {
    /// Several at once, at most so many; one more is refused.
    Several {
        /// The most devices of a user.
        limit: usize,
    },
    /// The newest replaces all others.
    NewestOnly,
    /// A log-in is refused while another device has a session.
    RefuseWhileOnline,
}

/// Whether a contact request needs an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactPolicy {
    /// It does.
    AskFirst,
    /// The two are contacts at once.
    Immediate,
}

/// Who may write to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WritePolicy {
    /// Everyone to everyone who has not blocked them.
    Everyone,
    /// Only contacts to each other.
    ContactsOnly,
}

/// The settings of an [`Engine`](crate::Engine). Start from `default()` and change fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EngineConfig {
    /// This node's name, unique in a cluster. Default `"node"`.
    pub node: String,
    /// Default: several, at most 16.
    pub devices: DevicePolicy,
    /// Default: ask first.
    pub contacts: ContactPolicy,
    /// Default: everyone.
    pub writing: WritePolicy,
    /// The most bytes of a message's body, at most [`EngineConfig::BODY_LIMIT_BYTES`]. Default 64 KiB.
    pub body_limit_bytes: usize,
    /// The most members of a group. Default 100,000.
    pub group_limit: u32,
    /// The most members named in one creation or addition. Default 1,000.
    pub first_members_limit: usize,
    /// The most contacts, requests and blocks of a user together. Default 10,000.
    pub contacts_limit: usize,
    /// Positions of members are told to the others in groups up to this size. Default 100.
    pub positions_group_limit: u32,
    /// Durable commands per second that a session may sustain; 0 for no limit. Default 100.
    pub commands_per_second: u32,
    /// Durable commands that a session may save up for a burst. Default 500.
    pub commands_burst: u32,
    /// Pages that a session may read per second; 0 for no limit. Default 200.
    pub reads_per_second: u32,
    /// Pages that a session may save up for a burst. Default 2,000.
    pub reads_burst: u32,
    /// The most bytes of events that wait in one session. Default 256 KiB.
    pub session_queue_bytes: usize,
    /// The most bytes of events that wait in all sessions together. Default 512 MiB.
    pub queues_limit_bytes: usize,
    /// The most conversations in which a session is kept account of as behind. Default 64.
    pub session_behind_limit: usize,
    /// The most commands that wait to be stored. Default 32,768.
    pub commit_queue_rows: usize,
    /// The most bytes of content that wait to be stored. Default 64 MiB.
    pub commit_queue_bytes: usize,
    /// The most commands of one transaction. Default 1,024.
    pub commit_batch_rows: usize,
    /// The most bytes of content of one transaction. Default 4 MiB.
    pub commit_batch_bytes: usize,
    /// After this time a command that still waits is withdrawn, and one handed to the store is
    /// answered `outcome_unknown`. Default 10 s.
    pub commit_deadline: Duration,
    /// The most bytes of chunks that wait in one conversation's gate. Default 1 MiB.
    pub gate_queue_bytes: usize,
    /// How long a gate waits for a missing chunk before it reads the store. Default 50 ms.
    pub gate_patience: Duration,
    /// A hole of more entries than this is not read by the gate: its sessions are told that they are
    /// behind. Default 1,000.
    pub gate_repair_limit: u64,
    /// How often the journal is followed. Default 1 s.
    pub journal_interval: Duration,
    /// How long a user stays online after the last session ended, so that a reconnection is not
    /// seen. Default 2 s.
    pub presence_debounce: Duration,
    /// A node of which nothing was heard for so long counts as dead, and its users as offline. It says
    /// that it lives three times in that time. Default 10 s.
    pub presence_lease: Duration,
    /// How many passwords are hashed at the same time; more wait. The memory of so many hashes is kept once it
    /// was needed, for the next ones. Default: the number of cores.
    pub password_hashes_at_once: usize,
    /// What one password hash costs. Default: as OWASP recommends.
    pub password_cost: PasswordCost,
}

impl EngineConfig {
    /// The most that `body_limit_bytes` may be: 8 MiB. What is larger belongs into a store of media,
    /// with a reference in the message.
    pub const BODY_LIMIT_BYTES: usize = 8 * 1024 * 1024;
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            node: "node".into(),
            devices: DevicePolicy::Several { limit: 16 },
            contacts: ContactPolicy::AskFirst,
            writing: WritePolicy::Everyone,
            body_limit_bytes: 64 * 1024,
            group_limit: 100_000,
            first_members_limit: 1_000,
            contacts_limit: 10_000,
            positions_group_limit: 100,
            commands_per_second: 100,
            commands_burst: 500,
            reads_per_second: 200,
            reads_burst: 2_000,
            session_queue_bytes: 256 * 1024,
            queues_limit_bytes: 512 * 1024 * 1024,
            session_behind_limit: 64,
            commit_queue_rows: 32_768,
            commit_queue_bytes: 64 * 1024 * 1024,
            commit_batch_rows: 1_024,
            commit_batch_bytes: 4 * 1024 * 1024,
            commit_deadline: Duration::from_secs(10),
            gate_queue_bytes: 1024 * 1024,
            gate_patience: Duration::from_millis(50),
            gate_repair_limit: 1_000,
            journal_interval: Duration::from_secs(1),
            presence_debounce: Duration::from_secs(2),
            presence_lease: Duration::from_secs(10),
            password_hashes_at_once: std::thread::available_parallelism().map_or(1, Into::into),
            password_cost: PasswordCost::default(),
        }
    }
}
