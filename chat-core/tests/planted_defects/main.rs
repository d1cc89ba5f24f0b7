//! Defects of the kind that other systems shipped, each planted into all nodes of a simulated cluster,
//! and found on one of the first seeds that are run without any, by the promise that it breaks.
//!
//! Should one hide, then the simulation lacks an act, a fault or a look, or another mechanism of the
//! engine does the same.

use std::collections::BTreeSet;

use chat_core::testkit::planted::{Defect, without_entries_on_the_bus};
use chat_core::testkit::simulation::{Invariant, Simulation};

/// As many seeds as `tests/simulation` finds nothing on.
const SEEDS: u64 = 150;

/// Runs seed after seed until the promise that a defect breaks is seen to be broken. Another promise
/// does not count; a panic fails the test.
fn find(defect: Defect) {
    let promise = defect.found_by();
    for seed in 1..=SEEDS {
        let report = defect.plant(Simulation::new(seed)).run();
        if let Some(found) = report.violations.iter().find(|violation| violation.invariant == promise) {
            println!("{defect:?} breaks {promise:?} on seed {seed}: {}", found.evidence);
            return;
        }
    }
    panic!("with {defect:?}, {promise:?} holds on all of {SEEDS} seeds");
}

macro_rules! defects {
    ($($claim:ident: $defect:ident;)+) => {
        const PLANTED: &[Defect] = &[$(Defect::$defect),+];

        $(
            #[test]
            fn $claim() {
                find(Defect::$defect);
            }
        )+
    };
}

defects! {
    a_sequence_that_is_taken_from_memory_is_found: SequenceFromMemory;
    a_decision_that_is_not_compared_under_the_lock_is_found: DecisionNotComparedUnderLock;
    a_duplicate_check_outside_the_transaction_is_found: DuplicateCheckOutsideTransaction;
    a_resend_that_gives_a_second_entry_is_found: DuplicatesRememberedInMemory;
    a_journal_that_skips_what_becomes_visible_late_is_found: JournalSkipsWhatIsVisibleLate;
    a_journal_that_resumes_at_its_end_is_found: JournalResumesAtItsEnd;
    a_last_message_that_is_lost_with_the_bus_is_found: LastMessageLostWithTheBus;
    an_unread_counter_is_found: UnreadAsCounter;
    a_cursor_that_moves_back_is_found: CursorMovesBack;
    a_send_that_marks_as_read_is_found: SendingMarksAsRead;
    a_change_that_is_made_in_steps_is_found: ChangeInSteps;
    a_cached_membership_is_found: MembershipCached;
    pages_that_are_not_cut_to_a_membership_are_found: PagesNotCutToMembership;
    time_that_runs_back_is_found: TimeRunsBack;
    a_resubscription_that_gives_up_is_found: ResubscriptionGivesUp;
    what_is_published_before_it_is_committed_is_found: PublishedBeforeCommit;
    what_is_acknowledged_before_it_is_committed_is_found: AcknowledgedBeforeCommit;
    an_ambiguity_that_is_settled_by_a_look_is_found: AmbiguitySettledByLook;
    a_recall_that_empties_nothing_is_found: RecallEmptiesNothing;
    an_own_entry_that_overtakes_is_found: OwnEntryOvertakes;
    a_subscription_after_the_snapshot_is_found: SubscribedAfterSnapshot;
    offline_rows_that_are_deleted_early_are_found: OfflineRowsDeletedEarly;
    a_slow_reader_from_whom_entries_are_dropped_is_found: SlowReaderDropped;
    a_collapse_that_forgets_conversations_is_found: CollapseForgetsOthers;
    an_outbox_without_a_bound_is_found: OutboxWithoutBound;
    an_echo_that_is_delivered_twice_is_found: EchoDeliveredTwice;
    what_is_delivered_twice_is_found: DeliveredTwice;
    a_hole_that_is_never_read_is_found: HolesNeverRead;
    a_removed_member_who_goes_on_listening_is_found: RemovedGoOnListening;
    a_chunk_that_goes_on_after_a_removal_is_found: ChunkGoesOnAfterRemoval;
    a_membership_that_is_read_before_listening_is_found: MembershipReadBeforeListening;
    a_repetition_that_is_refused_is_found: RepetitionRefused;
    a_token_that_outlives_its_device_is_found: TokenOutlivesItsDevice;
    presence_without_fencing_is_found: PresenceWithoutFencing;
    a_restart_that_clears_presence_is_found: RestartClearsPresence;
    dead_nodes_whose_users_stay_online_are_found: DeadNodesStayOnline;
}

/// What some defects are planted together with.
#[test]
fn a_bus_that_loses_all_entries_breaks_nothing() {
    for seed in 1..=25 {
        let report = without_entries_on_the_bus(Simulation::new(seed)).run();
        assert!(report.violations.is_empty(), "{report}");
    }
}

#[test]
fn every_defect_is_looked_for_and_every_promise_finds_one() {
    assert_eq!(PLANTED, Defect::ALL);
    let finders: BTreeSet<_> = PLANTED.iter().map(|defect| defect.found_by()).collect();
    assert_eq!(finders, Invariant::ALL.into_iter().collect());
}
