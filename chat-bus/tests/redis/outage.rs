//! Endpoints that Redis cuts off and takes back: each second one is a user of Redis of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chat_bus::RedisBus;
use chat_core::bus::{Bus, BusState};
use chat_core::testkit::bus::{Interruptible, Outage};
use tokio::time::{sleep, timeout};

use crate::fixture::{PATIENCE, healthy, namespace, options, reaches};
use crate::servers::Server;

/// How an endpoint is cut off.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// Its connections are ended, and new ones are refused until the outage ends.
    ShutOut,
    /// The connection is ended on which it is subscribed: it comes back as fast as it can.
    HungUp,
}

/// Endpoints on servers that others use as well.
pub(crate) async fn interruptible(url: &str, servers: &'static [Server], cut: Cut) -> Interruptible {
    let namespace = namespace();
    let user = format!("{namespace}-second");
    for server in servers {
        let made = server.command(&format!("ACL SETUSER {user} on >s3cret ~* &* +@all"));
        assert!(made.starts_with("+OK"), "{made}");
    }
    let as_user = url.replacen("://", &format!("://{user}:s3cret@"), 1);
    let (first, second, third) = tokio::join!(
        healthy(options(url, &namespace)),
        healthy(options(as_user, &namespace)),
        healthy(options(url, &namespace)),
    );
    let second = Arc::new(second);
    let outage = Interruption { bus: Arc::clone(&second), user, servers, cut, before: AtomicU64::new(0) };
    ([Arc::new(first), second, Arc::new(third)], Arc::new(outage))
}

struct Interruption {
    bus: Arc<RedisBus>,
    user: String,
    servers: &'static [Server],
    cut: Cut,
    /// How often it had subscribed again when the outage began.
    before: AtomicU64,
}

impl Interruption {
    fn tell_all(&self, command: &str) {
        for server in self.servers {
            let said = server.command(command);
            assert!(!said.starts_with('-'), "{command}: {said}");
        }
    }
}

#[async_trait]
impl Outage for Interruption {
    async fn begin(&self) {
        self.before.store(self.bus.counts().resubscribed, Ordering::Relaxed);
        let user = &self.user;
        match self.cut {
            Cut::ShutOut => {
                self.tell_all(&format!("ACL SETUSER {user} off"));
                self.tell_all(&format!("CLIENT KILL USER {user}"));
            }
            Cut::HungUp => self.tell_all(&format!("CLIENT KILL USER {user} TYPE pubsub")),
        }
    }

    async fn end(&self) {
        if let Cut::ShutOut = self.cut {
            self.tell_all(&format!("ACL SETUSER {} on", self.user));
        }
        let again = async {
            while self.bus.counts().resubscribed == self.before.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, again).await.expect("it subscribes again");
        reaches(&self.bus, BusState::Healthy).await;
    }
}
