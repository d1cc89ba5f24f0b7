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

/// A run of a minute. What its seed plans for the first half has to be done, however slow the machine: what takes
/// its time moves what follows, into the second half, where the rest is done as far as there is time.
struct Run {
    redis: &'static str,
    seed: &'static str,
    /// The kinds of faults that are planned for the first half.
    kinds: &'static [&'static str],
}

const ON_ONE_REDIS: Run = Run {
    redis: "single",
    seed: "1960",
    kinds: &[
        "freeze a node",
        "freeze mariadb",
        "freeze redis",
        "kill -9 nginx worker",
        "restart redis",
        "rolling restart",
        "silence node–mariadb",
    ],
};

const ON_A_REDIS_CLUSTER: Run = Run {
    redis: "cluster",
    seed: "2156",
    kinds: &[
        "cut node–mariadb",
        "cut node–redis",
        "kill -9 a node",
        "kill -9 nginx worker",
        "kill -9 redis",
        "reload nginx",
        "restart mariadb",
        "restart redis",
        "slow node–mariadb",
    ],
};

fn everything_holds(run: &Run) {
    /// A cluster and its load fill a small machine.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let Run { redis, seed, kinds } = run;
    let done = chaos(&["1", "--seed", seed, "--redis", redis, "--clients", "12", "--rate", "40", "--json"]);
    let said = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{said}");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["holds"], true);
    let timeline = said["timeline"].as_array().expect("what was done");
    let done: BTreeSet<_> = timeline.iter().map(|event| event["kind"].as_str().expect("a kind")).collect();
    let missing: Vec<_> = kinds.iter().filter(|kind| !done.contains(*kind)).collect();
    assert!(missing.is_empty(), "{missing:?} of {done:?}");
}

#[test]
fn a_cluster_on_one_redis_keeps_its_promises_while_its_parts_are_killed_and_cut_off() {
    everything_holds(&ON_ONE_REDIS);
}

#[test]
fn a_cluster_on_a_redis_cluster_keeps_its_promises_while_its_parts_are_killed_and_cut_off() {
    everything_holds(&ON_A_REDIS_CLUSTER);
}

#[test]
fn the_first_half_of_both_runs_has_most_kinds_of_faults() {
    let mut all = BTreeSet::<&str>::new();
    for Run { seed, kinds, .. } in [ON_ONE_REDIS, ON_A_REDIS_CLUSTER] {
        let plan = chaos(&["0.5", "--seed", seed, "--plan"]).stdout;
        let plan = String::from_utf8(plan).expect("text");
        let planned = |kind: &&&str| plan.lines().any(|line| line.contains(&format!(" s  {kind}")));
        assert_eq!(kinds.iter().filter(planned).count(), kinds.len(), "{plan}");
        all.extend(kinds.iter());
    }
    assert_eq!(all.len(), 14, "of 19: {all:?}");
}

#[test]
fn what_is_done_is_known_by_its_seed() {
    let plan = |seed: &str| chaos(&["30", "--seed", seed, "--plan"]).stdout;
    assert_eq!(plan("7"), plan("7"));
    assert_ne!(plan("7"), plan("8"));
}
