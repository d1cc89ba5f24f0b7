//! A line every second while a run goes on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::scenario::Run;

/// How often a line is printed, the servers are looked at and the record is left behind.
const EVERY: Duration = Duration::from_secs(1);

/// Begins to print to the standard error; it ends when it is aborted.
pub(super) fn start(run: &Run) -> AbortHandle {
    let (witness, servers, stage) =
        (Arc::clone(&run.witness), Arc::clone(&run.servers), Arc::clone(&run.stage));
    let (quiet, begun) = (run.options.quiet, Instant::now());
    let printing = tokio::spawn(async move {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let (mut before, mut acknowledged, mut delivered) = (Instant::now(), 0, 0);
        loop {
            ticks.tick().await;
            servers.look();
            // An error is told at the end.
            let _ = witness.flush();
            let tally = &witness.tally;
            let now_acknowledged = tally.acknowledged.load(Ordering::Relaxed);
            let now_delivered = tally.deliveries.load(Ordering::Relaxed);
            let span = before.elapsed().as_secs_f64();
            if !quiet {
                eprintln!(
                    "{:>4} s  {:>8.0} acknowledged/s  {:>9.0} delivered/s  {:>6} under way  {:>9} in all  \
                     {:>5} reconnections",
                    begun.elapsed().as_secs(),
                    (now_acknowledged - acknowledged) as f64 / span,
                    (now_delivered - delivered) as f64 / span,
                    tally.under_way(),
                    now_acknowledged,
                    stage.reconnections.load(Ordering::Relaxed),
                );
            }
            (before, acknowledged, delivered) = (Instant::now(), now_acknowledged, now_delivered);
        }
    });
    printing.abort_handle()
}
