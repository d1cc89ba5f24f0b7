//! The conformance suite of [`Bus`]: one case for each clause of the contract, named in its words.
//!
//! A case is a plain async function on fresh endpoints of one bus that nobody else uses, and panics
//! where the clause is broken. [`bus_conformance!`](crate::bus_conformance) makes a test of each;
//! [`CASES`] names them all, so that a bus that is wrong on purpose can be shown to fail the case
//! named after its fault.
//!
//! Whoever can cut an endpoint off says how with an [`Outage`], and has
//! [`bus_outage_conformance!`](crate::bus_outage_conformance) and [`OUTAGE_CASES`] of it.
//!
//! What the contract leaves open is not tested: messages may arrive twice and in any order, and
//! [`BusEvent::Lagged`](crate::bus::BusEvent::Lagged) may be told at any time. A bus under test
//! carries what a quiet one does, though: a small message that is lost although nothing was wrong
//! fails the case.

mod closing;
mod fixture;
mod loss;
mod nodes;
mod outages;
mod payloads;
mod publishing;
mod subscriptions;

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::bus::Bus;

pub use outages::Outage;

/// Endpoints of one bus, as three nodes hold them.
pub type Endpoints = [Arc<dyn Bus>; 3];

/// Endpoints of which the second can be cut off from the bus, and what does that.
pub type Interruptible = (Endpoints, Arc<dyn Outage>);

/// One clause of the contract, as a test.
#[derive(Clone, Copy)]
pub struct Case {
    /// The clause, as the name of its function.
    pub name: &'static str,
    /// Tests fresh endpoints.
    pub run: fn(Endpoints) -> BoxFuture<'static, ()>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

/// One clause about outages, as a test.
#[derive(Clone, Copy)]
pub struct OutageCase {
    /// The clause, as the name of its function.
    pub name: &'static str,
    /// Tests fresh endpoints, of which the second can be cut off.
    pub run: fn(Interruptible) -> BoxFuture<'static, ()>,
}

impl fmt::Debug for OutageCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OutageCase").field(&self.name).finish()
    }
}

/// Lists the cases of a suite once, and makes of the list what has to name them all. `$dollar` lets the
/// macro made here have parameters of its own.
macro_rules! cases {
    (
        $dollar:tt $list:ident: $one:ident;
        $(#[$about:meta])* $conformance:ident!;
        $($module:ident { $($case:ident,)+ })+
    ) => {
        $(pub use $module::{$($case,)+};)+

        /// All cases.
        pub const $list: &[$one] =
            &[$($($one { name: stringify!($case), run: |fresh| Box::pin($case(fresh)) },)+)+];

        $(#[$about])*
        #[macro_export]
        macro_rules! $conformance {
            ($dollar fresh:expr) => {
                $($(
                    #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $case() {
                        let (fresh, keep) = $dollar fresh.await;
                        $crate::testkit::bus::$case(fresh).await;
                        drop(keep);
                    }
                )+)+
            };
        }
    };
}

cases! { $
    CASES: Case;

    /// Makes a `#[tokio::test]` of each case of [`testkit::bus`](crate::testkit::bus).
    ///
    /// The argument is a future of fresh, connected [`Endpoints`](crate::testkit::bus::Endpoints)
    /// and of whatever has to live as long as they. It is made anew for each test.
    ///
    /// ```
    /// mod in_process {
    ///     use std::sync::Arc;
    ///     use chat_core::{bus::Bus, memory::InProcessBus};
    ///
    ///     chat_core::bus_conformance!(async {
    ///         let bus = InProcessBus::new();
    ///         ([(); 3].map(|()| Arc::new(bus.endpoint()) as Arc<dyn Bus>), ())
    ///     });
    /// }
    /// ```
    bus_conformance!;

    subscriptions {
        once_subscribed_every_later_message_is_delivered,
        topics_already_subscribed_to_stay_so,
        messages_reach_only_those_subscribed_to_their_topic,
        unsubscribed_topics_deliver_only_what_was_under_way,
        unsubscribing_what_is_not_subscribed_says_nothing,
        topics_can_be_subscribed_to_again,
        many_topics_are_subscribed_to_at_once,
        subscribing_at_the_same_time_subscribes_everyone,
    }
    publishing {
        publishing_never_waits,
        publishing_to_nobody_is_no_error,
        own_messages_come_back,
        own_messages_are_recognised_by_their_origin,
    }
    loss {
        loss_is_said_before_anything_published_later,
        a_dropped_receive_loses_nothing,
    }
    payloads {
        chunks_read_back_equal,
        large_chunks_read_back_equal,
        ephemerals_read_back_equal,
    }
    nodes {
        what_nodes_say_reaches_all_of_them,
        words_of_nodes_read_back_equal,
        long_rosters_read_back_equal,
    }
    closing {
        closed_takes_nothing,
        closed_endpoint_leaves_the_others_alone,
    }
}

cases! { $
    OUTAGE_CASES: OutageCase;

    /// Makes a `#[tokio::test]` of each case of [`testkit::bus`](crate::testkit::bus) about outages.
    ///
    /// The argument is a future of fresh, connected and
    /// [`Interruptible`](crate::testkit::bus::Interruptible) endpoints and of whatever has to live as long
    /// as they. It is made anew for each test.
    ///
    /// ```
    /// mod in_process {
    ///     use std::sync::Arc;
    ///     use chat_core::bus::Bus;
    ///     use chat_core::memory::InProcessBus;
    ///     use chat_core::testkit::bus::Outage;
    ///     use chat_core::testkit::faults::{BusFaults, BusWeather, FaultyBus};
    ///
    ///     struct Cut(BusFaults);
    ///
    ///     #[async_trait::async_trait]
    ///     impl Outage for Cut {
    ///         async fn begin(&self) {
    ///             self.0.sending(BusWeather::LOST);
    ///             self.0.receiving(BusWeather::LOST);
    ///         }
    ///
    ///         async fn end(&self) {
    ///             self.0.cease();
    ///             self.0.lag();
    ///         }
    ///     }
    ///
    ///     chat_core::bus_outage_conformance!(async {
    ///         let bus = InProcessBus::new();
    ///         let (second, faults) = FaultyBus::new(bus.endpoint(), 1);
    ///         let endpoints: [Arc<dyn Bus>; 3] =
    ///             [Arc::new(bus.endpoint()), Arc::new(second), Arc::new(bus.endpoint())];
    ///         ((endpoints, Arc::new(Cut(faults)) as Arc<dyn Outage>), ())
    ///     });
    /// }
    /// ```
    bus_outage_conformance!;

    outages {
        topics_are_heard_after_an_outage_without_being_subscribed_again,
        an_outage_is_said_before_anything_published_later,
        topics_subscribed_to_during_an_outage_are_heard_after_it,
        topics_unsubscribed_from_during_an_outage_are_silent_after_it,
        what_is_published_after_an_outage_arrives,
    }
}
