//! **ordered**: all members see one order of a conversation, without a gap, whoever writes from
//! wherever.

use std::sync::Arc;
use std::time::Duration;

use chat_core::testkit::faults::FaultyStore;
use chat_core::{GroupAction, Timestamp};

use crate::client::words;
use crate::world::{World, act, closed, config, create, direct, group, join, say, text};

#[tokio::test(start_paused = true)]
async fn everyone_sees_one_gapless_order_of_what_many_write_from_several_nodes() {
    let world = World::new();
    let nodes = [world.node().await, world.node().await, world.node().await];
    let mut people = Vec::new();
    for number in 0..9 {
        people.push(join(&nodes[number % 3], &format!("user{number}")).await);
    }
    let others: Vec<_> = people[1..].iter().map(|person| person.user()).collect();
    let all = create(&people[0], closed("all"), &others).await;
    let at = group(all);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut writers = Vec::new();
    for person in &people {
        let session = person.session.clone();
        writers.push(tokio::spawn(async move {
            let mut seqs = Vec::new();
            for number in 0..20 {
                seqs.push(say(&session, at, format!("{} {number}", session.user())).await.seq);
            }
            seqs
        }));
    }
    for writer in writers {
        let seqs = writer.await.expect("no panic");
        assert!(seqs.is_sorted_by(|a, b| a < b), "each hears its own sends in order: {seqs:?}");
    }
    let log = world.log(at).await;
    assert_eq!(log.len(), 1 + 9 * 20);
    assert!(log.iter().zip(1..).all(|(entry, seq)| entry.seq == seq));
    for person in &mut people {
        person.reaches(at, log.len() as u64).await;
        assert_eq!(person.logs[&at], log, "as it is stored");
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_session_pipelines_keeps_its_order_while_the_rules_change_in_the_middle() {
    let world = World::new();
    let nodes = [world.node().await, world.node().await];
    let (ada, bob) = (join(&nodes[0], "ada").await, join(&nodes[1], "bob").await);
    let all = create(&ada, closed("all"), &[bob.user()]).await;
    let at = group(all);
    let mut pending = Vec::new();
    for number in 0..120 {
        pending.push(ada.begin_send(text(at, number.to_string())).await.expect("queued"));
        if number % 10 == 5 {
            // Changes the rules from the other node, where ada's sends are not known of.
            act(&ada_elsewhere(&ada, &nodes[1]).await, all, GroupAction::Mute(bob.user(), Timestamp(1)))
                .await;
        }
    }
    let mut last = 0;
    for one in pending {
        let seq = one.await.expect("stored").seq;
        assert!(seq > last, "{seq} after {last}");
        last = seq;
    }
    let said: Vec<_> = world.log(at).await.iter().filter_map(words).collect();
    assert_eq!(said, (0..120).map(|number| number.to_string()).collect::<Vec<_>>());
}

/// Another device of ada on another node; kept online so that it can act.
async fn ada_elsewhere(ada: &crate::client::Client, node: &chat_core::Engine) -> chat_core::Session {
    let _ = ada;
    let device = crate::world::login(node, "ada").await.expect("logged in");
    let session = device.session.clone();
    // The session lives as long as its events: they are kept until the test's runtime ends.
    tokio::spawn(async move {
        let mut events = device.events;
        while events.next().await.is_some() {}
    });
    session
}

#[tokio::test(start_paused = true)]
async fn a_sender_sees_its_own_messages_where_they_stand_among_the_others() {
    let world = World::new();
    let engine = world.alone().await;
    let (mut ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let at = direct(&ada, &bob);
    for number in 0..10 {
        let who = if number % 2 == 0 { &ada } else { &bob };
        say(who, at, number.to_string()).await;
    }
    ada.reaches(at, 10).await;
    bob.reaches(at, 10).await;
    assert_eq!(ada.logs[&at], bob.logs[&at]);
    assert_eq!(ada.logs[&at], world.log(at).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_several_threads_the_order_is_one_and_nothing_is_missing() {
    let world = World::new();
    let nodes = [world.node().await, world.node().await];
    let (mut ada, mut bob) = (join(&nodes[0], "ada").await, join(&nodes[1], "bob").await);
    let cyn = join(&nodes[1], "cyn").await;
    let all = create(&ada, closed("all"), &[bob.user(), cyn.user()]).await;
    let places = [group(all), direct(&ada, &bob)];
    let mut writers = Vec::new();
    for session in [ada.session.clone(), bob.session.clone()] {
        for at in places {
            let session = session.clone();
            writers.push(tokio::spawn(async move {
                for number in 0..100 {
                    say(&session, at, number.to_string()).await;
                }
            }));
        }
    }
    for writer in writers {
        writer.await.expect("no panic");
    }
    for at in places {
        let log = world.log(at).await;
        for person in [&mut ada, &mut bob] {
            person.reaches(at, log.len() as u64).await;
            assert_eq!(person.logs[&at], log);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_stays_within_one_shard_of_the_store() {
    let world = World::new();
    let (store, faults) = FaultyStore::new(Arc::clone(&world.store));
    faults.shards(3);
    let engine = world.builder_over(Arc::new(store), config()).start().await.expect("an engine");
    let ada = join(&engine, "ada").await;
    let mut others = Vec::new();
    for number in 0..9 {
        others.push(join(&engine, &format!("p{number}")).await);
    }
    let begun = faults.commits_begun();
    let mut pending = Vec::new();
    for round in 0..5 {
        for other in &others {
            let send = text(direct(&ada, other), format!("{round}"));
            pending.push(ada.begin_send(send).await.expect("queued"));
        }
    }
    for send in pending {
        send.await.expect("stored");
    }
    assert!(faults.commits_begun() - begun < 20, "they gather all the same");
    assert_eq!(faults.spanning_batches(), 0);
    for other in &others {
        let log = world.log(direct(&ada, other)).await;
        assert_eq!(log.iter().filter_map(words).collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
    }
}
