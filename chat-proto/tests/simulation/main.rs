//! The simulation of chat-core with its clients at the other end of a wire: the real driver and codec,
//! over streams that are cut anywhere. What clients are told, resumed and repaired goes through frames.
//!
//! `SIM_SEEDS=N` runs so many seeds, `SIM_SEED=S` that one.

mod stream;
mod wire;

use std::collections::BTreeSet;

use chat_core::testkit::simulation::{Act, Counts, Fault, Report, Simulation};

use wire::{Lost, Wire};

/// So many seeds are run where nothing else is asked for.
const SEEDS: u64 = 25;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn seeds() -> std::ops::RangeInclusive<u64> {
    match number("SIM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("SIM_SEEDS").unwrap_or(SEEDS),
    }
}

fn run(seed: u64) -> (Report, Lost) {
    let wire = Wire::new(seed);
    let lost = wire.lost();
    (Simulation::new(seed).access(wire).replayed_by("-p chat-proto --test simulation").run(), lost)
}

#[test]
fn every_promise_holds_through_the_wire() {
    let (mut counts, mut cut) = (Counts::default(), 0);
    let mut failed = BTreeSet::new();
    for seed in seeds() {
        let (report, lost) = run(seed);
        counts.add(&report.counts);
        cut += lost.count();
        if !report.violations.is_empty() {
            println!("{report}");
            failed.insert(seed);
        }
    }
    assert!(failed.is_empty(), "seeds that break a promise: {failed:?}");
    if number("SIM_SEED").is_none() {
        assert!(cut > 0, "connections were lost in the middle");
        assert!(counts.behind > 0, "somebody was behind: {counts:?}");
        for fault in Fault::ALL {
            assert!(counts.faults.contains_key(&fault), "{fault:?} never went wrong");
        }
        for act in Act::ALL.into_iter().filter(|act| *act != Act::Reuse) {
            let answers = counts.acts.get(&act).copied().unwrap_or_default();
            assert!(answers.acknowledged > 0, "{act:?} was never done: {answers:?}");
        }
        let answers = counts.answers();
        assert!(answers.acknowledged > answers.unknown, "most was acknowledged: {answers:?}");
    }
}

#[test]
fn one_seed_gives_one_trace_through_the_wire() {
    let (first, second) = (run(3).0, run(3).0);
    assert_eq!(first.trace_hash, second.trace_hash);
    assert_ne!(first.trace_hash, run(4).0.trace_hash);
}
