//! Contacts: asking, answering, ending and blocking.

use std::time::Duration;

use chat_core::{ContactAction, ContactEvent, ContactPolicy, Content, ErrorKind, Relation};

use crate::client::Client;
use crate::world::{World, befriend, config, direct, id, join, say, text};

async fn does(who: &Client, peer: &Client, action: ContactAction) -> Result<(), ErrorKind> {
    who.contact(id(), peer.user(), action).await.map(drop).map_err(|error| error.kind())
}

fn request(note: &str) -> ContactAction {
    ContactAction::Request { note: note.into() }
}

async fn relation(who: &Client) -> Option<(Relation, bool)> {
    let contacts = who.contacts(None, 10).await.expect("contacts");
    contacts.first().map(|contact| (contact.relation, contact.blocked))
}

fn events(who: &Client) -> Vec<(ContactEvent, String)> {
    let contact = |content| match content {
        Content::Contact { event, note, .. } => Some((event, note)),
        _ => None,
    };
    who.contents(who.inbox()).into_iter().filter_map(contact).collect()
}

#[tokio::test(start_paused = true)]
async fn a_request_is_told_to_both_and_answered() {
    let world = World::new();
    let engine = world.alone().await;
    let (mut ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    does(&ada, &bob, request("it is me")).await.expect("asked");
    assert_eq!(relation(&ada).await, Some((Relation::Outgoing, false)));
    assert_eq!(relation(&bob).await, Some((Relation::Incoming, false)));
    assert_eq!(does(&ada, &bob, request("again")).await, Err(ErrorKind::NotAllowed));
    assert_eq!(does(&ada, &bob, ContactAction::Accept).await, Err(ErrorKind::NotAllowed));
    does(&bob, &ada, ContactAction::Decline).await.expect("declined");
    assert_eq!((relation(&ada).await, relation(&bob).await), (None, None));
    does(&ada, &bob, request("please")).await.expect("asked");
    does(&bob, &ada, ContactAction::Accept).await.expect("accepted");
    tokio::time::sleep(Duration::from_millis(1)).await;
    ada.drain().await;
    bob.drain().await;
    let expected = [
        (ContactEvent::Requested, "it is me"),
        (ContactEvent::Declined, ""),
        (ContactEvent::Requested, "please"),
        (ContactEvent::Accepted, ""),
    ];
    for who in [&ada, &bob] {
        let told = events(who);
        let told: Vec<_> = told.iter().map(|(event, note)| (*event, note.as_str())).collect();
        assert_eq!(told, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_is_asked_first_a_request_makes_contacts() {
    let world = World::new();
    let mut config = config();
    config.contacts = ContactPolicy::Immediate;
    let engine = world.alone_with(config).await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    does(&ada, &bob, request("")).await.expect("done");
    assert_eq!(relation(&bob).await, Some((Relation::Contact, false)));
}

#[tokio::test(start_paused = true)]
async fn a_block_ends_what_was_and_keeps_the_other_from_writing_until_it_is_undone() {
    let world = World::new();
    let engine = world.alone().await;
    let (ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    befriend(&ada, &bob).await;
    let at = direct(&ada, &bob);
    say(&bob, at, "hello").await;
    does(&ada, &bob, ContactAction::Block).await.expect("blocked");
    assert_eq!(relation(&ada).await, Some((Relation::None, true)));
    assert_eq!(relation(&bob).await, None, "is not told of the block");
    for who in [&ada, &bob] {
        assert_eq!(who.send(text(at, "hello")).await.expect_err("refused").kind(), ErrorKind::NotAllowed);
    }
    assert_eq!(does(&bob, &ada, request("")).await, Err(ErrorKind::NotAllowed));
    assert_eq!(does(&ada, &bob, request("")).await, Err(ErrorKind::NotAllowed), "unblock first");
    assert_eq!(does(&bob, &ada, ContactAction::Unblock).await, Err(ErrorKind::NotAllowed));
    bob.drain().await;
    let told = events(&bob);
    assert_eq!(told.last().map(|(event, _)| *event), Some(ContactEvent::Removed));
    does(&ada, &bob, ContactAction::Unblock).await.expect("unblocked");
    say(&bob, at, "hello again").await;
}

#[tokio::test(start_paused = true)]
async fn both_may_block_each_other_and_either_block_counts() {
    let world = World::new();
    let engine = world.alone().await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let at = direct(&ada, &bob);
    does(&ada, &bob, ContactAction::Block).await.expect("blocked");
    does(&bob, &ada, ContactAction::Block).await.expect("blocked");
    does(&ada, &bob, ContactAction::Unblock).await.expect("unblocked");
    assert!(ada.send(text(at, "hello")).await.is_err());
    does(&bob, &ada, ContactAction::Unblock).await.expect("unblocked");
    say(&ada, at, "hello").await;
}

#[tokio::test(start_paused = true)]
async fn contacts_come_in_pages_and_are_limited() {
    let world = World::new();
    let mut config = config();
    config.contacts_limit = 7;
    let engine = world.alone_with(config).await;
    let ada = join(&engine, "ada").await;
    let mut others = Vec::new();
    for number in 0..8 {
        others.push(join(&engine, &format!("user{number}")).await);
    }
    for other in &others[..7] {
        does(&ada, other, request("")).await.expect("asked");
    }
    assert_eq!(does(&ada, &others[7], request("")).await, Err(ErrorKind::LimitReached));
    does(&ada, &others[0], ContactAction::Withdraw).await.expect("withdrawn");
    does(&ada, &others[7], request("")).await.expect("there is room again");
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = ada.contacts(after, 3).await.expect("contacts");
        let Some(last) = page.last() else { break };
        after = Some(last.profile.user);
        all.extend(page.into_iter().map(|contact| contact.profile.user));
    }
    let mut expected: Vec<_> = others[1..].iter().map(|other| other.user()).collect();
    expected.sort_unstable();
    assert_eq!(all, expected);
    let note = "x".repeat(ContactAction::NOTE_LIMIT_BYTES + 1);
    assert_eq!(does(&ada, &others[0], request(&note)).await, Err(ErrorKind::Invalid));
    assert_eq!(does(&ada, &ada, request("")).await, Err(ErrorKind::Invalid));
}
