//! Defects that other systems shipped, planted into an engine, its store or its bus: proof that what
//! looks for them finds them.
//!
//! For this project's own tests, behind the feature `planted-defects`.

mod bus;
mod store;

use std::sync::Arc;

use super::simulation::{Invariant, Simulation};
use crate::Epoch;
pub use crate::engine::Defect;
use crate::memory::MemoryStore;

impl Defect {
    /// The promise that it breaks, as a simulation finds it.
    pub fn found_by(self) -> Invariant {
        match self {
            Self::AcknowledgedBeforeCommit | Self::SequenceFromMemory | Self::RecallEmptiesNothing => {
                Invariant::Durable
            }
            Self::DuplicateCheckOutsideTransaction
            | Self::DuplicatesRememberedInMemory
            | Self::AmbiguitySettledByLook
            | Self::DeliveredTwice
            | Self::RepetitionRefused => Invariant::Once,
            Self::TimeRunsBack
            | Self::PublishedBeforeCommit
            | Self::OwnEntryOvertakes
            | Self::SlowReaderDropped
            | Self::EchoDeliveredTwice => Invariant::Ordered,
            Self::JournalSkipsWhatIsVisibleLate
            | Self::JournalResumesAtItsEnd
            | Self::LastMessageLostWithTheBus
            | Self::SubscribedAfterSnapshot
            | Self::OfflineRowsDeletedEarly
            | Self::CollapseForgetsOthers
            | Self::HolesNeverRead => Invariant::Complete,
            Self::OutboxWithoutBound => Invariant::Bounded,
            Self::ResubscriptionGivesUp
            | Self::PresenceWithoutFencing
            | Self::RestartClearsPresence
            | Self::DeadNodesStayOnline => Invariant::Presence,
            Self::ChangeInSteps => Invariant::Atomic,
            Self::UnreadAsCounter => Invariant::Unread,
            Self::CursorMovesBack | Self::SendingMarksAsRead => Invariant::Cursors,
            Self::DecisionNotComparedUnderLock
            | Self::MembershipCached
            | Self::PagesNotCutToMembership
            | Self::RemovedGoOnListening
            | Self::ChunkGoesOnAfterRemoval
            | Self::MembershipReadBeforeListening
            | Self::TokenOutlivesItsDevice => Invariant::Private,
        }
    }

    /// Plants it into every node of a simulation, at each start, over a fresh store.
    #[must_use]
    pub fn plant(self, simulation: Simulation) -> Simulation {
        let stores = store::Shared::of(self);
        let ground = stores.ground(Arc::new(MemoryStore::new(Epoch(1))));
        simulation
            .store(ground)
            .configure(move |builder, _| builder.plant(self))
            .decorate_store(move |store, _| stores.store(store))
            .decorate_bus(move |bus, _| bus::bus(self, bus))
    }
}

/// Lets the bus of a simulation lose all entries, which is no defect: everything comes by the journal.
/// Some defects are planted together with this, since the bus would hide them.
#[must_use]
pub fn without_entries_on_the_bus(simulation: Simulation) -> Simulation {
    simulation.decorate_bus(|bus, _| bus::losing(bus))
}
