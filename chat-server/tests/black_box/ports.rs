//! Ports that stay free.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// A free port below the range of outgoing connections: while the server is away none of those can
/// take it.
pub(crate) fn quiet_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let turn = std::process::id().wrapping_mul(7919) + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(12_000 + turn % 18_000).expect("below 30,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
