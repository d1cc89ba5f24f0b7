//! An application that does not keep up with its events.

use std::time::Duration;

use chat_core::{Ephemeral, ErrorKind};
use chat_proto::message::{Push, Reply, Request};

use super::peer::{EPOCH, Scene, entries, push, receipt, send, synced, user, with};

#[tokio::test(start_paused = true)]
async fn a_slow_application_gets_everything_and_its_commands_are_answered_meanwhile() {
    let configure = |config: &mut chat_proto::client::ClientConfig| {
        config.event_queue = 4;
        config.cursors = vec![(with(2), 0)];
    };
    let mut scene = Scene::open_in_sync(configure).await;
    for seq in 1..=1000 {
        scene.peer.push(push(with(2), [seq])).await;
    }
    let ephemeral = Ephemeral::Presence { user: user(2), online: true };
    scene.peer.push(Push::Ephemeral(ephemeral)).await;
    let pending = scene.client.begin_send(send(1)).await.expect("queued");
    let (id, request) = scene.peer.request().await;
    assert!(matches!(request, Request::Send(_)), "nothing is read ahead of the application: {request:?}");
    scene.peer.reply(id, receipt(1001)).await;
    assert_eq!(pending.await.expect("a receipt").seq, 1001);

    let served = tokio::spawn(async move {
        let mut most = 0;
        let mut peer = scene.peer;
        loop {
            match peer.request().await {
                (id, Request::Entries { range, .. }) => {
                    let to = range.to.min(range.from + 49);
                    most = most.max(to);
                    peer.reply(id, Ok(Reply::Entries(entries(range.from..=to)))).await;
                    if most == 1000 {
                        return peer;
                    }
                }
                (id, Request::MarkDelivered(_)) => peer.reply(id, Ok(Reply::Done)).await,
                other => panic!("a read expected: {other:?}"),
            }
        }
    });
    for seq in 1..=1000 {
        match scene.events.next().await {
            Some(chat_proto::client::ClientEvent::Entry { entry, .. }) => assert_eq!(entry.seq, seq),
            other => panic!("entry {seq} expected: {other:?}"),
        }
        if seq % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    served.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_flaps_while_nobody_listens_is_told_of_once() {
    let mut scene = Scene::open_in_sync(|config| config.event_queue = 1).await;
    for _ in 0..20 {
        scene.reconnect(EPOCH).await;
    }
    let mut told = 0;
    // Whoever reads is told how it stands, not how often it changed.
    while let Ok(Some(_)) = tokio::time::timeout(Duration::from_secs(1), scene.events.next()).await {
        told += 1;
    }
    assert!((2..=4).contains(&told), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_sync_waits_for_the_application() {
    let mut scene = Scene::open(|config| config.event_queue = 2).await;
    let (id, Request::Sync(_)) = scene.peer.request().await else { panic!("a sync expected") };
    let conversations = (2..12).map(|peer| synced(with(peer), 3, 1..=3)).collect();
    let page = chat_core::SyncPage { conversations, next: Some(with(11)) };
    scene.peer.reply(id, Ok(Reply::SyncPage(page))).await;
    let asked = tokio::time::timeout(Duration::from_secs(10), scene.peer.request()).await;
    assert!(asked.is_err(), "{asked:?}");
    scene.expect_connected().await;
    for peer in 2..12 {
        scene.expect_state(with(peer)).await;
        scene.expect_entries(with(peer), 1..=3).await;
    }
    scene.peer.sync(vec![]).await;
    scene.expect_caught_up().await;
}

#[tokio::test(start_paused = true)]
async fn without_listeners_nothing_is_synced_and_commands_go_on() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    drop(scene.events);
    scene.peer.push(push(with(2), [5])).await;
    let pending = scene.client.begin_send(send(1)).await.expect("queued");
    let (id, request) = scene.peer.request().await;
    assert!(matches!(request, Request::Send(_)), "{request:?}");
    scene.peer.reply(id, Err(chat_core::Error::not_allowed())).await;
    assert_eq!(pending.await.expect_err("refused").kind(), Some(ErrorKind::NotAllowed));
}
