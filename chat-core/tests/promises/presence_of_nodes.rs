//! Presence over several nodes: convergent, whatever becomes of nodes and of the bus between them.

use std::time::Duration;

use chat_core::testkit::faults::{BusFaults, BusWeather, FaultyBus};
use chat_core::{DevicePolicy, EndReason, Engine, ErrorKind, UserId};

use crate::client::Client;
use crate::presence::{GATHERED as MOMENT, acquaint, later, presence};
use crate::world::{World, again, another, befriend, config, join, login};

const LEASE: Duration = Duration::from_secs(10);
const DEBOUNCE: Duration = Duration::from_secs(2);

async fn sees(client: &Client, who: UserId) -> bool {
    let contacts = client.contacts(None, 100).await.expect("contacts");
    let contact = contacts.iter().find(|contact| contact.profile.user == who).expect("a contact");
    contact.online.expect("told to contacts")
}

/// A node whose bus can be cut.
async fn fragile(world: &World, seed: u64) -> (Engine, BusFaults) {
    let (bus, faults) = FaultyBus::new(world.bus.endpoint(), seed);
    (world.node_on(bus).await, faults)
}

/// To the others it is as if it had been killed, or had lost its bus: nothing gets through.
fn cut(faults: &BusFaults) {
    faults.sending(BusWeather::LOST);
    faults.receiving(BusWeather::LOST);
}

fn mend(faults: &BusFaults) {
    faults.sending(BusWeather::default());
    faults.receiving(BusWeather::default());
    faults.lag();
}

