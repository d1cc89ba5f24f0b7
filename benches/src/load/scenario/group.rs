//! One group of everybody; the first of its members send.

use super::{Run, Usual};
use crate::load::cast::{Meeting, Plan};
use crate::measure::Failure;

pub(super) fn plan(clients: usize) -> Plan {
    Plan { devices: vec![1; clients], meetings: vec![Meeting::Group((0..clients).collect())] }
}

pub(super) async fn play(run: &Run) -> Result<(), Failure> {
    let senders = run.cast.participants.iter().take(run.options.senders.unwrap_or(1) as usize);
    run.act(senders.map(|who| run.texts(who, 0)).collect(), Usual::OneByOne).await
}
