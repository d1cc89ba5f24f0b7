//! **durable**: what was acknowledged is stored, whatever happens to the engine or the link to the
//! store; what was not acknowledged is stored once or not at all, and a retry tells.

use std::sync::Arc;
use std::time::Duration;

use chat_core::memory::MemoryStore;
use chat_core::store::Store;
use chat_core::testkit::faults::{CommitFault, FaultyStore, StoreFaults, StoreWeather};
use chat_core::{ContactAction, Engine, EngineConfig, Epoch, ErrorKind};

use crate::client::{Client, words};
use crate::world::{World, closed, config, create, direct, group, id, join, numbered, say, text};

/// An engine over a store that fails on demand.
async fn faulty(config: EngineConfig) -> (World, Engine, StoreFaults) {
    let world = World::new();
    let (store, faults) = FaultyStore::new(Arc::clone(&world.store));
    let engine = world.builder_over(Arc::new(store), config).start().await.expect("an engine");
    (world, engine, faults)
}

/// As [`faulty`], but no journal brings what the engine itself does not.
async fn faulty_of_one_node() -> (World, Engine, StoreFaults) {
    let world = World::new();
    let (store, faults) = FaultyStore::new(Arc::clone(&world.store));
    let store = Arc::new(store.of_one_node());
    let engine = world.builder_over(store, config()).start().await.expect("an engine");
    (world, engine, faults)
}

