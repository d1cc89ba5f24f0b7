//! **deterministic when asked**: from one seed, on one thread with paused time, a whole cluster runs
//! the same way twice.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use chat_core::testkit::faults::{BusWeather, FaultyBus};
use chat_core::{ContactAction, CreateGroup, Engine, GroupAction, JoinPolicy, Outgoing, Register};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::client::Client;
use crate::world::{
    World, again, closed, config, create, direct, found, group, join, numbered, outgoing, registration, text,
};

async fn node(world: &World, seed: u64) -> Engine {
    let (bus, faults) = FaultyBus::new(world.bus.endpoint(), seed);
    faults.receiving(BusWeather {
        lost_percent: 10,
        repeated_percent: 10,
        delayed_percent: 20,
        delay_at_most: Duration::from_millis(300),
    });
    world.builder(config()).bus(bus).seed(seed).start().await.expect("an engine")
}

/// Everything that three people were told in the course of a random scenario, in order.
async fn trace(seed: u64) -> Vec<String> {
    let world = World::new();
    let nodes = [node(&world, seed).await, node(&world, seed + 1_000).await];
    let mut draw = StdRng::seed_from_u64(seed);
    let mut trace = Vec::new();
    let mut people: Vec<Client> = Vec::new();
    // The ids that clients choose must not depend on other tests.
    let mut ids = (1_u64..).map(|number| numbered(number << 32));
    let mut next_id = move || ids.next().expect("endless");
    for (number, who) in ["ada", "bob", "cyn"].into_iter().enumerate() {
        let node = &nodes[number % 2];
        let registration = Register { client_id: next_id(), ..registration(who) };
        people.push(Client::begin(node.register(registration).await.expect("registered"), node).await);
        trace.push(format!("{who} is {}", people[number].user()));
    }
    let profile = found("all", JoinPolicy::Open);
    let creation = CreateGroup { client_id: next_id(), profile, members: Vec::new() };
    let all = people[0].create_group(creation).await.expect("created").group;
    for _ in 0..150 {
        let pick = (draw.next_u64() % 3) as usize;
        let other = people[(pick + 1 + (draw.next_u64() % 2) as usize) % 3].user();
        let who = &people[pick];
        let client_id = next_id();
        let to = match draw.next_u64() % 2 {
            0 => group(all),
            _ => chat_core::ConversationId::direct(who.user(), other).expect("two users"),
        };
        let target = draw.next_u64() % 20 + 1;
        let send = |message| chat_core::Send { client_id, ..outgoing(to, message) };
        let done = match draw.next_u64() % 9 {
            0 => format!("{:?}", who.group(client_id, all, GroupAction::Join).await),
            1 if pick != 0 => format!("{:?}", who.group(client_id, all, GroupAction::Leave).await),
            2 => {
                let request = ContactAction::Request { note: String::new() };
                format!("{:?}", who.contact(client_id, other, request).await)
            }
            3 => format!("{:?}", who.send(send(Outgoing::Recall { target })).await),
            4 => format!("{:?}", who.mark_read(to, target).await),
            5 => {
                // Tokens are drawn from the seed as well.
                let token = people[pick].token();
                let mut new = again(&nodes[(draw.next_u64() % 2) as usize], token).await;
                new.token = Some(token);
                people[pick] = new;
                format!("{token:?} {:?}", token.0)
            }
            _ => format!("{:?}", who.send(chat_core::Send { client_id, ..text(to, "hello") }).await),
        };
        trace.push(done);
        let pause = Duration::from_millis(draw.next_u64() % 200);
        world.clock.forward(pause);
        tokio::time::sleep(pause).await;
        for person in &mut people {
            while let Some(event) = person.try_event() {
                trace.push(format!("{} {event:?}", person.user()));
            }
        }
    }
    trace
}

fn digest(trace: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    trace.hash(&mut hasher);
    hasher.finish()
}

fn run(seed: u64) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(trace(seed))
}

#[test]
fn one_seed_gives_one_trace_of_a_cluster_and_another_seed_another() {
    for seed in 1..=5 {
        println!("seed {seed}");
        let (first, second) = (run(seed), run(seed));
        let differs = first.iter().zip(&second).position(|(one, other)| one != other);
        if let Some(at) = differs {
            panic!("event {at} differs:\n{}\n{}", first[at], second[at]);
        }
        assert_eq!(digest(&first), digest(&second));
        assert_ne!(digest(&first), digest(&run(seed + 100)));
    }
}

#[tokio::test(start_paused = true)]
async fn ids_and_tokens_come_from_the_seed_and_differ_without_one() {
    let mut drawn = Vec::new();
    for seed in [Some(7), Some(7), Some(8), None, None] {
        let world = World::new();
        let builder = world.builder(config());
        let builder = match seed {
            Some(seed) => builder.seed(seed),
            None => builder,
        };
        let engine = builder.start().await.expect("an engine");
        let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
        let all = create(&ada, closed("all"), &[bob.user()]).await;
        drawn.push((direct(&ada, &bob), all, ada.token().0));
    }
    assert_eq!(drawn[0], drawn[1]);
    assert_ne!(drawn[1], drawn[2]);
    assert_ne!(drawn[3], drawn[4]);
}
