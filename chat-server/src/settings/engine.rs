//! The engine's part of the settings, both ways: the engine's defaults are ours.

use std::time::Duration;

use chat_core::{ContactPolicy, DevicePolicy, EngineConfig, PasswordCost, WritePolicy};

use super::{
    Accounts, Asking, Commits, Contacts, Devices, Gates, Groups, Messages, Presence, Rates, Sessions,
    Settings, Writing,
};

const DEVICE_LIMIT: usize = 16;

impl Settings {
    /// What the engine is to be started with.
    pub fn engine(&self) -> EngineConfig {
        let mut config = EngineConfig::default();
        config.node.clone_from(&self.node);
        config.devices = match self.accounts.devices {
            Devices::Several => DevicePolicy::Several { limit: self.accounts.device_limit },
            Devices::NewestOnly => DevicePolicy::NewestOnly,
            Devices::RefuseWhileOnline => DevicePolicy::RefuseWhileOnline,
        };
        config.contacts = match self.contacts.requests {
            Asking::AskFirst => ContactPolicy::AskFirst,
            Asking::Immediate => ContactPolicy::Immediate,
        };
        config.writing = match self.messages.writing {
            Writing::Everyone => WritePolicy::Everyone,
            Writing::ContactsOnly => WritePolicy::ContactsOnly,
        };
        config.body_limit_bytes = self.messages.body_limit_bytes;
        config.group_limit = self.groups.member_limit;
        config.first_members_limit = self.groups.first_members_limit;
        config.contacts_limit = self.contacts.limit;
        config.positions_group_limit = self.groups.positions_member_limit;
        config.commands_per_second = self.rates.commands_per_second;
        config.commands_burst = self.rates.commands_burst;
        config.reads_per_second = self.rates.reads_per_second;
        config.reads_burst = self.rates.reads_burst;
        config.session_queue_bytes = self.sessions.queue_bytes;
        config.queues_limit_bytes = self.sessions.all_queues_bytes;
        config.session_behind_limit = self.sessions.behind_limit;
        config.commit_queue_rows = self.commits.queue_rows;
        config.commit_queue_bytes = self.commits.queue_bytes;
        config.commit_batch_rows = self.commits.batch_rows;
        config.commit_batch_bytes = self.commits.batch_bytes;
        config.commit_deadline = Duration::from_millis(self.commits.deadline_ms);
        config.gate_queue_bytes = self.gates.queue_bytes;
        config.gate_patience = Duration::from_millis(self.gates.patience_ms);
        config.gate_repair_limit = self.gates.repair_limit;
        config.journal_interval = Duration::from_millis(self.commits.journal_interval_ms);
        config.presence_debounce = Duration::from_millis(self.presence.debounce_ms);
        config.presence_lease = Duration::from_millis(self.presence.lease_ms);
        config.password_cost = PasswordCost {
            memory_kib: self.accounts.password_memory_kib,
            passes: self.accounts.password_passes,
        };
        if self.accounts.password_hashes_at_once > 0 {
            config.password_hashes_at_once = self.accounts.password_hashes_at_once;
        }
        config
    }
}

pub(super) fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Default for Accounts {
    fn default() -> Self {
        let (devices, device_limit) = match EngineConfig::default().devices {
            DevicePolicy::Several { limit } => (Devices::Several, limit),
            DevicePolicy::NewestOnly => (Devices::NewestOnly, DEVICE_LIMIT),
            DevicePolicy::RefuseWhileOnline => (Devices::RefuseWhileOnline, DEVICE_LIMIT),
        };
        let PasswordCost { memory_kib, passes } = PasswordCost::default();
        Self {
            devices,
            device_limit,
            password_hashes_at_once: 0,
            password_memory_kib: memory_kib,
            password_passes: passes,
        }
    }
}

impl Default for Contacts {
    fn default() -> Self {
        let engine = EngineConfig::default();
        let requests = match engine.contacts {
            ContactPolicy::AskFirst => Asking::AskFirst,
            ContactPolicy::Immediate => Asking::Immediate,
        };
        Self { requests, limit: engine.contacts_limit }
    }
}

impl Default for Messages {
    fn default() -> Self {
        let engine = EngineConfig::default();
        let writing = match engine.writing {
            WritePolicy::Everyone => Writing::Everyone,
            WritePolicy::ContactsOnly => Writing::ContactsOnly,
        };
        Self { writing, body_limit_bytes: engine.body_limit_bytes }
    }
}

impl Default for Groups {
    fn default() -> Self {
        let engine = EngineConfig::default();
        Self {
            member_limit: engine.group_limit,
            first_members_limit: engine.first_members_limit,
            positions_member_limit: engine.positions_group_limit,
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        let engine = EngineConfig::default();
        Self {
            commands_per_second: engine.commands_per_second,
            commands_burst: engine.commands_burst,
            reads_per_second: engine.reads_per_second,
            reads_burst: engine.reads_burst,
        }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        let engine = EngineConfig::default();
        Self {
            queue_bytes: engine.session_queue_bytes,
            all_queues_bytes: engine.queues_limit_bytes,
            behind_limit: engine.session_behind_limit,
        }
    }
}

impl Default for Commits {
    fn default() -> Self {
        let engine = EngineConfig::default();
        Self {
            queue_rows: engine.commit_queue_rows,
            queue_bytes: engine.commit_queue_bytes,
            batch_rows: engine.commit_batch_rows,
            batch_bytes: engine.commit_batch_bytes,
            deadline_ms: milliseconds(engine.commit_deadline),
            journal_interval_ms: milliseconds(engine.journal_interval),
        }
    }
}

impl Default for Gates {
    fn default() -> Self {
        let engine = EngineConfig::default();
        Self {
            queue_bytes: engine.gate_queue_bytes,
            patience_ms: milliseconds(engine.gate_patience),
            repair_limit: engine.gate_repair_limit,
        }
    }
}

impl Default for Presence {
    fn default() -> Self {
        let engine = EngineConfig::default();
        Self {
            debounce_ms: milliseconds(engine.presence_debounce),
            lease_ms: milliseconds(engine.presence_lease),
        }
    }
}
