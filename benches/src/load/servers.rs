//! The servers' processes: what they use while the run goes on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::measure::Failure;
use crate::measure::server::Usage;

/// Watches processes by their ids.
#[derive(Debug)]
pub struct Servers {
    /// Guards what was seen; held for moments.
    seen: Mutex<BTreeMap<u32, Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    before_cast: Usage,
    at_begin: Usage,
    latest: Usage,
    most_resident_bytes: u64,
    has_ended: bool,
}

/// What a process has used in a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Used {
    /// Its id.
    pub pid: u32,
    /// Processor time of user and system, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory before the clients connected.
    pub resident_bytes_before: u64,
    /// Resident memory at the end.
    pub resident_bytes: u64,
    /// The most resident memory that was seen.
    pub resident_bytes_max: u64,
    /// Whether it ended during the run; the rest is what was seen last.
    pub has_ended: bool,
}

impl Servers {
    /// Begins to watch.
    ///
    /// # Errors
    /// There is no such process.
    pub fn watch(ids: &[u32]) -> Result<Self, Failure> {
        let seen = ids.iter().map(|id| {
            let now = Usage::of(*id).map_err(|error| format!("--pid {id}: no process to watch: {error}"))?;
            let seen = Seen {
                before_cast: now,
                at_begin: now,
                latest: now,
                most_resident_bytes: now.resident_bytes,
                has_ended: false,
            };
            Ok((*id, seen))
        });
        Ok(Self { seen: Mutex::new(seen.collect::<Result<_, Failure>>()?) })
    }

    /// The clients are connected and the run begins.
    pub fn begin(&self) {
        self.look();
        self.each(|_, seen| seen.at_begin = seen.latest);
    }

    /// Looks once more.
    pub fn look(&self) {
        self.each(|id, seen| match Usage::of(id) {
            Ok(now) => {
                seen.latest = now;
                seen.most_resident_bytes = seen.most_resident_bytes.max(now.resident_bytes);
            }
            Err(_) => seen.has_ended = true,
        });
    }

    /// By how many resident bytes all of them together have grown since before the clients connected.
    pub fn grown_since_cast(&self) -> Option<f64> {
        self.look();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let grown = |seen: &Seen| seen.latest.resident_bytes as f64 - seen.before_cast.resident_bytes as f64;
        (!seen.is_empty()).then(|| seen.values().map(grown).sum())
    }

    /// What they used.
    pub fn used(&self) -> Vec<Used> {
        self.look();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let used = seen.iter().map(|(pid, seen)| Used {
            pid: *pid,
            cpu_seconds: seen.latest.cpu_seconds - seen.at_begin.cpu_seconds,
            resident_bytes_before: seen.before_cast.resident_bytes,
            resident_bytes: seen.latest.resident_bytes,
            resident_bytes_max: seen.most_resident_bytes,
            has_ended: seen.has_ended,
        });
        used.collect()
    }

    fn each(&self, mut what: impl FnMut(u32, &mut Seen)) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter_mut().for_each(|(id, seen)| what(*id, seen));
    }
}
