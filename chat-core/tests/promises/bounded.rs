//! **bounded**: a reader that does not read costs no one anything, holds a bounded amount of memory,
//! and loses nothing.

use std::time::Duration;

use chat_core::{Ephemeral, Event};

use crate::client::Client;
use crate::world::{World, another, closed, config, create, direct, group, join, say};

/// The bytes of entries that wait in a session, taken out of it as they are.
fn take_raw(client: &mut Client) -> (usize, Vec<Event>) {
    let mut events = Vec::new();
    while let Some(event) = client.try_event() {
        events.push(event);
    }
    let bytes = events.iter().map(|event| match event {
        Event::Entries(chunk) => chunk.size_bytes(),
        _ => 0,
    });
    (bytes.sum(), events)
}

#[tokio::test(start_paused = true)]
async fn a_session_that_never_reads_holds_no_more_than_its_limit_and_disturbs_nobody() {
    let world = World::new();
    let mut small = config();
    small.session_queue_bytes = 10_000;
    let engine = world.alone_with(small).await;
    let (ada, mut bob, mut stuck) =
        (join(&engine, "ada").await, join(&engine, "bob").await, join(&engine, "cyn").await);
    let all = create(&ada, closed("all"), &[bob.user(), stuck.user()]).await;
    bob.reaches(group(all), 1).await;
    stuck.reaches(group(all), 1).await;
    let behind = bob.behind;
    for number in 0..200 {
        let seq = say(&ada, group(all), format!("{number} {}", "x".repeat(500))).await.seq;
        bob.within(Duration::from_millis(1), "the message", |bob| bob.position(&group(all)) >= seq).await;
    }
    assert_eq!(bob.behind, behind, "who reads is never behind");
    let (bytes, events) = take_raw(&mut stuck);
    assert!(bytes <= 10_000, "{bytes}");
    assert!(matches!(events[..], [Event::Behind { upto: 201, .. }]), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn who_was_told_to_be_behind_catches_up_everything_and_goes_on() {
    let world = World::new();
    let mut small = config();
    small.session_queue_bytes = 2_000;
    let engine = world.alone_with(small).await;
    let (ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let at = direct(&ada, &bob);
    for _ in 0..5 {
        for number in 0..100 {
            say(&ada, at, number.to_string()).await;
        }
        bob.drain().await;
        say(&ada, at, "and on").await;
    }
    bob.reaches(at, 505).await;
    assert!(bob.behind >= 5);
    assert_eq!(bob.logs[&at], world.log(at).await);
}

#[tokio::test(start_paused = true)]
async fn too_many_marks_become_one_and_everything_is_synced() {
    let world = World::new();
    let mut small = config();
    small.session_queue_bytes = 300;
    small.session_behind_limit = 3;
    let engine = world.alone_with(small).await;
    let (ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let mut groups = Vec::new();
    for number in 0..8 {
        groups.push(create(&ada, closed(&format!("group {number}")), &[bob.user()]).await);
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    bob.drain().await;
    bob.behind_everywhere = 0;
    for number in 0..10 {
        for all in &groups {
            say(&ada, group(*all), number.to_string()).await;
        }
    }
    bob.drain().await;
    assert!(bob.behind_everywhere >= 1);
    for all in &groups {
        // A conversation that was synced without a cursor begins at the join.
        assert_eq!(bob.logs[&group(*all)], world.log(group(*all)).await[1..]);
        let seq = say(&ada, group(*all), "and on").await.seq;
        bob.reaches(group(*all), seq).await;
    }
}

#[tokio::test(start_paused = true)]
async fn ephemeral_events_are_dropped_first() {
    let world = World::new();
    let mut small = config();
    small.session_queue_bytes = 700;
    let engine = world.alone_with(small).await;
    let (ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let at = direct(&ada, &bob);
    say(&ada, at, "first").await;
    bob.reaches(at, 1).await;
    for _ in 0..100 {
        ada.typing(at).expect("told");
    }
    for number in 0..7 {
        say(&ada, at, number.to_string()).await;
    }
    let (_, events) = take_raw(&mut bob);
    let typing = events.iter().filter(|event| matches!(event, Event::Ephemeral(Ephemeral::Typing { .. })));
    assert_eq!(typing.count(), 0);
    assert_eq!(events.len(), 7, "all entries are there: {events:?}");
}

#[tokio::test(start_paused = true)]
async fn all_sessions_together_hold_no_more_than_the_limit_of_the_process() {
    let world = World::new();
    let mut small = config();
    small.queues_limit_bytes = 20_000;
    let engine = world.alone_with(small).await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let at = direct(&ada, &bob);
    let mut stuck = vec![bob];
    for _ in 0..9 {
        stuck.push(another(&engine, "bob").await);
    }
    for client in &mut stuck {
        client.drain().await;
    }
    for number in 0..100 {
        say(&ada, at, format!("{number} {}", "x".repeat(400))).await;
    }
    let mut bytes = 0;
    for client in &mut stuck {
        let (waited, events) = take_raw(client);
        bytes += waited;
        assert!(!events.is_empty());
    }
    assert!(bytes <= 20_000, "{bytes}");
    for client in &mut stuck {
        client.sync().await;
        assert_eq!(client.logs[&at].len(), 100);
    }
    let seq = say(&ada, at, "and on").await.seq;
    for client in &mut stuck {
        client.reaches(at, seq).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_huge_group_does_not_hold_up_a_pair() {
    let world = World::new();
    let engine = world.alone().await;
    let (ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let mut crowd = Vec::new();
    for number in 0..300 {
        crowd.push(join(&engine, &format!("user{number}")).await);
    }
    let users: Vec<_> = crowd.iter().map(|person| person.user()).collect();
    let all = create(&ada, closed("all"), &users).await;
    let last = say(&ada, group(all), "to all").await.seq;
    let seq = say(&ada, direct(&ada, &bob), "to one").await.seq;
    let at = direct(&ada, &bob);
    bob.within(Duration::from_millis(1), "the message", |bob| bob.position(&at) >= seq).await;
    for person in &mut crowd {
        person
            .within(Duration::from_millis(50), "the group's", |one| one.position(&group(all)) >= last)
            .await;
    }
}
