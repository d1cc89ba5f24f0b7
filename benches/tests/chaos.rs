//! A short run of chaos in each of its forms: a cluster on one Redis, and on a Redis Cluster.

#[path = "../../chat-cli/tests/e2e/binary.rs"]
mod binary;

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

const CHAOS: &str = env!("CARGO_BIN_EXE_chaos");

fn chaos(arguments: &[&str]) -> Output {
    binary::beside(CHAOS);
    let run = Command::new(CHAOS).args(arguments).stdin(Stdio::null()).output().expect("it runs");
    eprintln!("{}", String::from_utf8_lossy(&run.stderr));
    run
}

/// Runs it for half a minute; gives the kinds of faults there were.
fn everything_holds(redis: &str, seed: &str) -> BTreeSet<String> {
    /// A cluster and its load fill a small machine.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let run = chaos(&["0.5", "--seed", seed, "--redis", redis, "--clients", "12", "--rate", "40", "--json"]);
    let said = String::from_utf8_lossy(&run.stdout);
    assert_eq!(run.status.code(), Some(0), "{said}");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["holds"], true);
    assert!(said["load"]["acknowledged"].as_u64().is_some_and(|count| count > 0), "{said:#}");
    let timeline = said["timeline"].as_array().expect("what was done");
    let kinds = timeline.iter().map(|event| event["kind"].as_str().expect("a kind").to_owned());
    kinds.collect()
}

#[test]
fn a_cluster_on_one_redis_keeps_its_promises_while_its_parts_are_killed_and_cut_off() {
    let kinds = everything_holds("single", "600");
    assert!(kinds.contains("kill -9 a node"), "{kinds:?}");
}

#[test]
fn a_cluster_on_a_redis_cluster_keeps_its_promises_while_its_parts_are_killed_and_cut_off() {
    let kinds = everything_holds("cluster", "79");
    assert!(kinds.contains("restart redis"), "{kinds:?}");
}

#[test]
fn what_is_done_is_known_by_its_seed() {
    let plan = |seed: &str| chaos(&["30", "--seed", seed, "--plan"]).stdout;
    assert_eq!(plan("7"), plan("7"));
    assert_ne!(plan("7"), plan("8"));
}
