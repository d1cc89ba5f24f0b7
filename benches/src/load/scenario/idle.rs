//! Connections are held and do nothing. Then each of them shows that it is alive: everybody sends once to
//! the other of their pair.

use std::sync::Arc;

use super::{Run, pair_of};
use crate::measure::Failure;

pub(super) async fn play(run: &Run) -> Result<(), Failure> {
    tokio::time::sleep(run.span()).await;
    run.figure("connections", run.cast.participants.len() as f64);
    if let Some(grown) = run.servers.grown_since_cast() {
        run.figure("resident_bytes_per_connection", grown / run.cast.participants.len() as f64);
    }
    run.say_once(run.cast.participants.iter().map(|who| (Arc::clone(who), pair_of(who.number), 1))).await;
    run.witness.sending_ended();
    Ok(())
}
