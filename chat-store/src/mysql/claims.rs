//! Turns between the servers of a cluster that all take writes (Galera).
//!
//! There nobody queues for a head: of two transactions on two servers the first to be certified wins,
//! and the other begins again. A writer with fast turns can win a thousand times in a row. So whoever
//! has lost a few times leaves a claim, which others see, and before whose owner they let it have a
//! pause in which it meets nobody. Of two claims the older goes first.
//!
//! A claim is a hint: nothing but fairness depends on it. On a single server heads are locked, lock
//! waits queue, and nothing of this is used.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_core::ConversationId;
use chat_core::store::WriterId;
use mysql_async::Value;
use mysql_async::prelude::Queryable;
use tokio::time::{Instant, sleep, timeout_at};

use super::connections::Connections;
use super::error::Failure;
use super::statement::{Filling, Rows};

/// Who has lost so many times leaves a claim.
pub(super) const CLAIM_AFTER: u32 = 3;

/// How long others let the owner of a claim have the conversation for itself: some transactions.
const PAUSE: Duration = Duration::from_millis(20);

/// Claims are looked at no more often than this, so that they cost busy writers next to nothing.
const LOOK: Duration = Duration::from_millis(10);

/// A claim says nothing after so many milliseconds: its owner is gone, or has given up.
const LASTING_MS: u64 = 10_000;

/// A claim, in the order in which they go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    since: u64,
    writer: u64,
    conversation: Vec<u8>,
}

/// The claims as last looked at.
#[derive(Debug, Default)]
pub(super) struct Claims {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    looked: Option<Instant>,
    claims: Vec<Claim>,
}

/// What one writer does about claims.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turns<'store> {
    pub(super) claims: &'store Claims,
    /// For statements outside of transactions.
    pub(super) connections: &'store Connections,
    pub(super) writer: WriterId,
    pub(super) deadline: Instant,
}

impl Turns<'_> {
    /// Pauses where somebody else has an older claim to one of the conversations.
    pub(super) async fn give_way(&self, to: &BTreeSet<ConversationId>, own_since: Option<u64>) {
        if self.is_to_look() {
            // Without an answer it is as if there were none.
            let found = self.look().await.unwrap_or_default();
            self.claims.lock().claims = found;
        }
        let own = own_since.map(|since| (since, self.writer.0));
        let is_before = |claim: &Claim| {
            claim.writer != self.writer.0
                && own.is_none_or(|own| (claim.since, claim.writer) < own)
                && to.iter().any(|conversation| claim.conversation == *conversation.key())
        };
        if self.claims.lock().claims.iter().any(is_before) {
            sleep(PAUSE).await;
        }
    }

    /// Claims the conversations; since when, if that worked.
    pub(super) async fn claim(&self, conversations: &BTreeSet<ConversationId>) -> Option<u64> {
        let claiming = async {
            let mut lease = self.connections.take(self.deadline).await?;
            let now = "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS UNSIGNED)";
            let since: u64 = lease.conn().query_first(now).await?.ok_or(Failure::Damaged("a clock"))?;
            let mut rows = Rows::of_columns(3);
            for conversation in conversations {
                let key = Value::Bytes(conversation.key().to_vec());
                rows.push([self.writer.0.into(), key, since.into()]);
            }
            let insert = "INSERT INTO claim (writer, conversation, since)";
            let again = "ON DUPLICATE KEY UPDATE since = VALUES(since)";
            rows.write(lease.conn(), insert, again, &Filling::Last).await?;
            lease.give_back();
            Ok::<_, Failure>(since)
        };
        timeout_at(self.deadline, claiming).await.ok()?.ok()
    }

    /// Gives up everything that was claimed.
    pub(super) async fn release(&self) {
        let releasing = async {
            let mut lease = self.connections.take(self.deadline).await?;
            lease.conn().exec_drop("DELETE FROM claim WHERE writer = ?", (self.writer.0,)).await?;
            lease.give_back();
            Ok::<_, Failure>(())
        };
        if !matches!(timeout_at(self.deadline, releasing).await, Ok(Ok(()))) {
            tracing::debug!("a claim is left to lapse");
        }
    }

    fn is_to_look(&self) -> bool {
        let mut seen = self.claims.lock();
        let now = Instant::now();
        let due = seen.looked.is_none_or(|looked| looked + LOOK <= now);
        if due {
            seen.looked = Some(now);
        }
        due
    }

    async fn look(&self) -> Option<Vec<Claim>> {
        let looking = async {
            let mut lease = self.connections.take(self.deadline).await?;
            let query = "SELECT since, writer, conversation FROM claim
                         WHERE since > UNIX_TIMESTAMP(NOW(3)) * 1000 - ?";
            let found: Vec<(u64, u64, Vec<u8>)> = lease.conn().exec(query, (LASTING_MS,)).await?;
            lease.give_back();
            Ok::<_, Failure>(found)
        };
        let found = timeout_at(self.deadline, looking).await.ok()?.ok()?;
        let claim = |(since, writer, conversation)| Claim { since, writer, conversation };
        Some(found.into_iter().map(claim).collect())
    }
}

impl Claims {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
