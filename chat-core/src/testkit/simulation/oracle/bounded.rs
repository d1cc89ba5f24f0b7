//! **bounded**: what waits for sessions and committers stays within its limits, and nothing is left
//! when everybody has read.

use super::super::record::{Evidence, What};
use super::Finding;

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    for fact in &evidence.facts {
        match &fact.what {
            What::Waiting { node, sessions, outbox_bytes, commit_rows } => {
                let limit = sessions * evidence.limits.session_bytes;
                if *outbox_bytes > limit {
                    let words = format!("{node} holds {outbox_bytes} bytes for {sessions} sessions");
                    findings.push(Finding::anywhere(format!("{words}, more than {limit}, at {:?}", fact.at)));
                }
                if *commit_rows > evidence.limits.commit_rows {
                    let words = format!("{node} holds {commit_rows} rows to be committed at {:?}", fact.at);
                    findings.push(Finding::anywhere(words));
                }
            }
            What::Calm(calm) => {
                for (node, bytes) in calm.outbox_bytes.iter().filter(|(_, bytes)| **bytes > 0) {
                    let words = format!("{node} reckons with {bytes} bytes that nobody waits for");
                    findings.push(Finding::anywhere(words));
                }
            }
            _ => {}
        }
    }
    findings
}
