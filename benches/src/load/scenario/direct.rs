//! Pairs, both of whom send to the other.

use super::{Run, Usual, pair_of};
use crate::measure::Failure;

pub(super) async fn play(run: &Run) -> Result<(), Failure> {
    let actors = run.cast.participants.iter().map(|who| run.texts(who, pair_of(who.number)));
    run.act(actors.collect(), Usual::OneByOne).await
}
