//! How a batch gets through: attempts, what each failure leads to, and the commit itself.

use std::collections::BTreeSet;
use std::time::Duration;

use chat_core::ConversationId;
use chat_core::store::{Batch, Item, Outcome, StoreError, StoreErrorKind};
use mysql_async::prelude::Queryable;
use tokio::time::{Instant, sleep, timeout_at};

use super::claims::{CLAIM_AFTER, Turns};
use super::commit::heads::locked_by;
use super::commit::{Lookup, Numbered, Work};
use super::connections::{Connections, Lease};
use super::error::{Failure, Remedy};
use super::script::{Packets, Stopped};

/// After so many conflicts a batch goes on in halves, so that what is contended ends up alone.
const SPLITTING: u32 = 4;
/// After so many the database counts as unavailable, time left or not.
const MOST_ATTEMPTS: u32 = 256;

/// Who has been at a transaction for so long asks whether it still is in it. The server ends those of
/// nodes that stand still for a second or two.
const STANDING: Duration = Duration::from_millis(500);

const ATTEMPTED: &str = "writing a batch";

/// Writes a batch, in one transaction if others let it.
pub(super) async fn commit(
    writers: &Connections,
    batch: &Batch,
    deadline: Instant,
    turns: Option<Turns<'_>>,
) -> Result<Vec<Outcome>, StoreError> {
    let mut outcomes = Vec::with_capacity(batch.items.len());
    let mut parts = vec![&*batch.items];
    while let Some(items) = parts.pop() {
        let attempts = Attempts { writers, row: batch.into(), seed: seed(batch), deadline, turns };
        match attempts.run(items).await {
            Ok(Settled::Committed(settled)) => outcomes.extend(settled),
            Ok(Settled::Contended) => {
                let (first, second) = items.split_at(items.len() / 2);
                parts.extend([second, first]);
            }
            // A part of the batch is committed: that nothing was would be wrong.
            Err(error) if !outcomes.is_empty() && error.kind() != StoreErrorKind::Ambiguous => {
                return Err(StoreError::new(StoreErrorKind::Ambiguous, ATTEMPTED).with_source(error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(outcomes)
}

/// What became of a part of a batch.
enum Settled {
    Committed(Vec<Outcome>),
    /// Others were in the way too often.
    Contended,
}

/// One part of a batch on its way.
struct Attempts<'batch> {
    writers: &'batch Connections,
    row: Numbered,
    seed: u64,
    deadline: Instant,
    /// Where nobody queues.
    turns: Option<Turns<'batch>>,
}

/// Why an attempt came to nothing.
struct Failed {
    remedy: Remedy,
    failure: Failure,
    was_reused: bool,
}

impl Attempts<'_> {
    async fn run(&self, items: &[Item]) -> Result<Settled, StoreError> {
        let Some(turns) = self.turns else { return self.attempt(items, None).await };
        let mut claim = Claim { turns, conversations: locked_by(items), since: None };
        let settled = self.attempt(items, Some(&mut claim)).await;
        if claim.since.is_some() {
            turns.release().await;
        }
        settled
    }

    async fn attempt(
        &self,
        items: &[Item],
        mut claim: Option<&mut Claim<'_>>,
    ) -> Result<Settled, StoreError> {
        let mut lookup = Lookup::WhenRefused;
        for attempt in 1..=MOST_ATTEMPTS {
            if let Some(claim) = &mut claim {
                claim.take_turn(attempt).await;
            }
            let Failed { remedy, failure, was_reused } = match self.once(items, lookup).await {
                Ok(outcomes) => return Ok(Settled::Committed(outcomes)),
                Err(failed) => failed,
            };
            lookup = Lookup::First;
            match remedy {
                Remedy::Retry if attempt >= SPLITTING && items.len() > 1 => return Ok(Settled::Contended),
                Remedy::Retry if attempt < MOST_ATTEMPTS && Instant::now() < self.deadline => {
                    tracing::debug!(%failure, attempt, "a batch is written again");
                    sleep(pause(self.seed, attempt)).await;
                }
                // The server may have been restarted since: a new connection tells.
                Remedy::Reconnect if was_reused => self.writers.forget_idle(),
                Remedy::Report(kind) => return Err(failure.of_kind(kind, ATTEMPTED)),
                Remedy::Retry | Remedy::Reconnect => return Err(failure.during(ATTEMPTED)),
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, ATTEMPTED))
    }

    async fn once(&self, items: &[Item], lookup: Lookup) -> Result<Vec<Outcome>, Failed> {
        let lease = self.writers.take(self.deadline).await;
        let mut lease = lease.map_err(|failure| Failed::before_commit(failure, false))?;
        let was_reused = lease.is_reused();
        let packets = if self.turns.is_some() { Packets::Each } else { Packets::Together };
        let began = Instant::now();
        let work = async {
            let evaluated = Work::evaluate(lease.conn(), self.row, items, lookup, packets).await?;
            if began.elapsed() > STANDING {
                // A link that was lost meanwhile is noticed here, where nothing is in doubt, and not by
                // a script that may have run.
                lease.conn().query_drop("DO 0").await?;
            }
            Ok(evaluated)
        };
        let (outcomes, script) = match timeout_at(self.deadline, work).await.unwrap_or(Err(Failure::Late)) {
            Ok(evaluated) => evaluated,
            Err(failure) => {
                if failure.spares_connection() {
                    self.roll_back(lease).await;
                }
                return Err(Failed::before_commit(failure, was_reused));
            }
        };
        let committing = timeout_at(self.deadline, script.commit(lease.conn())).await;
        match committing.unwrap_or_else(|_| Err(Stopped::at_commit(Failure::Late))) {
            Ok(()) => {
                lease.give_back();
                Ok(outcomes)
            }
            Err(stopped) => {
                let remedy = stopped.remedy();
                if stopped.spares_connection() {
                    self.roll_back(lease).await;
                }
                Err(Failed { remedy, failure: stopped.failure, was_reused })
            }
        }
    }

    /// Leaves the connection for others, or, where that fails, closes it, which rolls back too.
    async fn roll_back(&self, mut lease: Lease<'_>) {
        let rolling_back = lease.conn().query_drop("ROLLBACK");
        if let Ok(Ok(())) = timeout_at(self.deadline, rolling_back).await {
            lease.give_back();
        }
    }
}

/// What a batch has claimed, where it had to.
struct Claim<'batch> {
    turns: Turns<'batch>,
    conversations: BTreeSet<ConversationId>,
    since: Option<u64>,
}

impl Claim<'_> {
    /// Ahead of each attempt: claims what others were in the way of too often, and lets older claims go
    /// first.
    async fn take_turn(&mut self, attempt: u32) {
        if attempt > CLAIM_AFTER && self.since.is_none() {
            self.since = self.turns.claim(&self.conversations).await;
        }
        self.turns.give_way(&self.conversations, self.since).await;
    }
}

impl Failed {
    fn before_commit(failure: Failure, was_reused: bool) -> Self {
        Self { remedy: failure.remedy(), failure, was_reused }
    }
}

/// How long to wait before the next attempt: longer each time, and for each batch differently, so that
/// two that met do not meet again. Their writers differ; no generator is needed.
///
/// Never much longer than a batch takes: on Galera nobody queues for a head that is held on another
/// server, and who waits for long gives its turn to who does not.
fn pause(seed: u64, attempt: u32) -> Duration {
    let most = 1_000u64 << attempt.min(4);
    Duration::from_micros(mix(seed ^ u64::from(attempt)) % most)
}

fn seed(batch: &Batch) -> u64 {
    mix(batch.writer.0) ^ batch.number
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_bounds_and_differ_between_batches() {
        for attempt in 1..=MOST_ATTEMPTS {
            let most = Duration::from_millis(1 << attempt.min(4));
            let pauses: std::collections::BTreeSet<_> = (0..100).map(|seed| pause(seed, attempt)).collect();
            assert!(pauses.iter().all(|pause| *pause < most));
            assert!(pauses.len() > 80, "{}", pauses.len());
        }
    }
}
