//! 18 and 19: what an operation costs does not grow with who is concerned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chat_core::ConversationId;
use chat_proto::message::{Reply, Request};

use crate::connection::Connection;
use crate::requests::{direct, group_of, login, register, text};
use crate::server::{Installation, Kind};

stories! {
    everywhere: [
        fault_18_log_ins_in_a_crowd_are_slow_at_worst_and_never_a_wrong_password,
        fault_19_a_group_message_is_one_row_however_many_members_there_are,
        fault_19_a_busy_group_does_not_hold_up_a_pair,
    ];
}

async fn fault_18_log_ins_in_a_crowd_are_slow_at_worst_and_never_a_wrong_password(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let mut crowd = Vec::new();
    for number in 0..150 {
        let address = server.address.clone();
        crowd.push(tokio::spawn(async move {
            let name = format!("user{number}");
            let (first, _) = Connection::join(&address, &name).await;
            let mut second = Connection::open(&address).await;
            second.hello(None).await;
            second.enter(login(&name)).await.expect("the password is right");
            first.leave().await;
        }));
    }
    for one in crowd {
        one.await.expect("everybody gets in");
    }
}

/// What so many messages in a group of so many members add to the tables.
async fn added_rows(kind: Kind, members: usize, messages: u64) -> BTreeMap<String, i64> {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (mut online, mut others) = (Vec::new(), Vec::new());
    for number in 1..members {
        let mut one = Connection::open(&server.address).await;
        one.hello(None).await;
        let user = one.enter(register(&format!("user{number}"))).await.expect("a new account").session.user;
        others.push(user);
        // Half of them are offline.
        if number.is_multiple_of(2) { online.push(one) } else { one.leave().await }
    }
    let created = ada.ask(Request::CreateGroup(group_of(1, others))).await;
    let Ok(Reply::GroupCreated(created)) = created else { panic!("a group expected: {created:?}") };
    let group = ConversationId::Group(created.group);
    ada.leave().await;
    server.stop().await;
    let before = installation.rows().await;

    let server = installation.start();
    let mut ada = Connection::resume(&server.address, ada_in.token.expect("a new device")).await;
    for number in 1..=messages {
        ada.ask(text(number, group, "to everybody")).await.expect("sent");
    }
    server.stop().await;
    let after = installation.rows().await;
    after.into_iter().map(|(name, count)| (name.clone(), count - before[&name])).collect()
}

async fn fault_19_a_group_message_is_one_row_however_many_members_there_are(kind: Kind) {
    let (small, large) = (added_rows(kind, 3, 20).await, added_rows(kind, 100, 20).await);
    assert_eq!(small, large);
    assert_eq!(large["log"], 20);
    assert!(large.iter().all(|(name, count)| name == "log" || *count <= 20), "{large:?}");
}

async fn fault_19_a_busy_group_does_not_hold_up_a_pair(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, _) = Connection::join(&server.address, "ada").await;
    let (mut members, mut users) = (Vec::new(), Vec::new());
    for number in 0..100 {
        let (one, logged_in) = Connection::join(&server.address, &format!("user{number}")).await;
        users.push(logged_in.session.user);
        if number < 50 { members.push(one) } else { one.leave().await }
    }
    let created = ada.ask(Request::CreateGroup(group_of(1, users))).await;
    let Ok(Reply::GroupCreated(created)) = created else { panic!("a group expected: {created:?}") };
    let group = ConversationId::Group(created.group);
    let (mut bob, bob_in) = Connection::join(&server.address, "bob").await;
    let (mut carol, carol_in) = Connection::join(&server.address, "carol").await;
    let pair = direct(bob_in.session, carol_in.session);
    let alone = median_turn(&mut bob, &mut carol, pair, 1).await;

    // The group never pauses; the pair goes on all the same.
    let told = Arc::new(AtomicU64::new(0));
    let telling = Arc::clone(&told);
    let busy = tokio::spawn(async move {
        for number in 1.. {
            ada.begin(text(number, group, "to everybody")).await;
            ada.any_reply().await.1.expect("sent");
            telling.fetch_add(1, Ordering::Relaxed);
        }
    });
    let reading: Vec<_> = members
        .into_iter()
        .map(|mut member| tokio::spawn(async move { while member.next().await.is_some() {} }))
        .collect();
    let before = told.load(Ordering::Relaxed);
    let beside = median_turn(&mut bob, &mut carol, pair, 1 + TURNS).await;
    let meanwhile = told.load(Ordering::Relaxed) - before;
    println!("{kind:?}: a turn takes {alone:?} alone, {beside:?} beside {meanwhile} messages to the group");
    assert!(meanwhile >= 10, "the group was busy: {meanwhile}");
    assert!(beside < SLOWED_DOWN * alone, "{alone:?} alone, {beside:?} beside a busy group");
    busy.abort();
    reading.iter().for_each(tokio::task::JoinHandle::abort);
}

/// So often a pair exchanges a message.
const TURNS: u64 = 100;

/// The earlier system's pair was slowed down so much by a group of which half was offline, though nothing
/// but one lock was scarce. Here the two share two cores with all clients, and that is most of what remains.
const SLOWED_DOWN: u32 = 35;

/// How long it takes from a send to its arrival at the other's, in the middle of many; the commands have
/// ids from this one on.
async fn median_turn(
    from: &mut Connection,
    to: &mut Connection,
    pair: ConversationId,
    first: u64,
) -> Duration {
    let mut turns = Vec::new();
    for number in first..first + TURNS {
        let begun = Instant::now();
        from.ask(text(number, pair, "hi")).await.expect("sent");
        to.entries(pair, 1).await;
        turns.push(begun.elapsed());
    }
    turns.sort_unstable();
    turns[turns.len() / 2]
}
