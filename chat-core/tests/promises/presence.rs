//! Presence and typing: told to whom they concern, at the right moment, and stored nowhere.

use std::time::Duration;

use chat_core::{ContactAction, Ephemeral};

use crate::client::Client;
use crate::world::{World, again, another, befriend, direct, id, join, say};

/// What a client was told of a user, in order.
pub(crate) fn presence(of: &Client, who: chat_core::UserId) -> Vec<bool> {
    let of_them = |ephemeral: &Ephemeral| match ephemeral {
        Ephemeral::Presence { user, online } if *user == who => Some(*online),
        _ => None,
    };
    of.ephemerals.iter().filter_map(of_them).collect()
}

pub(crate) async fn later(client: &mut Client, time: Duration) {
    tokio::time::sleep(time).await;
    client.drain().await;
}

const MOMENT: Duration = Duration::from_millis(10);

/// A hop between nodes, and the time in which changes gather.
pub(crate) const GATHERED: Duration = Duration::from_millis(200);

/// Makes contacts of them and forgets what that told them.
pub(crate) async fn acquaint(a: &mut Client, b: &mut Client) {
    befriend(a, b).await;
    for one in [a, b] {
        later(one, GATHERED).await;
        one.ephemerals.clear();
    }
}

#[tokio::test(start_paused = true)]
async fn contacts_see_each_other_come_and_go_and_nobody_else_does() {
    let world = World::new();
    let engine = world.alone().await;
    let (mut ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let mut stranger = join(&engine, "eve").await;
    acquaint(&mut ada, &mut bob).await;
    say(&stranger, direct(&stranger, &bob), "hello").await;
    let (user, token) = (bob.user(), bob.into_token());
    later(&mut ada, Duration::from_secs(1)).await;
    assert_eq!(presence(&ada, user), [], "it may come back");
    later(&mut ada, Duration::from_secs(2)).await;
    assert_eq!(presence(&ada, user), [false]);
    let contacts = ada.contacts(None, 5).await.expect("contacts");
    assert_eq!(contacts[0].online, Some(false));
    let bob = again(&engine, token).await;
    later(&mut ada, MOMENT).await;
    assert_eq!(presence(&ada, user), [false, true]);
    assert_eq!(ada.contacts(None, 5).await.expect("contacts")[0].online, Some(true));
    later(&mut stranger, MOMENT).await;
    assert_eq!(presence(&stranger, user), []);
    drop(bob);
}

#[tokio::test(start_paused = true)]
async fn who_become_contacts_while_both_are_online_see_it_at_once() {
    let world = World::new();
    let engine = world.alone().await;
    let (mut ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    befriend(&ada, &bob).await;
    later(&mut ada, MOMENT).await;
    later(&mut bob, MOMENT).await;
    assert_eq!(presence(&ada, bob.user()), [true]);
    assert_eq!(presence(&bob, ada.user()), [true]);
}

#[tokio::test(start_paused = true)]
async fn a_reconnection_is_seen_by_nobody() {
    let world = World::new();
    let engine = world.alone().await;
    let (mut ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    acquaint(&mut ada, &mut bob).await;
    let (user, token) = (bob.user(), bob.into_token());
    for _ in 0..5 {
        later(&mut ada, Duration::from_millis(1_500)).await;
        let bob = again(&engine, token).await;
        later(&mut ada, Duration::from_millis(1_500)).await;
        drop(bob);
    }
    assert_eq!(presence(&ada, user), []);
}

#[tokio::test(start_paused = true)]
async fn who_logs_out_is_seen_to_be_away_at_once() {
    let world = World::new();
    let engine = world.alone().await;
    let (mut ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    acquaint(&mut ada, &mut bob).await;
    let user = bob.user();
    // As a connection does: whoever consumes the events lets go of them at the end of the session.
    let session = bob.session.clone();
    let connection = tokio::spawn(async move {
        bob.until("the end", |bob| bob.ended.is_some()).await;
    });
    session.log_out(id()).await.expect("logged out");
    connection.await.expect("no panic");
    later(&mut ada, MOMENT).await;
    assert_eq!(presence(&ada, user), [false]);
}

#[tokio::test(start_paused = true)]
async fn one_is_away_when_the_last_device_is() {
    let world = World::new();
    let engine = world.alone().await;
    let (mut ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let second = another(&engine, "bob").await;
    acquaint(&mut ada, &mut bob).await;
    let user = bob.user();
    drop(bob);
    later(&mut ada, Duration::from_secs(5)).await;
    assert_eq!(presence(&ada, user), []);
    drop(second);
    later(&mut ada, Duration::from_secs(5)).await;
    assert_eq!(presence(&ada, user), [false]);
}

#[tokio::test(start_paused = true)]
async fn presence_ends_with_the_contact() {
    let world = World::new();
    let engine = world.alone().await;
    for action in [ContactAction::Remove, ContactAction::Block] {
        let names = [format!("ada{action:?}"), format!("bob{action:?}")];
        let (mut ada, mut bob) = (join(&engine, &names[0]).await, join(&engine, &names[1]).await);
        acquaint(&mut ada, &mut bob).await;
        bob.contact(id(), ada.user(), action).await.expect("ended");
        let user = bob.user();
        drop(bob);
        later(&mut ada, Duration::from_secs(5)).await;
        assert_eq!(presence(&ada, user), []);
        assert!(ada.contacts(None, 5).await.expect("contacts").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn typing_is_told_to_the_others_of_a_conversation_on_every_node() {
    let world = World::new();
    let (here, there) = (world.node().await, world.node().await);
    let (mut ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let mut eve = join(&there, "eve").await;
    let at = direct(&ada, &bob);
    ada.typing(at).expect("nobody can be told yet");
    say(&ada, at, "hello").await;
    later(&mut bob, MOMENT).await;
    ada.typing(at).expect("told");
    let typing = Ephemeral::Typing { conversation: at, user: ada.user() };
    bob.within(MOMENT, "typing", |bob| bob.ephemerals == [typing]).await;
    later(&mut eve, MOMENT).await;
    later(&mut ada, MOMENT).await;
    assert!(eve.ephemerals.is_empty() && ada.ephemerals.is_empty());
}

#[tokio::test(start_paused = true)]
async fn reading_is_told_to_the_other_and_to_ones_other_devices() {
    let world = World::new();
    let (here, there) = (world.node().await, world.node().await);
    let (mut ada, bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let mut bobs_other = another(&here, "bob").await;
    let at = direct(&ada, &bob);
    let seq = say(&ada, at, "hello").await.seq;
    tokio::time::sleep(MOMENT).await;
    bob.mark_read(at, seq + 1_000).await.expect("read");
    let read = Ephemeral::Read { conversation: at, user: bob.user(), seq };
    for client in [&mut ada, &mut bobs_other] {
        client.within(MOMENT, "the position", |client| client.ephemerals.contains(&read)).await;
    }
    let peer = ada.conversation(at).await.expect("hers").peer.expect("a peer");
    assert_eq!((peer.read, peer.delivered), (seq, seq));
}
