//! Stores that break one clause of the contract fail the case named after it, and pass what the
//! fault does not concern.
//!
//! A store that … fails the case:
//!
//! | fault | case |
//! |---|---|
//! | draws its epoch anew with every question | `epoch_is_one_and_stays` |
//! | loses the last entry of an item | `entries_get_the_seqs_after_the_head_in_the_order_of_the_batch` |
//! | reuses a seq within an item | `entries_get_the_seqs_after_the_head_in_the_order_of_the_batch` |
//! | appends a batch in the opposite order | `entries_get_the_seqs_after_the_head_in_the_order_of_the_batch` |
//! | leaves a hole where an item was refused or repeated | `gapless_refused_and_repeated_items_take_no_seq` |
//! | reads the head before it locks it | `racing_writers_leave_gapless_seqs` |
//! | counts uncountable entries in ordinals | `ordinals_count_countable_entries_only` |
//! | lets time run back | `time_never_runs_back` |
//! | says of an empty log that it begins with 0 | `head_of_a_conversation_into_which_nothing_was_written_is_empty` |
//! | answers heads in the order of keys | `heads_come_in_the_order_asked_for` |
//! | cuts contents at 64 KiB | `entries_come_back_as_they_were_written` |
//! | does not raise rules_seq for an entry | `changes_of_rules_raise_rules_seq_to_their_seq` |
//! | does not raise rules_seq without an entry | `raise_rules_raises_by_one_or_to_the_head` |
//! | fails the neighbours of a refused item | `items_independent_refused_item_does_not_fail_its_neighbours` |
//! | leaves a part of a refused item's writes | `item_atomic_refused_item_leaves_nothing` |
//! | writes an item conversation by conversation | `item_spans_conversations_and_is_written_in_all_or_none` |
//! | shows an item before all of it is written | `racing_readers_see_only_whole_items_and_every_acknowledged_commit` |
//! | compares all preconditions as a batch begins | `later_item_of_a_batch_sees_what_earlier_ones_wrote` |
//! | commits what is coherent of an incoherent batch | `incoherent_batch_is_refused_whole` |
//! | refuses an empty batch | `empty_batch_commits_nothing` |
//! | locks heads in the order in which they are named | `racing_batches_over_the_same_conversations_all_commit` |
//! | forgets the duplicate check | `once_repetition_answers_what_was_recorded` |
//! | looks for duplicates as a batch begins | `once_repetition_within_a_batch_is_a_duplicate` |
//! | looks for duplicates before it locks the head | `racing_repetitions_commit_once` |
//! | does not compare digests | `once_other_digest_is_a_conflict` |
//! | looks at preconditions before duplicates | `once_is_looked_at_before_any_precondition` |
//! | takes the client id alone for the key | `once_scope_is_client_id_sender_and_conversation` |
//! | takes client id and sender for the key | `once_scope_is_client_id_sender_and_conversation` |
//! | takes client id and conversation for the key | `once_scope_is_client_id_sender_and_conversation` |
//! | records the last entry of an item | `once_record_is_the_first_entry_of_the_item` |
//! | loses a record on redaction | `once_record_outlives_redaction` |
//! | loses a record on trimming | `once_record_outlives_trimming` |
//! | records what it refuses | `once_refused_item_records_nothing` |
//! | does not compare rules | `rules_are_compared_with_the_head` |
//! | compares rules with the head's seq | `rules_are_compared_with_the_head` |
//! | does not look whether a name is free | `name_free_is_taken_when_an_account_has_it` |
//! | compares names without case and trailing spaces | `name_free_is_taken_when_an_account_has_it` |
//! | does not look whether an id is free | `user_free_is_stale_when_an_account_has_the_id` |
//! | does not look whether a handle is free | `handle_free_is_taken_when_a_group_has_it` |
//! | compares handles without case and trailing spaces | `handle_free_is_taken_when_a_group_has_it` |
//! | does not look into a slot | `slot_is_stale_when_it_holds_something_else` |
//! | compares slots by node and session, not by boot | `slot_is_stale_when_it_holds_something_else` |
//! | takes a device that does not exist for one with an empty slot | `slot_of_a_device_that_does_not_exist_is_stale` |
//! | compares the first precondition alone | `all_preconditions_of_an_item_must_hold` |
//! | compares rules before it locks the head | `racing_decisions_on_the_same_rules_commit_once` |
//! | looks for a name before it locks it | `racing_takers_of_one_name_leave_one_holder` |
//! | looks for a handle before it locks it | `racing_takers_of_one_handle_leave_one_holder` |
//! | looks for an id before it locks it | `racing_takers_of_one_id_leave_one_holder` |
//! | looks into a slot before it locks it | `racing_sessions_attach_to_one_slot_once` |
//! | answers accounts in the order of ids | `accounts_are_created_and_replaced` |
//! | frees the name of a deleted account | `name_of_a_deleted_account_stays_reserved` |
//! | gives a name to the last who wants it | `account_cannot_take_the_name_of_another` |
//! | answers the newest device first | `devices_come_oldest_first` |
//! | finds a deleted device by its token | `device_is_found_by_its_token_until_deleted` |
//! | does not set last_seen when a device attaches | `attach_sets_slot_and_last_seen_of_an_existing_device` |
//! | shows a group's settings once something is written into it | `group_settings_come_with_the_head` |
//! | frees the handle of a dissolved group | `handle_of_a_dissolved_group_stays_reserved` |
//! | gives a handle to the last who wants it | `group_cannot_take_the_handle_of_another` |
//! | sets what a change of standing does not name | `standing_creates_a_blank_row_and_sets_what_it_names` |
//! | leaves the positions where they were when somebody joins | `joined_clears_left_and_moves_both_positions_to_the_join` |
//! | keeps left_seq of who comes back | `left_is_the_last_entry_that_may_be_read` |
//! | counts entries by the batch, not by the item, for references | `seq_refs_stand_for_entries_of_their_own_item` |
//! | counts one own entry for an item of several | `own_total_grows_with_countable_entries_only` |
//! | answers members in the order of keys | `single_members_come_in_the_order_asked_for` |
//! | lists a roster in the order of ids | `roster_is_in_the_order_of_joining` |
//! | cuts a page of the roster before it filters | `roster_pages_are_gapless_under_every_filter` |
//! | lists memberships in no order of keys | `memberships_are_in_the_order_of_keys_with_their_heads` |
//! | forgets what a user has left | `memberships_hold_what_a_user_has_left` |
//! | skips a membership between pages | `memberships_pages_are_gapless` |
//! | moves a read cursor back | `cursors_only_move_forward_and_never_past_the_head` |
//! | moves a read cursor past the head | `cursors_only_move_forward_and_never_past_the_head` |
//! | moves a delivered position back | `cursors_only_move_forward_and_never_past_the_head` |
//! | moves a delivered position past the head | `cursors_only_move_forward_and_never_past_the_head` |
//! | makes a row for who reads | `cursors_of_those_without_a_row_do_not_move` |
//! | gives a cursor the head's ordinal | `cursors_hold_ordinal_and_own_of_the_entry_they_stand_on` |
//! | marks as read what precedes a message that one sends | `sending_moves_no_cursor` |
//! | gives a cursor the present total of own messages | `unread_equals_a_recount_after_random_operations` |
//! | drops an entry when it is redacted | `redaction_empties_the_content_and_keeps_the_entry` |
//! | keeps the content of what is redacted | `redaction_empties_the_content_and_keeps_the_entry` |
//! | leaves nothing but the seq of what is redacted | `redaction_empties_the_content_and_keeps_the_entry` |
//! | redacts of a sender what is later, too | `redaction_of_a_sender_spares_others_and_what_is_later` |
//! | redacts an entry before it is written | `redaction_of_what_does_not_exist_changes_nothing` |
//! | answers a trimmed range with a short page | `trimmed_is_said_where_a_range_begins_below_first_seq` |
//! | answers trimmed history with an empty page | `trimmed_history_is_said_only_when_all_of_it_is_gone` |
//! | says trimmed of history of which some is kept | `trimmed_history_is_said_only_when_all_of_it_is_gone` |
//! | lowers first_seq | `trimming_only_moves_forward_and_at_most_one_past_the_head` |
//! | raises first_seq past the head | `trimming_only_moves_forward_and_at_most_one_past_the_head` |
//! | begins with seq 1 again when all is trimmed | `trimmed_conversation_goes_on_with_its_numbers` |
//! | counts for a cursor only what is kept | `cursors_over_trimmed_entries_stay_exact` |
//! | begins a page backward at the lower end | `pages_are_gapless_in_both_directions` |
//! | answers an empty page when the first entry is too large | `pages_keep_to_their_bytes_but_are_never_empty` |
//! | does not keep to the bytes of a page | `pages_keep_to_their_bytes_but_are_never_empty` |
//! | leaves out of a page what does not fit and goes on | `pages_are_gapless_at_their_byte_limit` |
//! | leaves out of history what does not fit and goes on | `pages_are_gapless_at_their_byte_limit` |
//! | counts uncountable entries in a page of history | `history_pages_by_countable_entries_in_both_directions` |
//! | folds in only what lies within the range | `history_folds_in_what_refers_to_the_page` |
//! | takes a full page for a sign of more | `history_says_whether_there_is_more` |
//! | keeps the oldest of too many referring entries | `history_keeps_the_newest_of_too_many_referring_entries` |
//! | refuses a range without a seq | `empty_ranges_give_empty_pages` |
//! | forgets a conversation of a batch in the journal | `journal_is_complete_in_order` |
//! | answers a journal_end after what comes next | `journal_end_finds_everything_after_it_and_nothing_before` |
//! | answers a journal_end before what came | `journal_end_finds_everything_after_it_and_nothing_before` |
//! | follows all writers of the journal by one number | `journal_follows_every_writer` |
//! | cuts a page of the journal within a batch | `journal_pages_always_get_on` |
//! | reads the journal from the entries that are kept | `journal_shows_a_conversation_that_was_trimmed_to_its_end` |
//! | tells in the journal what it refused | `journal_holds_nothing_of_refused_and_repeated_items` |
//! | skips in the journal what becomes visible late | `journal_is_complete_under_racing_writers` |
//! | takes writes and fails probes | `probes_pass_while_writes_do` |
//! | acknowledges commits before they are visible | `racing_readers_see_only_whole_items_and_every_acknowledged_commit` |
//! | reads heads from a stale replica | `racing_reads_of_every_kind_see_acknowledged_commits` |
//! | reads records from a stale replica | `racing_reads_of_every_kind_see_acknowledged_commits` |
//! | reads accounts from a stale replica | `racing_reads_of_every_kind_see_acknowledged_commits` |
//! | reads names from a stale replica | `racing_reads_of_every_kind_see_acknowledged_commits` |
//! | reads devices from a stale replica | `racing_reads_of_every_kind_see_acknowledged_commits` |
//! | reads tokens from a stale replica | `racing_reads_of_every_kind_see_acknowledged_commits` |
//! | reads handles from a stale replica | `racing_reads_of_every_kind_see_acknowledged_commits` |
//! | reads members from a stale replica | `racing_reads_of_every_kind_see_acknowledged_commits` |
//! | reads rosters from a stale replica | `racing_reads_of_every_kind_see_acknowledged_commits` |
//! | reads memberships from a stale replica | `racing_reads_of_every_kind_see_acknowledged_commits` |
//! | reads entries from a stale replica | `racing_reads_of_every_kind_see_acknowledged_commits` |
//! | reads history from a stale replica | `racing_reads_of_every_kind_see_acknowledged_commits` |
//! | reads the journal from a stale replica | `racing_reads_of_every_kind_see_acknowledged_commits` |

