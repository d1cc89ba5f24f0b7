//! Giving back the slots of sessions that have ended.
//!
//! Nobody waits for it, and it is not given up: a slot that names a living run of a living node is
//! believed by all others, and would keep the user's other devices out where only one may be online.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::Inner;
use super::committer::Work;
use super::outbox::Outbox;
use crate::store::{Item, Outcome, Precondition, Write};
use crate::{Attachment, ConversationId, DeviceId, Error, UserId};

/// After a failure it is tried again this much later.
const PAUSE: Duration = Duration::from_millis(500);

/// Slots on their way back.
#[derive(Default)]
pub(crate) struct Slots {
    returning: Mutex<Vec<Returning>>,
    wake: Notify,
}

struct Returning {
    user: UserId,
    device: DeviceId,
    slot: Attachment,
    /// How it ends, unless it could not even be queued.
    outcome: Option<oneshot::Receiver<Result<Outcome, Error>>>,
}

impl Inner {
    /// What the slot of its device holds while a session of this node has it.
    pub(super) fn slot_of(&self, outbox: &Outbox) -> Attachment {
        let node = (*self.origin.node).into();
        Attachment { node, boot: self.origin.boot, session: outbox.session }
    }

    /// Clears the slot of a session that has ended.
    pub(super) fn release_slot(&self, outbox: &Outbox) {
        let slot = self.slot_of(outbox);
        let outcome = self.give_back(outbox.user, outbox.device, &slot);
        let returning = Returning { user: outbox.user, device: outbox.device, slot, outcome };
        self.slots.returning.lock().unwrap_or_else(PoisonError::into_inner).push(returning);
        self.slots.wake.notify_one();
    }

    fn give_back(
        &self,
        user: UserId,
        device: DeviceId,
        slot: &Attachment,
    ) -> Option<oneshot::Receiver<Result<Outcome, Error>>> {
        let item = Item {
            require: vec![Precondition::Slot(device, Some(slot.clone()))],
            write: vec![Write::Attach { device, slot: None, now: self.environment.clock.now() }],
            ..Item::default()
        };
        self.committers.submit(&ConversationId::Inbox(user), Work::Item(Box::new(item))).ok()
    }
}

/// Sees to it that slots are given back, however long the store is away.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut failed: Vec<Returning> = Vec::new();
    loop {
        let returning = {
            let mut returning = inner.slots.returning.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *returning)
        };
        for mut one in returning {
            let outcome = match one.outcome.take() {
                Some(outcome) => outcome.await.ok(),
                None => None,
            };
            // Anything but an error is an end: it was given back, or somebody else has it by now.
            if !matches!(outcome, Some(Ok(_))) {
                failed.push(one);
            }
        }
        if failed.is_empty() {
            inner.slots.wake.notified().await;
            continue;
        }
        tokio::time::sleep(PAUSE).await;
        let again = failed.drain(..).map(|mut one| {
            one.outcome = inner.give_back(one.user, one.device, &one.slot);
            one
        });
        inner.slots.returning.lock().unwrap_or_else(PoisonError::into_inner).extend(again);
    }
}
