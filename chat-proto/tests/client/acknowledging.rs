//! The server is told what reached the application.

use std::time::Duration;

use chat_core::{Error, ErrorKind};
use chat_proto::message::{Push, Reply, Request};
use tokio::time::Instant;

use super::peer::{EPOCH, Scene, entry, me, push, with};

async fn acknowledged(scene: &mut Scene) -> (u64, Vec<(chat_core::ConversationId, u64)>) {
    match scene.peer.request().await {
        (id, Request::MarkDelivered(positions)) => (id, positions),
        other => panic!("an acknowledgement expected: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_over_is_acknowledged_together() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    scene.peer.push(push(with(2), 1..=5)).await;
    scene.peer.push(push(with(3), 1..=2)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let started = Instant::now();
    scene.expect_entries(with(2), 1..=5).await;
    scene.expect_entries(with(3), 1..=1).await;
    let (id, positions) = acknowledged(&mut scene).await;
    assert!(started.elapsed() < Duration::from_millis(300), "{:?}", started.elapsed());
    assert_eq!(positions, [(with(2), 5), (with(3), 1)], "what still waits is not delivered");
    scene.peer.reply(id, Ok(Reply::Done)).await;
    scene.expect_entries(with(3), [2]).await;
    assert_eq!(acknowledged(&mut scene).await.1, [(with(3), 2)]);
}

#[tokio::test(start_paused = true)]
async fn own_messages_alone_are_not_acknowledged() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    let mut own = entry(1);
    own.sender = me();
    scene.peer.push(Push::Entries { conversation: with(2), entries: vec![own] }).await;
    scene.expect_entries(with(2), [1]).await;
    let asked = tokio::time::timeout(Duration::from_secs(10), scene.peer.request()).await;
    assert!(asked.is_err(), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_was_lost_or_came_too_early_is_repeated() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    scene.peer.push(push(with(2), [1])).await;
    scene.expect_entries(with(2), [1]).await;
    let (id, _) = acknowledged(&mut scene).await;
    let later = Duration::from_secs(3);
    scene.peer.reply(id, Err(Error::new(ErrorKind::RateLimited, "slow down").retry_after(later))).await;
    let refused = Instant::now();
    assert_eq!(acknowledged(&mut scene).await.1, [(with(2), 1)]);
    assert!(refused.elapsed() >= Duration::from_millis(200));

    scene.reconnect(EPOCH).await;
    scene.peer.sync(vec![]).await;
    assert_eq!(acknowledged(&mut scene).await.1, [(with(2), 1)]);
}