mod accounts;
mod cursors;
mod items;
mod journal;
mod log;
mod members;
mod once;
mod pages;
mod preconditions;
mod retention;
mod store;
mod visibility;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chat_core::testkit::store::{CASES, Case};

use store::{Nothing, WrongStore, with};

/// How long a case may take on a paused clock, which goes on only when everything waits.
const PATIENCE: Duration = Duration::from_secs(600);

fn faults() -> impl Iterator<Item = &'static WrongStore> {
    [
        log::FAULTS,
        items::FAULTS,
        once::FAULTS,
        preconditions::FAULTS,
        accounts::FAULTS,
        members::FAULTS,
        cursors::FAULTS,
        retention::FAULTS,
        pages::FAULTS,
        journal::FAULTS,
        visibility::FAULTS,
    ]
    .into_iter()
    .flatten()
}

/// Whether a store passes a case; one that hangs fails it.
async fn passes(store: std::sync::Arc<dyn chat_core::store::Store>, case: &Case) -> bool {
    let run = tokio::time::timeout(PATIENCE, (case.run)(store));
    tokio::spawn(run).await.is_ok_and(|within| within.is_ok())
}

#[tokio::test(start_paused = true)]
async fn store_without_a_fault_passes_every_case() {
    for case in CASES {
        assert!(passes(with(Nothing), case).await, "{}", case.name);
    }
}