#[tokio::test(start_paused = true)]
async fn contacts_on_different_nodes_see_each_other_come_and_go() {
    let world = World::new();
    let (here, there) = (world.node().await, world.node().await);
    let (mut ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let mut eve = join(&here, "eve").await;
    befriend(&ada, &bob).await;
    later(&mut ada, MOMENT).await;
    later(&mut bob, MOMENT).await;
    assert_eq!((presence(&ada, bob.user()), presence(&bob, ada.user())), (vec![true], vec![true]));
    let (user, token) = (bob.user(), bob.into_token());
    later(&mut ada, DEBOUNCE - MOMENT).await;
    assert_eq!(presence(&ada, user), [true], "it may come back");
    later(&mut ada, MOMENT * 2).await;
    assert_eq!(presence(&ada, user), [true, false]);
    assert!(!sees(&ada, user).await);
    let bob = again(&there, token).await;
    later(&mut ada, MOMENT).await;
    assert_eq!(presence(&ada, user), [true, false, true]);
    assert!(sees(&ada, user).await && sees(&bob, ada.user()).await);
    later(&mut eve, MOMENT).await;
    assert_eq!(presence(&eve, user), []);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_starts_later_learns_who_is_online() {
    let world = World::new();
    let here = world.node().await;
    let (mut ada, mut bob) = (join(&here, "ada").await, join(&here, "bob").await);
    acquaint(&mut ada, &mut bob).await;
    let there = world.node().await;
    tokio::time::sleep(MOMENT * 2).await;
    let second = another(&there, "ada").await;
    assert!(sees(&second, bob.user()).await);
}

#[tokio::test(start_paused = true)]
async fn who_moves_to_another_node_is_seen_to_move_by_nobody() {
    let world = World::new();
    let (a, b, c) = (world.node().await, world.node().await, world.node().await);
    let (mut ada, mut bob) = (join(&a, "ada").await, join(&b, "bob").await);
    acquaint(&mut ada, &mut bob).await;
    let (user, token) = (bob.user(), bob.into_token());
    for node in [&c, &a, &b, &c] {
        later(&mut ada, DEBOUNCE - MOMENT).await;
        let bob = again(node, token).await;
        later(&mut ada, DEBOUNCE * 2).await;
        drop(bob);
    }
    assert_eq!(presence(&ada, user), []);
}

#[tokio::test(start_paused = true)]
async fn who_is_on_two_nodes_goes_offline_with_the_last() {
    let world = World::new();
    let (a, b, c) = (world.node().await, world.node().await, world.node().await);
    let (mut ada, mut bob) = (join(&a, "ada").await, join(&b, "bob").await);
    let second = another(&c, "bob").await;
    acquaint(&mut ada, &mut bob).await;
    let user = bob.user();
    drop(bob);
    later(&mut ada, LEASE).await;
    assert_eq!(presence(&ada, user), []);
    drop(second);
    later(&mut ada, DEBOUNCE + MOMENT).await;
    assert_eq!(presence(&ada, user), [false]);
}

#[tokio::test(start_paused = true)]
async fn users_of_a_killed_node_go_offline_within_the_lease_once_and_no_others() {
    let world = World::new();
    let (here, third) = (world.node().await, world.node().await);
    let (there, faults) = fragile(&world, 1).await;
    let (mut ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let (mut eve, moved) = (join(&third, "eve").await, join(&there, "moved").await);
    acquaint(&mut ada, &mut bob).await;
    acquaint(&mut ada, &mut eve).await;
    befriend(&ada, &moved).await;
    later(&mut ada, LEASE * 2).await;
    ada.ephemerals.clear();
    cut(&faults);
    // Its client finds another node, as behind a balancer.
    let again = again(&third, moved.token()).await;
    later(&mut ada, LEASE * 2 / 3 - MOMENT).await;
    assert_eq!(presence(&ada, bob.user()), [], "the lease has not run out");
    later(&mut ada, LEASE / 3 + Duration::from_secs(1) + MOMENT).await;
    assert_eq!(presence(&ada, bob.user()), [false]);
    later(&mut ada, LEASE * 3).await;
    assert_eq!(presence(&ada, bob.user()), [false], "once");
    for stayed in [eve.user(), again.user()] {
        assert_eq!(presence(&ada, stayed), []);
        assert!(sees(&ada, stayed).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_taken_for_dead_announces_its_users_again() {
    let world = World::new();
    let here = world.node().await;
    let (there, faults) = fragile(&world, 2).await;
    let (mut ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    acquaint(&mut ada, &mut bob).await;
    later(&mut ada, LEASE * 2).await;
    cut(&faults);
    later(&mut ada, LEASE * 2).await;
    later(&mut bob, MOMENT).await;
    assert_eq!(presence(&ada, bob.user()), [false]);
    assert_eq!(presence(&bob, ada.user()), [], "who is cut off itself judges nobody");
    mend(&faults);
    later(&mut ada, MOMENT * 2).await;
    later(&mut bob, LEASE * 2).await;
    assert_eq!(presence(&ada, bob.user()), [false, true]);
    assert_eq!(presence(&bob, ada.user()), []);
}

#[tokio::test(start_paused = true)]
async fn nobody_flickers_while_the_bus_is_away_and_changes_are_seen_when_it_is_back() {
    let world = World::new();
    let (here, a) = fragile(&world, 3).await;
    let (there, b) = fragile(&world, 4).await;
    let (mut ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let (mut eve, token) = (join(&there, "eve").await, join(&there, "dan").await);
    acquaint(&mut ada, &mut bob).await;
    acquaint(&mut ada, &mut eve).await;
    let dan = token.user();
    befriend(&ada, &token).await;
    let token = token.into_token();
    later(&mut ada, LEASE * 2).await;
    ada.ephemerals.clear();
    for round in 1..4 {
        [&a, &b].into_iter().for_each(cut);
        later(&mut ada, LEASE * round).await;
        assert_eq!(ada.ephemerals, [], "the bus is away");
        [&a, &b].into_iter().for_each(mend);
        later(&mut ada, LEASE).await;
        assert_eq!(ada.ephemerals, [], "the bus is back");
    }
    [&a, &b].into_iter().for_each(cut);
    let gone = eve.user();
    drop(eve);
    let dan_again = again(&there, token).await;
    later(&mut ada, LEASE).await;
    [&a, &b].into_iter().for_each(mend);
    later(&mut ada, MOMENT * 3).await;
    assert_eq!((presence(&ada, gone), presence(&ada, dan)), (vec![false], vec![true]));
    assert_eq!(presence(&ada, bob.user()), []);
    drop(dan_again);
}

#[tokio::test(start_paused = true)]
async fn lost_repeated_and_late_words_of_nodes_converge() {
    for seed in 0..8 {
        let world = World::new();
        let (here, faults) = fragile(&world, seed).await;
        let there = world.node().await;
        faults.receiving(BusWeather {
            lost_percent: 30,
            repeated_percent: 20,
            delayed_percent: 30,
            delay_at_most: Duration::from_secs(1),
        });
        let mut ada = join(&here, "ada").await;
        let mut people = Vec::new();
        for number in 0..12 {
            let person = join(&there, &format!("p{number}")).await;
            befriend(&ada, &person).await;
            people.push(person);
        }
        let (mut away, mut users) = (Vec::new(), Vec::new());
        for (number, person) in people.into_iter().enumerate() {
            users.push((person.user(), number % 3 == 0));
            let token = person.into_token();
            later(&mut ada, Duration::from_millis(700)).await;
            if number % 3 == 0 {
                away.push(again(&there, token).await);
            }
        }
        // The lease passes for the last departure and, at one loss in three, for some beats.
        later(&mut ada, LEASE * 6).await;
        for (user, online) in users {
            assert_eq!(sees(&ada, user).await, online, "seed {seed}");
            assert_eq!(presence(&ada, user).last().copied().unwrap_or(false), online, "seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clean_stop_is_seen_without_waiting_for_the_lease() {
    let world = World::new();
    let (here, there) = (world.node().await, world.node().await);
    let (mut ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let mut eve = join(&there, "eve").await;
    acquaint(&mut ada, &mut bob).await;
    acquaint(&mut ada, &mut eve).await;
    there.shutdown().await;
    let back = again(&here, bob.token()).await;
    later(&mut ada, DEBOUNCE + MOMENT * 2).await;
    assert_eq!(presence(&ada, eve.user()), [false]);
    assert_eq!(presence(&ada, back.user()), [], "its client came back elsewhere in time");
}

#[tokio::test(start_paused = true)]
async fn a_dead_nodes_session_does_not_refuse_a_login_for_ever() {
    let world = World::new();
    let exclusive = || {
        let mut config = config();
        config.devices = DevicePolicy::RefuseWhileOnline;
        config
    };
    let start = async |bus| world.builder(exclusive()).bus(bus).start().await.expect("an engine");
    let here = start(FaultyBus::new(world.bus.endpoint(), 5).0).await;
    let (bus, faults) = FaultyBus::new(world.bus.endpoint(), 6);
    let there = start(bus).await;
    let mut ada = join(&there, "ada").await;
    tokio::time::sleep(LEASE * 2).await;
    let refused = |result: Result<_, chat_core::Error>| result.map(drop).expect_err("refused").kind();
    assert_eq!(refused(login(&here, "ada").await), ErrorKind::AlreadyOnline);
    cut(&faults);
    tokio::time::sleep(LEASE / 2).await;
    assert_eq!(refused(login(&here, "ada").await), ErrorKind::AlreadyOnline, "it may be alive");
    tokio::time::sleep(LEASE).await;
    let new = another(&here, "ada").await;
    // The node lives, cut off from the bus: its session ends once the journal has brought the news.
    ada.within(Duration::from_secs(2), "the end", |ada| ada.ended.is_some()).await;
    assert_eq!(ada.ended, Some(EndReason::Superseded));
    drop(new);
}
