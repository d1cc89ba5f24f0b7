//! What a run is like: sizes, limits and faults, all drawn from its seed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::draw::Draw;
use super::report::Fault;
use crate::{ContactPolicy, EngineConfig, PasswordCost, WritePolicy};

/// The sizes of a run and what happens in it. [`Settings::drawn`] draws them as a simulation does that
/// is not told otherwise; change what matters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// How many nodes there are. Default: 2 or 3.
    pub nodes: usize,
    /// How many users. Default: 3 to 5.
    pub users: usize,
    /// How many clients each of them has. Default: 2.
    pub clients_per_user: usize,
    /// How long clients act before the first fault. Default: 4 s.
    pub prelude: Duration,
    /// How long clients act under faults; a calm follows each time, in which everything is checked.
    /// Default: two times 10 s.
    pub storms: Vec<Duration>,
    /// How long a client thinks between two acts, at most. Default: 0.3 to 1 s.
    pub think_at_most: Duration,
    /// How many groups are created, at most. Default: 4.
    pub groups: usize,
    /// What may go wrong. Default: each fault in three seeds of four.
    pub faults: BTreeSet<Fault>,
    /// How long it takes, at most, until the next fault. Default: 0.3 to 1.5 s.
    pub fault_every: Duration,
    /// The committers of each node. Default: 1 to 3.
    pub writers: usize,
    /// The shards into which the store falls; 0 for the store's own. Default: 0 or 3.
    pub shards: u32,
    /// The engines' settings. Default: limits so small that they are met, or so large that they are not.
    pub engine: EngineConfig,
}

impl Settings {
    /// Draws the settings of a seed.
    pub fn drawn(seed: u64) -> Self {
        let mut draw = Draw::new(seed, 1);
        let think_at_most = draw.millis(300, 1_000);
        let fault_every = draw.millis(300, 1_500);
        Self {
            nodes: 2 + draw.below(2),
            users: 3 + draw.below(3),
            clients_per_user: 2,
            prelude: Duration::from_secs(4),
            storms: vec![Duration::from_secs(10); 2],
            think_at_most,
            groups: 4,
            faults: Fault::ALL.iter().copied().filter(|_| draw.happens(75)).collect(),
            fault_every,
            writers: 1 + draw.below(3),
            shards: draw.one_of(&[0, 3]),
            engine: engine(&mut draw),
        }
    }
}

fn engine(draw: &mut Draw) -> EngineConfig {
    EngineConfig {
        password_cost: PasswordCost { memory_kib: 8, passes: 1 },
        password_hashes_at_once: 1,
        commands_per_second: 0,
        reads_per_second: 0,
        devices: crate::DevicePolicy::Several { limit: 64 },
        contacts: draw.one_of(&[ContactPolicy::AskFirst, ContactPolicy::AskFirst, ContactPolicy::Immediate]),
        writing: draw.one_of(&[WritePolicy::Everyone, WritePolicy::Everyone, WritePolicy::ContactsOnly]),
        session_queue_bytes: draw.one_of(&[600, 4 * 1024, 256 * 1024]),
        session_behind_limit: draw.one_of(&[1, 4, 64]),
        gate_queue_bytes: draw.one_of(&[1_000, 1024 * 1024]),
        gate_repair_limit: draw.one_of(&[3, 1_000]),
        commit_queue_rows: draw.one_of(&[4, 32_768]),
        commit_batch_rows: draw.one_of(&[2, 1_024]),
        commit_deadline: draw.millis(1_000, 5_000),
        presence_lease: draw.one_of(&[Duration::from_secs(3), Duration::from_secs(10)]),
        presence_debounce: draw.one_of(&[Duration::from_millis(500), Duration::from_secs(2)]),
        positions_group_limit: draw.one_of(&[2, 100]),
        ..EngineConfig::default()
    }
}
