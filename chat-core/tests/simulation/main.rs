//! The simulation of the engine over the memory store and the bus within the process, on fixed seeds.
//!
//! `SIM_SEEDS=N` runs so many seeds instead, `SIM_SEED=S` that one.

use std::collections::BTreeSet;

use chat_core::testkit::simulation::{Act, Counts, Fault, Report, Simulation};

/// So many seeds are run where nothing else is asked for.
const SEEDS: u64 = 200;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn seeds() -> std::ops::RangeInclusive<u64> {
    match number("SIM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("SIM_SEEDS").unwrap_or(SEEDS),
    }
}

#[test]
fn every_promise_holds_on_every_seed() {
    let mut counts = Counts::default();
    let mut failed = BTreeSet::new();
    for seed in seeds() {
        let report = Simulation::new(seed).run();
        counts.add(&report.counts);
        if !report.violations.is_empty() {
            println!("{report}");
            failed.insert(seed);
        }
    }
    println!("{counts:#?}");
    assert!(failed.is_empty(), "seeds that break a promise: {failed:?}");
}
