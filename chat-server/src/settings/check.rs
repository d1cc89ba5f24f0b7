//! What types alone do not say: bounds, and settings that must fit each other.

use chat_core::EngineConfig;
use tracing_subscriber::EnvFilter;

use super::backends::{BUS_SCHEMES, EMBEDDED, NO_BUS, STORE_SCHEMES};
use super::{Settings, SettingsError};

/// The longest body: with a page of entries around it, it fits the longest frame of the protocol.
const LONGEST_BODY_BYTES: usize = EngineConfig::BODY_LIMIT_BYTES;

/// The least memory with which argon2 works, in KiB.
const LEAST_PASSWORD_MEMORY_KIB: u32 = 8;

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
        if !self.http.is_empty() && self.http_at().is_none() {
            let expected = "IP:PORT such as 127.0.0.1:9090, or nothing".into();
            return Err(refused("http", format!("\"{}\"", self.http), expected));
        }
        if self.node.is_empty() {
            return Err(refused("node", "\"\"".into(), "a name".into()));
        }
        if self.store != EMBEDDED && !begins_with(&self.store, &STORE_SCHEMES) {
            let expected = format!("\"{EMBEDDED}\", or mysql://user:password@host:3306/name");
            return Err(refused("store", scheme_of(&self.store), expected));
        }
        if self.bus != NO_BUS {
            if !begins_with(&self.bus, &BUS_SCHEMES) {
                let expected =
                    format!("\"{NO_BUS}\", or an address that begins with {}", BUS_SCHEMES.join(", "));
                return Err(refused("bus", scheme_of(&self.bus), expected));
            }
            if self.store == EMBEDDED {
                let expected =
                    format!("\"{NO_BUS}\" with the embedded store, which one server has for itself");
                return Err(refused("bus", scheme_of(&self.bus), expected));
            }
            if self.node == Settings::default().node {
                let expected = "a name that no other node of the cluster has, such as --node node1";
                return Err(refused("node", format!("\"{}\"", self.node), expected.into()));
            }
        }
        let body = self.messages.body_limit_bytes;
        if body > LONGEST_BODY_BYTES {
            let expected = format!("at most {LONGEST_BODY_BYTES}");
            return Err(refused("messages.body_limit_bytes", body.to_string(), expected));
        }
        let memory = self.accounts.password_memory_kib;
        if memory < LEAST_PASSWORD_MEMORY_KIB {
            let expected = format!("at least {LEAST_PASSWORD_MEMORY_KIB}");
            return Err(refused("accounts.password_memory_kib", memory.to_string(), expected));
        }
        Ok(())
    }

    fn at_least_one(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("stop_seconds", self.stop_seconds),
            ("connections.max", self.connections.max as u64),
            ("connections.unauthenticated", self.connections.unauthenticated as u64),
            ("connections.requests_in_flight", self.connections.requests_in_flight.into()),
            ("connections.handshake_deadline_ms", self.connections.handshake_deadline_ms),
            ("connections.login_attempts", self.connections.login_attempts.into()),
            ("connections.ping_interval_ms", self.connections.ping_interval_ms),
            ("connections.write_deadline_ms", self.connections.write_deadline_ms),
            ("connections.output_bytes", self.connections.output_bytes as u64),
            ("connections.page_bytes", self.connections.page_bytes as u64),
            ("connections.buffer_bytes", self.connections.buffer_bytes as u64),
            ("accounts.device_limit", self.accounts.device_limit as u64),
            ("accounts.password_passes", self.accounts.password_passes.into()),
            ("contacts.limit", self.contacts.limit as u64),
            ("messages.body_limit_bytes", self.messages.body_limit_bytes as u64),
            ("groups.member_limit", self.groups.member_limit.into()),
            ("groups.first_members_limit", self.groups.first_members_limit as u64),
            ("rates.commands_burst", self.rates.commands_burst.into()),
            ("rates.reads_burst", self.rates.reads_burst.into()),
            ("sessions.queue_bytes", self.sessions.queue_bytes as u64),
            ("commits.queue_rows", self.commits.queue_rows as u64),
            ("sessions.all_queues_bytes", self.sessions.all_queues_bytes as u64),
            ("commits.queue_bytes", self.commits.queue_bytes as u64),
            ("commits.batch_rows", self.commits.batch_rows as u64),
            ("commits.batch_bytes", self.commits.batch_bytes as u64),
            ("commits.deadline_ms", self.commits.deadline_ms),
            ("commits.journal_interval_ms", self.commits.journal_interval_ms),
            ("gates.queue_bytes", self.gates.queue_bytes as u64),
            ("presence.lease_ms", self.presence.lease_ms),
            ("mysql.readers", self.mysql.readers as u64),
            ("mysql.writers", self.mysql.writers as u64),
            ("mysql.shards", self.mysql.shards.into()),
            ("mysql.deadline_ms", self.mysql.deadline_ms),
            ("mysql.journal_hours", self.mysql.journal_hours),
            ("redis.command_timeout_ms", self.redis.command_timeout_ms),
            ("redis.proof_interval_ms", self.redis.proof_interval_ms),
            ("redis.outgoing_bytes", self.redis.outgoing_bytes as u64),
            ("redis.incoming_bytes", self.redis.incoming_bytes as u64),
        ]
    }
}

fn begins_with(address: &str, schemes: &[&str]) -> bool {
    schemes.iter().any(|scheme| address.starts_with(scheme))
}

/// What may be shown of an address: passwords stand behind its scheme.
fn scheme_of(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme, _)) => format!("an address that begins with \"{scheme}://\""),
        None => "no address".into(),
    }
}
