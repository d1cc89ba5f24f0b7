//! **atomic**: what concerns several people is done for all of them or for none.

use chat_core::{ContactAction, CreateGroup, ErrorKind, GroupAction, Relation, UserId};

use crate::world::{World, act, befriend, closed, create, group, id, join};

#[tokio::test(start_paused = true)]
async fn a_group_with_a_first_member_who_blocked_its_creator_does_not_come_to_be() {
    let world = World::new();
    let engine = world.alone().await;
    let (ada, bob, cyn) =
        (join(&engine, "ada").await, join(&engine, "bob").await, join(&engine, "cyn").await);
    cyn.contact(id(), ada.user(), ContactAction::Block).await.expect("blocked");
    let inboxes = [world.log(ada.inbox()).await, world.log(bob.inbox()).await, world.log(cyn.inbox()).await];
    for stranger in [cyn.user(), UserId::new(77).expect("an id")] {
        let members = vec![bob.user(), stranger];
        let command = CreateGroup { client_id: id(), profile: closed("all"), members };
        assert_eq!(ada.create_group(command).await.expect_err("refused").kind(), ErrorKind::NotAllowed);
    }
    let after = [world.log(ada.inbox()).await, world.log(bob.inbox()).await, world.log(cyn.inbox()).await];
    assert_eq!(after, inboxes, "nobody was told anything");
    let groups = world.store.memberships(bob.user(), None, 100).await.expect("the store");
    assert!(groups.iter().all(|(head, _)| head.group.is_none()));
}

#[tokio::test(start_paused = true)]
async fn several_are_added_to_a_group_all_or_none() {
    let world = World::new();
    let engine = world.alone().await;
    let (ada, bob, cyn) =
        (join(&engine, "ada").await, join(&engine, "bob").await, join(&engine, "cyn").await);
    let all = create(&ada, closed("all"), &[]).await;
    cyn.contact(id(), ada.user(), ContactAction::Block).await.expect("blocked");
    let both = GroupAction::Add(vec![bob.user(), cyn.user()]);
    assert_eq!(ada.group(id(), all, both).await.expect_err("refused").kind(), ErrorKind::NotAllowed);
    assert_eq!(ada.roster(all, None, None, 10).await.expect("a roster").len(), 1);
    act(&ada, all, GroupAction::Add(vec![bob.user()])).await;
    assert_eq!(ada.roster(all, None, None, 10).await.expect("a roster").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_contact_is_accepted_on_both_sides() {
    let world = World::new();
    let engine = world.alone().await;
    let (mut ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    befriend(&ada, &bob).await;
    for (one, other) in [(&ada, &bob), (&bob, &ada)] {
        let contacts = one.contacts(None, 10).await.expect("contacts");
        assert_eq!(contacts.len(), 1);
        assert_eq!((contacts[0].profile.user, contacts[0].relation), (other.user(), Relation::Contact));
    }
    for one in [&mut ada, &mut bob] {
        let (inbox, log) = (one.inbox(), world.log(one.inbox()).await);
        one.reaches(inbox, log.len() as u64).await;
    }
    bob.contact(id(), ada.user(), ContactAction::Remove).await.expect("removed");
    for one in [&ada, &bob] {
        assert!(one.contacts(None, 10).await.expect("contacts").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn two_who_ask_each_other_at_the_same_time_are_contacts() {
    let world = World::new();
    let (here, there) = (world.node().await, world.node().await);
    let (ada, bob) = (join(&here, "ada").await, join(&there, "bob").await);
    let request = || ContactAction::Request { note: String::new() };
    let (one, other) =
        tokio::join!(ada.contact(id(), bob.user(), request()), bob.contact(id(), ada.user(), request()));
    one.expect("asked");
    other.expect("asked");
    for one in [&ada, &bob] {
        assert_eq!(one.contacts(None, 10).await.expect("contacts")[0].relation, Relation::Contact);
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_who_enter_at_once_no_more_come_in_than_the_group_takes() {
    let world = World::new();
    let mut config = crate::world::config();
    config.group_limit = 5;
    let nodes = [world.alone_with(config.clone()).await, world.alone_with(config).await];
    let ada = join(&nodes[0], "ada").await;
    let all = create(&ada, crate::world::found("all", chat_core::JoinPolicy::Open), &[]).await;
    let mut people = Vec::new();
    for number in 0..8 {
        people.push(join(&nodes[number % 2], &format!("user{number}")).await);
    }
    let mut joining = Vec::new();
    for person in &people {
        let session = person.session.clone();
        joining.push(tokio::spawn(async move { session.group(id(), all, GroupAction::Join).await }));
    }
    let mut entered = 0;
    for one in joining {
        match one.await.expect("no panic") {
            Ok(_) => entered += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::LimitReached),
        }
    }
    assert_eq!(entered, 4);
    let state = ada.conversation(group(all)).await.expect("a member");
    assert_eq!(state.group.expect("a group").members, 5);
    assert_eq!(ada.roster(all, None, None, 10).await.expect("a roster").len(), 5);
}
