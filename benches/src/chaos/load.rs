//! The load: a process of `chat-load`, and what it found.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bounds::{ARRIVAL, CAUGHT_UP, SILENCE};
use super::cluster::program;
use super::verdict::Check;
use super::{LOOK, guard};
use crate::measure::Failure;

/// How long clients have at the end until they have everything.
const SETTLE: Duration = Duration::from_secs(90);

/// What `chat-load` takes beside its sending and settling: accounts are made, records are verified.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running load; it is killed when this is dropped.
pub(super) struct Load {
    process: Child,
    folder: PathBuf,
    ends: Instant,
}

/// How much of it there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount {
    pub(super) clients: usize,
    pub(super) rate: usize,
    pub(super) lasts: Duration,
    pub(super) seed: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) status: Option<i32>,
    /// What it says in JSON; null where it said nothing.
    pub(super) report: Value,
}

impl Load {
    pub(super) fn start(folder: &Path, address: &str, amount: Amount) -> Result<Self, Failure> {
        let log = File::create(folder.join("load.log"))?;
        let table = File::create(folder.join("load.txt"))?;
        let process = guard::spawn(
            Command::new(program("chat-load")?)
                .args(["mixed", "--address", address])
                .args(["--clients", &amount.clients.to_string(), "--rate", &amount.rate.to_string()])
                .args(["--seconds", &amount.lasts.as_secs().to_string(), "--seed", &amount.seed.to_string()])
                .args(["--settle", &SETTLE.as_secs().to_string()])
                .arg("--record")
                .arg(folder.join("record"))
                .arg("--json")
                .arg(folder.join("load.json"))
                .stdin(Stdio::null())
                .stdout(table)
                .stderr(log),
        );
        let ends = Instant::now() + amount.lasts + SETTLE + PATIENCE;
        Ok(Self { process, folder: folder.to_owned(), ends })
    }

    /// Whether it goes on.
    pub(super) fn goes_on(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// The last that it said.
    pub(super) fn said(&self) -> String {
        let said = fs::read_to_string(self.folder.join("load.log")).unwrap_or_default();
        let lines: Vec<_> = said.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Waits for its end.
    pub(super) async fn ended(mut self) -> Result<Found, Failure> {
        while self.goes_on() {
            if Instant::now() > self.ends {
                return Err(format!("chat-load does not end:\n{}", self.said()).into());
            }
            tokio::time::sleep(LOOK).await;
        }
        let status: ExitStatus = guard::wait(&mut self.process);
        let report = fs::read(self.folder.join("load.json")).ok();
        let report = report.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null);
        Ok(Found { status: status.code(), report })
    }
}

impl Found {
    /// What was to hold for clients, where something was broken for so long at most.
    pub(super) fn checks(&self, longest_fault: Duration) -> Vec<Check> {
        let violations = self.figure("violations");
        let mut violations = violations.as_object().cloned().unwrap_or_default();
        let refused = violations.remove("refused").unwrap_or(Value::Null);
        let kinds: Vec<_> = violations.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let evidence = self.figure("evidence");
        let evidence = evidence.as_array().into_iter().flatten().filter_map(Value::as_str);
        let of_refusals = |evidence: &&str| evidence.starts_with("refused: ");
        let (refusals, evidence): (Vec<_>, Vec<_>) = evidence.partition(of_refusals);
        let in_words =
            |evidence: Vec<&str>| evidence.iter().map(|one| format!("; {one}")).collect::<String>();
        let (refusals, evidence) = (in_words(refusals), in_words(evidence));
        let ended = self.figure("ended");
        let came_back = ended.as_array().is_some_and(Vec::is_empty);
        let unknown = self.figure("unknown");
        // It also fails for what are claims of their own: what was refused, and clients that did not come back.
        let passed = self.status == Some(0) || (self.status == Some(1) && (refused != 0 || !came_back));
        let clean = passed && !violations.is_empty() && violations.values().all(|count| *count == 0);
        let acknowledged = self.figure("acknowledged");
        vec![
            Check {
                claim: "what was acknowledged reached everybody, once and in one order",
                holds: clean && acknowledged.as_u64().is_some_and(|count| count > 0),
                evidence: format!(
                    "{acknowledged} acknowledged, {} delivered; {}{}{evidence}",
                    self.figure("deliveries"),
                    kinds.join(", "),
                    if clean { String::new() } else { format!("; exit code {:?}", self.status) },
                ),
            },
            Check {
                claim: "every send had an answer in the end",
                holds: unknown == 0,
                evidence: format!("{unknown} without"),
            },
            Check {
                claim: "no send was refused for good",
                holds: refused == 0,
                evidence: format!("refused {}{refusals}", self.figure("refused")),
            },
            Check {
                claim: "clients came back by themselves",
                holds: came_back,
                evidence: format!(
                    "{} reconnections{}",
                    self.figure("reconnections"),
                    if came_back { String::new() } else { format!("; ended {ended}") }
                ),
            },
            bounded(
                "something was acknowledged again soon after each fault",
                self.millis("/longest_silence_ms"),
                longest_fault + SILENCE,
            ),
            bounded(
                "what was acknowledged arrived soon",
                self.millis("/catch_up/longest_ms"),
                longest_fault + ARRIVAL,
            ),
            bounded(
                "everybody had everything soon after the sending",
                self.millis("/catch_up/after_sending_ms"),
                longest_fault + CAUGHT_UP,
            ),
        ]
    }

