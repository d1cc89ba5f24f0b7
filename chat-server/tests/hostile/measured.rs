//! What the process occupies.

use crate::node::Memory;
use crate::server::{LOOK, Server, in_time};

const MIB: u64 = 1 << 20;

/// Memory before anything happens.
pub(crate) struct Before(u64);

impl Before {
    pub(crate) fn of(server: &Server) -> Self {
        Self(server.nodes[0].memory_bytes(Memory::Now).expect("the system tells"))
    }

    /// The most that it has occupied since exceeds what it did before by no more than these parts, each
    /// with the reason for it.
    pub(crate) fn grew_within(&self, server: &Server, parts: &[(&str, u64)]) {
        let node = &server.nodes[0];
        let peak = node.memory_bytes(Memory::Peak).expect("the system tells");
        let now = node.memory_bytes(Memory::Now).expect("the system tells");
        let bound = self.0 + parts.iter().map(|(_, bytes)| bytes).sum::<u64>();
        println!(
            "resident: {} MiB before, {} MiB at most, {} MiB now; bound {} MiB",
            self.0 / MIB,
            peak / MIB,
            now / MIB,
            bound / MIB
        );
        assert!(peak <= bound, "{peak} bytes where {bound} are admitted: {parts:?} beyond {}", self.0);
    }
}

/// Waits until the server has no more files open than this.
pub(crate) async fn files_come_back(server: &Server, before: usize) {
    in_time("connections are given back", async {
        while open_files(server) > before {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
}

pub(crate) fn open_files(server: &Server) -> usize {
    server.open_files().expect("the system tells")
}
