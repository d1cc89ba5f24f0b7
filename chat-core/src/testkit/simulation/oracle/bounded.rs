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

#[cfg(test)]
mod tests {
    use super::super::super::report::{Invariant, NodeNumber};
    use super::super::scene::{broken, happens, sound, the_calm};
    use super::*;

    #[test]
    fn more_than_the_limits_is_found() {
        for (outbox_bytes, commit_rows, expected) in
            [(2_000, 10, &[][..]), (2_001, 0, &[Invariant::Bounded]), (0, 11, &[Invariant::Bounded])]
        {
            let mut evidence = sound();
            let waiting = What::Waiting { node: NodeNumber(0), sessions: 2, outbox_bytes, commit_rows };
            happens(&mut evidence, waiting);
            assert_eq!(broken(&evidence), expected);
        }
    }

    #[test]
    fn what_is_reckoned_with_and_waits_for_nobody_is_found() {
        let mut evidence = sound();
        the_calm(&mut evidence).outbox_bytes.insert(NodeNumber(0), 64);
        assert_eq!(broken(&evidence), [Invariant::Bounded]);
    }
}
