//! Whether a node is ready follows its store and its bus, both ways, and without being asked to write.

use std::sync::Arc;
use std::time::Duration;

use chat_core::bus::BusState;
use chat_core::testkit::faults::{FaultyBus, FaultyStore, StoreFaults, StoreWeather};
use chat_core::{Chunk, Engine, ErrorKind, Hooks, Unready};

use crate::world::{World, config, direct, join, say, text};

/// What is promised between a change and its being told, where nothing else is asked of the store.
const NOTICED: Duration = Duration::from_secs(3);

async fn over(world: &World, store: FaultyStore) -> Engine {
    world.builder_over(Arc::new(store), config()).start().await.expect("an engine")
}

async fn shared(world: &World) -> (Engine, StoreFaults) {
    let (store, faults) = FaultyStore::new(Arc::clone(&world.store));
    (over(world, store).await, faults)
}

fn is_ready(engine: &Engine) -> bool {
    let health = engine.health();
    assert_eq!(health.ready, health.reasons.is_empty());
    assert_eq!(engine.figures().store_ready, !health.reasons.iter().any(|reason| of_store(*reason)));
    health.ready
}

fn of_store(reason: Unready) -> bool {
    matches!(reason, Unready::StoreAway | Unready::StoreReadOnly)
}

#[tokio::test(start_paused = true)]
async fn an_idle_node_notices_that_its_store_goes_away_and_comes_back() {
    let world = World::new();
    let (engine, faults) = shared(&world).await;
    assert!(is_ready(&engine));
    for away in [StoreWeather::Away, StoreWeather::Frozen, StoreWeather::Slow(Duration::from_secs(60))] {
        faults.reads(away);
        faults.commits(away);
        tokio::time::sleep(NOTICED + Duration::from_millis(500)).await;
        assert!(!is_ready(&engine), "{away:?}");
        assert_eq!(engine.health().reasons, [Unready::StoreAway]);
        faults.reads(StoreWeather::Fair);
        faults.commits(StoreWeather::Fair);
        tokio::time::sleep(NOTICED).await;
        assert!(is_ready(&engine), "after {away:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_node_notices_that_its_store_takes_no_writes() {
    let world = World::new();
    let (engine, faults) = shared(&world).await;
    faults.commits(StoreWeather::ReadOnly);
    tokio::time::sleep(NOTICED).await;
    assert_eq!(engine.health().reasons, [Unready::StoreReadOnly]);
    faults.commits(StoreWeather::Fair);
    tokio::time::sleep(NOTICED).await;
    assert!(is_ready(&engine));
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_tells_at_once_and_a_probe_that_it_is_over() {
    let world = World::new();
    let (store, faults) = FaultyStore::new(Arc::clone(&world.store));
    let engine = over(&world, store.of_one_node()).await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let at = direct(&ada, &bob);
    faults.commits(StoreWeather::Away);
    assert!(is_ready(&engine), "nobody has noticed");
    assert_eq!(ada.send(text(at, "lost")).await.expect_err("away").kind(), ErrorKind::Unavailable);
    assert_eq!(engine.health().reasons, [Unready::StoreAway]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!is_ready(&engine), "as long as it lasts");
    faults.commits(StoreWeather::Fair);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(is_ready(&engine), "though nobody wrote");
    faults.commits(StoreWeather::ReadOnly);
    ada.send(text(at, "lost")).await.expect_err("read-only");
    assert_eq!(engine.health().reasons, [Unready::StoreReadOnly]);
    faults.commits(StoreWeather::Fair);
    say(&ada, at, "stored").await;
    assert!(is_ready(&engine), "a write that was taken tells at once");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_one_node_has_for_itself_is_left_alone_while_nobody_uses_it() {
    let world = World::new();
    let (store, faults) = FaultyStore::new(Arc::clone(&world.store));
    let engine = over(&world, store.of_one_node()).await;
    faults.reads(StoreWeather::Away);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(is_ready(&engine));
}

#[tokio::test(start_paused = true)]
async fn reads_that_are_slow_while_others_are_answered_do_not_make_a_node_unready() {
    let world = World::new();
    let (engine, faults) = shared(&world).await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    say(&ada, direct(&ada, &bob), "now the rules are known").await;
    faults.reads(StoreWeather::Slow(Duration::from_secs(5)));
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        say(&ada, direct(&ada, &bob), "and on").await;
        assert!(is_ready(&engine));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_is_ready_once_its_bus_was_proven_and_stays_so_when_it_degrades() {
    let world = World::new();
    let (bus, faults) = FaultyBus::new(world.bus.endpoint(), 1);
    faults.says(Some(BusState::Unproven));
    let engine = world.node_on(bus).await;
    assert_eq!(engine.health().reasons, [Unready::BusUnproven]);
    assert!(!engine.health().bus_degraded);
    faults.says(Some(BusState::Healthy));
    assert!(is_ready(&engine) && !engine.health().bus_degraded);
    faults.says(Some(BusState::Degraded));
    assert!(is_ready(&engine) && engine.health().bus_degraded);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_shuts_down_is_not_ready() {
    let world = World::new();
    let engine = world.alone().await;
    assert!(is_ready(&engine));
    engine.shutdown().await;
    assert_eq!(engine.health().reasons, [Unready::ShuttingDown]);
}

struct Panicking;

impl Hooks for Panicking {
    fn committed(&self, _: &Chunk) {
        panic!("on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_of_which_a_part_panicked_is_not_ready_and_says_so_to_whoever_waits() {
    let world = World::new();
    let builder = world.builder_over(Arc::clone(&world.store), config());
    let engine = builder.hooks(Panicking).start().await.expect("an engine");
    let failing = engine.clone();
    let failed = tokio::spawn(async move { failing.failed().await });
    assert!(is_ready(&engine) && !failed.is_finished());
    // Whoever has to be told of the first commit has nobody to tell.
    let registering = tokio::spawn({
        let engine = engine.clone();
        async move { drop(join(&engine, "ada").await) }
    });
    failed.await.expect("it is told");
    assert_eq!(engine.health().reasons, [Unready::Failed]);
    engine.failed().await;
    registering.abort();
    engine.shutdown().await;
}
