//! Reading: history with what refers to it, sync from cursors, and unread counts that never drift.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chat_core::testkit::faults::{FaultyStore, StoreWeather};
use chat_core::{
    Body, Content, ConversationId, Direction, Entry, ErrorKind, GroupAction, JoinPolicy, Outgoing, Range,
    Seq, Sync, UserId,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::client::{Client, words};
use crate::world::{
    EVERYTHING, World, act, closed, config, create, direct, found, group, id, join, outgoing, say, text,
};

fn all() -> Sync {
    Sync { cursors: Vec::new(), after: None, until: None, limit: 10, entries_limit: 100 }
}

async fn two(world: &World) -> (Client, Client, ConversationId) {
    let engine = world.alone().await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let at = direct(&ada, &bob);
    (ada, bob, at)
}

fn kinds(entries: &[Entry]) -> Vec<Content> {
    entries.iter().map(|entry| entry.decode_content().expect("well formed")).collect()
}

#[tokio::test(start_paused = true)]
async fn history_pages_in_both_directions_with_what_refers_to_each_message_folded_in() {
    let world = World::new();
    let (ada, bob, at) = two(&world).await;
    let mut seqs = Vec::new();
    for number in 0..20 {
        let seq = say(&ada, at, number.to_string()).await.seq;
        seqs.push(seq);
        let reaction = Outgoing::Reaction { target: seq, symbol: "+".into(), set: true };
        bob.send(outgoing(at, reaction)).await.expect("sent");
    }
    let body = || Body::Text("new".into());
    ada.send(outgoing(at, Outgoing::Edit { target: seqs[0], body: body() })).await.expect("edited");
    ada.send(outgoing(at, Outgoing::Recall { target: seqs[1] })).await.expect("recalled");
    for direction in [Direction::Forward, Direction::Backward] {
        let (mut found, mut referring) = (Vec::new(), BTreeMap::new());
        let mut range = Range { direction, limit: 3, ..EVERYTHING };
        loop {
            let page = bob.history(at, &range).await.expect("a page");
            assert!(page.entries.len() <= 3);
            for entry in &page.referring {
                let target = entry.target.expect("refers to something");
                assert!(page.entries.iter().any(|entry| entry.seq == target), "on its page");
            }
            referring.extend(page.referring.into_iter().map(|entry| (entry.seq, entry)));
            let (Some(first), Some(last)) = (page.entries.first(), page.entries.last()) else { break };
            match direction {
                Direction::Forward => range.from = last.seq + 1,
                Direction::Backward => range.to = first.seq - 1,
            }
            found.extend(page.entries.iter().map(|entry| entry.seq));
            if !page.more {
                break;
            }
        }
        found.sort_unstable();
        assert_eq!(found, seqs, "{direction:?}");
        assert_eq!(referring.len(), 22);
    }
    let first = bob.history(at, &Range { limit: 2, ..EVERYTHING }).await.expect("a page");
    assert_eq!(kinds(&first.entries), [Content::Message(Body::Text("0".into())), Content::Redacted]);
    let reaction = || Content::Reaction { symbol: "+".into(), set: true };
    assert_eq!(kinds(&first.referring), [reaction(), reaction(), Content::Edit(body()), Content::Recall]);
}

#[tokio::test(start_paused = true)]
async fn a_recall_empties_the_edits_of_a_message_as_well_however_close_they_follow_each_other() {
    let world = World::new();
    let (ada, _bob, at) = two(&world).await;
    let elsewhere = crate::world::another(&ada.engine, "ada").await;
    for from in [&ada, &elsewhere] {
        let target = say(&ada, at, "a secret").await.seq;
        let edit = |word: &str| {
            outgoing(at, Outgoing::Edit { target, body: Body::Text(format!("a secret, {word}")) })
        };
        let first = ada.begin_send(edit("before")).await.expect("queued");
        let recall = from.begin_send(outgoing(at, Outgoing::Recall { target })).await.expect("queued");
        let second = ada.begin_send(edit("after")).await;
        first.await.expect("edited");
        recall.await.expect("recalled");
        let late = second.expect("queued").await.expect_err("nothing is left to be edited");
        assert_eq!(late.kind(), ErrorKind::Invalid);
    }
    for entry in world.log(at).await {
        let content = entry.decode_content().expect("well formed");
        assert!(matches!(content, Content::Redacted | Content::Recall), "{content:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_recall_and_an_edit_on_two_nodes_leave_nothing_to_be_read() {
    for recalls_first in [true, false] {
        let world = World::new();
        let here = world.node().await;
        let (store, faults) = FaultyStore::new(Arc::clone(&world.store));
        let there = world.builder_over(Arc::new(store), config()).bus(world.bus.endpoint());
        let there = there.start().await.expect("an engine");
        let (ada, bob) = (join(&here, "ada").await, join(&here, "bob").await);
        let (elsewhere, at) = (crate::world::another(&there, "ada").await, direct(&ada, &bob));
        let target = say(&ada, at, "a secret").await.seq;
        let edit = outgoing(at, Outgoing::Edit { target, body: Body::Text("a secret, edited".into()) });
        let recall = outgoing(at, Outgoing::Recall { target });
        let (first, second) = if recalls_first { (recall, edit) } else { (edit, recall) };
        // What is decided there has seen nothing of what is stored here meanwhile.
        faults.commits(StoreWeather::Frozen);
        let pending = elsewhere.begin_send(second).await.expect("queued");
        tokio::time::sleep(Duration::from_millis(100)).await;
        ada.send(first).await.expect("stored");
        faults.commits(StoreWeather::Fair);
        assert_eq!(pending.await.is_err(), recalls_first, "what was recalled cannot be edited");
        for entry in world.log(at).await {
            let content = entry.decode_content().expect("well formed");
            assert!(matches!(content, Content::Redacted | Content::Recall), "{content:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_messages_of_the_conversation_are_answered_edited_or_reacted_to() {
    let world = World::new();
    let (ada, bob, at) = two(&world).await;
    let target = say(&ada, at, "hello").await.seq;
    let reaction = |target, symbol: &str| Outgoing::Reaction { target, symbol: symbol.into(), set: true };
    let reacted = bob.send(outgoing(at, reaction(target, "+"))).await.expect("sent").seq;
    let body = || Body::Text("x".into());
    for wrong in [0, reacted, 77, Seq::MAX] {
        for message in [
            reaction(wrong, "+"),
            Outgoing::Edit { target: wrong, body: body() },
            Outgoing::Recall { target: wrong },
            Outgoing::Message { body: body(), reply_to: Some(wrong) },
        ] {
            let refused = ada.send(outgoing(at, message)).await.expect_err("no such message");
            assert_eq!(refused.kind(), ErrorKind::Invalid);
        }
    }
    for message in [Outgoing::Edit { target, body: body() }, Outgoing::Recall { target }] {
        let refused = bob.send(outgoing(at, message)).await.expect_err("not his");
        assert_eq!(refused.kind(), ErrorKind::NotAllowed);
    }
    for symbol in ["", "a\u{7}", &"x".repeat(65)] {
        assert!(ada.send(outgoing(at, reaction(target, symbol))).await.is_err());
    }
    let limit = ada.engine.config().body_limit_bytes;
    for body in [String::new(), "x".repeat(limit + 1)] {
        assert_eq!(ada.send(text(at, body)).await.expect_err("refused").kind(), ErrorKind::Invalid);
    }
    ada.send(text(at, "x".repeat(limit))).await.expect("just within");
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_conversations_sync_page_by_page_each_from_its_cursor() {
    let world = World::new();
    let engine = world.alone().await;
    let ada = join(&engine, "ada").await;
    let mut logs: BTreeMap<ConversationId, Vec<Entry>> = BTreeMap::new();
    for number in 0..150 {
        let other = join(&engine, &format!("user{number}")).await;
        let at = if number % 2 == 0 {
            direct(&ada, &other)
        } else {
            group(create(&other, closed("some"), &[ada.user()]).await)
        };
        for number in 0..number % 5 + 1 {
            say(&other, at, number.to_string()).await;
        }
        logs.insert(at, world.log(at).await);
    }
    logs.insert(ada.inbox(), world.log(ada.inbox()).await);
    let cursors: Vec<_> = logs.iter().map(|(at, log)| (*at, (log.len() / 2) as Seq)).collect();
    // The client tells its cursors in parts, as they come over a wire of limited frames.
    let (mut found, mut after, mut told) = (Vec::new(), None, 0);
    loop {
        let part = &cursors[told..(told + 20).min(cursors.len())];
        let until = part.last().map(|(at, _)| *at).filter(|_| told + 20 < cursors.len());
        let sync = Sync { cursors: part.to_vec(), after, until, limit: 7, entries_limit: 1_000 };
        let page = ada.session.sync(&sync).await.expect("a page");
        for synced in page.conversations {
            let at = synced.state.conversation;
            let seen = cursors[cursors.binary_search_by_key(&at, |(at, _)| *at).expect("told")].1;
            assert_eq!(synced.entries, logs[&at][seen as usize..]);
            assert!(!synced.more);
            found.push(at);
        }
        after = page.next;
        told = after.map_or(told, |after| cursors.partition_point(|(at, _)| *at <= after));
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, logs.keys().copied().collect::<Vec<_>>(), "each once, in order");
}

#[tokio::test(start_paused = true)]
async fn a_page_says_that_there_is_more_and_entries_go_on_where_it_ends() {
    let world = World::new();
    let (ada, bob, at) = two(&world).await;
    for number in 0..30 {
        say(&ada, at, number.to_string()).await;
    }
    let sync = Sync { entries_limit: 12, ..all() };
    let page = bob.session.sync(&sync).await.expect("a page");
    let synced = page.conversations.iter().find(|synced| synced.state.conversation == at).expect("there");
    assert_eq!((synced.entries.len(), synced.more, synced.state.head), (12, true, 30));
    let rest = bob.entries(at, &Range { from: 13, ..EVERYTHING }).await.expect("the rest");
    let said: Vec<_> = synced.entries.iter().chain(&rest).filter_map(words).collect();
    assert_eq!(said, (0..30).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn who_holds_more_than_the_store_starts_over() {
    let world = World::new();
    let (ada, bob, at) = two(&world).await;
    say(&ada, at, "hello").await;
    let unknown = ConversationId::direct(ada.user(), UserId::new(12).expect("an id")).expect("two");
    for cursor in [(at, 2), (unknown, 1)] {
        let sync = Sync { cursors: vec![cursor], ..all() };
        let refused = ada.session.sync(&sync).await.expect_err("another history");
        assert_eq!(refused.kind(), ErrorKind::EpochChanged);
    }
    let sync = Sync { cursors: vec![(at, 1)], ..all() };
    ada.session.sync(&sync).await.expect("the same history");
    let beyond = Range { from: 3, ..EVERYTHING };
    assert_eq!(bob.entries(at, &beyond).await.expect_err("another").kind(), ErrorKind::EpochChanged);
    assert_eq!(bob.entries(at, &Range { from: 2, ..EVERYTHING }).await.expect("the end"), []);
}

#[tokio::test(start_paused = true)]
async fn cursors_move_forward_only_and_by_a_send_only_when_it_says_so() {
    let world = World::new();
    let (ada, bob, at) = two(&world).await;
    for number in 0..10 {
        say(&ada, at, number.to_string()).await;
    }
    let read = async |who: &Client| {
        let state = who.conversation(at).await.expect("theirs");
        (state.read, state.unread)
    };
    assert_eq!(read(&ada).await, (0, 0), "own messages are not unread");
    assert_eq!(read(&bob).await, (0, 10));
    bob.mark_read(at, 7).await.expect("read");
    bob.mark_read(at, 3).await.expect("harmless");
    assert_eq!(read(&bob).await, (7, 3));
    say(&bob, at, "an answer").await;
    assert_eq!(read(&bob).await, (7, 3), "a send by itself moves nothing");
    let mut send = text(at, "another");
    send.read_up_to = Some(9);
    bob.send(send).await.expect("sent");
    assert_eq!(read(&bob).await, (9, 1));
    bob.mark_read(at, 1_000).await.expect("up to the head");
    assert_eq!(read(&bob).await, (12, 0));
    say(&ada, at, "one more").await;
    assert_eq!(read(&bob).await, (12, 1));
    bob.mark_delivered(&[(at, 13)]).await.expect("delivered");
    assert_eq!(ada.conversation(at).await.expect("hers").peer.expect("a peer").delivered, 13);
}

#[tokio::test(start_paused = true)]
async fn unread_equals_a_recount_after_random_operations() {
    for seed in 1..=10 {
        println!("seed {seed}");
        let mut draw = StdRng::seed_from_u64(seed);
        let world = World::new();
        let nodes = [world.alone().await, world.alone().await];
        let mut people = Vec::new();
        for number in 0..4 {
            people.push(join(&nodes[number % 2], &format!("user{number}")).await);
        }
        let all = create(&people[0], found("all", JoinPolicy::Open), &[]).await;
        let at = group(all);
        for _ in 0..120 {
            let who = &people[(draw.next_u64() % 4) as usize];
            let target = draw.next_u64() % 60 + 1;
            // What is refused is as good as what is done: it must change nothing.
            match draw.next_u64() % 10 {
                0 => drop(who.group(id(), all, GroupAction::Join).await),
                1 if who.user() != people[0].user() => drop(who.group(id(), all, GroupAction::Leave).await),
                2 => drop(who.send(outgoing(at, Outgoing::Recall { target })).await),
                3 => drop(who.mark_read(at, target).await),
                4 => {
                    let reaction = Outgoing::Reaction { target, symbol: "!".into(), set: true };
                    drop(who.send(outgoing(at, reaction)).await);
                }
                5 => {
                    let mut send = text(at, "with a cursor");
                    send.read_up_to = Some(target);
                    drop(who.send(send).await);
                }
                _ => drop(who.send(text(at, "hello")).await),
            }
            let log = world.log(at).await;
            for person in &people {
                let Ok(state) = person.conversation(at).await else { continue };
                let after = log.iter().filter(|entry| entry.seq > state.read && entry.countable);
                let recount = after.filter(|entry| entry.sender != person.user()).count() as u64;
                let expected = if state.standing.is_member() { recount } else { 0 };
                assert_eq!(state.unread, expected, "{state:?}");
            }
        }
        act(&people[0], all, GroupAction::Dissolve).await;
    }
}
