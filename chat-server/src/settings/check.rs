//! What types alone do not say: bounds, and settings that must fit each other.

use tracing_subscriber::EnvFilter;

use super::{Settings, SettingsError};

/// What surrounds a body in its frame at most.
const FRAME_OVERHEAD_BYTES: usize = 4 * 1024;

impl Settings {
    /// Refuses what no server can run with; `origin` tells where a key's value came from.
    pub(super) fn check(&self, origin: impl Fn(&str) -> String) -> Result<(), SettingsError> {
        let refused = |key: &str, found: String, expected: String| SettingsError::Value {
            origin: origin(key),
            key: key.into(),
            found,
            expected,
        };
        for (key, value) in self.at_least_one() {
            if value == 0 {
                return Err(refused(key, "0".into(), "at least 1".into()));
            }
        }
        if let Err(error) = EnvFilter::builder().parse(&self.log) {
            let expected = format!("directives such as \"info\" or \"warn,chat_core=debug\" ({error})");
            return Err(refused("log", format!("\"{}\"", self.log), expected));
        }
        if self.node.is_empty() {
            return Err(refused("node", "\"\"".into(), "a name".into()));
        }
        let least = self.messages.body_limit_bytes.saturating_add(FRAME_OVERHEAD_BYTES);
        if self.connections.frame_limit_bytes < least {
            let found = self.connections.frame_limit_bytes.to_string();
            let expected =
                format!("at least {least} (messages.body_limit_bytes and {FRAME_OVERHEAD_BYTES} around it)");
            return Err(refused("connections.frame_limit_bytes", found, expected));
        }
        Ok(())
    }

    fn at_least_one(&self) -> [(&'static str, u64); 21] {
        [
            ("stop_seconds", self.stop_seconds),
            ("connections.max", self.connections.max as u64),
            ("connections.first_frame_limit_bytes", self.connections.first_frame_limit_bytes as u64),
            ("connections.requests_in_flight", self.connections.requests_in_flight as u64),
            ("connections.login_deadline_ms", self.connections.login_deadline_ms),
            ("connections.ping_interval_ms", self.connections.ping_interval_ms),
            ("connections.write_deadline_ms", self.connections.write_deadline_ms),
            ("accounts.device_limit", self.accounts.device_limit as u64),
            ("contacts.limit", self.contacts.limit as u64),
            ("messages.body_limit_bytes", self.messages.body_limit_bytes as u64),
            ("groups.member_limit", self.groups.member_limit.into()),
            ("groups.first_members_limit", self.groups.first_members_limit as u64),
            ("rates.commands_per_second", self.rates.commands_per_second.into()),
            ("rates.commands_burst", self.rates.commands_burst.into()),
            ("sessions.queue_bytes", self.sessions.queue_bytes as u64),
            ("commits.queue_rows", self.commits.queue_rows as u64),
            ("commits.batch_rows", self.commits.batch_rows as u64),
            ("commits.batch_bytes", self.commits.batch_bytes as u64),
            ("commits.deadline_ms", self.commits.deadline_ms),
            ("commits.journal_interval_ms", self.commits.journal_interval_ms),
            ("gates.queue_bytes", self.gates.queue_bytes as u64),
        ]
    }
}
