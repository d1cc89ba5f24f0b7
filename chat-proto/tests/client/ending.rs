//! Ends that are final, and how they are told.

use std::time::Duration;

use chat_core::{ClientId, DeviceEvent, EndReason, Error, ErrorKind};
use chat_proto::client::{ClientError, ClientEvent};
use chat_proto::message::{Close, CloseCode, Push, Reply, Request};
use tokio::time::Instant;

use super::peer::{EPOCH, Scene, identity, push, send, with};

#[tokio::test(start_paused = true)]
async fn final_ends_are_told_and_the_client_stays_away() {
    for (code, reason) in [
        (CloseCode::LOGGED_OUT, EndReason::LoggedOut),
        (CloseCode::DEVICE_REVOKED, EndReason::Device(DeviceEvent::Revoked)),
        (CloseCode::DEVICE_REPLACED, EndReason::Device(DeviceEvent::Replaced)),
        (CloseCode::ACCOUNT_DELETED, EndReason::AccountDeleted),
    ] {
        let mut scene = Scene::open_in_sync(|_| {}).await;
        let pending = scene.client.begin_send(send(1)).await.expect("queued");
        scene.peer.close(code).await;
        let event = scene.event().await;
        assert!(matches!(event, Some(ClientEvent::Ended(told)) if told == reason), "{code:?}: {event:?}");
        assert!(scene.event().await.is_none(), "the end is the last event");
        assert!(matches!(pending.await, Err(ClientError::Closed)));
        assert!(matches!(scene.client.devices().await, Err(ClientError::Closed)));
        assert!(scene.listener.stays_empty().await);
    }
}