async fn pair(engine: &Engine) -> (Client, Client) {
    (join(engine, "ada").await, join(engine, "bob").await)
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_is_stored_when_the_engine_is_dropped_under_load() {
    let world = World::new();
    let engine = world.alone().await;
    let (ada, bob) = pair(&engine).await;
    let to = direct(&ada, &bob);
    let mut pending = Vec::new();
    for number in 0..200 {
        pending.push(ada.begin_send(text(to, number.to_string())).await.expect("queued"));
    }
    let mut acknowledged = Vec::new();
    for one in pending.drain(..20) {
        acknowledged.push(one.await.expect("stored"));
    }
    drop((ada, bob, engine));
    for one in pending {
        match one.await {
            Ok(receipt) => acknowledged.push(receipt),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Ended),
        }
    }
    let log = world.log(to).await;
    assert!(acknowledged.len() >= 20);
    for receipt in acknowledged {
        assert!(log.iter().any(|entry| entry.seq == receipt.seq), "{receipt:?} was acknowledged");
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_is_neither_lost_nor_doubled() {
    for fault in [CommitFault::DoneButAmbiguous, CommitFault::NotDoneAndAmbiguous] {
        let (world, engine, faults) = faulty(config()).await;
        let (ada, mut bob) = pair(&engine).await;
        let to = direct(&ada, &bob);
        faults.on_next_commits([fault, fault, CommitFault::Unavailable, fault]);
        say(&ada, to, "once").await;
        assert_eq!(world.log(to).await.len(), 1, "{fault:?}");
        bob.reaches(to, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_reaches_everyone_it_concerns_without_a_journal() {
    let (_world, engine, faults) = faulty_of_one_node().await;
    let (ada, mut bob) = pair(&engine).await;
    bob.drain().await;
    let before = bob.position(&bob.inbox());

    faults.on_next_commits([CommitFault::DoneButAmbiguous]);
    let asked = ada.contact(id(), bob.user(), ContactAction::Request { note: "hello".into() }).await;
    asked.expect("asked");
    bob.reaches(bob.inbox(), before + 1).await;

    faults.on_next_commits([CommitFault::DoneButAmbiguous]);
    let all = create(&ada, closed("all"), &[bob.user()]).await;
    bob.reaches(group(all), 1).await;
}

#[tokio::test(start_paused = true)]
async fn past_the_deadline_the_outcome_is_unknown_and_a_retry_with_the_same_id_settles_it() {
    let (world, engine, faults) = faulty(config()).await;
    let (ada, bob) = pair(&engine).await;
    let to = direct(&ada, &bob);
    faults.commits(StoreWeather::Frozen);
    let send = text(to, "slowly");
    let unknown = ada.send(send.clone()).await.expect_err("nobody knows");
    assert_eq!(unknown.kind(), ErrorKind::OutcomeUnknown);
    assert!(unknown.retry_delay().is_some());
    faults.commits(StoreWeather::Fair);
    let receipt = ada.send(send).await.expect("settled");
    assert_eq!(receipt.seq, 1);
    assert_eq!(world.log(to).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_send_still_queued_at_its_deadline_is_withdrawn_and_never_stored() {
    let (world, engine, faults) = faulty(config()).await;
    let (ada, bob) = pair(&engine).await;
    let to = direct(&ada, &bob);
    say(&ada, to, "before").await;
    faults.commits(StoreWeather::Frozen);
    let in_flight = ada.begin_send(text(to, "in flight")).await.expect("queued");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let queued = ada.begin_send(text(to, "queued")).await.expect("queued");
    assert_eq!(in_flight.await.expect_err("late").kind(), ErrorKind::OutcomeUnknown);
    let withdrawn = queued.await.expect_err("late");
    assert_eq!(withdrawn.kind(), ErrorKind::Overloaded);
    faults.commits(StoreWeather::Fair);
    say(&ada, to, "after").await;
    let said: Vec<_> = world.log(to).await.iter().filter_map(words).collect();
    assert_eq!(said, ["before", "in flight", "after"]);
}

#[tokio::test(start_paused = true)]
async fn deadlines_hold_while_the_store_does_not_answer_reads() {
    let (world, engine, faults) = faulty(config()).await;
    let (ada, bob) = pair(&engine).await;
    let to = direct(&ada, &bob);
    faults.reads(StoreWeather::Frozen);
    let sends = [text(to, "one"), text(to, "two")];
    let first = ada.begin_send(sends[0].clone()).await.expect("queued");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second = ada.begin_send(sends[1].clone()).await.expect("queued");
    let answers = async { (first.await, second.await) };
    let patience = engine.config().commit_deadline + Duration::from_secs(1);
    let (first, second) = tokio::time::timeout(patience, answers).await.expect("answered in time");
    for answer in [first, second] {
        assert_eq!(answer.expect_err("late").kind(), ErrorKind::Overloaded, "withdrawn: never handed over");
    }
    faults.reads(StoreWeather::Fair);
    say(&ada, to, "after").await;
    assert_eq!(world.log(to).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_answers_overloaded_at_once() {
    let mut config = config();
    config.commit_queue_rows = 10;
    let (world, engine, faults) = faulty(config).await;
    let (ada, bob) = pair(&engine).await;
    let to = direct(&ada, &bob);
    say(&ada, to, "before").await;
    faults.commits(StoreWeather::Frozen);
    let mut pending = vec![ada.begin_send(text(to, "in flight")).await.expect("queued")];
    tokio::time::sleep(Duration::from_millis(10)).await;
    for _ in 0..10 {
        pending.push(ada.begin_send(text(to, "queued")).await.expect("there is room"));
    }
    let refused = ada.begin_send(text(to, "too much")).await.expect_err("full");
    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    assert!(refused.retry_delay().is_some());
    faults.commits(StoreWeather::Fair);
    for one in pending {
        one.await.expect("stored");
    }
    assert_eq!(world.log(to).await.len(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_told_apart_and_comes_back() {
    let (world, engine, faults) = faulty(config()).await;
    let (ada, bob) = pair(&engine).await;
    let to = direct(&ada, &bob);
    say(&ada, to, "before").await;
    faults.commits(StoreWeather::Away);
    let refused = ada.send(text(to, "away")).await.expect_err("away");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(!refused.message().contains("store"), "no words of a backend: {}", refused.message());
    faults.commits(StoreWeather::Fair);
    say(&ada, to, "after").await;
    assert_eq!(world.log(to).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn through_slow_and_doubtful_commits_every_send_that_is_retried_is_stored_once_in_order() {
    let (world, engine, faults) = faulty(config()).await;
    let (ada, mut bob) = pair(&engine).await;
    let to = direct(&ada, &bob);
    faults.commits(StoreWeather::Slow(Duration::from_millis(30)));
    let doubt = [CommitFault::DoneButAmbiguous, CommitFault::Unavailable, CommitFault::NotDoneAndAmbiguous];
    faults.on_next_commits(doubt.into_iter().cycle().take(30));
    for number in 0..40 {
        let mut send = text(to, number.to_string());
        send.client_id = numbered(1_000_000 + number);
        while let Err(error) = ada.send(send.clone()).await {
            assert!(error.retry_delay().is_some(), "{error:?}");
        }
    }
    let expected: Vec<_> = (0..40).map(|number| number.to_string()).collect();
    let stored: Vec<_> = world.log(to).await.iter().filter_map(words).collect();
    assert_eq!(stored, expected);
    bob.reaches(to, 40).await;
    assert_eq!(bob.texts(to), expected);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_lets_no_engine_start() {
    let world = World::new();
    let (store, faults) = FaultyStore::new(Arc::new(MemoryStore::new(Epoch(1))) as Arc<dyn Store>);
    faults.reads(StoreWeather::Away);
    assert!(world.builder_over(Arc::new(store), config()).start().await.is_err());
}
