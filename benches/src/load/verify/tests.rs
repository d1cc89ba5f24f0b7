//! Histories that are as they should be but for one thing.

use chat_core::ErrorKind;

use super::super::history::{Answer, Damage, History};
use super::super::observation::{Id, Print};
use super::*;

const BASE: Seq = 3;
const CLIENTS: [(u32, u64); 2] = [(0, 100), (1, 101)];

fn id(number: u8) -> Id {
    Id([number; 16])
}

fn print(number: u8) -> Print {
    let (_, by) = CLIENTS[usize::from(number % 2)];
    Print { id: Some(id(number)), by, sum: u32::from(number) }
}

fn seq(number: u8) -> Seq {
    BASE + Seq::from(number)
}

/// Where something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Nowhere,
    Client(u32),
    Store,
}

/// Five messages that two clients send in turn, each after the one before was acknowledged; what a reader
/// comes upon can be changed.
fn history(at: At, change: impl Fn(&mut Vec<(Seq, Print)>)) -> History {
    let mut history = History::new("direct:100:101".into(), BASE, CLIENTS);
    for number in 1..=5 {
        let client = u32::from(number % 2);
        history.sent(client, u64::from(number) * 10, print(number)).expect("new");
        history.acknowledged(id(number), u64::from(number) * 10 + 5, seq(number)).expect("not answered yet");
    }
    let found = |reader| {
        let mut found: Vec<_> = (1..=5).map(|number| (seq(number), print(number))).collect();
        if at == reader {
            change(&mut found);
        }
        found
    };
    for (client, _) in CLIENTS {
        for (seq, print) in found(At::Client(client)) {
            history.saw(client, seq, print);
        }
    }
    for (seq, print) in found(At::Store) {
        history.stored(seq, print);
    }
    history.read(seq(5));
    history
}