#[tokio::test(start_paused = true)]
async fn stores_that_break_a_clause_fail_its_case_and_pass_most_others() {
    let mut wanting = Vec::new();
    for wrong in faults() {
        assert!(CASES.iter().any(|case| case.name == wrong.case), "no case is named {}", wrong.case);
        let mut failed = BTreeSet::new();
        for case in CASES {
            if !passes((wrong.fresh)(), case).await {
                failed.insert(case.name);
            }
        }
        if !failed.contains(wrong.case) {
            wanting.push(format!("a store that {} passes {}, fails {failed:?}", wrong.fault, wrong.case));
        }
        let others = failed.len() - usize::from(failed.contains(wrong.case));
        if 2 * others >= CASES.len() - 1 {
            wanting.push(format!("a store that {} fails {failed:?}", wrong.fault));
        }
    }
    assert!(wanting.is_empty(), "{wanting:#?}");
}

/// Every case finds something.
#[test]
fn every_case_has_a_store_that_fails_it() {
    let named: BTreeSet<_> = faults().map(|wrong| wrong.case).collect();
    let idle: Vec<_> = CASES.iter().map(|case| case.name).filter(|name| !named.contains(name)).collect();
    assert!(idle.is_empty(), "{idle:#?}");
}

/// The table above says what is tested.
#[test]
fn table_names_every_fault_and_its_case() {
    let mut missing = BTreeMap::new();
    for wrong in faults() {
        let line = format!("//! | {} | `{}` |\n", wrong.fault, wrong.case);
        if !include_str!("main.rs").contains(&line) {
            missing.insert(wrong.fault, line);
        }
    }
    assert!(missing.is_empty(), "{}", missing.into_values().collect::<String>());
}
