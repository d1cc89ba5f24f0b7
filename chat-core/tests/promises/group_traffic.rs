//! What is said in a group goes over the bus once, however many are in it.

use std::time::Duration;

use chat_core::bus::Topic;
use chat_core::{Body, GroupAction, Outgoing};

use crate::published::Recorded;
use crate::world::{World, act, closed, create, group, join, outgoing, say};

/// Time enough for rosters to be told.
const TOLD: Duration = Duration::from_millis(200);

#[tokio::test(start_paused = true)]
async fn a_chunk_of_a_group_is_published_once_to_the_groups_topic_and_to_nothing_else() {
    let world = World::new();
    let (bus, asked) = Recorded::new(world.bus.endpoint());
    let (here, there) = (world.node_on(bus).await, world.node().await);
    let owner = join(&here, "owner").await;
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for number in 0..20 {
        near.push(join(&here, &format!("near{number}")).await);
        far.push(join(&there, &format!("far{number}")).await);
    }
    let users: Vec<_> = near.iter().chain(&far).map(|member| member.user()).collect();
    let all = create(&owner, closed("all"), &users).await;
    let at = group(all);
    tokio::time::sleep(TOLD).await;
    asked.take();

    let once = [Topic::Group(all)];
    let text = |text: &str| Body::Text(text.into());
    let target = say(&owner, at, "hello").await.seq;
    assert_eq!(asked.take(), once, "a message");
    say(&near[0], at, "hello yourself").await;
    assert_eq!(asked.take(), once, "a message of another member");
    for change in [
        Outgoing::Edit { target, body: text("good morning") },
        Outgoing::Reaction { target, symbol: "+".into(), set: true },
        Outgoing::Recall { target },
    ] {
        let what = format!("{change:?}");
        owner.send(outgoing(at, change)).await.expect("sent");
        assert_eq!(asked.take(), once, "{what}");
    }
    act(&owner, all, GroupAction::ChangeProfile(closed("everybody"))).await;
    assert_eq!(asked.take(), once, "a change of the group");
    let seq = say(&owner, at, "the end").await.seq;
    assert_eq!(asked.take(), once);
    for member in near.iter_mut().chain(&mut far) {
        member.reaches(at, seq).await;
    }
    assert_eq!(asked.take(), [], "nor is anything published for those who hear it");
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_stored_together_are_published_together() {
    const MESSAGES: usize = 50;
    let world = World::new();
    let (bus, asked) = Recorded::new(world.bus.endpoint());
    let (here, there) = (world.node_on(bus).await, world.node().await);
    let (owner, mut far) = (join(&here, "owner").await, join(&there, "far").await);
    let all = create(&owner, closed("all"), &[far.user()]).await;
    let at = group(all);
    tokio::time::sleep(TOLD).await;
    asked.take();
    let sends = (0..MESSAGES).map(|number| say(&owner, at, number.to_string()));
    let receipts = futures_util::future::join_all(sends).await;
    let last = receipts.iter().map(|receipt| receipt.seq).max().expect("some");
    far.reaches(at, last).await;
    let published = asked.take();
    assert!(published.iter().all(|topic| *topic == Topic::Group(all)), "{published:?}");
    assert!(published.len() <= 3, "{} messages for {MESSAGES} that were sent at once", published.len());
}
