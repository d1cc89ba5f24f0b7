//! A clean stop: sessions are told, what was accepted is stored, and nothing goes on afterwards.

use std::sync::Arc;
use std::time::Duration;

use chat_core::testkit::faults::{FaultyStore, StoreWeather};
use chat_core::{Credentials, DevicePolicy, EndReason, ErrorKind, Password};

use crate::world::{
    EVERYTHING, PASSWORD, World, again, config, direct, join, login, name, registration, text,
};

#[tokio::test(start_paused = true)]
async fn sessions_are_told_and_accepted_sends_are_stored() {
    let world = World::new();
    let (store, faults) = FaultyStore::new(Arc::clone(&world.store));
    let engine = world.builder_over(Arc::new(store), config()).start().await.expect("an engine");
    let (mut ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let at = direct(&ada, &bob);
    faults.commits(StoreWeather::Slow(Duration::from_millis(50)));
    let mut pending = Vec::new();
    for number in 0..100 {
        pending.push(ada.begin_send(text(at, number.to_string())).await.expect("queued"));
    }
    engine.shutdown().await;
    for one in pending {
        one.await.expect("accepted, and so stored");
    }
    assert_eq!(world.log(at).await.len(), 100);
    for client in [&mut ada, &mut bob] {
        client.drain().await;
        assert_eq!(client.ended, Some(EndReason::ShuttingDown));
    }
}

#[tokio::test(start_paused = true)]
async fn later_calls_are_refused() {
    let world = World::new();
    let engine = world.alone().await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    engine.shutdown().await;
    let at = direct(&ada, &bob);
    assert_eq!(ada.send(text(at, "late")).await.expect_err("ended").kind(), ErrorKind::Ended);
    assert_eq!(ada.entries(at, &EVERYTHING).await.expect_err("ended").kind(), ErrorKind::Ended);
    assert_eq!(ada.typing(at).expect_err("ended").kind(), ErrorKind::Ended);
    let ended = |kind| assert!(matches!(kind, ErrorKind::Ended | ErrorKind::Unavailable), "{kind:?}");
    ended(engine.register(registration("cyn")).await.expect_err("ended").kind());
    ended(login(&engine, "ada").await.expect_err("ended").kind());
    engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_holds_up_a_shutdown_no_longer_than_the_deadline() {
    let world = World::new();
    let (store, faults) = FaultyStore::new(Arc::clone(&world.store));
    let engine = world.builder_over(Arc::new(store), config()).start().await.expect("an engine");
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    faults.commits(StoreWeather::Frozen);
    let pending = ada.begin_send(text(direct(&ada, &bob), "hello")).await.expect("queued");
    let deadline = engine.config().commit_deadline + Duration::from_secs(1);
    tokio::time::timeout(deadline, engine.shutdown()).await.expect("given up in time");
    let kind = pending.await.expect_err("nobody knows").kind();
    assert!(matches!(kind, ErrorKind::OutcomeUnknown | ErrorKind::Ended), "{kind:?}");
}

#[tokio::test(start_paused = true)]
async fn a_device_whose_node_was_stopped_is_not_taken_for_online_by_others() {
    let world = World::new();
    let mut config = config();
    config.devices = DevicePolicy::RefuseWhileOnline;
    let (here, there) = (world.alone_with(config.clone()).await, world.alone_with(config).await);
    let ada = join(&here, "ada").await;
    assert_eq!(login(&there, "ada").await.expect_err("online").kind(), ErrorKind::AlreadyOnline);
    here.shutdown().await;
    let admitted = login(&there, "ada").await.expect("nobody is online");
    drop(admitted);
    tokio::time::sleep(Duration::from_millis(1)).await;
    again(&there, ada.token()).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_in_during_a_shutdown_does_not_outlive_it() {
    let world = World::new();
    let (store, faults) = FaultyStore::new(Arc::clone(&world.store));
    let engine = world.builder_over(Arc::new(store), config()).start().await.expect("an engine");
    drop(join(&engine, "ada").await);
    faults.commits(StoreWeather::Slow(Duration::from_millis(50)));
    let late = tokio::spawn({
        let engine = engine.clone();
        async move {
            let password = Password::new(PASSWORD);
            let device_label = "late".into();
            engine.login(Credentials::Password { name: name("ada"), password, device_label }).await
        }
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    engine.shutdown().await;
    assert!(late.await.expect("no panic").is_err());
    assert_eq!(engine.sessions(), 0);
}
