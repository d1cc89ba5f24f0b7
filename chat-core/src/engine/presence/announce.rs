//! What this node says to the others of who is online on it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Inner, NodeSaid, Origin, State, Topic};
use crate::UserId;

/// How long changes gather before they are told: a storm of log-ins becomes a few messages.
const GATHER: Duration = Duration::from_millis(50);

/// Whole rosters are told no more often than this, however many ask.
const ROSTER_PAUSE: Duration = Duration::from_millis(250);

/// The most users of one message: 64 KiB.
const USERS_PER_MESSAGE: usize = 8_192;

/// How often this node tells that it lives, in a lease.
const BEATS_PER_LEASE: u32 = 3;

/// How long a death may stay unnoticed once it is certain.
const LOOK: Duration = Duration::from_millis(250);

/// What is to be said in one turn.
struct Words {
    came: Vec<UserId>,
    went: Vec<UserId>,
    beat: bool,
    all: Option<Vec<UserId>>,
    ask: Vec<Origin>,
    ask_beats: bool,
}

/// Says that this node lives, who came and went, and everything to who asks; and finds out who died.
pub(in crate::engine) async fn announce(inner: Arc<Inner>) {
    inner.subscribe(&[Topic::Nodes]).await;
    let interval = inner.config.presence_lease / BEATS_PER_LEASE;
    let (mut version, mut beat, mut rosters) = (0, Instant::now(), Instant::now());
    inner.presence.lagged();
    loop {
        let now = Instant::now();
        let gone = inner.presence.lock().elsewhere.expire(now);
        inner.presence.tell_of(gone);
        let words = inner.presence.lock().words(now >= beat, now >= rosters);
        version = say_changes(&inner, version, &words.came, &words.went);
        if words.beat {
            inner.tell_nodes(version, NodeSaid::Beat);
            beat = now + interval;
        }
        if words.ask_beats {
            inner.tell_nodes(version, NodeSaid::Ask(None));
        }
        if let Some(all) = words.all {
            say_all(&inner, version, &all);
            rosters = now + ROSTER_PAUSE;
        }
        for whom in words.ask {
            inner.tell_nodes(version, NodeSaid::Ask(Some(whom)));
        }
        let (asked_all, expiry) = {
            let state = inner.presence.lock();
            (state.asked_all, state.elsewhere.next_expiry())
        };
        let next = [Some(beat), asked_all.then_some(rosters), expiry.map(|at| at.max(now + LOOK))];
        let next = next.into_iter().flatten().min().unwrap_or(beat);
        // Cancel-safe: the next look finds whatever the wake stood for.
        if tokio::time::timeout_at(next, inner.presence.announce_wake.notified()).await.is_ok() {
            tokio::time::sleep(GATHER).await;
        }
    }
}

impl State {
    /// Takes what is to be said.
    fn words(&mut self, beat: bool, rosters: bool) -> Words {
        let (mut came, mut went) = (Vec::new(), Vec::new());
        for (user, known_online) in std::mem::take(&mut self.unannounced) {
            match (known_online, self.online.contains(&user)) {
                (false, true) => came.push(user),
                (true, false) => went.push(user),
                _ => {}
            }
        }
        let all = rosters && std::mem::take(&mut self.asked_all);
        Words {
            came,
            went,
            beat: beat | std::mem::take(&mut self.asked_beat),
            all: all.then(|| self.online.iter().copied().collect()),
            ask: std::mem::take(&mut self.to_ask).into_iter().collect(),
            ask_beats: std::mem::take(&mut self.lagged),
        }
    }
}

/// Tells changes, and gives the version that they lead to.
fn say_changes(inner: &Inner, mut version: u64, came: &[UserId], went: &[UserId]) -> u64 {
    for online in came.chunks(USERS_PER_MESSAGE) {
        version += 1;
        inner.tell_nodes(version, NodeSaid::Changed { online: online.into(), offline: Arc::default() });
    }
    for offline in went.chunks(USERS_PER_MESSAGE) {
        version += 1;
        inner.tell_nodes(version, NodeSaid::Changed { online: Arc::default(), offline: offline.into() });
    }
    version
}

fn say_all(inner: &Inner, version: u64, all: &[UserId]) {
    // Also a roster of nobody is told, in one part.
    let parts = all.len().div_ceil(USERS_PER_MESSAGE).max(1);
    for part in 0..parts {
        let from = part * USERS_PER_MESSAGE;
        let online = &all[from..all.len().min(from + USERS_PER_MESSAGE)];
        let (part, parts) = (part as u32, parts as u32);
        inner.tell_nodes(version, NodeSaid::All { part, parts, online: online.into() });
    }
}
