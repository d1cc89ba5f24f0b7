//! What an engine counts is what happened.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chat_core::bus::BusState;
use chat_core::testkit::faults::{BusWeather, CommitFault, FaultyBus, FaultyStore, StoreWeather};
use chat_core::{
    AccountName, Blocking, Credentials, Engine, ErrorKind, Figures, GroupAction, GroupId, Job, Password,
    Range,
};

use crate::world::{
    EVERYTHING, World, another, closed, config, create, direct, group, join, name, registration, say, text,
};

fn refusals(figures: &Figures) -> Vec<(ErrorKind, u64)> {
    figures.refusals.iter().copied().filter(|(_, times)| *times > 0).collect()
}

/// An engine over a store that can be spoiled.
async fn spoilt(world: &World) -> (Engine, chat_core::testkit::faults::StoreFaults) {
    let (store, faults) = FaultyStore::new(Arc::clone(&world.store));
    (world.builder_over(Arc::new(store), config()).start().await.expect("an engine"), faults)
}

#[tokio::test(start_paused = true)]
async fn sends_commits_and_deliveries_are_counted_one_by_one() {
    let world = World::new();
    let engine = world.alone().await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let second = another(&engine, "bob").await;
    let at = direct(&ada, &bob);
    let before = engine.figures();
    assert_eq!((before.sessions, before.users), (3, 2));
    for number in 0..5 {
        say(&ada, at, number.to_string()).await;
    }
    let after = engine.figures();
    assert_eq!(after.sends.accepted - before.sends.accepted, 5);
    assert_eq!((after.sends.committed, after.sends.duplicates), (5, 0));
    assert_eq!(after.deliveries.entries - before.deliveries.entries, 15, "to three sessions");
    assert_eq!(after.deliveries.chunks - before.deliveries.chunks, 15);
    let (then, now) = (&before.commits, &after.commits);
    assert_eq!((now.batches - then.batches, now.items - then.items), (5, 5));
    assert_eq!(now.batch_size.counts[0] - then.batch_size.counts[0], 5, "batches of one");
    assert_eq!(now.batch_size.sum, now.items as f64);
    assert_eq!(now.seconds.count(), now.batches, "no attempt failed");
    assert_eq!(refusals(&after), []);
    drop((second, bob));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let after = engine.figures();
    assert_eq!((after.sessions, after.users), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn concurrent_sends_are_counted_as_the_batch_that_they_become() {
    let world = World::new();
    let (engine, faults) = spoilt(&world).await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let at = direct(&ada, &bob);
    let before = engine.figures();
    faults.commits(StoreWeather::Frozen);
    let mut pending = vec![ada.begin_send(text(at, "first")).await.expect("queued")];
    tokio::time::sleep(Duration::from_millis(1)).await;
    for number in 0..3 {
        pending.push(ada.begin_send(text(at, number.to_string())).await.expect("queued"));
    }
    let waiting = engine.figures().queues;
    assert_eq!(waiting.commit_rows, 3, "while the first is in flight");
    assert!(waiting.commit_bytes >= 3);
    faults.commits(StoreWeather::Slow(Duration::from_millis(30)));
    for one in pending {
        one.await.expect("stored");
    }
    let after = engine.figures();
    assert_eq!((after.queues.commit_rows, after.queues.commit_bytes), (0, 0));
    assert_eq!((after.commits.batches - before.commits.batches, after.sends.committed), (2, 4));
    let of_four = after.commits.batch_size.bounds.iter().position(|bound| *bound == 4.0).expect("a bound");
    assert_eq!(after.commits.batch_size.counts[of_four] - before.commits.batch_size.counts[of_four], 1);
    let slow = after.commits.seconds.bounds.iter().position(|bound| *bound == 0.05).expect("a bound");
    assert_eq!(after.commits.seconds.counts[slow] - before.commits.seconds.counts[slow], 2);
}

#[tokio::test(start_paused = true)]
async fn a_repetition_is_counted_as_such_and_delivered_to_nobody() {
    let world = World::new();
    let engine = world.alone().await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let send = text(direct(&ada, &bob), "hello");
    ada.send(send.clone()).await.expect("stored");
    let once = engine.figures();
    ada.send(send.clone()).await.expect("stored before");
    let twice = engine.figures();
    assert_eq!((twice.sends.accepted, twice.sends.committed, twice.sends.duplicates), (2, 1, 1));
    assert_eq!(twice.deliveries, once.deliveries);
    let mut other = text(send.conversation, "something else");
    other.client_id = send.client_id;
    assert_eq!(ada.send(other).await.expect_err("another").kind(), ErrorKind::Conflict);
    assert_eq!(refusals(&engine.figures()), [(ErrorKind::Conflict, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_repetition_that_comes_too_fast_is_counted_as_such_too() {
    let world = World::new();
    let mut slow = config();
    (slow.commands_per_second, slow.commands_burst) = (1, 1);
    let engine = world.alone_with(slow).await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let send = text(direct(&ada, &bob), "hello");
    ada.send(send.clone()).await.expect("stored");
    ada.send(send).await.expect("stored before");
    let figures = engine.figures();
    assert_eq!((figures.sends.accepted, figures.sends.duplicates), (1, 1));
    ada.send(text(direct(&ada, &bob), "more")).await.expect_err("too fast");
    assert_eq!(refusals(&engine.figures()), [(ErrorKind::RateLimited, 1)]);
}

#[tokio::test(start_paused = true)]
async fn each_refusal_is_counted_once_under_its_kind() {
    let world = World::new();
    let engine = world.alone().await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let nowhere = group(GroupId::new(77).expect("an id"));
    ada.send(text(nowhere, "hello")).await.expect_err("no member");
    ada.history(nowhere, &EVERYTHING).await.expect_err("no member");
    ada.typing(nowhere).expect_err("no member");
    ada.group(crate::world::id(), GroupId::new(77).expect("an id"), GroupAction::Leave)
        .await
        .expect_err("no");
    ada.send(text(direct(&ada, &bob), "")).await.expect_err("empty");
    engine.register(registration("ada")).await.expect_err("taken");
    let wrong = Credentials::Password {
        name: name("ada"),
        password: Password::new("wrong horse"),
        device_label: String::new(),
    };
    engine.login(wrong).await.expect_err("wrong");
    ada.find_user(&AccountName::parse("nobody").expect("a name")).await.expect_err("there is none");
    let expected = [
        (ErrorKind::Invalid, 1),
        (ErrorKind::Unauthenticated, 1),
        (ErrorKind::NotAllowed, 5),
        (ErrorKind::Taken, 1),
    ];
    assert_eq!(refusals(&engine.figures()), expected);
    ada.end();
    ada.history(nowhere, &Range { limit: 1, ..EVERYTHING }).await.expect_err("ended");
    assert!(refusals(&engine.figures()).contains(&(ErrorKind::Ended, 1)));
}

#[tokio::test(start_paused = true)]
async fn attempts_that_fail_are_told_apart() {
    let world = World::new();
    let (engine, faults) = spoilt(&world).await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let at = direct(&ada, &bob);
    let before = engine.figures().commits;
    faults.on_next_commits([
        CommitFault::Unavailable,
        CommitFault::DoneButAmbiguous,
        CommitFault::NotDoneAndAmbiguous,
    ]);
    assert_eq!(ada.send(text(at, "lost")).await.expect_err("away").kind(), ErrorKind::Unavailable);
    say(&ada, at, "settled").await;
    let after = engine.figures();
    assert_eq!((after.commits.unavailable, after.commits.ambiguous, after.commits.invalid), (1, 2, 0));
    assert_eq!(after.commits.batches - before.batches, 1);
    assert_eq!(after.commits.seconds.count() - before.seconds.count(), 4);
    assert_eq!(after.sends.duplicates, 1, "as the store saw it, the first attempt had stored it");
    assert_eq!(refusals(&after), [(ErrorKind::Unavailable, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_a_slow_reader_loses_from_its_queue_is_counted() {
    let world = World::new();
    let mut small = config();
    small.session_queue_bytes = 2_000;
    let engine = world.alone_with(small).await;
    let (mut ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let at = direct(&ada, &bob);
    say(&ada, at, "hello").await;
    bob.reaches(at, 1).await;
    ada.drain().await;
    let before = engine.figures();
    assert_eq!((before.queues.outbox_bytes, before.deliveries.collapses), (0, 0));
    for number in 0..10 {
        say(&ada, at, format!("{number} {}", "x".repeat(500))).await;
        ada.drain().await;
    }
    let after = engine.figures();
    assert_eq!(after.deliveries.collapses, 1, "from then on the mark covers what comes");
    let queued = after.deliveries.entries - before.deliveries.entries;
    assert!((11..20).contains(&queued), "all to the sender, some to the other: {queued}");
    bob.drain().await;
    assert_eq!(engine.figures().queues.outbox_bytes, 0);
    for _ in 0..40 {
        ada.typing(at).expect("they may");
    }
    let queues = engine.figures().queues;
    assert_eq!(queues.outbox_bytes, 31 * 64, "as many as fit");
    assert!(queues.outbox_limit_bytes > queues.outbox_bytes);
    assert_eq!(engine.figures().deliveries.ephemerals_dropped, 9);
}

#[tokio::test(start_paused = true)]
async fn holes_and_the_journal_are_counted_where_the_bus_brings_nothing() {
    let world = World::new();
    let here = world.node().await;
    let (bus, faults) = FaultyBus::new(world.bus.endpoint(), 1);
    let mut careful = config();
    careful.gate_repair_limit = 3;
    let there = world.builder(careful).bus(bus).start().await.expect("an engine");
    let (ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let all = group(create(&ada, closed("all"), &[bob.user()]).await);
    bob.reaches(all, 1).await;
    faults.receiving(BusWeather::LOST);
    let before = there.figures();
    let last = say(&ada, all, "one").await.seq;
    bob.reaches(all, last).await;
    let after = there.figures();
    assert_eq!(after.repairs.holes_read - before.repairs.holes_read, 1);
    assert_eq!(after.repairs.holes_given_up, before.repairs.holes_given_up);
    let (then, now) = (before.journal.expect("it is shared"), after.journal.expect("it is shared"));
    assert!(now.rounds > then.rounds);
    assert_eq!(now.errors, 0);
    assert!(now.age <= Duration::from_secs(1));
    let mut last = 0;
    for number in 0..10 {
        last = say(&ada, all, number.to_string()).await.seq;
    }
    bob.reaches(all, last).await;
    assert_eq!(there.figures().repairs.holes_given_up - before.repairs.holes_given_up, 1, "too large");
    faults.says(Some(BusState::Degraded));
    assert_eq!(there.figures().bus.expect("there is one").state, BusState::Degraded);
    assert!(world.alone().await.figures().bus.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_read_grows_old() {
    let world = World::new();
    let (engine, faults) = spoilt(&world).await;
    faults.reads(StoreWeather::Away);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let journal = engine.figures().journal.expect("it is shared");
    assert!(journal.errors >= 5 && journal.age >= Duration::from_secs(8), "{journal:?}");
    faults.reads(StoreWeather::Fair);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(engine.figures().journal.expect("it is shared").age <= Duration::from_secs(1));
}

/// Keeps the work that it is given until it is told to do it.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Job>>>);

impl Blocking for Kept {
    fn run(&self, job: Job) {
        self.0.lock().expect("no panic").push(job);
    }
}

impl Kept {
    fn take(&self) -> Vec<Job> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

#[tokio::test(start_paused = true)]
async fn passwords_that_wait_to_be_hashed_are_counted_until_their_turn_or_until_nobody_asks_any_more() {
    let (world, kept) = (World::new(), Kept::default());
    let mut one_at_a_time = config();
    one_at_a_time.password_hashes_at_once = 1;
    let engine = world.builder(one_at_a_time).blocking(kept.clone()).start().await.expect("an engine");
    let waiting = || engine.figures().queues.password_hashes;
    let asking = ["ada", "bob", "cyn"].map(|who| {
        let engine = engine.clone();
        tokio::spawn(async move { engine.register(registration(who)).await.map(drop) })
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(waiting(), 2, "one is being hashed");
    let [ada, bob, cyn] = asking;
    cyn.abort();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(waiting(), 1);
    for one in [ada, bob] {
        let work = kept.take();
        assert_eq!(work.len(), 1, "one at a time");
        work.into_iter().for_each(|job| job());
        one.await.expect("no panic").expect("registered");
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(waiting(), 0);
    }
}
