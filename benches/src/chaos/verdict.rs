//! Whether everything held.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::schedule::Kind;

/// One thing that was to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub claim: &'static str,
    /// Whether it did.
    pub holds: bool,
    /// What was measured, or what shows that it did not hold.
    pub evidence: String,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// How it was done: seed, length, and so on, in words.
    pub conditions: String,
    /// How often what was done.
    pub faults: BTreeMap<Kind, usize>,
    /// What was to hold.
    pub checks: Vec<Check>,
    /// What `chat-load` says in JSON.
    pub load: Value,
}

impl Verdict {
    /// Whether everything did.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }

    /// In JSON.
    pub fn json(&self) -> Value {
        let faults: BTreeMap<_, _> = self.faults.iter().map(|(kind, times)| (kind.name(), times)).collect();
        let checks = self
            .checks
            .iter()
            .map(|check| json!({ "claim": check.claim, "holds": check.holds, "evidence": check.evidence }));
        json!({
            "holds": self.holds(),
            "conditions": self.conditions,
            "faults": faults,
            "checks": checks.collect::<Value>(),
            "load": self.load,
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.conditions)?;
        let faults: Vec<_> =
            self.faults.iter().map(|(kind, times)| format!("{} {times}", kind.name())).collect();
        let total: usize = self.faults.values().sum();
        writeln!(out, "{total} faults: {}", faults.join(", "))?;
        for check in &self.checks {
            let holds = if check.holds { "holds" } else { "FAILS" };
            writeln!(out, "  {holds}  {:<72} {}", check.claim, check.evidence)?;
        }
        write!(out, "{}", if self.holds() { "everything held" } else { "something did not hold" })
    }
}
