//! The simulation of the engine over the memory store and the bus within the process, on fixed seeds.
//!
//! `SIM_SEEDS=N` runs so many seeds instead, `SIM_SEED=S` that one.

mod forgetful;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chat_core::testkit::simulation::{Act, Counts, Fault, Invariant, Simulation};
use chat_core::{Chunk, Hooks};

/// So many seeds are run where nothing else is asked for.
const SEEDS: u64 = 150;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn seeds() -> std::ops::RangeInclusive<u64> {
    match number("SIM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("SIM_SEEDS").unwrap_or(SEEDS),
    }
}

/// Runs many seeds, and shows those that break a promise.
fn run(seeds: impl Iterator<Item = u64>) -> (Counts, BTreeSet<u64>) {
    let (mut counts, mut failed) = (Counts::default(), BTreeSet::new());
    for seed in seeds {
        let report = Simulation::new(seed).run();
        counts.add(&report.counts);
        if !report.violations.is_empty() {
            println!("{report}");
            failed.insert(seed);
        }
    }
    (counts, failed)
}

#[test]
fn every_promise_holds_on_every_seed() {
    let (counts, failed) = run(seeds());
    assert!(failed.is_empty(), "seeds that break a promise: {failed:?}");
    if number("SIM_SEED").is_none() {
        something_happened(&counts);
    }
}

/// A simulation in which nothing happens proves nothing.
fn something_happened(counts: &Counts) {
    for fault in Fault::ALL {
        assert!(counts.faults.contains_key(&fault), "{fault:?} never went wrong");
    }
    for act in Act::ALL {
        let answers = counts.acts.get(&act).copied().unwrap_or_default();
        // To use a name for something else is what nobody is allowed.
        let done = if act == Act::Reuse { answers.refused } else { answers.acknowledged };
        assert!(done > 0, "{act:?} was never done: {answers:?}");
    }
    let answers = counts.answers();
    assert!(answers.acknowledged > answers.refused + answers.unknown, "{answers:?}");
    assert!(answers.unknown > 0 && answers.refused > 0, "{answers:?}");
    assert!(counts.behind > 0 && counts.behind_everywhere > 0, "slow readers are told so: {counts:?}");
    assert!(counts.received > answers.acknowledged, "what is written reaches others: {counts:?}");
    assert!(counts.ephemerals > 0, "{counts:?}");
}

#[test]
fn one_seed_gives_one_trace_and_another_seed_another() {
    for seed in 1..=3 {
        let (first, second) = (Simulation::new(seed).run(), Simulation::new(seed).run());
        assert_eq!(first, second);
        assert_ne!(first.trace_hash, Simulation::new(seed + 100).run().trace_hash);
    }
}

#[test]
fn a_run_without_faults_has_none_and_refuses_nobody_for_them() {
    let report = Simulation::new(1).settings(|settings| settings.faults.clear()).run();
    assert!(report.violations.is_empty(), "{report}");
    assert!(report.counts.faults.is_empty(), "{:?}", report.counts.faults);
    assert_eq!(report.broken(), BTreeSet::new());
    let answers = report.counts.answers();
    assert!(answers.acknowledged > 100 && answers.unknown < answers.acknowledged / 50, "{answers:?}");
}

#[test]
fn a_store_that_loses_what_it_acknowledged_is_found_with_the_seed_and_the_way_to_replay_it() {
    let report =
        Simulation::new(1).decorate_store(|store, _| Arc::new(forgetful::Forgetful::over(store))).run();
    assert!(report.broken().contains(&Invariant::Durable), "{report}");
    let shown = report.to_string();
    assert!(shown.contains("seed 1: "), "{shown}");
    assert!(shown.contains("SIM_SEED=1 cargo test -p chat-core --test simulation"), "{shown}");
    // The trace shows what was asked and that it was acknowledged, up to where it was found missing.
    let lost = report.violations.iter().find(|violation| violation.evidence.contains("was acknowledged as"));
    let lost = lost.unwrap_or_else(|| panic!("{shown}"));
    let last = lost.trace.lines().next_back().expect("a line");
    assert!(last.contains("is answered") && last.contains("Acknowledged"), "{}", lost.trace);
    let attempt = last.split_whitespace().find(|word| word.starts_with('#')).expect("an attempt");
    let asks = format!("asks {attempt}");
    assert!(lost.trace.contains(&asks), "{asks} in {}", lost.trace);
}

struct Panicking;

impl Hooks for Panicking {
    fn committed(&self, _: &Chunk) {
        panic!("on purpose");
    }
}

#[test]
fn an_engine_of_which_a_part_panics_fails_the_run() {
    let simulation = Simulation::new(1).configure(|builder, _| builder.hooks(Panicking));
    let panic = catch_unwind(AssertUnwindSafe(|| simulation.run())).expect_err("it panics");
    let words = panic.downcast_ref::<String>().map(String::as_str).unwrap_or_default();
    assert!(words.starts_with("a part of node-") && words.ends_with("has panicked"), "{words}");
}
