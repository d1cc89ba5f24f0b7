//! What an installation can choose about connections, with its defaults.

use std::time::Duration;

use chat_core::EngineConfig;

use super::crowd::Crowd;
use crate::frame;
use crate::message::{Limits, Rate};

/// The settings of connections. Start from `default()` and change fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionConfig {
    /// How often a client gives a sign of life; after two of them in silence it is closed. Default
    /// 30 s.
    pub ping_interval: Duration,
    /// Within this time a session has begun, or the connection is closed. Default 10 s.
    pub handshake_deadline: Duration,
    /// A peer that takes nothing of what is written for this time is closed. Default 10 s.
    pub write_deadline: Duration,
    /// How long a connection that is ending waits for what is in flight. Default 5 s.
    pub drain_deadline: Duration,
    /// How long a connection that has said good-bye waits for the peer to hang up, so that the
    /// good-bye arrives. Default 1 s.
    pub linger: Duration,
    /// The most requests that are worked on at the same time. Default 64.
    pub in_flight: u32,
    /// While so many bytes wait to be written, no requests are read and no replies and events are
    /// taken. Default 64 KiB.
    pub output_bytes: usize,
    /// The most requests before a session has begun. Default 16.
    pub handshake_requests: u32,
    /// After so many wrong passwords or tokens the connection is closed. Default 5.
    pub login_attempts: u32,
    /// After so many frames that cannot be decoded the connection is closed. Default 32.
    pub malformed_frames: u32,
    /// The most entries of a page. Default 500.
    pub page_entries: usize,
    /// The most conversations, contacts, members or profiles of a page, at least 100. Default 200.
    pub page_rows: usize,
    /// The most bytes of entries of a page. Default 256 KiB.
    pub page_bytes: usize,
    /// The most connections without a session; beyond them, the one that has waited longest is told to
    /// come back later. Default 10,000.
    pub unauthenticated: usize,
    /// The most bytes that wait in all connections together: frames that have not arrived as a whole, and
    /// output that is not taken. A quarter of it is for connections without a session. Beyond it pages are
    /// refused, who has taken nothing for a second is closed, and who is in the middle of a long frame is
    /// told to come back later. Default 256 MiB.
    pub buffer_bytes: usize,
    /// What the connections hold that are served with this configuration, or with a clone of it.
    pub(super) crowd: Crowd,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(30),
            handshake_deadline: Duration::from_secs(10),
            write_deadline: Duration::from_secs(10),
            drain_deadline: Duration::from_secs(5),
            linger: Duration::from_secs(1),
            in_flight: 64,
            output_bytes: 64 * 1024,
            handshake_requests: 16,
            login_attempts: 5,
            malformed_frames: 32,
            page_entries: 500,
            page_rows: 200,
            page_bytes: 256 * 1024,
            unauthenticated: 10_000,
            buffer_bytes: 256 * 1024 * 1024,
            crowd: Crowd::default(),
        }
    }
}

/// What a frame holds beside the body of its message.
const OVERHEAD_BYTES: usize = 16 * 1024;

/// Room for what a page holds beside entries, and for the messages that refer to its entries.
const PAGE_OVERHEAD_BYTES: usize = 1024 * 1024;

impl ConnectionConfig {
    /// How many bytes wait at present in all connections that are served with this configuration, or with
    /// a clone of it: what [`ConnectionConfig::buffer_bytes`] bounds.
    pub fn buffered_bytes(&self) -> usize {
        self.crowd.held_bytes()
    }

    /// What is announced to clients, and held to.
    pub(super) fn limits(&self, engine: &EngineConfig) -> Limits {
        let body_bytes = engine.body_limit_bytes;
        // Creations of groups and parts of a sync need room even where bodies are short.
        let client = body_bytes.max(2 * OVERHEAD_BYTES).saturating_add(OVERHEAD_BYTES);
        let server = body_bytes.saturating_add(self.page_bytes).saturating_add(PAGE_OVERHEAD_BYTES);
        Limits {
            client_frame_bytes: client.min(frame::MAX_FRAME_BYTES),
            server_frame_bytes: server.min(frame::MAX_FRAME_BYTES),
            body_bytes,
            in_flight: self.in_flight.max(1),
            commands: Rate { per_second: engine.commands_per_second, burst: engine.commands_burst },
            reads: Rate { per_second: engine.reads_per_second, burst: engine.reads_burst },
        }
    }
}
