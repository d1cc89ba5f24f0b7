//! What becomes of commands when the connection breaks, and how it comes back.

use std::time::Duration;

use chat_core::{Credentials, Error, ErrorKind, Password};
use chat_proto::client::ClientError;
use chat_proto::message::{LoggedIn, Reply, Request};
use tokio::time::Instant;

use super::peer::{EPOCH, PING_INTERVAL, Peer, Scene, TOKEN, identity, me, name, receipt, send};

/// The first byte of a send's client id.
async fn sent(peer: &mut Peer) -> (u64, u8) {
    match peer.request().await {
        (id, Request::Send(send)) => (id, send.client_id.0[0]),
        other => panic!("a send expected: {other:?}"),
    }
}

fn credentials() -> Credentials {
    Credentials::Password {
        name: name(),
        password: Password::new("correct horse"),
        device_label: "test".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_answered_is_sent_again_with_the_same_ids_in_the_old_order() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    let mut pending = Vec::new();
    for number in 1..=3 {
        pending.push(scene.client.begin_send(send(number)).await.expect("queued"));
    }
    let mut ids = Vec::new();
    for number in 1..=3 {
        let (id, sent) = sent(&mut scene.peer).await;
        assert_eq!(sent, number);
        ids.push(id);
    }
    scene.peer.reply(ids[1], receipt(2)).await;
    let mut pending = pending.into_iter();
    let (first, second, third) =
        (pending.next().expect("1"), pending.next().expect("2"), pending.next().expect("3"));
    assert_eq!(second.await.expect("a receipt").seq, 2);

    scene.reconnect(EPOCH).await;
    scene.peer.sync(Vec::new()).await;
    for (number, seq) in [(1, 1), (3, 3)] {
        let (id, sent) = sent(&mut scene.peer).await;
        assert_eq!(sent, number);
        scene.peer.reply(id, receipt(seq)).await;
    }
    assert_eq!(first.await.expect("a receipt").seq, 1);
    assert_eq!(third.await.expect("a receipt").seq, 3);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_the_moment_is_waited_out() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    let pending = scene.client.begin_send(send(1)).await.expect("queued");
    let (id, _) = sent(&mut scene.peer).await;
    let later = Duration::from_secs(4);
    scene.peer.reply(id, Err(Error::new(ErrorKind::Overloaded, "busy").retry_after(later))).await;
    let refused = Instant::now();
    let (id, number) = sent(&mut scene.peer).await;
    assert_eq!(number, 1);
    assert!(refused.elapsed() >= later && refused.elapsed() < later + Duration::from_millis(10));
    scene.peer.reply(id, receipt(5)).await;
    assert_eq!(pending.await.expect("a receipt").seq, 5);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_longer_than_there_is_time_is_told() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    let pending = scene.client.begin_send(send(1)).await.expect("queued");
    let (id, _) = sent(&mut scene.peer).await;
    let later = Duration::from_secs(60);
    scene.peer.reply(id, Err(Error::new(ErrorKind::RateLimited, "slow down").retry_after(later))).await;
    let Err(ClientError::Refused(error)) = pending.await else { panic!("refused") };
    assert_eq!((error.kind(), error.retry_delay()), (ErrorKind::RateLimited, Some(later)));
}

#[tokio::test(start_paused = true)]
async fn a_command_without_an_answer_times_out() {
    let mut scene = Scene::open_in_sync(|config| config.request_timeout = Duration::from_secs(5)).await;
    let started = Instant::now();
    let result = scene.client.send(send(1)).await;
    assert!(matches!(result, Err(ClientError::TimedOut)), "{result:?}");
    assert_eq!(started.elapsed().as_secs(), 5);
    sent(&mut scene.peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_command_times_out_while_the_server_is_away() {
    let mut scene = Scene::open_in_sync(|config| config.request_timeout = Duration::from_secs(5)).await;
    let started = Instant::now();
    drop(scene.peer);
    drop(scene.listener);
    let result = scene.client.send(send(1)).await;
    assert!(matches!(result, Err(ClientError::TimedOut)), "{result:?}");
    assert_eq!(started.elapsed().as_secs(), 5);
    assert!(scene.events.next().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn commands_that_come_while_there_is_no_connection_wait_for_the_next() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    scene.peer.close(chat_proto::message::CloseCode::SHUTTING_DOWN).await;
    scene.expect_disconnected().await.expect("it will come back");
    let pending = scene.client.begin_send(send(1)).await.expect("queued");
    scene.reconnect(EPOCH).await;
    scene.peer.sync(Vec::new()).await;
    let (id, _) = sent(&mut scene.peer).await;
    scene.peer.reply(id, receipt(1)).await;
    pending.await.expect("a receipt");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_noticed_within_its_interval() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    let started = Instant::now();
    scene.expect_disconnected().await.expect("it will come back");
    assert!(started.elapsed() <= PING_INTERVAL, "{:?}", started.elapsed());
    assert!(started.elapsed() > PING_INTERVAL / 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_signs_of_life_is_kept() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    let day = Duration::from_secs(24 * 3600);
    let client = scene.client.clone();
    let later = tokio::spawn(async move {
        tokio::time::sleep(day).await;
        client.send(send(1)).await
    });
    let (id, _) = scene.peer.patient_request().await;
    scene.peer.reply(id, receipt(1)).await;
    later.await.expect("no panic").expect("a receipt");
    assert!(scene.events.try_next().is_none(), "nothing happened all day");
}

#[tokio::test(start_paused = true)]
async fn a_log_in_is_not_sent_twice() {
    let mut scene = Scene::open_without_account().await;
    scene.expect_connected().await;
    let client = scene.client.clone();
    let entering = tokio::spawn(async move { client.login(credentials()).await });
    assert!(matches!(scene.peer.request().await, (_, Request::Login(_))));
    drop(scene.peer);
    let result = entering.await.expect("no panic");
    assert!(matches!(result, Err(ClientError::Unreachable { .. })), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn without_an_account_a_connection_is_made_when_it_is_needed() {
    let mut scene = Scene::open_without_account().await;
    scene.expect_connected().await;
    let refused = scene.client.devices().await;
    assert_eq!(refused.expect_err("nobody has logged in").kind(), Some(ErrorKind::Unauthenticated));
    scene.peer.close(chat_proto::message::CloseCode::HANDSHAKE_TIMEOUT).await;
    assert_eq!(scene.expect_disconnected().await, None);
    assert!(scene.listener.stays_empty().await);

    let client = scene.client.clone();
    let entering = tokio::spawn(async move { client.login(credentials()).await });
    let mut peer = scene.listener.accept().await;
    peer.greet(EPOCH, None).await;
    let (id, request) = peer.request().await;
    assert!(matches!(request, Request::Login(_)));
    peer.reply(id, Ok(Reply::LoggedIn(LoggedIn { session: identity(), token: Some(TOKEN) }))).await;
    let account = entering.await.expect("no panic").expect("an account");
    assert_eq!((account.user, account.token, account.epoch), (me(), Some(TOKEN), EPOCH));
    assert_eq!(scene.client.user(), Some(me()));

    // From now on it comes back by itself, with the token.
    peer.sync(Vec::new()).await;
    drop(peer);
    let hello = scene.listener.accept().await.greet(EPOCH, Some(identity())).await;
    assert_eq!((hello.token, hello.epoch), (Some(TOKEN), Some(EPOCH)));
}

#[tokio::test(start_paused = true)]
async fn a_client_acts_for_one_account() {
    let scene = Scene::open_in_sync(|_| {}).await;
    let result = scene.client.login(credentials()).await;
    assert_eq!(result.expect_err("there is an account").kind(), Some(ErrorKind::Invalid));
}

#[tokio::test(start_paused = true)]
async fn a_session_in_the_way_is_waited_for() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    drop(scene.peer);
    for _ in 0..3 {
        let busy = Error::new(ErrorKind::AlreadyOnline, "in use");
        scene.listener.accept().await.refuse(busy).await;
    }
    scene.listener.accept().await.greet(EPOCH, Some(identity())).await;
    for _ in 0..4 {
        assert!(matches!(
            scene.events.next().await,
            Some(chat_proto::client::ClientEvent::Disconnected { .. })
        ));
    }
    assert!(matches!(scene.events.next().await, Some(chat_proto::client::ClientEvent::Connected)));
}

#[tokio::test(start_paused = true)]
async fn what_is_longer_than_a_frame_may_be_is_refused_here() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    let mut long = send(1);
    let body = chat_core::Body::Text("x".repeat(65 * 1024));
    long.message = chat_core::Outgoing::Message { body, reply_to: None };
    let result = scene.client.send(long).await;
    assert_eq!(result.expect_err("too long").kind(), Some(ErrorKind::Invalid));
    let pending = scene.client.begin_send(send(2)).await.expect("queued");
    let (id, number) = sent(&mut scene.peer).await;
    assert_eq!(number, 2);
    scene.peer.reply(id, receipt(1)).await;
    pending.await.expect("a receipt");
}
