//! What was done, when, and what was seen of it.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::schedule::Fault;

/// One fault, as it went.
#[derive(Clone, Debug)]
pub struct Event {
    /// What was planned.
    pub fault: Fault,
    /// When it began, from the beginning of the load.
    pub at: Duration,
    /// How long it took until it was undone.
    pub took: Duration,
    /// How long it took until it and the other of its window were undone.
    pub window_took: Duration,
    /// How many messages were acknowledged meanwhile, as nodes say.
    pub acknowledged: u64,
    /// The longest time until everything was well in which none was, as seen twice a second.
    pub silence: Duration,
    /// How long after the last fault of the window all nodes were ready and heard each other over Redis.
    pub well_after: Result<Duration, String>,
    /// How long after that messages had passed from every node to every other.
    pub passed_after: Result<Duration, String>,
    /// How long after that everybody was seen online or offline as they were, on every node.
    pub seen_after: Result<Duration, String>,
    /// What else is worth knowing.
    pub note: String,
}

/// All of them, in order.
#[derive(Clone, Debug, Default)]
pub struct Timeline(pub Vec<Event>);

impl Timeline {
    /// The longest time for which something was broken.
    pub fn longest_fault(&self) -> Duration {
        self.0.iter().map(|event| event.window_took).max().unwrap_or_default()
    }

    /// In JSON: an array of objects with times in milliseconds.
    pub fn json(&self) -> Value {
        let events = self.0.iter().map(|event| {
            let found = |after: &Result<Duration, String>| match after {
                Ok(after) => json!(millis(*after)),
                Err(found) => json!({ "not_before_the_limit": found }),
            };
            json!({
                "at_ms": millis(event.at),
                "kind": event.fault.kind.name(),
                "fault": event.fault.to_string(),
                "took_ms": millis(event.took),
                "acknowledged_meanwhile": event.acknowledged,
                "longest_silence_ms": millis(event.silence),
                "well_after_ms": found(&event.well_after),
                "messages_passed_after_ms": found(&event.passed_after),
                "presence_right_after_ms": found(&event.seen_after),
                "note": event.note,
            })
        });
        events.collect()
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{:>8}  {:<38} {:>7} {:>13} {:>8} {:>10} {:>12} {:>14}",
            "at", "fault", "took", "acknowledged", "silence", "well after", "passed after", "presence after"
        )?;
        for event in &self.0 {
            let after = |after: &Result<Duration, String>| {
                after.as_ref().map_or("never".into(), |after| seconds(*after))
            };
            writeln!(
                out,
                "{:>8}  {:<38} {:>7} {:>13} {:>8} {:>10} {:>12} {:>14}  {}",
                seconds(event.at),
                event.fault.to_string(),
                seconds(event.took),
                event.acknowledged,
                seconds(event.silence),
                after(&event.well_after),
                after(&event.passed_after),
                after(&event.seen_after),
                event.note
            )?;
        }
        Ok(())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