fn kinds(history: &History) -> Vec<Kind> {
    let mut kinds: Vec<_> = verify(history, Settled::Yes).iter().map(|violation| violation.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[test]
fn what_is_as_it_should_be_has_no_violation() {
    assert_eq!(verify(&history(At::Nowhere, |_| {}), Settled::Yes), []);
}

#[test]
fn an_acknowledged_message_that_the_store_has_not_is_lost() {
    let history = history(At::Store, |found| found.retain(|(at, _)| *at != seq(3)));
    assert_eq!(kinds(&history), [Kind::Lost, Kind::Holes]);
    assert_eq!(lost(&history, Settled::Yes).len(), 1);
    assert!(lost(&history, Settled::Yes)[0].evidence.contains("entry 6"), "it says which");
}

#[test]
fn an_acknowledged_message_at_the_end_is_lost_without_leaving_a_hole() {
    let mut history = history(At::Store, |found| found.truncate(4));
    history.read(seq(4));
    assert_eq!(kinds(&history), [Kind::Lost]);
}

#[test]
fn what_was_shown_and_is_not_stored_is_lost_even_when_nobody_was_told_that_it_is() {
    let mut history = history(At::Nowhere, |_| {});
    let shown = Print { id: Some(id(9)), by: 100, sum: 9 };
    history.sent(0, 90, shown).expect("new");
    for (client, _) in CLIENTS {
        history.saw(client, seq(6), shown);
    }
    assert_eq!(kinds(&history), [Kind::Lost]);
    // It may have been stored after the history was read.
    history.unacknowledged(id(9), Answer::Unknown).expect("not answered yet");
    assert_eq!(kinds(&history), []);
}

#[test]
fn an_entry_that_never_reaches_a_member_is_lost_once_all_had_time() {
    let history = history(At::Client(1), |found| found.truncate(3));
    assert_eq!(kinds(&history), [Kind::Lost]);
    assert_eq!(verify(&history, Settled::No), [], "it may be on its way");
}

#[test]
fn a_member_that_is_shown_later_entries_has_a_hole() {
    let history = history(At::Client(0), |found| drop(found.drain(1..3)));
    assert_eq!(kinds(&history), [Kind::Holes]);
    assert!(holes(&history)[0].evidence.contains("5 to 6"), "{:?}", holes(&history));
}

#[test]
fn the_first_entry_can_be_a_hole() {
    assert_eq!(kinds(&history(At::Client(0), |found| found.retain(|(at, _)| *at > seq(1)))), [Kind::Holes]);
}

#[test]
fn an_entry_that_comes_twice_is_repeated() {
    for (which, again) in [(2, 3), (1, 4)] {
        let history = history(At::Client(1), |found| found.insert(again, found[which]));
        assert_eq!(kinds(&history), [Kind::Repeated], "{which} at {again}");
    }
}

#[test]
fn one_client_id_at_two_places_is_repeated() {
    let mut history = history(At::Nowhere, |_| {});
    for (client, _) in CLIENTS {
        history.saw(client, seq(6), print(4));
    }
    history.stored(seq(6), print(4));
    history.read(seq(6));
    assert_eq!(kinds(&history), [Kind::Repeated]);
}

#[test]
fn entries_that_come_in_another_order_are_reordered() {
    for reader in [At::Client(0), At::Store] {
        assert_eq!(kinds(&history(reader, |found| found.swap(1, 2))), [Kind::Reordered], "{reader:?}");
    }
}

#[test]
fn two_members_that_find_different_entries_at_one_place_have_no_one_order() {
    let history = history(At::Client(1), |found| {
        let (third, fourth) = (found[2].1, found[3].1);
        (found[2].1, found[3].1) = (fourth, third);
    });
    assert!(reordered(&history).len() >= 2, "{:?}", reordered(&history));
}

#[test]
fn what_was_sent_after_an_acknowledgement_stands_behind_it() {
    let mut history = History::new("direct:100:101".into(), 0, CLIENTS);
    history.sent(1, 10, print(1)).expect("new");
    history.acknowledged(id(1), 15, 2).expect("not answered yet");
    history.sent(0, 20, print(2)).expect("new");
    history.acknowledged(id(2), 25, 1).expect("not answered yet");
    assert_eq!(reordered(&history).len(), 1);
}

#[test]
fn what_was_acknowledged_as_another_entry_is_reordered() {
    let mut history = History::new("direct:100:101".into(), 0, CLIENTS);
    history.sent(1, 10, print(1)).expect("new");
    history.acknowledged(id(1), 15, 1).expect("not answered yet");
    history.sent(0, 20, print(2)).expect("new");
    history.acknowledged(id(2), 25, 3).expect("not answered yet");
    for client in [0, 1] {
        history.saw(client, 1, print(1));
        history.saw(client, 2, print(2));
    }
    assert_eq!(reordered(&history).len(), 1);
}

#[test]
fn what_nobody_sent_is_foreign() {
    let mut history = history(At::Nowhere, |_| {});
    let foreign = Print { id: Some(id(9)), by: 100, sum: 9 };
    for (client, _) in CLIENTS {
        history.saw(client, seq(6), foreign);
    }
    history.stored(seq(6), foreign);
    history.read(seq(6));
    assert_eq!(kinds(&history), [Kind::Foreign]);
}

#[test]
fn what_was_sent_differently_or_by_somebody_else_is_foreign() {
    let other_words = |found: &mut Vec<(Seq, Print)>| found[1].1.sum += 1;
    let other_sender = |found: &mut Vec<(Seq, Print)>| found[1].1.by += 1;
    for reader in [At::Client(0), At::Client(1), At::Store] {
        assert_eq!(kinds(&history(reader, other_words)), [Kind::Foreign], "{reader:?}");
        assert_eq!(kinds(&history(reader, other_sender)), [Kind::Foreign], "{reader:?}");
    }
}

#[test]
fn what_a_member_sent_and_was_refused_for_good_breaks_a_promise() {
    let mut history = history(At::Nowhere, |_| {});
    history.sent(0, 90, Print { id: Some(id(9)), by: 100, sum: 9 }).expect("new");
    history.unacknowledged(id(9), Answer::Refused(ErrorKind::NotAllowed)).expect("not answered yet");
    assert_eq!(kinds(&history), [Kind::Refused]);
    assert!(refused(&history)[0].evidence.contains("of client 0 in direct:100:101 was answered not_allowed"));
}

#[test]
fn what_was_refused_and_is_there_is_foreign() {
    let mut history = history(At::Nowhere, |_| {});
    let refused = Print { id: Some(id(9)), by: 100, sum: 9 };
    history.sent(0, 90, refused).expect("new");
    history.unacknowledged(id(9), Answer::Refused(ErrorKind::Invalid)).expect("not answered yet");
    assert_eq!(foreign(&history), []);
    for (client, _) in CLIENTS {
        history.saw(client, seq(6), refused);
    }
    history.stored(seq(6), refused);
    history.read(seq(6));
    assert_eq!(kinds(&history), [Kind::Foreign, Kind::Refused]);
}

#[test]
fn what_whoever_is_no_member_sees_is_foreign() {
    let mut history = history(At::Nowhere, |_| {});
    history.saw(7, seq(2), print(2));
    assert_eq!(kinds(&history), [Kind::Foreign]);
}

#[test]
fn an_answer_without_its_send_is_no_history() {
    let mut history = history(At::Nowhere, |_| {});
    let damaged = |observed: Result<(), Damage>| assert!(observed.is_err());
    damaged(history.acknowledged(id(9), 1, 9));
    damaged(history.acknowledged(id(1), 1, seq(1)));
    damaged(history.unacknowledged(id(1), Answer::Unknown));
    damaged(history.sent(1, 1, print(1)));
}

#[test]
fn missing_numbers_are_found_in_whatever_order_the_others_came() {
    let mut runs = Runs::default();
    [7, 8, 4, 5, 8, 12].into_iter().for_each(|seq| runs.push(seq));
    assert_eq!(runs.in_order(), [(7, 8), (4, 5), (8, 8), (12, 12)]);
    assert_eq!(runs.missing(3, 14), [(6, 6), (9, 11), (13, 14)]);
    assert_eq!(runs.missing(3, 10), [(6, 6), (9, 10)]);
    assert_eq!(runs.missing(12, 12), []);
    assert_eq!(Runs::default().missing(0, 2), [(1, 2)]);
}
