//! Pairs of whom one sends while the other is away; then all of the others log in at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Run, Usual, middle_and_last, pair_of};
use crate::measure::Failure;

pub(super) async fn play(run: &Run) -> Result<(), Failure> {
    let receivers = || run.cast.participants.iter().filter(|who| who.number % 2 == 1).cloned();
    run.all_at_once(receivers(), |who| async move {
        who.go().await;
        Duration::ZERO
    })
    .await;
    let senders = run.cast.participants.iter().filter(|who| who.number % 2 == 0);
    run.act(senders.map(|who| run.texts(who, pair_of(who.number))).collect(), Usual::OneByOne).await?;
    let backlog = run.witness.tally.acknowledged.load(Ordering::Relaxed) as f64;
    let coming = run.all_at_once(receivers(), |who: Arc<_>| async move { who.come().await });
    // Whoever is not there by then is told at the end by what did not reach them.
    let Ok(times) = tokio::time::timeout(run.settle(), coming).await else { return Ok(()) };
    let (middle, last) = middle_and_last(&times);
    run.figure("backlog_entries", backlog);
    run.figure("log_in_to_everything_p50_us", middle);
    run.figure("log_in_to_everything_max_us", last);
    run.figure("backlog_entries_per_second", backlog / (last / 1e6).max(1e-6));
    Ok(())
}
