//! **complete** and **private** at once, under everything at a time: people come and go, reconnect to
//! other nodes, read slowly, and the bus does what it likes.

use std::time::Duration;

use chat_core::testkit::faults::{BusWeather, FaultyBus};
use chat_core::{Content, Engine, Entry, GroupAction, JoinPolicy, Seq, Token, UserId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::client::Client;
use crate::world::{World, again, config, create, direct, found, group, id, join, text};

const PEOPLE: u64 = 5;

async fn node(world: &World, seed: u64) -> Engine {
    let (bus, faults) = FaultyBus::new(world.bus.endpoint(), seed);
    faults.receiving(BusWeather {
        lost_percent: 25,
        repeated_percent: 20,
        delayed_percent: 30,
        delay_at_most: Duration::from_millis(700),
    });
    let mut config = config();
    config.session_queue_bytes = 3_000;
    config.session_behind_limit = 2;
    config.gate_repair_limit = 20;
    world.builder(config).bus(bus).start().await.expect("an engine")
}

/// The entries that a user may read of a group whose newcomers read from their join on.
fn allowed(log: &[Entry], who: UserId) -> Vec<Seq> {
    let (mut seqs, mut member) = (Vec::new(), false);
    for entry in log {
        let content = entry.decode_content().expect("well formed");
        let enters = match &content {
            Content::GroupCreated { members, .. } | Content::MembersAdded(members) => members.contains(&who),
            Content::Joined => entry.sender == who,
            _ => false,
        };
        member |= enters;
        if member {
            seqs.push(entry.seq);
        }
        match content {
            Content::Left if entry.sender == who => member = false,
            Content::MemberRemoved(user) if user == who => member = false,
            _ => {}
        }
    }
    seqs
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_everyone_ends_with_what_is_theirs_and_with_nothing_else() {
    for seed in 1..=25 {
        println!("seed {seed}");
        let mut draw = StdRng::seed_from_u64(seed);
        let world = World::new();
        let nodes = [node(&world, seed).await, node(&world, seed + 500).await];
        let mut people: Vec<(Token, Client)> = Vec::new();
        for number in 0..PEOPLE {
            let client = join(&nodes[(number % 2) as usize], &format!("user{number}")).await;
            people.push((client.token(), client));
        }
        let all = create(&people[0].1, found("all", JoinPolicy::Open), &[people[1].1.user()]).await;
        let at = group(all);
        for _ in 0..150 {
            let pick = (draw.next_u64() % PEOPLE) as usize;
            let other = people[(pick + 1) % PEOPLE as usize].1.user();
            // What is refused is as good as what is done.
            match draw.next_u64() % 12 {
                0 | 1 => drop(people[pick].1.group(id(), all, GroupAction::Join).await),
                2 if pick > 0 => drop(people[pick].1.group(id(), all, GroupAction::Leave).await),
                3 => drop(people[0].1.group(id(), all, GroupAction::Remove(other)).await),
                4 => drop(people[0].1.group(id(), all, GroupAction::Add(vec![other])).await),
                5 => {
                    // The log that a client keeps outlives its connection.
                    let token = people[pick].0;
                    let new = again(&nodes[(draw.next_u64() % 2) as usize], token).await;
                    let old = std::mem::replace(&mut people[pick].1, new);
                    people[pick].1.inherit(old);
                    people[pick].1.sync().await;
                }
                6 => people[pick].1.drain().await,
                7 => {
                    let to = direct(&people[pick].1, &people[(pick + 1) % PEOPLE as usize].1);
                    drop(people[pick].1.send(text(to, "hello")).await);
                }
                _ => drop(people[pick].1.send(text(at, "x".repeat(200))).await),
            }
            tokio::time::sleep(Duration::from_millis(draw.next_u64() % 60)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let log = world.log(at).await;
        for (_, client) in &mut people {
            client.drain().await;
            assert_eq!(client.ended, None);
            let seqs: Vec<_> =
                client.logs.get(&at).map_or(&[][..], Vec::as_slice).iter().map(|entry| entry.seq).collect();
            let allowed = allowed(&log, client.user());
            assert!(seqs.iter().all(|seq| allowed.contains(seq)), "{seqs:?} of {allowed:?}");
            let Ok(state) = client.conversation(at).await else { continue };
            // What was theirs in an earlier membership may have been passed over; the present one
            // is whole from its join on, which counts as read.
            let present = allowed.iter().filter(|seq| **seq > state.first_seq);
            let missing: Vec<_> = present.filter(|seq| !seqs.contains(seq)).collect();
            if state.standing.is_member() {
                assert!(missing.is_empty(), "{missing:?} of {}", client.user());
            }
        }
        for one in 0..PEOPLE as usize {
            let pair = direct(&people[one].1, &people[(one + 1) % PEOPLE as usize].1);
            let log = world.log(pair).await;
            assert_eq!(people[one].1.position(&pair), log.len() as Seq);
        }
    }
}