#[tokio::test(start_paused = true)]
async fn other_closes_are_come_back_from() {
    for code in [
        CloseCode::SHUTTING_DOWN,
        CloseCode::SILENT,
        CloseCode::SLOW_READER,
        CloseCode::OVERLOADED,
        CloseCode::RESET,
    ] {
        let mut scene = Scene::open_in_sync(|_| {}).await;
        scene.peer.close(code).await;
        scene.expect_disconnected().await.expect("it will come back");
        scene.listener.accept().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_can_ask_to_be_left_alone_for_a_while() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    let wish = Duration::from_secs(120);
    let close = Close { retry_after: Some(wish), ..CloseCode::SHUTTING_DOWN.into() };
    let closed = Instant::now();
    scene.peer.push(Push::Close(close)).await;
    scene.listener.accept().await;
    assert!(closed.elapsed() >= wish);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_accepted_any_more_is_the_end() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    drop(scene.peer);
    let revoked = Error::new(ErrorKind::Unauthenticated, "log in again");
    scene.listener.accept().await.refuse(revoked).await;
    assert!(matches!(scene.events.next().await, Some(ClientEvent::Disconnected { .. })));
    let event = scene.events.next().await;
    assert!(
        matches!(&event, Some(ClientEvent::GaveUp(error)) if error.kind() == Some(ErrorKind::Unauthenticated)),
        "{event:?}"
    );
    assert!(scene.events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_log_out_whose_answer_was_lost_has_succeeded() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    let client = scene.client.clone();
    let leaving = tokio::spawn(async move { client.log_out(ClientId([1; 16])).await });
    assert!(matches!(scene.peer.request().await, (_, Request::LogOut(_))));
    drop(scene.peer);
    scene.listener.accept().await.refuse(Error::new(ErrorKind::Unauthenticated, "void")).await;
    leaving.await.expect("no panic").expect("logged out");
    assert!(matches!(scene.events.next().await, Some(ClientEvent::Disconnected { .. })));
    assert!(matches!(scene.events.next().await, Some(ClientEvent::Ended(EndReason::LoggedOut))));
}

#[tokio::test(start_paused = true)]
async fn a_log_out_ends_the_client() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    let client = scene.client.clone();
    let leaving = tokio::spawn(async move { client.log_out(ClientId([1; 16])).await });
    let (id, _) = scene.peer.request().await;
    scene.peer.reply(id, Ok(Reply::Done)).await;
    scene.peer.close(CloseCode::LOGGED_OUT).await;
    leaving.await.expect("no panic").expect("logged out");
    assert!(matches!(scene.event().await, Some(ClientEvent::Ended(EndReason::LoggedOut))));
    assert!(scene.listener.stays_empty().await);
}

#[tokio::test(start_paused = true)]
async fn closing_tells_what_was_delivered_and_hangs_up() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    scene.peer.push(push(with(2), 1..=3)).await;
    scene.expect_entries(with(2), 1..=3).await;
    let started = Instant::now();
    scene.client.close().await;
    assert!(started.elapsed() < Duration::from_millis(100));
    let (_, request) = scene.peer.request().await;
    assert!(matches!(&request, Request::MarkDelivered(positions) if positions == &[(with(2), 3)]));
    scene.peer.hung_up().await;
    assert!(scene.event().await.is_none());
    assert!(matches!(scene.client.devices().await, Err(ClientError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_server_that_is_away() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    scene.peer.close(CloseCode::SHUTTING_DOWN).await;
    scene.expect_disconnected().await;
    let started = Instant::now();
    scene.client.close().await;
    assert!(started.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_nobody_holds_any_more_hangs_up() {
    let Scene { client, events, mut peer, mut listener } = Scene::open_in_sync(|_| {}).await;
    drop(client);
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(events);
    peer.hung_up().await;
    assert!(listener.stays_empty().await);
}

#[tokio::test(start_paused = true)]
async fn events_outlive_the_last_command_giver() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    let (elsewhere, events) = (scene.client, scene.events);
    drop(elsewhere);
    scene.peer.push(push(with(2), [1])).await;
    let mut events = events;
    assert!(matches!(events.next().await, Some(ClientEvent::Entry { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_the_server_said_last_is_heard_though_it_takes_nothing_more() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    scene.peer.close(CloseCode::LOGGED_OUT).await;
    drop(scene.peer);
    let pending = scene.client.begin_send(send(1)).await.expect("queued");
    assert!(matches!(scene.events.next().await, Some(ClientEvent::Ended(EndReason::LoggedOut))));
    assert!(matches!(pending.await, Err(ClientError::Closed)));
}

/// Is superseded, and comes back.
async fn superseded(scene: &mut Scene) {
    scene.peer.close(CloseCode::SUPERSEDED).await;
    scene.expect_disconnected().await.expect("it will come back");
    scene.peer = scene.listener.accept().await;
    scene.peer.greet(EPOCH, Some(identity())).await;
    scene.peer.sync(Vec::new()).await;
    scene.expect_connected().await;
    scene.expect_caught_up().await;
}

/// Is superseded, and that by somebody else.
async fn superseded_for_good(mut scene: Scene) {
    scene.peer.close(CloseCode::SUPERSEDED).await;
    assert!(matches!(scene.event().await, Some(ClientEvent::Ended(EndReason::Superseded))));
    assert!(scene.event().await.is_none(), "the end is the last event");
    assert!(scene.listener.stays_empty().await);
}

#[tokio::test(start_paused = true)]
async fn who_is_superseded_soon_after_the_start_comes_back_once() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    // The application had tried before, and that log-in was carried out after the one that succeeded.
    superseded(&mut scene).await;
    superseded_for_good(scene).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_superseded_by_own_log_ins_that_were_cut_short_comes_back_once_for_each() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    // The first may have been one of the application's before.
    superseded(&mut scene).await;
    scene.peer = scene.listener.accept_after(scene.peer).await;
    scene.expect_disconnected().await.expect("it will come back");
    // Log-ins are on their way when connections break, and are carried out after the last one.
    for _ in 0..2 {
        scene.peer.request().await;
        scene.peer = scene.listener.accept_after(scene.peer).await;
        scene.expect_disconnected().await.expect("it will come back");
    }
    scene.peer.greet(EPOCH, Some(identity())).await;
    scene.peer.sync(Vec::new()).await;
    scene.expect_connected().await;
    scene.expect_caught_up().await;
    for _ in 0..2 {
        superseded(&mut scene).await;
    }
    superseded_for_good(scene).await;
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_behind_commands() {
    let mut scene = Scene::open_in_sync(|config| config.command_queue = 1).await;
    let waiting: Vec<_> = (1..=4)
        .map(|number| {
            let client = scene.client.clone();
            tokio::spawn(async move { client.send(send(number)).await })
        })
        .collect();
    scene.peer.request().await;
    let started = Instant::now();
    scene.client.close().await;
    assert!(started.elapsed() < Duration::from_millis(100));
    for sent in waiting {
        assert!(matches!(sent.await.expect("no panic"), Err(ClientError::Closed)));
    }
}
