//! The conformance suite of [`Store`]: one case for each clause of the contract, named in its words.
//!
//! A case is a plain async function on a fresh, empty store, and panics where the clause is broken.
//! [`store_conformance!`](crate::store_conformance) makes a test of each; [`CASES`] names them all,
//! so that a store that is wrong on purpose can be shown to fail the case named after its fault.

mod accounts;
mod cursors;
mod fixture;
mod heads;
mod items;
mod journal;
mod members;
mod once;
mod pages;
mod preconditions;
mod probing;
mod races;
mod redaction;
mod trimming;

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::store::Store;

/// One clause of the contract, as a test.
#[derive(Clone, Copy)]
pub struct Case {
    /// The clause, as the name of its function.
    pub name: &'static str,
    /// Tests a fresh, empty store.
    pub run: fn(Arc<dyn Store>) -> BoxFuture<'static, ()>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

/// Lists the cases once, and makes of the list what has to name them all. `$dollar` lets the macro
/// made here have parameters of its own.
macro_rules! cases {
    ($dollar:tt $($module:ident { $($case:ident,)+ })+) => {
        $(pub use $module::{$($case,)+};)+

        /// All cases.
        pub const CASES: &[Case] =
            &[$($(Case { name: stringify!($case), run: |store| Box::pin($case(store)) },)+)+];

        /// Makes a `#[tokio::test]` of each case of [`testkit::store`](crate::testkit::store).
        ///
        /// The argument is a future of a fresh, empty store as `Arc<dyn Store>` and of whatever has to
        /// live as long as it, such as the guard of a temporary folder. It is made anew for each test.
        ///
        /// ```
        /// mod memory {
        ///     use std::sync::Arc;
        ///     use chat_core::{Epoch, memory::MemoryStore, store::Store};
        ///
        ///     chat_core::store_conformance!(async {
        ///         (Arc::new(MemoryStore::new(Epoch(1))) as Arc<dyn Store>, ())
        ///     });
        /// }
        /// ```
        #[macro_export]
        macro_rules! store_conformance {
            ($dollar fresh:expr) => {
                $($(
                    #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $case() {
                        let (store, keep) = $dollar fresh.await;
                        $crate::testkit::store::$case(::std::sync::Arc::clone(&store)).await;
                        store.close().await;
                        drop(keep);
                    }
                )+)+
            };
        }
    };
}

cases! { $
    heads {
        epoch_is_one_and_stays,
        entries_get_the_seqs_after_the_head_in_the_order_of_the_batch,
        gapless_refused_and_repeated_items_take_no_seq,
        ordinals_count_countable_entries_only,
        time_never_runs_back,
        head_of_a_conversation_into_which_nothing_was_written_is_empty,
        heads_come_in_the_order_asked_for,
        entries_come_back_as_they_were_written,
        changes_of_rules_raise_rules_seq_to_their_seq,
        raise_rules_raises_by_one_or_to_the_head,
    }
    items {
        items_independent_refused_item_does_not_fail_its_neighbours,
        item_atomic_refused_item_leaves_nothing,
        item_spans_conversations_and_is_written_in_all_or_none,
        later_item_of_a_batch_sees_what_earlier_ones_wrote,
        incoherent_batch_is_refused_whole,
        empty_batch_commits_nothing,
    }
    once {
        once_repetition_answers_what_was_recorded,
        once_repetition_within_a_batch_is_a_duplicate,
        once_other_digest_is_a_conflict,
        once_is_looked_at_before_any_precondition,
        once_scope_is_client_id_sender_and_conversation,
        once_record_is_the_first_entry_of_the_item,
        once_record_outlives_redaction,
        once_record_outlives_trimming,
        once_refused_item_records_nothing,
    }
    preconditions {
        rules_are_compared_with_the_head,
        name_free_is_taken_when_an_account_has_it,
        user_free_is_stale_when_an_account_has_the_id,
        handle_free_is_taken_when_a_group_has_it,
        slot_is_stale_when_it_holds_something_else,
        slot_of_a_device_that_does_not_exist_is_stale,
        all_preconditions_of_an_item_must_hold,
    }
    accounts {
        accounts_are_created_and_replaced,
        name_of_a_deleted_account_stays_reserved,
        account_cannot_take_the_name_of_another,
        devices_come_oldest_first,
        device_is_found_by_its_token_until_deleted,
        attach_sets_slot_and_last_seen_of_an_existing_device,
        group_settings_come_with_the_head,
        handle_of_a_dissolved_group_stays_reserved,
        group_cannot_take_the_handle_of_another,
    }
    members {
        standing_creates_a_blank_row_and_sets_what_it_names,
        joined_clears_left_and_moves_both_positions_to_the_join,
        left_is_the_last_entry_that_may_be_read,
        seq_refs_stand_for_entries_of_their_own_item,
        own_total_grows_with_countable_entries_only,
        single_members_come_in_the_order_asked_for,
        roster_is_in_the_order_of_joining,
        roster_pages_are_gapless_under_every_filter,
        memberships_are_in_the_order_of_keys_with_their_heads,
        memberships_hold_what_a_user_has_left,
        memberships_pages_are_gapless,
    }
    cursors {
        cursors_only_move_forward_and_never_past_the_head,
        cursors_of_those_without_a_row_do_not_move,
        cursors_hold_ordinal_and_own_of_the_entry_they_stand_on,
        sending_moves_no_cursor,
        unread_equals_a_recount_after_random_operations,
    }
    redaction {
        redaction_empties_the_content_and_keeps_the_entry,
        redaction_of_a_sender_spares_others_and_what_is_later,
        redaction_of_what_does_not_exist_changes_nothing,
    }
    trimming {
        trimmed_is_said_where_a_range_begins_below_first_seq,
        trimmed_history_is_said_only_when_all_of_it_is_gone,
        trimming_only_moves_forward_and_at_most_one_past_the_head,
        trimmed_conversation_goes_on_with_its_numbers,
        cursors_over_trimmed_entries_stay_exact,
    }
    pages {
        pages_are_gapless_in_both_directions,
        pages_keep_to_their_bytes_but_are_never_empty,
        pages_are_gapless_at_their_byte_limit,
        history_pages_by_countable_entries_in_both_directions,
        history_folds_in_what_refers_to_the_page,
        history_says_whether_there_is_more,
        history_keeps_the_newest_of_too_many_referring_entries,
        empty_ranges_give_empty_pages,
    }
    journal {
        journal_is_complete_in_order,
        journal_end_finds_everything_after_it_and_nothing_before,
        journal_follows_every_writer,
        journal_pages_always_get_on,
        journal_shows_a_conversation_that_was_trimmed_to_its_end,
        journal_holds_nothing_of_refused_and_repeated_items,
    }
    probing {
        probes_pass_while_writes_do,
    }
    races {
        racing_writers_leave_gapless_seqs,
        racing_repetitions_commit_once,
        racing_takers_of_one_name_leave_one_holder,
        racing_takers_of_one_handle_leave_one_holder,
        racing_takers_of_one_id_leave_one_holder,
        racing_sessions_attach_to_one_slot_once,
        racing_decisions_on_the_same_rules_commit_once,
        racing_readers_see_only_whole_items_and_every_acknowledged_commit,
        racing_reads_of_every_kind_see_acknowledged_commits,
        racing_batches_over_the_same_conversations_all_commit,
        journal_is_complete_under_racing_writers,
    }
}
