//! **once**: repeating a command with its id returns the first result and changes nothing, also when
//! it would be refused by now; the same id with another command is a conflict.

use chat_core::{
    Body, ContactAction, ConversationId, CreateGroup, DisplayName, ErrorKind, GroupAction, JoinPolicy,
    Outgoing, Password, Send, Standing, Timestamp,
};

use crate::client::Client;
use crate::world::{
    PASSWORD, World, act, another, befriend, closed, config, create, direct, found, group, id, join, name,
    outgoing, registration, say, text,
};

/// Three people on one node, of whom the first two are contacts.
async fn three(world: &World) -> (Client, Client, Client) {
    let engine = world.alone().await;
    let people = (join(&engine, "ada").await, join(&engine, "bob").await, join(&engine, "cyn").await);
    befriend(&people.0, &people.1).await;
    people
}

async fn repeats(world: &World, who: &Client, send: Send) {
    let first = who.send(send.clone()).await.expect("sent");
    let log = world.log(send.conversation).await;
    assert_eq!(who.send(send.clone()).await.expect("repeated"), first);
    assert_eq!(world.log(send.conversation).await, log);
    let other = Outgoing::Message { body: Body::Text("something else".into()), reply_to: None };
    let conflict = who.send(Send { message: other, ..send }).await.expect_err("another command");
    assert_eq!(conflict.kind(), ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_sent_is_written_once() {
    let world = World::new();
    let (ada, bob, _) = three(&world).await;
    let at = direct(&ada, &bob);
    let target = say(&ada, at, "hello").await.seq;
    let body = || Body::Text("hello there".into());
    repeats(&world, &ada, text(at, "hello again")).await;
    repeats(&world, &ada, outgoing(at, Outgoing::Message { body: body(), reply_to: Some(target) })).await;
    repeats(&world, &ada, outgoing(at, Outgoing::Edit { target, body: body() })).await;
    let symbol = "👍".to_owned();
    repeats(&world, &bob, outgoing(at, Outgoing::Reaction { target, symbol, set: true })).await;
    repeats(&world, &ada, outgoing(at, Outgoing::Recall { target })).await;
}

#[tokio::test(start_paused = true)]
async fn one_id_names_different_commands_of_different_senders_and_places() {
    let world = World::new();
    let (ada, bob, cyn) = three(&world).await;
    let same = id();
    for (who, at) in [(&ada, direct(&ada, &bob)), (&bob, direct(&ada, &bob)), (&ada, direct(&ada, &cyn))] {
        let send = Send { client_id: same, ..text(at, "hello") };
        who.send(send).await.expect("another command");
    }
    assert_eq!(world.log(direct(&ada, &bob)).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_repetitions_at_the_same_time_one_is_written() {
    let world = World::new();
    let nodes = [world.alone().await, world.alone().await];
    let (ada, bob) = (join(&nodes[0], "ada").await, join(&nodes[0], "bob").await);
    let elsewhere = another(&nodes[1], "ada").await;
    let send = text(direct(&ada, &bob), "once");
    let mut pending = Vec::new();
    for number in 0..20 {
        let who = if number % 2 == 0 { &ada } else { &elsewhere };
        pending.push(who.begin_send(send.clone()).await.expect("queued"));
    }
    for one in pending {
        assert_eq!(one.await.expect("sent").seq, 1);
    }
    assert_eq!(world.log(direct(&ada, &bob)).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_succeeds_after_its_sender_was_blocked_muted_removed_or_slowed_down() {
    let world = World::new();
    let mut slow = config();
    slow.commands_per_second = 1;
    slow.commands_burst = 40;
    let engine = world.alone_with(slow).await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let all = create(&ada, closed("all"), &[bob.user()]).await;
    let sends = [text(direct(&ada, &bob), "to ada"), text(group(all), "to all")];
    let mut receipts = Vec::new();
    for send in &sends {
        receipts.push(bob.send(send.clone()).await.expect("sent"));
    }
    let reply = outgoing(
        group(all),
        Outgoing::Message { body: Body::Text("a reply".into()), reply_to: Some(receipts[1].seq) },
    );
    let replied = bob.send(reply.clone()).await.expect("sent");
    act(&ada, all, GroupAction::Mute(bob.user(), Timestamp(u64::MAX))).await;
    assert_eq!(bob.send(sends[1].clone()).await.expect("muted, and yet"), receipts[1]);
    ada.send(outgoing(group(all), Outgoing::Recall { target: receipts[1].seq })).await.expect("recalled");
    assert_eq!(bob.send(sends[1].clone()).await.expect("recalled, and yet"), receipts[1]);
    assert_eq!(bob.send(reply.clone()).await.expect("its target is gone, and yet"), replied);
    act(&ada, all, GroupAction::Remove(bob.user())).await;
    assert_eq!(bob.send(sends[1].clone()).await.expect("removed, and yet"), receipts[1]);
    ada.contact(id(), bob.user(), ContactAction::Block).await.expect("blocked");
    assert_eq!(bob.send(sends[0].clone()).await.expect("blocked, and yet"), receipts[0]);
    assert!(bob.send(text(direct(&ada, &bob), "new")).await.is_err());
    while bob.send(text(direct(&ada, &bob), "fast")).await.expect_err("blocked").kind()
        != ErrorKind::RateLimited
    {}
    for (send, receipt) in sends.iter().zip(&receipts) {
        assert_eq!(bob.send(send.clone()).await.expect("too fast, and yet"), *receipt);
    }
    assert_eq!(world.log(group(all)).await.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_any_command_succeeds_where_a_new_one_would_be_too_fast() {
    let world = World::new();
    let mut slow = config();
    slow.commands_per_second = 1;
    slow.commands_burst = 6;
    let engine = world.alone_with(slow).await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let ids = [id(), id(), id(), id(), id()];
    let create = CreateGroup { client_id: ids[0], profile: closed("all"), members: vec![bob.user()] };
    let all = ada.create_group(create.clone()).await.expect("created");
    let rename = GroupAction::ChangeProfile(closed("everyone"));
    let renamed = ada.group(ids[1], all.group, rename.clone()).await.expect("renamed");
    let request = ContactAction::Request { note: String::new() };
    let asked = ada.contact(ids[2], bob.user(), request.clone()).await.expect("asked");
    let called = DisplayName::parse("Ada L.").expect("a name");
    let named = ada.change_display_name(ids[3], called.clone()).await.expect("named");
    let (old, new) = (Password::new(PASSWORD), Password::new("battery staple"));
    let changed = ada.change_password(ids[4], old.clone(), new.clone()).await.expect("changed");
    let too_fast = |kind| assert_eq!(kind, ErrorKind::RateLimited);
    while ada.contact(id(), bob.user(), ContactAction::Accept).await.expect_err("nothing").kind()
        != ErrorKind::RateLimited
    {}
    too_fast(ada.change_display_name(id(), called.clone()).await.expect_err("too fast").kind());
    assert_eq!(ada.create_group(create).await.expect("repeated"), all);
    assert_eq!(ada.group(ids[1], all.group, rename).await.expect("repeated"), renamed);
    assert_eq!(ada.contact(ids[2], bob.user(), request).await.expect("repeated"), asked);
    assert_eq!(ada.change_display_name(ids[3], called).await.expect("repeated"), named);
    assert_eq!(ada.change_password(ids[4], old, new).await.expect("repeated"), changed);
}

#[tokio::test(start_paused = true)]
async fn every_contact_action_is_carried_out_once() {
    let world = World::new();
    let engine = world.alone().await;
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let request = || ContactAction::Request { note: "hello".into() };
    let steps = [
        (&ada, request()),
        (&ada, ContactAction::Withdraw),
        (&ada, request()),
        (&bob, ContactAction::Decline),
        (&ada, request()),
        (&bob, ContactAction::Accept),
        (&ada, ContactAction::Remove),
        (&ada, ContactAction::Block),
        (&ada, ContactAction::Unblock),
    ];
    for (who, action) in steps {
        let peer = if who.user() == ada.user() { bob.user() } else { ada.user() };
        let command = id();
        let first = who.contact(command, peer, action.clone()).await.expect("done");
        let inboxes = [world.log(ada.inbox()).await, world.log(bob.inbox()).await];
        assert_eq!(who.contact(command, peer, action.clone()).await.expect("repeated"), first, "{action:?}");
        assert_eq!([world.log(ada.inbox()).await, world.log(bob.inbox()).await], inboxes);
        let other = if action == ContactAction::Block { ContactAction::Remove } else { ContactAction::Block };
        let conflict = who.contact(command, peer, other).await.expect_err("another command");
        assert_eq!(conflict.kind(), ErrorKind::Conflict, "{action:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_group_action_is_carried_out_once() {
    let world = World::new();
    let (ada, bob, cyn) = three(&world).await;
    let all = create(&ada, found("all", JoinPolicy::Request), &[]).await;
    let (b, c) = (bob.user(), cyn.user());
    let renamed = found("all", JoinPolicy::Open);
    let steps = [
        (&bob, GroupAction::Join),
        (&bob, GroupAction::WithdrawRequest),
        (&bob, GroupAction::Join),
        (&ada, GroupAction::Reject(b)),
        (&bob, GroupAction::Join),
        (&ada, GroupAction::Approve(b)),
        (&ada, GroupAction::Invite(c)),
        (&ada, GroupAction::WithdrawInvitation(c)),
        (&ada, GroupAction::Invite(c)),
        (&cyn, GroupAction::DeclineInvitation),
        (&ada, GroupAction::Invite(c)),
        (&cyn, GroupAction::AcceptInvitation),
        (&ada, GroupAction::SetRole(b, Standing::Admin)),
        (&ada, GroupAction::Mute(c, Timestamp(u64::MAX >> 1))),
        (&bob, GroupAction::Remove(c)),
        (&ada, GroupAction::Add(vec![c])),
        (&cyn, GroupAction::Leave),
        (&ada, GroupAction::ChangeProfile(renamed)),
        (&cyn, GroupAction::Join),
        (&ada, GroupAction::Transfer(b)),
        (&bob, GroupAction::Dissolve),
    ];
    let places = [group(all), ada.inbox(), bob.inbox(), cyn.inbox()];
    for (who, action) in steps {
        let command = id();
        let first = who.group(command, all, action.clone()).await.expect("done");
        let mut logs = Vec::new();
        for place in places {
            logs.push(world.log(place).await);
        }
        assert_eq!(who.group(command, all, action.clone()).await.expect("repeated"), first, "{action:?}");
        for (place, log) in places.iter().zip(logs) {
            assert_eq!(world.log(*place).await, log, "{action:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_id_for_another_group_action_is_a_conflict() {
    let world = World::new();
    let (ada, bob, cyn) = three(&world).await;
    let all = create(&ada, closed("all"), &[bob.user(), cyn.user()]).await;
    let command = id();
    ada.group(command, all, GroupAction::Remove(bob.user())).await.expect("removed");
    let conflict = ada.group(command, all, GroupAction::Remove(cyn.user())).await.expect_err("conflict");
    assert_eq!(conflict.kind(), ErrorKind::Conflict);
    let command = CreateGroup { client_id: id(), profile: closed("one"), members: vec![bob.user()] };
    let created = ada.create_group(command.clone()).await.expect("created");
    assert_eq!(ada.create_group(command.clone()).await.expect("repeated"), created);
    let other = CreateGroup { profile: closed("two"), ..command };
    assert_eq!(ada.create_group(other).await.expect_err("conflict").kind(), ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_password_is_changed_once_and_another_one_under_the_same_id_is_a_conflict() {
    let world = World::new();
    let engine = world.alone().await;
    let ada = join(&engine, "ada").await;
    let (old, new) = (Password::new(PASSWORD), Password::new("battery staple"));
    let command = id();
    let first = ada.change_password(command, old.clone(), new.clone()).await.expect("changed");
    let log = world.log(ada.inbox()).await;
    let again = ada.change_password(command, old.clone(), new).await.expect("repeated");
    assert_eq!(again, first);
    assert_eq!(world.log(ada.inbox()).await, log);
    let other = Password::new("another one altogether");
    let conflict = ada.change_password(command, old, other).await.expect_err("another command");
    assert_eq!(conflict.kind(), ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_device_is_revoked_and_a_name_changed_once() {
    let world = World::new();
    let engine = world.alone().await;
    let ada = join(&engine, "ada").await;
    let other = another(&engine, "ada").await;
    let command = id();
    let first = ada.revoke_device(command, other.device()).await.expect("revoked");
    assert_eq!(ada.revoke_device(command, other.device()).await.expect("repeated"), first);
    let conflict = ada.revoke_device(command, ada.device()).await.expect_err("another command");
    assert_eq!(conflict.kind(), ErrorKind::Conflict);
    let (command, called) = (id(), DisplayName::parse("Ada").expect("a name"));
    let first = ada.change_display_name(command, called.clone()).await.expect("named");
    assert_eq!(ada.change_display_name(command, called).await.expect("repeated"), first);
    let another = DisplayName::parse("Bea").expect("a name");
    let conflict = ada.change_display_name(command, another).await.expect_err("another command");
    assert_eq!(conflict.kind(), ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_is_repeated_logs_in() {
    let world = World::new();
    let engine = world.alone().await;
    let command = registration("ada");
    let first = engine.register(command.clone()).await.expect("registered");
    let again = engine.register(command.clone()).await.expect("repeated");
    assert_eq!(again.session.user(), first.session.user());
    let mut wrong = command.clone();
    wrong.password = Password::new("another password");
    assert_eq!(engine.register(wrong).await.expect_err("refused").kind(), ErrorKind::Taken);
    let mut stranger = command;
    stranger.client_id = id();
    assert_eq!(engine.register(stranger).await.expect_err("refused").kind(), ErrorKind::Taken);
    assert!(world.store.account_named(&name("ada")).await.expect("the store").is_some());
}

#[tokio::test(start_paused = true)]
async fn the_record_of_a_command_outlives_the_redaction_of_what_it_wrote() {
    let world = World::new();
    let (ada, bob, _) = three(&world).await;
    let at: ConversationId = direct(&ada, &bob);
    let send = text(at, "oh no");
    let first = ada.send(send.clone()).await.expect("sent");
    ada.send(outgoing(at, Outgoing::Recall { target: first.seq })).await.expect("recalled");
    assert_eq!(world.log(at).await[0].content, None);
    assert_eq!(ada.send(send.clone()).await.expect("repeated"), first);
    assert_eq!(world.log(at).await.len(), 2);
    let other = Outgoing::Message { body: Body::Text("something else".into()), reply_to: None };
    let conflict = ada.send(Send { message: other, ..send }).await.expect_err("another command");
    assert_eq!(conflict.kind(), ErrorKind::Conflict);
}