    fn figure(&self, name: &str) -> Value {
        self.report.get(name).unwrap_or(&Value::Null).clone()
    }

    /// A time in milliseconds; `None` where it is not told.
    fn millis(&self, path: &str) -> Option<Duration> {
        let millis = self.report.pointer(path)?.as_f64()?;
        Duration::try_from_secs_f64(millis / 1e3).ok()
    }
}

/// Whether something was seen to take no longer than this.
fn bounded(claim: &'static str, took: Option<Duration>, bound: Duration) -> Check {
    let evidence = match took {
        Some(took) => format!("{:.1} s at most, {:.1} s admitted", took.as_secs_f64(), bound.as_secs_f64()),
        None => "not told".into(),
    };
    Check { claim, holds: took.is_some_and(|took| took <= bound), evidence }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.process.kill();
        guard::wait(&mut self.process);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FAULT: Duration = Duration::from_secs(7);

    fn failing(status: Option<i32>, report: Value) -> Vec<&'static str> {
        let found = Found { status, report };
        found.checks(FAULT).into_iter().filter(|check| !check.holds).map(|check| check.claim).collect()
    }

    fn clean() -> Value {
        json!({
            "acknowledged": 9, "deliveries": 18, "unknown": 0, "refused": {}, "reconnections": 3, "ended": [],
            "violations": { "lost": 0, "refused": 0 }, "evidence": [],
            "longest_silence_ms": 7_500.0,
            "catch_up": { "after_sending_ms": 12.5, "longest_ms": 900.0 },
        })
    }

    #[test]
    fn a_load_without_findings_holds() {
        assert_eq!(failing(Some(0), clean()), Vec::<&str>::new());
    }

    #[test]
    fn each_finding_of_the_load_fails_its_own_claim() {
        let with = |name: &str, value: Value| {
            let mut report = clean();
            report[name] = value;
            report
        };
        assert_eq!(
            failing(Some(1), with("violations", json!({ "lost": 1, "refused": 0 }))),
            ["what was acknowledged reached everybody, once and in one order"]
        );
        assert_eq!(
            failing(Some(1), with("acknowledged", json!(0))),
            ["what was acknowledged reached everybody, once and in one order"]
        );
        let refused = json!({ "lost": 0, "refused": 2 });
        assert_eq!(failing(Some(1), with("violations", refused)), ["no send was refused for good"]);
        assert_eq!(failing(Some(0), with("unknown", json!(1))), ["every send had an answer in the end"]);
        assert_eq!(failing(Some(1), with("ended", json!(["client 3"]))), ["clients came back by themselves"]);
    }

    #[test]
    fn a_load_that_takes_longer_than_the_faults_and_their_allowance_fails_its_own_claim() {
        let times = [
            ("/longest_silence_ms", SILENCE, "something was acknowledged again soon after each fault"),
            ("/catch_up/longest_ms", ARRIVAL, "what was acknowledged arrived soon"),
            ("/catch_up/after_sending_ms", CAUGHT_UP, "everybody had everything soon after the sending"),
        ];
        for (path, allowance, claim) in times {
            let taking = |took: Value| {
                let mut report = clean();
                *report.pointer_mut(path).expect("it is told") = took;
                failing(Some(0), report)
            };
            let millis = |time: Duration| json!(time.as_secs_f64() * 1e3);
            assert_eq!(taking(millis(FAULT + allowance)), Vec::<&str>::new(), "{claim}");
            assert_eq!(taking(millis(FAULT + allowance + Duration::from_millis(1))), [claim]);
            assert_eq!(taking(Value::Null), [claim]);
        }
    }

    #[test]
    fn a_failure_that_is_not_explained_is_one() {
        let claims = failing(Some(1), clean());
        assert_eq!(claims, ["what was acknowledged reached everybody, once and in one order"]);
    }

    #[test]
    fn a_load_that_was_killed_proves_nothing() {
        assert_eq!(failing(None, Value::Null).len(), 7);
    }

    #[test]
    fn evidence_is_shown() {
        let mut report = clean();
        report["evidence"] = json!(["lost: 7 of direct:1:2", "refused: 8 of client 1"]);
        let checks = Found { status: Some(1), report }.checks(FAULT);
        let telling = |words: &str| -> Vec<_> {
            let telling = checks.iter().filter(|check| check.evidence.contains(words));
            telling.map(|check| check.claim).collect()
        };
        assert_eq!(telling("lost: 7 of direct:1:2"), [checks[0].claim]);
        assert_eq!(telling("refused: 8 of client 1"), ["no send was refused for good"]);
    }
}
