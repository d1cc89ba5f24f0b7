//! **private**: who is no member learns and changes nothing, and nobody learns who is blocked.

use std::time::Duration;

use chat_core::testkit::faults::{BusWeather, FaultyBus};
use chat_core::{
    Body, ContactAction, ConversationId, Ephemeral, GroupAction, GroupId, HistoryPolicy, JoinPolicy,
    Outgoing, Range, Standing, Sync, UserId, WritePolicy,
};

use crate::client::Client;
use crate::world::{
    EVERYTHING, World, act, closed, config, create, direct, found, group, id, join, outgoing, say, text, told,
};

fn nowhere() -> GroupId {
    GroupId::new(123_456_789).expect("an id")
}

/// Everything that one can try in a group, and how it is refused.
async fn attempts(who: &Client, all: GroupId) -> Vec<String> {
    let at = group(all);
    let me = who.user();
    let other = UserId::new(99).expect("an id");
    let mut answers = vec![
        told(who.send(text(at, "hello")).await),
        told(who.send(outgoing(at, Outgoing::Recall { target: 1 })).await),
        told(who.send(outgoing(at, Outgoing::Edit { target: 1, body: Body::Text("x".into()) })).await),
        told(who.send(outgoing(at, Outgoing::Reaction { target: 1, symbol: "x".into(), set: true })).await),
        told(who.history(at, &EVERYTHING).await),
        told(who.entries(at, &EVERYTHING).await),
        told(who.entries(at, &Range { from: 1_000, ..EVERYTHING }).await),
        told(who.conversation(at).await),
        told(who.typing(at)),
        told(who.roster(all, None, None, 10).await),
        told(who.roster(all, Some(Standing::Asking), None, 10).await),
        told(who.mark_read(at, 1).await),
        told(who.mark_delivered(&[(at, 1)]).await),
    ];
    let actions = [
        GroupAction::Leave,
        GroupAction::Invite(other),
        GroupAction::Invite(me),
        GroupAction::WithdrawInvitation(other),
        GroupAction::Approve(me),
        GroupAction::Reject(other),
        GroupAction::Add(vec![other]),
        GroupAction::Add(vec![me]),
        GroupAction::Add((1..5_000).map(|number| UserId::new(number).expect("an id")).collect()),
        GroupAction::Remove(other),
        GroupAction::SetRole(me, Standing::Admin),
        GroupAction::Transfer(me),
        GroupAction::Mute(other, chat_core::Timestamp(5)),
        GroupAction::ChangeProfile(closed("mine")),
        GroupAction::Dissolve,
    ];
    for action in actions {
        answers.push(told(who.group(id(), all, action).await));
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn who_is_no_member_gets_the_answer_of_who_asks_for_nothing() {
    let world = World::new();
    let engine = world.alone().await;
    let (ada, mut eve) = (join(&engine, "ada").await, join(&engine, "eve").await);
    let all = create(&ada, closed("all"), &[]).await;
    say(&ada, group(all), "a secret").await;
    let found_nothing = attempts(&eve, nowhere()).await;
    let found_secret = attempts(&eve, all).await;
    assert_eq!(found_secret, found_nothing);
    assert!(found_nothing.iter().all(|answer| *answer == found_nothing[0]), "{found_nothing:#?}");
    assert_eq!(told(eve.group(id(), all, GroupAction::Join).await), found_nothing[0]);
    eve.drain().await;
    assert!(!eve.logs.contains_key(&group(all)));
    assert_eq!(world.log(group(all)).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_was_invited_or_asks_sees_and_writes_nothing_yet() {
    let world = World::new();
    let engine = world.alone().await;
    let (ada, mut bob, mut cyn) =
        (join(&engine, "ada").await, join(&engine, "bob").await, join(&engine, "cyn").await);
    let all = create(&ada, found("all", JoinPolicy::Request), &[]).await;
    act(&ada, all, GroupAction::Invite(bob.user())).await;
    act(&cyn, all, GroupAction::Join).await;
    say(&ada, group(all), "a secret").await;
    let nothing = attempts(&bob, nowhere()).await;
    for who in [&mut bob, &mut cyn] {
        assert_eq!(attempts(who, all).await, nothing);
        who.drain().await;
        who.sync().await;
        assert!(who.logs.get(&group(all)).is_none_or(Vec::is_empty));
    }
    assert!(ada.ephemerals.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_removal_is_the_last_that_a_removed_member_hears_and_reads() {
    let world = World::new();
    let (here, there) = (world.node().await, world.node().await);
    let (ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let all = create(&ada, closed("all"), &[bob.user()]).await;
    let at = group(all);
    bob.reaches(at, 1).await;
    // All of it is gathered into one batch and so into one turn of the gates.
    let before = ada.begin_send(text(at, "before")).await.expect("queued");
    let removal = tokio::spawn({
        let (session, user) = (ada.session.clone(), bob.user());
        async move { act(&session, all, GroupAction::Remove(user)).await.seq }
    });
    before.await.expect("sent");
    let removal = removal.await.expect("no panic");
    for number in 0..20 {
        say(&ada, at, number.to_string()).await;
        assert!(ada.typing(at).is_ok());
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    bob.drain().await;
    assert_eq!(bob.position(&at), removal);
    assert_eq!(bob.logs[&at], world.log(at).await[..removal as usize]);
    assert!(bob.ephemerals.is_empty());
    let read = bob.entries(at, &EVERYTHING).await.expect("what was theirs");
    assert_eq!(read.last().map(|entry| entry.seq), Some(removal));
    assert_eq!(bob.history(at, &EVERYTHING).await.expect("what was theirs").entries.len(), 1);
    bob.sync().await;
    assert_eq!(bob.position(&at), removal);
    let state = bob.conversation(at).await.expect("what was theirs");
    assert_eq!((state.head, state.unread, state.group), (removal, 0, None));
}

#[tokio::test(start_paused = true)]
async fn who_is_removed_while_being_behind_reads_up_to_the_removal_and_no_further() {
    let world = World::new();
    let mut small = config();
    small.session_queue_bytes = 500;
    let engine = world.alone_with(small).await;
    let (ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let all = create(&ada, closed("all"), &[bob.user()]).await;
    let at = group(all);
    bob.reaches(at, 1).await;
    for number in 0..30 {
        say(&ada, at, number.to_string()).await;
    }
    let removal = act(&ada, all, GroupAction::Remove(bob.user())).await.seq;
    for number in 0..30 {
        say(&ada, at, number.to_string()).await;
    }
    bob.drain().await;
    assert!(bob.behind > 0);
    assert_eq!(bob.logs[&at], world.log(at).await[..removal as usize]);
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_the_bus_lost_is_still_the_last_that_is_heard() {
    let world = World::new();
    let here = world.node().await;
    let (bus, faults) = FaultyBus::new(world.bus.endpoint(), 5);
    let there = world.node_on(bus).await;
    let (ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let cyn = join(&there, "cyn").await;
    let all = create(&ada, closed("all"), &[bob.user(), cyn.user()]).await;
    let at = group(all);
    bob.reaches(at, 1).await;
    faults.receiving(BusWeather::LOST);
    let removal = act(&ada, all, GroupAction::Remove(bob.user())).await.seq;
    tokio::time::sleep(Duration::from_millis(1)).await;
    faults.receiving(BusWeather::default());
    for number in 0..10 {
        say(&ada, at, number.to_string()).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    bob.drain().await;
    assert_eq!(bob.position(&at), removal);
}

#[tokio::test(start_paused = true)]
async fn what_a_former_member_asks_tells_nothing_of_how_the_group_goes_on() {
    let world = World::new();
    let engine = world.alone().await;
    let (mut ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let all = create(&ada, closed("all"), &[bob.user()]).await;
    let at = group(all);
    let removal = act(&ada, all, GroupAction::Remove(bob.user())).await.seq;
    for number in 0..10 {
        say(&ada, at, number.to_string()).await;
    }
    ada.drain().await;
    // Neither pages nor errors tell whether the log has reached a number.
    for beyond in [removal + 1, removal + 5, removal + 500] {
        let range = Range { from: beyond, ..EVERYTHING };
        assert_eq!(bob.entries(at, &range).await.expect("empty"), []);
        let cursors = vec![(at, beyond)];
        let sync = Sync { cursors, after: None, until: None, limit: 100, entries_limit: 100 };
        let page = bob.session.sync(&sync).await.expect("nothing new");
        assert!(page.conversations.iter().all(|synced| synced.state.conversation != at));
    }
    bob.mark_read(at, removal + 5).await.expect("what was theirs");
    bob.mark_delivered(&[(at, removal)]).await.expect("what was theirs");
    ada.drain().await;
    assert!(ada.ephemerals.is_empty(), "members hear nothing of former ones: {:?}", ada.ephemerals);
}

#[tokio::test(start_paused = true)]
async fn newcomers_read_from_their_join_or_everything_as_the_group_has_it() {
    let world = World::new();
    let engine = world.alone().await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    for (policy, first) in [(HistoryPolicy::SinceJoin, 3), (HistoryPolicy::All, 1)] {
        let mut profile = found(&format!("{policy:?}"), JoinPolicy::Open);
        profile.history = policy;
        let all = create(&ada, profile, &[]).await;
        let early = say(&ada, group(all), "early").await.seq;
        act(&bob, all, GroupAction::Join).await;
        let read = bob.entries(group(all), &EVERYTHING).await.expect("a member");
        assert_eq!(read[0].seq, first);
        let history = bob.history(group(all), &EVERYTHING).await.expect("a member");
        assert_eq!(history.entries.is_empty(), policy == HistoryPolicy::SinceJoin);
        let react = Outgoing::Reaction { target: early, symbol: "!".into(), set: true };
        let allowed = bob.send(outgoing(group(all), react)).await.is_ok();
        assert_eq!(allowed, policy == HistoryPolicy::All, "what is hidden cannot be reacted to");
        assert_eq!(bob.conversation(group(all)).await.expect("a member").unread, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_blocked_and_contacts_only_get_one_answer() {
    let world = World::new();
    let engine = world.alone().await;
    let mut strict = config();
    strict.writing = WritePolicy::ContactsOnly;
    let contacts_only = world.alone_with(strict).await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let (cyn, dan) = (join(&contacts_only, "cyn").await, join(&contacts_only, "dan").await);
    bob.contact(id(), ada.user(), ContactAction::Block).await.expect("blocked");
    let unknown = ConversationId::direct(ada.user(), UserId::new(4_711).expect("an id")).expect("two");
    let answers = [
        told(ada.send(text(unknown, "hello")).await),
        told(ada.send(text(direct(&ada, &bob), "hello")).await),
        told(cyn.send(text(direct(&cyn, &dan), "hello")).await),
        told(ada.contact(id(), bob.user(), ContactAction::Request { note: String::new() }).await),
        told(
            ada.contact(
                id(),
                UserId::new(4_711).expect("an id"),
                ContactAction::Request { note: String::new() },
            )
            .await,
        ),
        told(ada.send(text(direct(&bob, &cyn), "not mine")).await),
        told(ada.send(text(bob.inbox(), "not mine")).await),
        told(ada.entries(bob.inbox(), &EVERYTHING).await),
        told(ada.history(direct(&bob, &cyn), &EVERYTHING).await),
        told(ada.conversation(direct(&bob, &cyn)).await),
        told(ada.typing(direct(&bob, &cyn))),
        told(ada.mark_read(direct(&bob, &cyn), 1).await),
    ];
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert!(ada.contacts(None, 10).await.expect("contacts").is_empty());
}

#[tokio::test(start_paused = true)]
async fn between_two_of_whom_one_blocked_the_other_nothing_passes() {
    let world = World::new();
    let (here, there) = (world.node().await, world.node().await);
    let (mut ada, mut bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let at = direct(&ada, &bob);
    say(&ada, at, "hello").await;
    say(&bob, at, "hello").await;
    bob.reaches(at, 2).await;
    ada.reaches(at, 2).await;
    bob.contact(id(), ada.user(), ContactAction::Block).await.expect("blocked");
    tokio::time::sleep(Duration::from_millis(10)).await;
    ada.ephemerals.clear();
    ada.typing(at).expect("as if nothing were");
    ada.mark_read(at, 2).await.expect("as if nothing were");
    bob.typing(at).expect("said to nobody");
    bob.mark_read(at, 2).await.expect("for oneself");
    tokio::time::sleep(Duration::from_secs(3)).await;
    ada.drain().await;
    bob.drain().await;
    assert!(ada.ephemerals.is_empty(), "{:?}", ada.ephemerals);
    assert!(bob.ephemerals.is_empty(), "{:?}", bob.ephemerals);
    bob.contact(id(), ada.user(), ContactAction::Unblock).await.expect("unblocked");
    tokio::time::sleep(Duration::from_millis(10)).await;
    ada.typing(at).expect("told again");
    bob.until("typing", |bob| {
        bob.ephemerals.contains(&Ephemeral::Typing { conversation: at, user: ada.user() })
    })
    .await;
}
