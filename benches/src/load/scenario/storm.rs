//! All clients go, and come back at the same moment, again and again. While one half is away the other
//! half sends, so that there is something to catch up with.

use std::time::{Duration, Instant};

use super::{Run, middle_and_last, pair_of};
use crate::measure::Failure;

pub(super) async fn play(run: &Run) -> Result<(), Failure> {
    let (begin, mut rounds, mut times) = (Instant::now(), 0, Vec::new());
    let window = u64::from(run.options.window.unwrap_or(1));
    let half = |rest| run.cast.participants.iter().filter(move |who| who.number % 2 == rest).cloned();
    let go = |who: std::sync::Arc<super::Participant>| async move {
        who.go().await;
        Duration::ZERO
    };
    while rounds == 0 || begin.elapsed() < run.span() {
        run.all_at_once(half(1), go).await;
        for number in 0..window {
            let number = rounds * window + number;
            run.say_once(half(0).map(|who| {
                let place = pair_of(who.number);
                (who, place, number)
            }))
            .await;
        }
        run.all_at_once(half(0), go).await;
        let everybody = run.cast.participants.iter().cloned();
        let coming = run.all_at_once(everybody, |who| async move { who.come().await });
        // Whoever is not there by then is told at the end by what did not reach them.
        let Ok(came) = tokio::time::timeout(run.settle(), coming).await else { break };
        times.extend(came);
        rounds += 1;
    }
    run.witness.sending_ended();
    times.sort_unstable();
    let (middle, last) = middle_and_last(&times);
    run.figure("storms", rounds as f64);
    run.figure("log_ins", times.len() as f64);
    run.figure("log_in_to_everything_p50_us", middle);
    run.figure("log_in_to_everything_max_us", last);
    Ok(())
}
