//! Faults of what must hold under the lock.

use async_trait::async_trait;
use chat_core::memory::MemoryStore;
use chat_core::store::{Batch, Item, Outcome, Precondition, Store, Write};
use chat_core::{AccountName, Handle};

use crate::store::{Answer, Fault, Rewrites, WrongStore, alone, refused, with};

pub(crate) const FAULTS: &[WrongStore] = &[
    WrongStore {
        fault: "does not compare rules",
        case: "rules_are_compared_with_the_head",
        fresh: || with(Ignores(is_rules)),
    },
    WrongStore {
        fault: "compares rules with the head's seq",
        case: "rules_are_compared_with_the_head",
        fresh: || with(ComparesWithSeq),
    },
    WrongStore {
        fault: "does not look whether a name is free",
        case: "name_free_is_taken_when_an_account_has_it",
        fresh: || with(Ignores(is_name)),
    },
    WrongStore {
        fault: "compares names without case and trailing spaces",
        case: "name_free_is_taken_when_an_account_has_it",
        fresh: || {
            with(Rewrites(|item| {
                for precondition in &mut item.require {
                    if let Precondition::NameFree(name) = precondition {
                        *name = AccountName::from_stored(name.as_str().trim_end().to_lowercase());
                    }
                }
            }))
        },
    },
    WrongStore {
        fault: "does not look whether an id is free",
        case: "user_free_is_stale_when_an_account_has_the_id",
        fresh: || with(Ignores(is_user)),
    },
    WrongStore {
        fault: "does not look whether a handle is free",
        case: "handle_free_is_taken_when_a_group_has_it",
        fresh: || with(Ignores(is_handle)),
    },
    WrongStore {
        fault: "compares handles without case and trailing spaces",
        case: "handle_free_is_taken_when_a_group_has_it",
        fresh: || {
            with(Rewrites(|item| {
                for precondition in &mut item.require {
                    if let Precondition::HandleFree(handle) = precondition {
                        *handle = Handle::from_stored(handle.as_str().trim_end().to_lowercase());
                    }
                }
            }))
        },
    },
    WrongStore {
        fault: "does not look into a slot",
        case: "slot_is_stale_when_it_holds_something_else",
        fresh: || with(Ignores(is_slot)),
    },
    WrongStore {
        fault: "compares slots by node and session, not by boot",
        case: "slot_is_stale_when_it_holds_something_else",
        fresh: || with(IgnoresBoots),
    },
    WrongStore {
        fault: "takes a device that does not exist for one with an empty slot",
        case: "slot_of_a_device_that_does_not_exist_is_stale",
        fresh: || with(InventsDevices),
    },
    WrongStore {
        fault: "compares the first precondition alone",
        case: "all_preconditions_of_an_item_must_hold",
        fresh: || with(Rewrites(|item| item.require.truncate(1))),
    },
    WrongStore {
        fault: "compares rules before it locks the head",
        case: "racing_decisions_on_the_same_rules_commit_once",
        fresh: || with(ComparesUnlocked(is_rules)),
    },
    WrongStore {
        fault: "looks for a name before it locks it",
        case: "racing_takers_of_one_name_leave_one_holder",
        fresh: || with(ComparesUnlocked(is_name)),
    },
    WrongStore {
        fault: "looks for a handle before it locks it",
        case: "racing_takers_of_one_handle_leave_one_holder",
        fresh: || with(ComparesUnlocked(is_handle)),
    },
    WrongStore {
        fault: "looks for an id before it locks it",
        case: "racing_takers_of_one_id_leave_one_holder",
        fresh: || with(ComparesUnlocked(is_user)),
    },
    WrongStore {
        fault: "looks into a slot before it locks it",
        case: "racing_sessions_attach_to_one_slot_once",
        fresh: || with(ComparesUnlocked(is_slot)),
    },
];

type Which = fn(&Precondition) -> bool;

fn is_rules(precondition: &Precondition) -> bool {
    matches!(precondition, Precondition::Rules(..))
}

fn is_name(precondition: &Precondition) -> bool {
    matches!(precondition, Precondition::NameFree(_))
}

fn is_user(precondition: &Precondition) -> bool {
    matches!(precondition, Precondition::UserFree(_))
}

fn is_handle(precondition: &Precondition) -> bool {
    matches!(precondition, Precondition::HandleFree(_))
}

fn is_slot(precondition: &Precondition) -> bool {
    matches!(precondition, Precondition::Slot(..))
}

fn without(which: Which, item: &Item) -> Item {
    let mut rest = item.clone();
    rest.require.retain(|precondition| !which(precondition));
    rest
}

struct Ignores(Which);

#[async_trait]
impl Fault for Ignores {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        alone(right, batch, without(self.0, item)).await
    }
}

/// Every message makes what was decided before it stale.
struct ComparesWithSeq;

#[async_trait]
impl Fault for ComparesWithSeq {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        for precondition in &item.require {
            if let Precondition::Rules(id, expected) = precondition {
                let head = right.heads(&[*id]).await?.remove(0);
                if head.rules_seq.max(head.seq) != *expected {
                    return Ok(Outcome::Stale);
                }
            }
        }
        alone(right, batch, without(is_rules, item)).await
    }
}

/// A session of an earlier run of the node counts as one of this run.
struct IgnoresBoots;

#[async_trait]
impl Fault for IgnoresBoots {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let mut item = item.clone();
        for precondition in &mut item.require {
            if let Precondition::Slot(id, Some(expected)) = precondition {
                // The cases give all devices to the same user.
                let owner = chat_core::UserId::new(1).expect("within bounds");
                let held = right.devices(owner).await?.into_iter().find(|device| device.id == *id);
                if let Some(held) = held.and_then(|device| device.attached) {
                    expected.boot = held.boot;
                }
            }
        }
        alone(right, batch, item).await
    }
}

struct InventsDevices;

#[async_trait]
impl Fault for InventsDevices {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let owner = chat_core::UserId::new(1).expect("within bounds");
        let devices = right.devices(owner).await?;
        let mut item = item.clone();
        item.require.retain(|precondition| match precondition {
            Precondition::Slot(id, None) => devices.iter().any(|device| device.id == *id),
            _ => true,
        });
        alone(right, batch, item).await
    }
}

/// Another writer comes between the comparison and the lock. What the right store refuses on its own
/// account is left out: whoever was first keeps it, and all believe that they have it.
struct ComparesUnlocked(Which);

#[async_trait]
impl Fault for ComparesUnlocked {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let keys: Vec<_> = item.once.iter().map(|(key, _)| *key).collect();
        if right.recorded(&keys).await?.iter().any(Option::is_some) {
            return alone(right, batch, item.clone()).await;
        }
        if let Some(outcome) = refused(right, batch, item).await? {
            return Ok(outcome);
        }
        if !item.require.iter().any(self.0) {
            return alone(right, batch, item.clone()).await;
        }
        tokio::task::yield_now().await;
        let mut rest = without(self.0, item);
        let outcome = alone(right, batch, rest.clone()).await?;
        if outcome != Outcome::Taken {
            return Ok(outcome);
        }
        rest.write.retain(|write| !matches!(write, Write::PutAccount(_) | Write::PutGroup(_)));
        alone(right, batch, rest).await
    }
}
