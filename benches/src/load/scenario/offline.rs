//! Pairs of whom one sends while the other is away; then all of the others log in at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Default, Run, middle_and_last, pair_of};
use crate::measure::Failure;

pub(super) async fn play(run: &Run) -> Result<(), Failure> {
    let receivers = || run.cast.participants.iter().filter(|who| who.number % 2 == 1).cloned();
    run.all_at_once(receivers(), |who| async move {
        who.go().await;
        Duration::ZERO
    })
    .await;
    let senders = run.cast.participants.iter().filter(|who| who.number % 2 == 0);
    run.act(senders.map(|who| run.texts(who, pair_of(who.number))).collect(), Default::Window(1)).await?;
    let backlog = run.witness.tally.acknowledged.load(Ordering::Relaxed) as f64;
    let times = run.all_at_once(receivers(), |who: Arc<_>| async move { who.come().await }).await;
    let (middle, last) = middle_and_last(&times);
    run.figure("backlog_entries", backlog);
    run.figure("log_in_to_everything_p50_us", middle);
    run.figure("log_in_to_everything_max_us", last);
    run.figure("backlog_entries_per_second", backlog / (last / 1e6).max(1e-6));
    Ok(())
}
