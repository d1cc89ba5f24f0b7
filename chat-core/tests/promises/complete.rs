//! **complete**: every entry reaches every session of its conversation within 2 s of its commit,
//! whatever becomes of the bus or of the node that wrote it.

use std::sync::Arc;
use std::time::Duration;

use chat_core::bus::Topic;
use chat_core::memory::MemoryStore;
use chat_core::testkit::faults::{BusFaults, BusWeather, FaultyBus, FaultyStore, StoreFaults, StoreWeather};
use chat_core::{ContactAction, EndReason, Engine, Epoch, GroupAction, JoinPolicy};

use crate::client::Client;
use crate::published::Recorded;
use crate::world::{
    World, act, again, another, closed, config, create, direct, found, group, id, join, login, say, text,
};

const PROMISED: Duration = Duration::from_secs(2);

const BAD: BusWeather = BusWeather {
    lost_percent: 30,
    repeated_percent: 30,
    delayed_percent: 30,
    delay_at_most: Duration::from_millis(900),
};

async fn faulty_node(world: &World, seed: u64) -> (Engine, BusFaults) {
    let (bus, faults) = FaultyBus::new(world.bus.endpoint(), seed);
    (world.node_on(bus).await, faults)
}

async fn hears(client: &mut Client, at: chat_core::ConversationId, seq: u64) {
    let what = format!("{at:?} {seq}");
    client.within(PROMISED, &what, |client| client.position(&at) >= seq).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_bus_what_is_written_on_one_node_is_heard_on_another_at_once() {
    let world = World::new();
    let (here, there) = (world.node().await, world.node().await);
    let (ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let at = direct(&ada, &bob);
    let seq = say(&ada, at, "hello").await.seq;
    bob.within(Duration::from_millis(1), "the message", |bob| bob.position(&at) >= seq).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_bus_everything_is_heard_within_two_seconds() {
    let world = World::new();
    let (here, there) = (world.alone().await, world.alone().await);
    let (ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let all = create(&ada, closed("all"), &[bob.user()]).await;
    hears(&mut bob, group(all), 1).await;
    let pair = direct(&ada, &bob);
    for number in 0..20 {
        for at in [group(all), pair] {
            let seq = say(&ada, at, number.to_string()).await.seq;
            hears(&mut bob, at, seq).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn through_a_bus_that_loses_repeats_and_reorders_nothing_is_missing_or_out_of_order() {
    for seed in 1..=8 {
        println!("seed {seed}");
        let world = World::new();
        let (here, there) = (faulty_node(&world, seed).await, faulty_node(&world, seed + 100).await);
        let (mut ada, mut bob) = (join(&here.0, "ada").await, join(&there.0, "bob").await);
        let all = create(&ada, closed("all"), &[bob.user()]).await;
        hears(&mut bob, group(all), 1).await;
        let pair = direct(&ada, &bob);
        here.1.receiving(BAD);
        there.1.receiving(BAD);
        for number in 0..60 {
            say(&ada, group(all), format!("ada {number}")).await;
            say(&bob, group(all), format!("bob {number}")).await;
            say(&bob, pair, number.to_string()).await;
            tokio::time::sleep(Duration::from_millis(37)).await;
        }
        for client in [&mut ada, &mut bob] {
            hears(client, group(all), 121).await;
            hears(client, pair, 60).await;
        }
        assert_eq!(ada.logs[&group(all)], world.log(group(all)).await);
        assert_eq!(bob.logs[&group(all)], world.log(group(all)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_node_committed_and_did_not_publish_before_it_died_is_heard_all_the_same() {
    let world = World::new();
    let (here, there) = (faulty_node(&world, 1).await, world.node().await);
    let (ada, mut bob) = (join(&here.0, "ada").await, join(&there, "bob").await);
    let at = direct(&ada, &bob);
    let seq = say(&ada, at, "one").await.seq;
    hears(&mut bob, at, seq).await;
    here.1.sending(BusWeather::LOST);
    let seq = say(&ada, at, "last words").await.seq;
    drop((ada, here));
    hears(&mut bob, at, seq).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_direct_conversation_is_heard_from_its_first_message_by_every_device() {
    let world = World::new();
    let (here, there) = (world.node().await, world.node().await);
    let (mut ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let (mut ada2, mut bob2) = (another(&there, "ada").await, another(&here, "bob").await);
    let at = direct(&ada, &bob);
    say(&ada, at, "one").await;
    say(&bob, at, "two").await;
    for client in [&mut ada, &mut bob, &mut ada2, &mut bob2] {
        hears(client, at, 2).await;
        assert_eq!(client.texts(at), ["one", "two"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_hears_a_direct_conversation_that_a_later_one_on_its_node_listened_to_first() {
    let world = World::new();
    let (here, there) = (world.alone().await, world.alone().await);
    let (ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    // The request makes rows for the two and no entry: the next device finds them when it logs in.
    ada.contact(id(), bob.user(), ContactAction::Request { note: String::new() }).await.expect("asked");
    let at = direct(&ada, &bob);
    say(&ada, at, "one").await;
    let mut bob2 = another(&there, "bob").await;
    say(&ada, at, "two").await;
    for client in [&mut bob, &mut bob2] {
        hears(client, at, 2).await;
        assert_eq!(client.texts(at), ["one", "two"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_dissolved_before_a_node_heard_of_it_is_heard_of_all_the_same() {
    let world = World::new();
    let (here, there) = (world.alone().await, world.alone().await);
    let (ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let all = create(&ada, closed("all"), &[bob.user()]).await;
    act(&ada, all, GroupAction::Dissolve).await;
    hears(&mut bob, group(all), 2).await;
}

#[tokio::test(start_paused = true)]
async fn sessions_that_begin_while_others_write_miss_nothing() {
    let world = World::new();
    let (here, there) = (world.node().await, world.alone().await);
    let (ada, bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let all = create(&ada, closed("all"), &[bob.user()]).await;
    let (at, session) = (group(all), ada.session.clone());
    let writer = tokio::spawn(async move {
        for number in 0..300 {
            say(&session, at, number.to_string()).await;
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
    });
    let mut sessions = Vec::new();
    for number in 0..20 {
        tokio::time::sleep(Duration::from_millis(83)).await;
        let node = if number % 2 == 0 { &here } else { &there };
        // The device limit is 16; what is over evicts nobody who is online.
        if sessions.len() < 14 {
            let new = login(node, "bob").await.expect("logged in");
            let mut client = Client::unsynced(new, node);
            tokio::time::sleep(Duration::from_millis(number * 3)).await;
            client.sync().await;
            sessions.push(client);
        }
    }
    writer.await.expect("no panic");
    let log = world.log(at).await;
    for client in &mut sessions {
        hears(client, at, log.len() as u64).await;
        assert_eq!(client.logs[&at], log[log.len() - client.logs[&at].len()..]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_joins_in_the_middle_of_a_stream_hears_everything_from_the_join_on() {
    let world = World::new();
    let (here, there) = (world.node().await, world.alone().await);
    let (ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let all = create(&ada, found("all", JoinPolicy::Open), &[]).await;
    let (at, session) = (group(all), ada.session.clone());
    let writer = tokio::spawn(async move {
        for number in 0..100 {
            say(&session, at, number.to_string()).await;
            tokio::time::sleep(Duration::from_millis(11)).await;
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    act(&bob, all, GroupAction::Join).await;
    writer.await.expect("no panic");
    let log = world.log(at).await;
    hears(&mut bob, at, log.len() as u64).await;
    let since = log.iter().position(|entry| entry.sender == bob.user()).expect("joined");
    assert_eq!(bob.logs[&at], log[since..]);
}

#[tokio::test(start_paused = true)]
async fn a_large_hole_in_a_large_group_is_filled_to_its_end() {
    let world = World::over(Arc::new(MemoryStore::new(Epoch(1))));
    let (here, there) = (faulty_node(&world, 1).await, world.node().await);
    let ada = join(&here.0, "ada").await;
    // More listeners than are served inline, and more bytes than one repair reads at a time.
    let mut people = Vec::new();
    for number in 0..70 {
        people.push(join(&there, &format!("user{number}")).await);
    }
    let users: Vec<_> = people.iter().map(|person| person.user()).collect();
    let all = create(&ada, closed("all"), &users).await;
    for person in &mut people {
        hears(person, group(all), 1).await;
    }
    here.1.sending(BusWeather::LOST);
    let mut seq = 0;
    for _ in 0..40 {
        seq = say(&ada, group(all), "x".repeat(20_000)).await.seq;
    }
    tokio::time::sleep(PROMISED).await;
    for person in &mut people {
        person.drain().await;
        assert_eq!(person.position(&group(all)), seq);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_removed_and_added_again_goes_on_hearing_the_group() {
    let world = World::new();
    let (here, there) = (world.node().await, faulty_node(&world, 3).await);
    let (ada, mut bob) = (join(&here, "ada").await, join(&there.0, "bob").await);
    let cyn = join(&there.0, "cyn").await;
    let all = create(&ada, closed("all"), &[bob.user(), cyn.user()]).await;
    hears(&mut bob, group(all), 1).await;
    // The removal is lost, what follows is not: the notice of the addition overtakes the removal.
    there.1.receiving(BusWeather::LOST);
    act(&ada, all, GroupAction::Remove(bob.user())).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    there.1.receiving(BusWeather::default());
    act(&ada, all, GroupAction::Add(vec![bob.user()])).await;
    tokio::time::sleep(PROMISED).await;
    let seq = say(&ada, group(all), "welcome back").await.seq;
    bob.until("the message", |bob| {
        bob.logs.get(&group(all)).is_some_and(|log| log.last().is_some_and(|last| last.seq == seq))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_listens_to_what_its_users_are_in_and_to_nothing_else() {
    let world = World::new();
    let (here, there) = (world.node().await, faulty_node(&world, 3).await);
    let (ada, mut bob) = (join(&here, "ada").await, join(&there.0, "bob").await);
    let all = create(&ada, closed("all"), &[bob.user()]).await;
    hears(&mut bob, group(all), 1).await;
    let user = Topic::User(bob.user());
    let topics = || there.1.topics().into_iter().collect::<Vec<_>>();
    assert_eq!(topics(), [Topic::Nodes, user, Topic::Group(all)]);
    act(&ada, all, GroupAction::Remove(bob.user())).await;
    hears(&mut bob, group(all), 2).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(topics(), [Topic::Nodes, user]);
    let token = bob.into_token();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(topics(), [Topic::Nodes]);
    let mut bob = again(&there.0, token).await;
    assert_eq!(topics(), [Topic::Nodes, user]);
    let seq = say(&ada, direct(&ada, &bob), "still there?").await.seq;
    let at = direct(&ada, &bob);
    bob.within(Duration::from_millis(1), "the message", |bob| bob.position(&at) >= seq).await;
}

/// Time enough for rosters to be told.
const TOLD: Duration = Duration::from_millis(200);

#[tokio::test(start_paused = true)]
async fn what_concerns_a_user_is_published_only_where_the_user_may_be_elsewhere() {
    let world = World::new();
    let (bus, published) = Recorded::new(world.bus.endpoint());
    let (here, there) = (world.node_on(bus).await, world.node().await);
    let (ada, bob) = (join(&here, "ada").await, join(&here, "bob").await);
    let mut cyn = join(&there, "cyn").await;
    tokio::time::sleep(TOLD).await;
    published.take();
    say(&ada, direct(&ada, &bob), "both are here alone").await;
    assert_eq!(published.take(), []);
    let seq = say(&ada, direct(&ada, &cyn), "one is there").await.seq;
    assert_eq!(published.take(), [Topic::User(cyn.user())]);
    cyn.within(Duration::from_millis(1), "the message", |cyn| cyn.position(&direct(&ada, cyn)) >= seq).await;
    let mut second = another(&there, "ada").await;
    tokio::time::sleep(TOLD).await;
    published.take();
    let seq = say(&ada, direct(&ada, &bob), "one is here and there").await.seq;
    assert_eq!(published.take(), [Topic::User(ada.user())]);
    let at = direct(&ada, &bob);
    second.within(Duration::from_millis(1), "the message", |second| second.position(&at) >= seq).await;
    let (user, at) = (bob.user(), direct(&ada, &bob));
    drop(bob);
    published.take();
    say(&ada, at, "who left may be anywhere").await;
    assert!(published.take().contains(&Topic::User(user)));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_came_to_a_node_whose_words_are_lost_hears_everything_all_the_same() {
    let world = World::new();
    let (here, there) = (world.node().await, faulty_node(&world, 3).await);
    let (ada, bob) = (join(&here, "ada").await, join(&here, "bob").await);
    tokio::time::sleep(TOLD).await;
    there.1.sending(BusWeather::LOST);
    let mut second = another(&there.0, "ada").await;
    let at = direct(&ada, &bob);
    for number in 0..10 {
        let seq = say(&bob, at, number.to_string()).await.seq;
        hears(&mut second, at, seq).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_lagged_follows_the_journal_at_once() {
    let world = World::new();
    let (bus, faults) = FaultyBus::new(world.bus.endpoint(), 1);
    let mut slow = config();
    slow.journal_interval = Duration::from_secs(3600);
    let there = world.builder(slow).bus(bus).start().await.expect("an engine");
    let here = world.node().await;
    let (ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let at = direct(&ada, &bob);
    faults.receiving(BusWeather::LOST);
    let seq = ada.send(text(at, "lost")).await.expect("sent").seq;
    tokio::time::sleep(Duration::from_secs(10)).await;
    bob.drain().await;
    assert_eq!(bob.position(&at), 0);
    faults.receiving(BusWeather::default());
    faults.lag();
    bob.within(Duration::from_millis(100), "the message", |bob| bob.position(&at) >= seq).await;
}

/// A node that reads the journal with these pauses, through a store and from a bus that fail on demand.
async fn failing_node(world: &World, journal_interval: Duration) -> (Engine, StoreFaults, BusFaults) {
    let (store, store_faults) = FaultyStore::new(Arc::clone(&world.store));
    let (bus, bus_faults) = FaultyBus::new(world.bus.endpoint(), 1);
    let mut config = config();
    config.journal_interval = journal_interval;
    let engine = world.builder_over(Arc::new(store), config).bus(bus).start().await.expect("an engine");
    (engine, store_faults, bus_faults)
}

/// So soon after the return of its store a node has caught up, though nobody writes any more.
const CAUGHT_UP: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn when_its_store_returns_a_node_catches_up_within_a_second_though_nobody_writes() {
    let world = World::new();
    let here = world.node().await;
    let (there, store, bus) = failing_node(&world, config().journal_interval).await;
    let (ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let at = direct(&ada, &bob);
    let seq = say(&ada, at, "by the bus").await.seq;
    hears(&mut bob, at, seq).await;
    bus.receiving(BusWeather::LOST);
    // The store returns at any moment between two looks at the journal.
    for moment in (0..1_300).step_by(50).map(Duration::from_millis) {
        store.reads(StoreWeather::Away);
        let seq = say(&ada, at, "while the store is away").await.seq;
        tokio::time::sleep(Duration::from_secs(3) + moment).await;
        bob.drain().await;
        assert_eq!(bob.position(&at), seq - 1, "nothing else brings it");
        store.reads(StoreWeather::Fair);
        bob.within(CAUGHT_UP, "the message", |bob| bob.position(&at) >= seq).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_bus_said_it_had_lost_while_the_store_was_away_is_read_when_the_store_returns() {
    let world = World::new();
    let here = world.node().await;
    let (there, store, bus) = failing_node(&world, Duration::from_secs(3600)).await;
    let (ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let at = direct(&ada, &bob);
    store.reads(StoreWeather::Away);
    bus.receiving(BusWeather::LOST);
    let seq = say(&ada, at, "lost").await.seq;
    bus.receiving(BusWeather::default());
    bus.lag();
    tokio::time::sleep(Duration::from_secs(10)).await;
    bob.drain().await;
    assert_eq!(bob.position(&at), 0);
    store.reads(StoreWeather::Fair);
    bob.within(CAUGHT_UP, "the message", |bob| bob.position(&at) >= seq).await;
}

#[tokio::test(start_paused = true)]
async fn when_another_history_was_restored_everybody_starts_over() {
    let world = World::new();
    let (store, faults) = FaultyStore::new(Arc::clone(&world.store));
    let engine = world.builder_over(Arc::new(store), config()).start().await.expect("an engine");
    let (mut ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let token = ada.token();
    say(&bob, direct(&ada, &bob), "hello").await;
    faults.says_epoch(Epoch(7));
    ada.within(Duration::from_secs(10), "the end", |ada| ada.ended.is_some()).await;
    assert_eq!(ada.ended, Some(EndReason::Reset));
    assert_eq!(engine.epoch(), Epoch(7));
    let (ada, mut bob) = (again(&engine, token).await, another(&engine, "bob").await);
    let (at, seq) = (direct(&ada, &bob), say(&ada, direct(&ada, &bob), "again").await.seq);
    bob.within(Duration::from_millis(1), "the message", |bob| bob.position(&at) >= seq).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(ada.contacts(None, 1).await.is_ok(), "once");
}
