//! Buses that break one clause of the contract fail the case named after it, and pass what the fault
//! does not concern.
//!
//! A bus that … fails the case:
//!
//! | fault | case |
//! |---|---|
//! | is late with every tenth subscription | `once_subscribed_every_later_message_is_delivered` |
//! | keeps only the topics of the last call | `topics_already_subscribed_to_stay_so` |
//! | ends a subscription that is made a second time | `topics_already_subscribed_to_stay_so` |
//! | gives a user and a group of the same number one channel | `messages_reach_only_those_subscribed_to_their_topic` |
//! | brings everybody what nodes say | `messages_reach_only_those_subscribed_to_their_topic` |
//! | never ends a subscription | `unsubscribed_topics_deliver_only_what_was_under_way` |
//! | counts how often a topic was subscribed to | `unsubscribed_topics_deliver_only_what_was_under_way` |
//! | takes an empty list of topics to leave for all of them | `unsubscribing_what_is_not_subscribed_says_nothing` |
//! | hangs up when it is to leave what it has not entered | `unsubscribing_what_is_not_subscribed_says_nothing` |
//! | ends subscriptions after those that were made later | `topics_can_be_subscribed_to_again` |
//! | gives up after a thousand topics of one call | `many_topics_are_subscribed_to_at_once` |
//! | answers all who subscribe at once when the first of them is subscribed | `subscribing_at_the_same_time_subscribes_everyone` |
//! | waits for its receivers when much is under way | `publishing_never_waits` |
//! | drops what nobody is subscribed to, and says so | `publishing_to_nobody_is_no_error` |
//! | does not bring an endpoint what it published itself | `own_messages_come_back` |
//! | forgets which run of a node published a message | `own_messages_are_recognised_by_their_origin` |
//! | says nothing of a loss | `loss_is_said_before_anything_published_later` |
//! | loses what it has taken out for a receiver that stops waiting | `a_dropped_receive_loses_nothing` |
//! | loses the targets of entries | `chunks_read_back_equal` |
//! | takes an empty content for none | `chunks_read_back_equal` |
//! | drops what is larger than a megabyte | `large_chunks_read_back_equal` |
//! | tells of who came as of who went | `ephemerals_read_back_equal` |
//! | has no channel for what nodes say | `what_nodes_say_reaches_all_of_them` |
//! | does not bring a node its own words back | `what_nodes_say_reaches_all_of_them` |
//! | carries no words of nodes | `words_of_nodes_read_back_equal` |
//! | keeps 32 bits of a version | `words_of_nodes_read_back_equal` |
//! | loses who went when others came | `words_of_nodes_read_back_equal` |
//! | drops the roster of nobody | `words_of_nodes_read_back_equal` |
//! | says of every part of a roster that it is the first | `words_of_nodes_read_back_equal` |
//! | takes a node without a name for no node | `words_of_nodes_read_back_equal` |
//! | takes a farewell for a beat | `words_of_nodes_read_back_equal` |
//! | cuts rosters after a thousand users | `long_rosters_read_back_equal` |
//! | takes messages when it is closed | `closed_takes_nothing` |
//! | does not tell its receiver that it is closed | `closed_takes_nothing` |
//! | loses what it has taken when it is closed | `closed_endpoint_leaves_the_others_alone` |
//! | takes nothing more when any endpoint is closed | `closed_endpoint_leaves_the_others_alone` |
//! | does not subscribe again after an outage | `topics_are_heard_after_an_outage_without_being_subscribed_again` |
//! | subscribes again after the first outage alone | `topics_are_heard_after_an_outage_without_being_subscribed_again` |
//! | subscribes again to a hundred topics at most | `topics_are_heard_after_an_outage_without_being_subscribed_again` |
//! | closes an endpoint whose connection is lost | `topics_are_heard_after_an_outage_without_being_subscribed_again` |
//! | says nothing of an outage | `an_outage_is_said_before_anything_published_later` |
//! | says nothing of further outages | `an_outage_is_said_before_anything_published_later` |
//! | says of an outage after the first message that follows it | `an_outage_is_said_before_anything_published_later` |
//! | forgets what was asked for during an outage | `topics_subscribed_to_during_an_outage_are_heard_after_it` |
//! | lets whoever subscribes during an outage wait for its end | `topics_subscribed_to_during_an_outage_are_heard_after_it` |
//! | subscribes again to what was left during an outage | `topics_unsubscribed_from_during_an_outage_are_silent_after_it` |
//! | goes on publishing into the connection that was lost | `what_is_published_after_an_outage_arrives` |

mod bus;
mod closing;
mod connection;
mod nodes;
mod outages;
mod payloads;
mod publishing;
mod subscriptions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chat_core::testkit::bus::{CASES, Interruptible, OUTAGE_CASES};
use futures_util::future::BoxFuture;

use bus::{Nothing, WrongBus, with};

/// How long a case may take on a paused clock, which goes on only when everything waits.
const PATIENCE: Duration = Duration::from_secs(600);

fn faults() -> impl Iterator<Item = &'static WrongBus> {
    [
        subscriptions::FAULTS,
        publishing::FAULTS,
        payloads::FAULTS,
        nodes::FAULTS,
        closing::FAULTS,
        outages::FAULTS,
    ]
    .into_iter()
    .flatten()
}

/// A case of either suite.
struct Case {
    name: &'static str,
    run: Box<dyn Fn(Interruptible) -> BoxFuture<'static, ()>>,
}

fn cases() -> Vec<Case> {
    let quiet = CASES
        .iter()
        .map(|case| Case { name: case.name, run: Box::new(|(endpoints, _)| (case.run)(endpoints)) });
    let outages =
        OUTAGE_CASES.iter().map(|case| Case { name: case.name, run: Box::new(|fresh| (case.run)(fresh)) });
    quiet.chain(outages).collect()
}

/// Whether a bus passes a case; one that hangs fails it.
async fn passes(fresh: Interruptible, case: &Case) -> bool {
    let run = tokio::time::timeout(PATIENCE, (case.run)(fresh));
    tokio::spawn(run).await.is_ok_and(|within| within.is_ok())
}

#[tokio::test(start_paused = true)]
async fn bus_without_a_fault_passes_every_case() {
    for case in &cases() {
        assert!(passes(with(|| Nothing), case).await, "{}", case.name);
    }
}

#[tokio::test(start_paused = true)]
async fn buses_that_break_a_clause_fail_its_case_and_pass_most_others() {
    let (cases, mut wanting) = (cases(), Vec::new());
    for wrong in faults() {
        assert!(cases.iter().any(|case| case.name == wrong.case), "no case is named {}", wrong.case);
        let mut failed = BTreeSet::new();
        for case in &cases {
            if !passes((wrong.fresh)(), case).await {
                failed.insert(case.name);
            }
        }
        if !failed.contains(wrong.case) {
            wanting.push(format!("a bus that {} passes {}, fails {failed:?}", wrong.fault, wrong.case));
        }
        let others = failed.len() - usize::from(failed.contains(wrong.case));
        if 2 * others >= cases.len() - 1 {
            wanting.push(format!("a bus that {} fails {failed:?}", wrong.fault));
        }
    }
    assert!(wanting.is_empty(), "{wanting:#?}");
}

/// Every case finds something.
#[test]
fn every_case_has_a_bus_that_fails_it() {
    let named: BTreeSet<_> = faults().map(|wrong| wrong.case).collect();
    let idle: Vec<_> = cases().iter().map(|case| case.name).filter(|name| !named.contains(name)).collect();
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
