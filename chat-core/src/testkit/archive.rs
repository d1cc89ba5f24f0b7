//! The conformance suite of [`Export`] and [`Import`]: one case for
//! each clause of the contract, named in its words.
//!
//! A case is a plain async function of a fresh, empty store, which it fills, and of a [`Place`] into
//! which it moves what it filled it with. [`archive_conformance!`](crate::archive_conformance) makes a
//! test of each. Any two backends can be tested against each other.

mod comparison;
mod exporting;
mod importing;
mod installation;
mod moving;

use std::sync::Arc;

use async_trait::async_trait;

use crate::store::archive::{Export, Import};

pub use comparison::{assert_alike, assert_goes_on_alike};
pub use installation::Installation;
pub use moving::{pages, records};

/// Where a store can be put together, and opened when it is.
#[async_trait]
pub trait Place: Send + Sync {
    /// An import into it. Whatever was opened there before is closed.
    async fn import(&self) -> Arc<dyn Import>;

    /// The store in it, or `None` where it refuses to be served. Whatever was opened there before is
    /// closed.
    async fn open(&self) -> Option<Arc<dyn Export>>;
}

/// Lists the cases once, and makes of the list what has to name them all. `$dollar` lets the macro
/// made here have parameters of its own.
macro_rules! cases {
    ($dollar:tt $($module:ident { $($case:ident,)+ })+) => {
        $(pub use $module::{$($case,)+};)+

        /// Makes a `#[tokio::test]` of each case of [`testkit::archive`](crate::testkit::archive).
        ///
        /// The argument is a future of a fresh, empty store as `Arc<dyn Export>`, of a fresh
        /// [`Place`](crate::testkit::archive::Place) in an `Arc`, and of whatever has to live as long
        /// as they, such as the guard of a temporary folder. It is made anew for each test.
        #[macro_export]
        macro_rules! archive_conformance {
            ($dollar fresh:expr) => {
                $($(
                    #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $case() {
                        let (source, place, keep) = $dollar fresh.await;
                        $crate::testkit::archive::$case(::std::sync::Arc::clone(&source), place).await;
                        source.close().await;
                        drop(keep);
                    }
                )+)+
            };
        }
    };
}

cases! { $
    exporting {
        complete_in_order_the_records_are_those_of_every_store,
        resumable_pages_go_on_after_any_position,
        bounded_pages_keep_to_their_limits_and_give_the_same,
    }
    importing {
        kept_exactly_a_round_trip_is_equal,
        kept_exactly_what_goes_on_afterwards_goes_on_alike,
        kept_exactly_an_empty_installation_is_an_empty_one,
        page_atomic_an_import_goes_on_after_every_page,
        page_atomic_a_refused_page_leaves_nothing,
        repeatable_pages_are_passed_over_as_far_as_they_were_reached,
        only_into_an_empty_store_or_an_unfinished_one_of_the_same_archive,
        not_served_before_it_is_finished,
        a_history_of_its_own_begins_when_it_is_finished,
        records_that_are_out_of_order_are_refused,
        records_that_contradict_each_other_are_refused,
        commands_that_contradict_each_other_are_refused,
    }
}
