//! Entries arrive once and in order, whatever the server leaves out.

use chat_core::{ConversationId, Epoch, Error, ErrorKind, SyncPage};
use chat_proto::client::ClientEvent;
use chat_proto::message::{Push, Reply, Request};

use super::peer::{EPOCH, Scene, push, state, synced, user, with};

#[tokio::test(start_paused = true)]
async fn entries_that_were_pushed_before_are_dropped() {
    let mut scene = Scene::open_in_sync(|config| config.cursors = vec![(with(2), 5)]).await;
    for seqs in [4..=6, 6..=6, 5..=8, 9..=9] {
        scene.peer.push(push(with(2), seqs)).await;
    }
    scene.expect_entries(with(2), 6..=9).await;
    assert_eq!(scene.client.cursors(), [(with(2), 9)]);
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_read_from_the_log() {
    let mut scene = Scene::open_in_sync(|config| config.cursors = vec![(with(2), 5)]).await;
    scene.peer.push(push(with(2), [6])).await;
    scene.peer.push(push(with(2), [9, 10])).await;
    scene.peer.push(push(with(3), [1])).await;
    assert_eq!(scene.peer.read(with(2), 100).await, (7, 10));
    scene.expect_entries(with(2), [6]).await;
    scene.expect_entries(with(3), [1]).await;
    scene.expect_entries(with(2), 7..=10).await;
}

#[tokio::test(start_paused = true)]
async fn being_behind_is_repaired_in_pages() {
    let mut scene = Scene::open_in_sync(|config| config.cursors = vec![(with(2), 5)]).await;
    scene.peer.push(Push::Behind { conversation: with(2), upto: 30 }).await;
    assert_eq!(scene.peer.read(with(2), 10).await, (6, 30));
    assert_eq!(scene.peer.read(with(2), 100).await, (16, 30));
    scene.peer.push(push(with(2), [31])).await;
    scene.expect_entries(with(2), 6..=31).await;
}

#[tokio::test(start_paused = true)]
async fn being_behind_everywhere_is_repaired_by_a_sync() {
    let mut scene = Scene::open_in_sync(|config| config.cursors = vec![(with(2), 5)]).await;
    scene.peer.push(push(with(2), [6])).await;
    scene.peer.push(Push::BehindEverywhere).await;
    let sync = scene.peer.sync(vec![synced(with(2), 8, 7..=8), synced(with(3), 1, [1])]).await;
    assert_eq!(sync.cursors, [(with(2), 6)]);
    scene.expect_entries(with(2), [6]).await;
    scene.expect_state(with(2)).await;
    scene.expect_entries(with(2), 7..=8).await;
    scene.expect_state(with(3)).await;
    scene.expect_entries(with(3), [1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_reconnection_goes_on_where_deliveries_ended() {
    let mut scene = Scene::open_in_sync(|config| config.cursors = vec![(with(2), 5)]).await;
    scene.peer.push(push(with(2), 6..=7)).await;
    scene.expect_entries(with(2), 6..=7).await;
    scene.reconnect(EPOCH).await;
    let sync = scene.peer.sync(vec![synced(with(2), 9, 8..=9)]).await;
    assert_eq!(sync.cursors, [(with(2), 7)]);
    scene.expect_disconnected().await;
    scene.expect_connected().await;
    scene.expect_state(with(2)).await;
    scene.expect_entries(with(2), 8..=9).await;
    scene.expect_caught_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_absence_is_read_to_its_end_before_the_client_has_caught_up() {
    let mut scene = Scene::open(|config| config.cursors = vec![(with(2), 5)]).await;
    scene.peer.sync(vec![synced(with(2), 40, 6..=10)]).await;
    scene.peer.push(push(with(2), [41])).await;
    assert_eq!(scene.peer.read(with(2), 20).await.0, 11);
    scene.peer.read(with(2), 100).await;
    scene.expect_connected().await;
    scene.expect_state(with(2)).await;
    scene.expect_entries(with(2), 6..=40).await;
    let mut rest = [scene.event().await, scene.event().await];
    rest.sort_by_key(|event| matches!(event, Some(ClientEvent::CaughtUp)));
    assert!(matches!(&rest[0], Some(ClientEvent::Entry { entry, .. }) if entry.seq == 41), "{rest:?}");
    assert!(matches!(rest[1], Some(ClientEvent::CaughtUp)), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_cursor_delivery_starts_after_the_read_cursor() {
    let mut scene = Scene::open(|_| {}).await;
    let mut seen = synced(with(2), 7, []);
    seen.state.read = 7;
    let mut unread = synced(with(3), 7, 5..=7);
    unread.state.read = 4;
    scene.peer.sync(vec![seen, unread]).await;
    scene.expect_connected().await;
    scene.expect_state(with(2)).await;
    scene.expect_state(with(3)).await;
    scene.expect_entries(with(3), 5..=7).await;
    scene.expect_caught_up().await;
    assert_eq!(scene.client.cursors(), [(with(2), 7), (with(3), 7)]);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_appears_in_the_middle_is_asked_about() {
    let mut scene = Scene::open_in_sync(|_| {}).await;
    scene.peer.push(push(with(2), 8..=9)).await;
    let (id, request) = scene.peer.request().await;
    assert!(matches!(request, Request::Conversation(of) if of == with(2)), "{request:?}");
    scene.peer.reply(id, Ok(Reply::Conversation(Box::new(state(with(2), 6, 9))))).await;
    assert_eq!(scene.peer.read(with(2), 100).await, (7, 9));
    scene.expect_state(with(2)).await;
    scene.expect_entries(with(2), 7..=9).await;
}

#[tokio::test(start_paused = true)]
async fn entries_that_are_kept_no_more_are_passed_over() {
    let mut scene = Scene::open_in_sync(|config| config.cursors = vec![(with(2), 5)]).await;
    scene.peer.push(push(with(2), [30])).await;
    let (id, request) = scene.peer.request().await;
    assert!(matches!(request, Request::Entries { .. }), "{request:?}");
    scene.peer.reply(id, Err(Error::new(ErrorKind::Trimmed, "gone"))).await;
    let (id, request) = scene.peer.request().await;
    assert!(matches!(request, Request::Conversation(_)), "{request:?}");
    let mut trimmed = state(with(2), 0, 30);
    trimmed.first_seq = 28;
    scene.peer.reply(id, Ok(Reply::Conversation(Box::new(trimmed)))).await;
    assert_eq!(scene.peer.read(with(2), 100).await, (28, 30));
    scene.expect_state(with(2)).await;
    scene.expect_entries(with(2), 28..=30).await;
}

#[tokio::test(start_paused = true)]
async fn many_cursors_are_sent_in_parts() {
    let known: Vec<_> = (2..=1202).map(|peer| (with(peer), 1)).collect();
    let mut scene = Scene::open(|config| config.cursors = known.clone()).await;
    let mut asked = Vec::new();
    let mut after = None;
    loop {
        let (id, Request::Sync(sync)) = scene.peer.request().await else { panic!("a sync expected") };
        assert!(sync.cursors.len() <= 500);
        assert_eq!(sync.after, after);
        assert!(sync.cursors.is_sorted());
        asked.extend(sync.cursors);
        after = sync.until;
        scene.peer.reply(id, Ok(Reply::SyncPage(SyncPage { conversations: vec![], next: after }))).await;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(asked, known);
    scene.expect_connected().await;
    scene.expect_caught_up().await;
}

#[tokio::test(start_paused = true)]
async fn pages_follow_each_other_to_the_end() {
    let mut scene = Scene::open(|_| {}).await;
    let groups: Vec<_> = (2..6).map(with).collect();
    for (index, conversation) in groups.iter().enumerate() {
        let (id, Request::Sync(sync)) = scene.peer.request().await else { panic!("a sync expected") };
        assert_eq!(sync.after, index.checked_sub(1).map(|before| groups[before]));
        let next = (index + 1 < groups.len()).then_some(*conversation);
        let conversations = vec![synced(*conversation, 1, [1])];
        scene.peer.reply(id, Ok(Reply::SyncPage(SyncPage { conversations, next }))).await;
    }
    scene.expect_connected().await;
    for conversation in groups {
        scene.expect_state(conversation).await;
        scene.expect_entries(conversation, [1]).await;
    }
    scene.expect_caught_up().await;
}

#[tokio::test(start_paused = true)]
async fn another_history_starts_over() {
    let mut scene = Scene::open_in_sync(|config| config.cursors = vec![(with(2), 5)]).await;
    scene.peer.push(push(with(2), [6])).await;
    scene.expect_entries(with(2), [6]).await;
    scene.reconnect(Epoch(2)).await;
    let sync = scene.peer.sync(vec![synced(with(2), 2, 1..=2)]).await;
    assert_eq!(sync.cursors, []);
    scene.expect_disconnected().await;
    scene.expect_connected().await;
    let event = scene.event().await;
    assert!(matches!(event, Some(ClientEvent::EpochChanged)), "{event:?}");
    assert_eq!((scene.client.cursors(), scene.client.epoch()), (vec![], Some(Epoch(2))));
    scene.expect_state(with(2)).await;
    scene.expect_entries(with(2), 1..=2).await;
    scene.expect_caught_up().await;
}

#[tokio::test(start_paused = true)]
async fn cursors_of_a_foreign_epoch_are_dropped_at_once() {
    let configure = |config: &mut chat_proto::client::ClientConfig| {
        config.cursors = vec![(with(2), 5)];
        config.epoch = Some(Epoch(77));
    };
    let mut scene = Scene::open(configure).await;
    assert_eq!(scene.peer.sync(vec![]).await.cursors, []);
    scene.expect_connected().await;
    assert!(matches!(scene.event().await, Some(ClientEvent::EpochChanged)));
    scene.expect_caught_up().await;
    assert_eq!(scene.client.epoch(), Some(EPOCH));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_beyond_the_head_starts_over() {
    let mut scene = Scene::open(|config| config.cursors = vec![(with(2), 5)]).await;
    let (id, _) = scene.peer.request().await;
    scene.peer.reply(id, Err(Error::new(ErrorKind::EpochChanged, "beyond the end"))).await;
    assert_eq!(scene.peer.sync(vec![synced(with(2), 2, 1..=2)]).await.cursors, []);
    scene.expect_connected().await;
    assert!(matches!(scene.event().await, Some(ClientEvent::EpochChanged)));
    scene.expect_state(with(2)).await;
    scene.expect_entries(with(2), 1..=2).await;
    scene.expect_caught_up().await;
}

#[tokio::test(start_paused = true)]
async fn entries_that_are_pushed_during_a_sync_arrive_once() {
    let mut scene = Scene::open(|config| config.cursors = vec![(with(2), 5)]).await;
    let inbox = ConversationId::Inbox(user(1));
    scene.peer.push(push(with(2), 6..=7)).await;
    scene.peer.push(push(inbox, 4..=5)).await;
    scene.peer.sync(vec![synced(with(2), 7, 6..=7), synced(inbox, 4, 1..=4)]).await;
    assert_eq!(scene.peer.read(inbox, 100).await, (5, 5));
    scene.expect_connected().await;
    scene.expect_entries(with(2), 6..=7).await;
    scene.expect_state(with(2)).await;
    scene.expect_state(inbox).await;
    scene.expect_entries(inbox, 1..=4).await;
    scene.expect_caught_up().await;
    scene.expect_entries(inbox, [5]).await;
}
