//! What a storm of log-ins costs the bus: one subscription for each who comes, and next to nothing for
//! however many contacts they have.

use std::time::Duration;

use chat_core::bus::Topic;
use chat_core::store::{Batch, Item, StandingChange, Write, WriterId};
use chat_core::{
    Account, ConversationId, Credentials, Device, DeviceId, DisplayName, Engine, Relation, Standing,
    Timestamp, Token, TokenHash, UserId,
};
use sha2::{Digest as _, Sha256};

use crate::presence::{later, presence};
use crate::published::{Asked, Recorded};
use crate::world::{World, again, name};

/// Time enough for a storm to be told to nodes and by them.
const TOLD: Duration = Duration::from_secs(1);

/// The most that all nodes say in that time. A node tells changes gathered for 50 ms, each message up
/// to 8,192 users, and three beats in a lease of 10 s; each of the two nodes may be asked for a beat or a
/// roster on top of it. None of that grows with contacts, and hardly with users.
const WORDS: usize = 20;

/// A user in a ring, in which each has for contacts those who are near.
struct Neighbour {
    user: UserId,
    token: Token,
}

fn relation(conversation: ConversationId, user: UserId) -> Write {
    let change = StandingChange::of(conversation, user);
    Write::Standing(StandingChange { relation: Some(Relation::Contact), ..change })
}

/// An account and its device, as a registration leaves them.
fn account(number: u64, neighbour: &Neighbour) -> Item {
    let user = neighbour.user;
    let name = name(&format!("p{number}"));
    let display_name = DisplayName::from_stored(name.as_str());
    let (created, password_hash, deleted) = (Timestamp(1), None, None);
    let account = Account { user, name, display_name, password_hash, created, deleted };
    let device = Device {
        id: DeviceId::new(number).expect("within bounds"),
        user,
        label: String::new(),
        token_hash: TokenHash(Sha256::digest(neighbour.token.0).into()),
        created,
        last_seen: created,
        attached: None,
    };
    let place = StandingChange::of(ConversationId::Inbox(user), user);
    let place = StandingChange { standing: Some(Standing::Member), ..place };
    let write = vec![Write::PutAccount(account), Write::Standing(place), Write::PutDevice(device)];
    Item { write, ..Item::default() }
}

/// Stores so many users, each with so many contacts: half of them the next in the ring.
async fn ring(world: &World, people: u64, contacts: usize) -> Vec<Neighbour> {
    let neighbour = |number: u64| {
        let mut token = Token([7; 32]);
        token.0[..8].copy_from_slice(&number.to_be_bytes());
        Neighbour { user: UserId::new(number).expect("within bounds"), token }
    };
    let ring: Vec<_> = (1..=people).map(neighbour).collect();
    for (number, neighbour) in (1..).zip(&ring) {
        let mut items = vec![account(number, neighbour)];
        for next in ring.iter().cycle().skip(number as usize).take(contacts / 2) {
            let at = ConversationId::direct(neighbour.user, next.user).expect("two users");
            let write = vec![relation(at, neighbour.user), relation(at, next.user)];
            items.push(Item { write, ..Item::default() });
        }
        let batch = Batch { writer: WriterId(1), number, now: Timestamp(1), items };
        world.store.commit(&batch).await.expect("stored");
    }
    ring
}

async fn recorded_node(world: &World) -> (Engine, Asked) {
    let (bus, asked) = Recorded::new(world.bus.endpoint());
    (world.node_on(bus).await, asked)
}

/// All but the first log in on one node, while the first is on another and sees who comes.
async fn storm(people: u64, contacts: usize) {
    let world = World::new();
    let ring = ring(&world, people, contacts).await;
    let (here, asked_here) = recorded_node(&world).await;
    let (there, asked_there) = recorded_node(&world).await;
    let mut observer = again(&there, ring[0].token).await;
    later(&mut observer, TOLD).await;
    observer.ephemerals.clear();
    for asked in [&asked_here, &asked_there] {
        asked.take();
        asked.take_subscribed();
    }

    let mut online = Vec::new();
    for neighbour in &ring[1..] {
        online.push(here.login(Credentials::Token(neighbour.token)).await.expect("logged in"));
    }
    later(&mut observer, TOLD).await;

    let known = ring[1..=contacts / 2].iter().chain(&ring[ring.len() - contacts / 2..]);
    for neighbour in known {
        assert_eq!(presence(&observer, neighbour.user), [true]);
    }
    assert_eq!(observer.ephemerals.len(), contacts, "and nobody else is told of");

    let published = [asked_here.take(), asked_there.take()].concat();
    let (words, others): (Vec<_>, Vec<_>) = published.into_iter().partition(|topic| *topic == Topic::Nodes);
    assert!(others.is_empty(), "{} messages for single users, {:?} first", others.len(), others[0]);
    assert!(words.len() <= WORDS, "{} messages", words.len());
    // One call for each who came, which names nobody but them. Theirs and their contacts' direct
    // conversations come over their own topic.
    let came: Vec<_> = ring[1..].iter().map(|neighbour| vec![Topic::User(neighbour.user)]).collect();
    assert!(asked_here.take_subscribed() == came, "each subscribes to the own topic once");
    assert_eq!(asked_there.take_subscribed(), Vec::<Vec<Topic>>::new());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_logins_of_users_with_two_hundred_contacts_cost_a_subscription_each() {
    storm(1_000, 200).await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_logins_cost_a_subscription_each() {
    storm(10_000, 20).await;
}

#[tokio::test(start_paused = true)]
#[ignore = "two million times a user begins to listen to a contact: a minute and a half, and 3 GB"]
async fn ten_thousand_logins_of_users_with_two_hundred_contacts_cost_a_subscription_each() {
    storm(10_000, 200).await;
}
