//! Accounts, their devices and what ends a session.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use chat_core::testkit::faults::{FaultyStore, StoreWeather};
use chat_core::{
    Blocking, ClientId, Content, Credentials, DeviceEvent, DevicePolicy, DisplayName, EndReason, Engine,
    ErrorKind, Job, LeftMessages, Password, Standing, Token,
};

use crate::world::{
    PASSWORD, World, act, again, another, closed, config, create, direct, group, id, join, login, name,
    registration, say, text, told,
};

async fn with_policy(world: &World, devices: DevicePolicy) -> Engine {
    let mut config = config();
    config.devices = devices;
    world.alone_with(config).await
}

async fn by_token(engine: &Engine, token: Token) -> Result<chat_core::LoggedIn, chat_core::Error> {
    engine.login(Credentials::Token(token)).await
}

async fn by_password(
    engine: &Engine,
    who: &str,
    password: &str,
) -> Result<chat_core::LoggedIn, chat_core::Error> {
    let password = Password::new(password);
    engine.login(Credentials::Password { name: name(who), password, device_label: "x".into() }).await
}

#[tokio::test(start_paused = true)]
async fn two_spellings_of_a_name_are_one_account() {
    let world = World::new();
    let engine = world.alone().await;
    let ada = join(&engine, "Ada").await;
    for spelling in ["ada", "ADA", "\u{ff21}da"] {
        assert_eq!(login(&engine, spelling).await.expect("logged in").session.user(), ada.user());
        let taken = engine.register(registration(spelling)).await.expect_err("taken");
        assert_eq!(taken.kind(), ErrorKind::Taken);
        assert_eq!(ada.find_user(&name(spelling)).await.expect("found").user, ada.user());
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_name_and_a_wrong_password_get_one_answer() {
    let world = World::new();
    let engine = world.alone().await;
    let ada = join(&engine, "ada").await;
    let gone = join(&engine, "gone").await;
    gone.delete_account(id(), Password::new(PASSWORD), LeftMessages::Keep).await.expect("deleted");
    let answers = [
        told(by_password(&engine, "ada", "wrong horse").await),
        told(by_password(&engine, "nobody", PASSWORD).await),
        told(by_password(&engine, "gone", PASSWORD).await),
        told(by_password(&engine, "ada", &"x".repeat(10_000)).await),
    ];
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    let unknown = by_token(&engine, Token([7; 32])).await.expect_err("refused");
    assert_eq!(unknown.kind(), ErrorKind::Unauthenticated);
    let wrong = ada.change_password(id(), Password::new("wrong horse"), Password::new("battery staple"));
    assert_eq!(wrong.await.expect_err("refused").kind(), ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn a_new_password_counts_from_then_on() {
    let world = World::new();
    let engine = world.alone().await;
    let ada = join(&engine, "ada").await;
    let (old, new) = (Password::new(PASSWORD), Password::new("battery staple"));
    let short = ada.change_password(id(), old.clone(), Password::new("short")).await.expect_err("refused");
    assert_eq!(short.kind(), ErrorKind::Invalid);
    ada.change_password(id(), old, new).await.expect("changed");
    assert!(by_password(&engine, "ada", PASSWORD).await.is_err());
    assert!(by_password(&engine, "ada", "battery staple").await.is_ok());
    assert!(by_token(&engine, ada.token()).await.is_ok(), "devices stay logged in");
}

#[tokio::test(start_paused = true)]
async fn one_device_too_many_takes_the_place_of_the_one_idle_longest() {
    let world = World::new();
    let engine = with_policy(&world, DevicePolicy::Several { limit: 3 }).await;
    let first = join(&engine, "ada").await;
    let mut tokens = vec![first.token()];
    for _ in 0..2 {
        world.clock.forward(Duration::from_secs(1));
        tokens.push(another(&engine, "ada").await.into_token());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let fourth = another(&engine, "ada").await;
    assert_eq!(first.devices().await.expect("devices").len(), 3);
    assert!(by_token(&engine, tokens[1]).await.is_err(), "the one idle longest is gone");
    let third = again(&engine, tokens[2]).await;
    let full = login(&engine, "ada").await.expect_err("all are online");
    assert_eq!(full.kind(), ErrorKind::LimitReached);
    drop((third, fourth));
    tokio::time::sleep(Duration::from_millis(1)).await;
    login(&engine, "ada").await.expect("one of them gives way");
}

#[tokio::test(start_paused = true)]
async fn the_newest_device_replaces_all_others() {
    let world = World::new();
    let engine = with_policy(&world, DevicePolicy::NewestOnly).await;
    let mut first = join(&engine, "ada").await;
    let second = another(&engine, "ada").await;
    first.until("its end", |first| first.ended.is_some()).await;
    assert_eq!(first.ended, Some(EndReason::Device(DeviceEvent::Replaced)));
    assert!(by_token(&engine, first.token()).await.is_err());
    assert_eq!(second.devices().await.expect("devices").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_a_device_is_online_others_are_refused() {
    let world = World::new();
    let engine = with_policy(&world, DevicePolicy::RefuseWhileOnline).await;
    let first = join(&engine, "ada").await;
    assert_eq!(login(&engine, "ada").await.expect_err("refused").kind(), ErrorKind::AlreadyOnline);
    let token = first.token();
    first.end();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let second = another(&engine, "ada").await;
    let refused = by_token(&engine, token).await.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::AlreadyOnline);
    drop(second);
    tokio::time::sleep(Duration::from_millis(1)).await;
    again(&engine, token).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ended_while_the_store_was_away_keeps_nobody_out() {
    let world = World::new();
    let mut exclusive = config();
    exclusive.devices = DevicePolicy::RefuseWhileOnline;
    let (store, faults) = FaultyStore::new(Arc::clone(&world.store));
    let here = world.builder_over(Arc::new(store), exclusive.clone()).bus(world.bus.endpoint());
    let here = here.start().await.expect("an engine");
    let there = world.builder(exclusive).bus(world.bus.endpoint()).start().await.expect("an engine");
    let ada = join(&here, "ada").await;
    let token = ada.token();
    drop(ada);
    for weather in [StoreWeather::Away, StoreWeather::Frozen] {
        let ada = again(&here, token).await;
        faults.commits(weather);
        drop(ada);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let refused = login(&there, "ada").await.map(drop).expect_err("the slot is still taken");
        assert_eq!(refused.kind(), ErrorKind::AlreadyOnline);
        faults.commits(StoreWeather::Fair);
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(login(&there, "ada").await.expect("nobody is online"));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_log_ins_at_the_same_moment_one_is_admitted_where_one_may_be_online() {
    for by_tokens in [false, true] {
        let world = World::new();
        let engines = [
            with_policy(&world, DevicePolicy::RefuseWhileOnline).await,
            with_policy(&world, DevicePolicy::RefuseWhileOnline).await,
        ];
        let tokens = [join(&engines[0], "ada").await.into_token(), {
            tokio::time::sleep(Duration::from_millis(1)).await;
            another(&engines[0], "ada").await.into_token()
        }];
        tokio::time::sleep(Duration::from_millis(1)).await;
        let attempts: Vec<_> = (0..6)
            .map(|number| {
                let engine = engines[number % 2].clone();
                tokio::spawn(async move {
                    if by_tokens {
                        by_token(&engine, tokens[number % 2]).await
                    } else {
                        login(&engine, "ada").await
                    }
                })
            })
            .collect();
        let mut admitted = Vec::new();
        for attempt in attempts {
            match attempt.await.expect("no panic") {
                Ok(one) => admitted.push(one),
                Err(error) => assert!(
                    matches!(error.kind(), ErrorKind::AlreadyOnline | ErrorKind::Unauthenticated),
                    "{error:?}"
                ),
            }
        }
        let devices: std::collections::BTreeSet<_> =
            admitted.iter().map(|one| one.session.device()).collect();
        assert_eq!(devices.len(), 1, "by tokens: {by_tokens}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_in_that_is_stored_and_has_not_begun_keeps_others_out() {
    let world = World::new();
    let engine = with_policy(&world, DevicePolicy::RefuseWhileOnline).await;
    let first = join(&engine, "ada").await;
    let (user, first) = (first.user(), first.into_token());
    tokio::time::sleep(Duration::from_millis(1)).await;
    let second = another(&engine, "ada").await.into_token();
    tokio::time::sleep(Duration::from_millis(1)).await;

    let mut coming = Box::pin(by_token(&engine, first));
    let is_stored = async || {
        let devices = world.store.devices(user).await.expect("the store");
        devices.iter().any(|device| device.attached.is_some())
    };
    // Looked after until it is stored, and then not once more.
    while !is_stored().await {
        let pending = poll_fn(|cx| Poll::Ready(coming.as_mut().poll(cx).is_pending())).await;
        assert!(pending, "it awaits the store");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for refused in [by_token(&engine, second).await, login(&engine, "ada").await] {
        assert_eq!(refused.expect_err("one is coming").kind(), ErrorKind::AlreadyOnline);
    }
    drop(coming);
    by_token(&engine, second).await.expect("what came to nothing is in nobody's way");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_device_is_out_wherever_it_is() {
    let world = World::new();
    let (here, there) = (world.alone().await, world.alone().await);
    let ada = join(&here, "ada").await;
    let mut lost = another(&there, "ada").await;
    ada.revoke_device(id(), lost.device()).await.expect("revoked");
    lost.until("its end", |lost| lost.ended.is_some()).await;
    assert_eq!(lost.ended, Some(EndReason::Device(DeviceEvent::Revoked)));
    assert_eq!(lost.devices().await.expect_err("out").kind(), ErrorKind::Ended);
    assert_eq!(by_token(&there, lost.token()).await.expect_err("out").kind(), ErrorKind::Unauthenticated);
    let unknown = ada.revoke_device(id(), lost.device()).await.expect_err("no such device");
    assert_eq!(unknown.kind(), ErrorKind::NotAllowed);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_connects_again_ends_its_older_session() {
    let world = World::new();
    let engine = world.alone().await;
    let (mut first, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let mut second = again(&engine, first.token()).await;
    first.until("its end", |first| first.ended.is_some()).await;
    assert_eq!(first.ended, Some(EndReason::Superseded));
    let at = direct(&second, &bob);
    let seq = say(&bob, at, "hello").await.seq;
    drop(first);
    second.reaches(at, seq).await;
    let devices = second.devices().await.expect("devices");
    assert_eq!((devices.len(), devices[0].online, devices[0].current), (1, true, true));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_connects_to_another_node_ends_its_session_on_the_first() {
    let world = World::new();
    let (here, there) = (world.alone().await, world.alone().await);
    let mut first = join(&here, "ada").await;
    let mut second = again(&there, first.token()).await;
    first.within(Duration::from_secs(2), "its end", |first| first.ended.is_some()).await;
    assert_eq!(first.ended, Some(EndReason::Superseded));
    let token = first.token();
    drop(first);
    tokio::time::sleep(Duration::from_secs(3)).await;
    second.drain().await;
    assert_eq!(second.ended, None, "the newer one stays");
    let third = again(&here, token).await;
    second.within(Duration::from_secs(2), "its end", |second| second.ended.is_some()).await;
    assert_eq!(third.devices().await.expect("devices").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_logs_out_is_out() {
    let world = World::new();
    let engine = world.alone().await;
    let mut ada = join(&engine, "ada").await;
    ada.log_out(id()).await.expect("logged out");
    ada.drain().await;
    assert_eq!(ada.ended, Some(EndReason::LoggedOut));
    assert!(by_token(&engine, ada.token()).await.is_err());
    assert_eq!(engine.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn of_a_deleted_account_the_groups_pass_on_and_the_name_stays_reserved() {
    let world = World::new();
    let engine = world.alone().await;
    let (mut ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let cyn = join(&engine, "cyn").await;
    crate::world::befriend(&ada, &bob).await;
    let members = [bob.user(), cyn.user()];
    let passes_to_admin = create(&ada, closed("one"), &members).await;
    let last = members.iter().max().expect("two");
    act(&ada, passes_to_admin, chat_core::GroupAction::SetRole(*last, Standing::Admin)).await;
    let passes_to_member = create(&ada, closed("two"), &members).await;
    let ends = create(&ada, closed("three"), &[]).await;
    let at = direct(&ada, &bob);
    say(&ada, at, "from ada").await;
    say(&bob, at, "from bob").await;
    say(&ada, group(passes_to_member), "from ada").await;
    let wrong = ada.delete_account(id(), Password::new("wrong horse"), LeftMessages::Keep).await;
    assert_eq!(wrong.expect_err("refused").kind(), ErrorKind::Unauthenticated);
    ada.delete_account(id(), Password::new(PASSWORD), LeftMessages::Redact).await.expect("deleted");
    ada.until("the end", |ada| ada.ended.is_some()).await;
    assert_eq!(ada.ended, Some(EndReason::AccountDeleted));

    let owner = bob.roster(passes_to_admin, Some(Standing::Owner), None, 5).await.expect("a roster");
    assert_eq!(owner.iter().map(|owner| owner.profile.user).collect::<Vec<_>>(), [*last]);
    let owner = bob.roster(passes_to_member, Some(Standing::Owner), None, 5).await.expect("a roster");
    assert_eq!(owner.len(), 1);
    let state = bob.conversation(group(passes_to_member)).await.expect("a member");
    assert_eq!(state.group.expect("a group").members, 2);
    let head = world.store.heads(&[group(ends)]).await.expect("the store").remove(0);
    assert!(head.group.expect("a group").dissolved);

    let profile = bob.profiles(&[ada.user()]).await.expect("profiles").remove(0).expect("a tombstone");
    assert!(profile.deleted);
    let log = world.log(at).await;
    assert_eq!(log[0].content, None, "redacted");
    assert!(log[1].content.is_some(), "the other's stays");
    bob.drain().await;
    assert!(bob.contacts(None, 5).await.expect("contacts").is_empty());
    assert_eq!(bob.send(text(at, "hello?")).await.expect_err("nobody there").kind(), ErrorKind::NotAllowed);
    assert!(bob.find_user(&name("ada")).await.is_err());
    let taken = engine.register(registration("ada")).await.expect_err("reserved");
    assert_eq!(taken.kind(), ErrorKind::Taken);
}

#[tokio::test(start_paused = true)]
async fn a_display_name_is_told_to_the_other_devices_and_shown_to_others() {
    let world = World::new();
    let engine = world.alone().await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let mut other = another(&engine, "ada").await;
    let called = DisplayName::parse("Ada Lovelace").expect("a name");
    ada.change_display_name(id(), called.clone()).await.expect("named");
    let inbox = ada.inbox();
    let news = Content::DisplayNameChanged(called.clone());
    other.until("the name", |other| other.contents(inbox).contains(&news)).await;
    assert_eq!(bob.find_user(&name("ada")).await.expect("found").display_name, called);
}

/// Keeps work until it is let go.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<(bool, Vec<Job>)>>);

impl Held {
    fn hold(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = true;
    }

    fn let_go(&self) -> usize {
        let jobs = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).1;
        let count = jobs.len();
        jobs.into_iter().for_each(|job| job());
        count
    }
}

impl Blocking for Held {
    fn run(&self, job: Job) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0 {
            held.1.push(job);
        } else {
            job();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn hashing_passwords_holds_up_no_message_and_is_done_a_bounded_number_at_a_time() {
    let world = World::new();
    let held = Held::default();
    let mut config = config();
    config.password_hashes_at_once = 2;
    let engine = world.builder(config).blocking(held.clone()).start().await.expect("an engine");
    let (ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    held.hold();
    let mut storm = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let engine = engine.clone();
        storm.spawn(async move { login(&engine, "ada").await.map(drop) });
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let at = direct(&ada, &bob);
    let seq = say(&ada, at, "meanwhile").await.seq;
    bob.within(Duration::from_millis(1), "the message", |bob| bob.position(&at) >= seq).await;
    let mut let_go = 0;
    while let Ok(None) | Err(_) =
        tokio::time::timeout(Duration::from_millis(1), async { storm.is_empty().then_some(()) }).await
    {
        let at_once = held.let_go();
        assert!(at_once <= 2, "{at_once}");
        let_go += at_once;
        held.hold();
        tokio::time::sleep(Duration::from_millis(1)).await;
        while storm.try_join_next().is_some() {}
    }
    assert_eq!(let_go, 10);
    let _: ClientId = id();
}
