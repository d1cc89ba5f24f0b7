//! The driver's part of the settings, both ways: the driver's defaults are ours.

use std::net::SocketAddr;
use std::time::Duration;

use chat_proto::server::ConnectionConfig;

use super::engine::milliseconds;
use super::{Connections, Settings};

/// Connections at the same time, unless somebody asks for another number. What the process may open
/// bounds them too.
const MAX: usize = 100_000;

/// What the system keeps of a connection's output, unless somebody asks for another size: 2.5 MiB a second
/// over a round trip of 100 ms, where Linux would keep 4 MiB for each client that does not read.
const SEND_BUFFER_BYTES: u32 = 256 * 1024;

impl Settings {
    /// What connections are to be served with.
    pub fn connection(&self) -> ConnectionConfig {
        let mut config = ConnectionConfig::default();
        config.ping_interval = Duration::from_millis(self.connections.ping_interval_ms);
        config.handshake_deadline = Duration::from_millis(self.connections.handshake_deadline_ms);
        config.write_deadline = Duration::from_millis(self.connections.write_deadline_ms);
        config.in_flight = self.connections.requests_in_flight;
        config.output_bytes = self.connections.output_bytes;
        config.login_attempts = self.connections.login_attempts;
        config.page_bytes = self.connections.page_bytes;
        config.unauthenticated = self.connections.unauthenticated;
        config.buffer_bytes = self.connections.buffer_bytes;
        // What connections may take at a stop leaves the store its half.
        config.drain_deadline = config.drain_deadline.min(self.stop_deadline() / 2);
        config
    }

    /// Where an operator is answered, if anywhere.
    pub(crate) fn http_at(&self) -> Option<SocketAddr> {
        self.http.parse().ok()
    }

    /// How long a stop may take.
    pub fn stop_deadline(&self) -> Duration {
        Duration::from_secs(self.stop_seconds)
    }
}

impl Default for Connections {
    fn default() -> Self {
        let driver = ConnectionConfig::default();
        Self {
            max: MAX,
            unauthenticated: driver.unauthenticated,
            requests_in_flight: driver.in_flight,
            handshake_deadline_ms: milliseconds(driver.handshake_deadline),
            login_attempts: driver.login_attempts,
            ping_interval_ms: milliseconds(driver.ping_interval),
            write_deadline_ms: milliseconds(driver.write_deadline),
            output_bytes: driver.output_bytes,
            send_buffer_bytes: SEND_BUFFER_BYTES,
            page_bytes: driver.page_bytes,
            buffer_bytes: driver.buffer_bytes,
        }
    }
}
