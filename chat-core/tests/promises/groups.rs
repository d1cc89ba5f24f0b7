//! Groups: how people come in, what they may do there, and how it ends.

use std::time::Duration;

use chat_core::{
    ContactAction, Content, CreateGroup, ErrorKind, GroupAction, GroupEvent, GroupProfile, Handle,
    JoinPolicy, Standing, Timestamp, UserId,
};

use crate::client::Client;
use crate::world::{World, act, closed, config, create, found, group, id, join, refused, say, text};

async fn people(world: &World) -> (Client, Client, Client) {
    let engine = world.alone().await;
    (join(&engine, "ada").await, join(&engine, "bob").await, join(&engine, "cyn").await)
}

fn notices(who: &Client) -> Vec<GroupEvent> {
    let notice = |content| match content {
        Content::Group { event, .. } => Some(event),
        _ => None,
    };
    who.contents(who.inbox()).into_iter().filter_map(notice).collect()
}

async fn standing(of: &Client, all: chat_core::GroupId) -> Standing {
    of.conversation(group(all)).await.map_or(Standing::Former, |state| state.standing)
}

#[tokio::test(start_paused = true)]
async fn an_open_group_is_found_by_its_handle_and_joined() {
    let world = World::new();
    let (ada, mut bob, _) = people(&world).await;
    let all = create(&ada, found("all", JoinPolicy::Open), &[]).await;
    let card = bob.find_group(&Handle::parse("ALL").expect("a handle")).await.expect("found");
    assert_eq!((card.group, card.members), (all, 1));
    act(&bob, all, GroupAction::Join).await;
    assert_eq!(refused(&bob, all, GroupAction::Join).await, ErrorKind::NotAllowed);
    bob.reaches(group(all), 2).await;
    assert_eq!(bob.contents(group(all)), [Content::Joined]);
    act(&bob, all, GroupAction::Leave).await;
    bob.reaches(group(all), 3).await;
    assert_eq!(standing(&bob, all).await, Standing::Former);
    assert!(bob.send(text(group(all), "hello?")).await.is_err());
    act(&bob, all, GroupAction::Join).await;
    let seq = say(&bob, group(all), "back").await.seq;
    bob.reaches(group(all), seq).await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_is_admitted_by_staff() {
    let world = World::new();
    let (mut ada, mut bob, cyn) = people(&world).await;
    let all = create(&ada, found("all", JoinPolicy::Request), &[cyn.user()]).await;
    act(&bob, all, GroupAction::Join).await;
    assert_eq!(refused(&bob, all, GroupAction::Join).await, ErrorKind::NotAllowed);
    let asking = ada.roster(all, Some(Standing::Asking), None, 10).await.expect("staff sees who asks");
    assert_eq!(asking[0].profile.user, bob.user());
    let by_member = cyn.roster(all, Some(Standing::Asking), None, 10).await.expect_err("not for members");
    assert_eq!(by_member.kind(), ErrorKind::NotAllowed);
    assert_eq!(refused(&cyn, all, GroupAction::Approve(bob.user())).await, ErrorKind::NotAllowed);
    act(&ada, all, GroupAction::Reject(bob.user())).await;
    act(&bob, all, GroupAction::Join).await;
    act(&ada, all, GroupAction::Approve(bob.user())).await;
    let seq = say(&ada, group(all), "welcome").await.seq;
    bob.reaches(group(all), seq).await;
    ada.drain().await;
    bob.drain().await;
    assert_eq!(
        notices(&ada),
        [GroupEvent::Entered, GroupEvent::Asked, GroupEvent::RequestEnded, GroupEvent::Asked]
    );
    assert_eq!(
        notices(&bob),
        [GroupEvent::Asked, GroupEvent::RequestEnded, GroupEvent::Asked, GroupEvent::Entered]
    );
}

#[tokio::test(start_paused = true)]
async fn who_asks_and_is_invited_is_in() {
    let world = World::new();
    let (mut ada, mut bob, cyn) = people(&world).await;
    let all = create(&ada, found("all", JoinPolicy::Request), &[]).await;
    act(&bob, all, GroupAction::Join).await;
    let (invitation, words) = (id(), text(group(all), "meanwhile"));
    // Both in one batch: neither is in the way of the other.
    let invite = GroupAction::Invite(bob.user());
    let (invited, said) = tokio::join!(ada.group(invitation, all, invite.clone()), ada.send(words));
    let receipt = invited.expect("invited");
    said.expect("sent");
    assert_eq!(ada.group(invitation, all, invite).await.expect("repeated"), receipt);
    assert_eq!(standing(&bob, all).await, Standing::Member);
    assert_eq!(standing(&cyn, all).await, Standing::Former);
    let seq = say(&ada, group(all), "welcome").await.seq;
    bob.reaches(group(all), seq).await;
    ada.drain().await;
    assert_eq!(notices(&ada), [GroupEvent::Entered, GroupEvent::Asked, GroupEvent::Entered]);
    assert_eq!(notices(&bob), [GroupEvent::Asked, GroupEvent::Entered]);
}

#[tokio::test(start_paused = true)]
async fn changes_after_an_invitation_are_decided_one_after_the_other() {
    let world = World::new();
    let (ada, bob, cyn) = people(&world).await;
    let dan = join(&ada.engine, "dan").await;
    let all = create(&ada, found("all", JoinPolicy::Open), &[]).await;
    // An invitation changes the rules and leaves no entry in the group.
    act(&ada, all, GroupAction::Invite(dan.user())).await;
    let add = GroupAction::Add(vec![bob.user()]);
    let (added, joined) = tokio::join!(ada.group(id(), all, add), cyn.group(id(), all, GroupAction::Join));
    added.expect("added");
    joined.expect("joined");
    let members = ada.roster(all, None, None, 10).await.expect("the members").len();
    let counted = ada.conversation(group(all)).await.expect("there").group.expect("a group").members;
    assert_eq!((members, counted), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn who_is_invited_decides() {
    let world = World::new();
    let (ada, mut bob, cyn) = people(&world).await;
    let all = create(&ada, closed("all"), &[]).await;
    assert_eq!(refused(&bob, all, GroupAction::Join).await, ErrorKind::NotAllowed);
    act(&ada, all, GroupAction::Invite(bob.user())).await;
    assert_eq!(refused(&ada, all, GroupAction::Invite(bob.user())).await, ErrorKind::NotAllowed);
    act(&bob, all, GroupAction::DeclineInvitation).await;
    assert_eq!(refused(&bob, all, GroupAction::AcceptInvitation).await, ErrorKind::NotAllowed);
    act(&ada, all, GroupAction::Invite(bob.user())).await;
    act(&ada, all, GroupAction::WithdrawInvitation(bob.user())).await;
    assert_eq!(refused(&bob, all, GroupAction::AcceptInvitation).await, ErrorKind::NotAllowed);
    act(&ada, all, GroupAction::Invite(bob.user())).await;
    act(&bob, all, GroupAction::AcceptInvitation).await;
    bob.reaches(group(all), 2).await;
    assert_eq!(refused(&bob, all, GroupAction::Invite(cyn.user())).await, ErrorKind::NotAllowed);
    cyn.contact(id(), ada.user(), ContactAction::Block).await.expect("blocked");
    assert_eq!(refused(&ada, all, GroupAction::Invite(cyn.user())).await, ErrorKind::NotAllowed);
}

#[tokio::test(start_paused = true)]
async fn roles_decide_over_whom_one_has_power() {
    let world = World::new();
    let (ada, bob, cyn) = people(&world).await;
    let all = create(&ada, closed("all"), &[bob.user(), cyn.user()]).await;
    assert_eq!(refused(&bob, all, GroupAction::Remove(cyn.user())).await, ErrorKind::NotAllowed);
    act(&ada, all, GroupAction::SetRole(bob.user(), Standing::Admin)).await;
    assert_eq!(refused(&bob, all, GroupAction::Remove(ada.user())).await, ErrorKind::NotAllowed);
    assert_eq!(
        refused(&bob, all, GroupAction::SetRole(cyn.user(), Standing::Admin)).await,
        ErrorKind::NotAllowed
    );
    for role in [Standing::Owner, Standing::Invited, Standing::Former] {
        assert_eq!(refused(&ada, all, GroupAction::SetRole(cyn.user(), role)).await, ErrorKind::Invalid);
    }
    let seq = say(&cyn, group(all), "spam").await.seq;
    let recall = chat_core::Outgoing::Recall { target: seq };
    bob.send(crate::world::outgoing(group(all), recall)).await.expect("staff may recall");
    act(&bob, all, GroupAction::Remove(cyn.user())).await;
    act(&ada, all, GroupAction::Transfer(bob.user())).await;
    assert_eq!((standing(&ada, all).await, standing(&bob, all).await), (Standing::Admin, Standing::Owner));
    assert_eq!(refused(&ada, all, GroupAction::Dissolve).await, ErrorKind::NotAllowed);
    assert_eq!(refused(&bob, all, GroupAction::Leave).await, ErrorKind::NotAllowed, "after a transfer");
    act(&ada, all, GroupAction::Leave).await;
    act(&bob, all, GroupAction::Leave).await;
    assert!(bob.send(text(group(all), "alone")).await.is_err(), "the last to leave ends it");
}

#[tokio::test(start_paused = true)]
async fn a_mute_ends_when_its_time_has_passed_or_it_is_lifted() {
    let world = World::new();
    let (ada, bob, _) = people(&world).await;
    let all = create(&ada, closed("all"), &[bob.user()]).await;
    let minute = Duration::from_secs(60);
    say(&bob, group(all), "before").await;
    act(&ada, all, GroupAction::Mute(bob.user(), ada.engine.now().plus(minute))).await;
    let muted = bob.send(text(group(all), "hello")).await.expect_err("muted");
    assert_eq!((muted.kind(), muted.retry_delay()), (ErrorKind::NotAllowed, Some(minute)));
    world.clock.forward(minute - Duration::from_millis(1));
    assert!(bob.send(text(group(all), "hello")).await.is_err());
    world.clock.forward(Duration::from_millis(1));
    say(&bob, group(all), "hello").await;
    act(&ada, all, GroupAction::Mute(bob.user(), ada.engine.now().plus(minute))).await;
    assert!(bob.send(text(group(all), "hello")).await.is_err());
    act(&ada, all, GroupAction::Mute(bob.user(), Timestamp(0))).await;
    say(&bob, group(all), "hello").await;
}

#[tokio::test(start_paused = true)]
async fn leaving_and_joining_again_does_not_lift_a_mute() {
    let world = World::new();
    let (ada, bob, _) = people(&world).await;
    let all = create(&ada, found("all", JoinPolicy::Open), &[bob.user()]).await;
    act(&ada, all, GroupAction::Mute(bob.user(), Timestamp(u64::MAX))).await;
    act(&bob, all, GroupAction::Leave).await;
    act(&bob, all, GroupAction::Join).await;
    assert_eq!(bob.send(text(group(all), "hello")).await.expect_err("muted").kind(), ErrorKind::NotAllowed);
    act(&bob, all, GroupAction::Leave).await;
    act(&ada, all, GroupAction::Add(vec![bob.user()])).await;
    say(&bob, group(all), "staff took me in again").await;
}

#[tokio::test(start_paused = true)]
async fn a_group_is_renamed_and_keeps_its_handle() {
    let world = World::new();
    let (ada, mut bob, _) = people(&world).await;
    let all = create(&ada, found("all", JoinPolicy::Open), &[bob.user()]).await;
    let renamed = GroupProfile { description: "for everyone".into(), ..found("all", JoinPolicy::Request) };
    assert_eq!(refused(&bob, all, GroupAction::ChangeProfile(renamed.clone())).await, ErrorKind::NotAllowed);
    act(&ada, all, GroupAction::ChangeProfile(renamed.clone())).await;
    let news = Content::GroupChanged(renamed.clone());
    bob.until("the news", |bob| bob.contents(group(all)).contains(&news)).await;
    let other = found("other", JoinPolicy::Open);
    assert_eq!(refused(&ada, all, GroupAction::ChangeProfile(other)).await, ErrorKind::Invalid);
    let long = GroupProfile { description: "x".repeat(5_000), ..renamed };
    assert_eq!(refused(&ada, all, GroupAction::ChangeProfile(long)).await, ErrorKind::Invalid);
    let command =
        CreateGroup { client_id: id(), profile: found("all", JoinPolicy::Open), members: Vec::new() };
    assert_eq!(bob.create_group(command).await.expect_err("taken").kind(), ErrorKind::Taken);
    let nameless = GroupProfile { handle: None, ..found("x", JoinPolicy::Open) };
    let command = CreateGroup { client_id: id(), profile: nameless, members: Vec::new() };
    assert_eq!(bob.create_group(command).await.expect_err("not found").kind(), ErrorKind::Invalid);
    let second = create(&ada, closed("second"), &[]).await;
    let taken = GroupProfile { join: JoinPolicy::Open, ..found("all", JoinPolicy::Open) };
    assert_eq!(refused(&ada, second, GroupAction::ChangeProfile(taken)).await, ErrorKind::Taken);
}

#[tokio::test(start_paused = true)]
async fn a_roster_comes_in_pages_in_the_order_of_joining() {
    let world = World::new();
    let engine = world.alone().await;
    let ada = join(&engine, "ada").await;
    let all = create(&ada, found("all", JoinPolicy::Open), &[]).await;
    let mut expected = vec![ada.user()];
    for number in 0..25 {
        let one = join(&engine, &format!("user{number}")).await;
        act(&one, all, GroupAction::Join).await;
        expected.push(one.user());
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = ada.roster(all, None, after, 4).await.expect("a roster");
        let Some(last) = page.last() else { break };
        after = Some((last.joined_seq, last.profile.user));
        found.extend(page.into_iter().map(|member| member.profile.user));
    }
    assert_eq!(found, expected);
    let former = ada.roster(all, Some(Standing::Former), None, 5).await.expect_err("nobody's business");
    assert_eq!(former.kind(), ErrorKind::NotAllowed);
}

#[tokio::test(start_paused = true)]
async fn a_dissolved_group_is_over_for_everyone_and_stays_readable_to_its_members() {
    let world = World::new();
    let (mut ada, mut bob, cyn) = people(&world).await;
    let all = create(&ada, found("all", JoinPolicy::Open), &[bob.user()]).await;
    say(&bob, group(all), "goodbye").await;
    let last = act(&ada, all, GroupAction::Dissolve).await.seq;
    for who in [&mut ada, &mut bob] {
        who.reaches(group(all), last).await;
        assert!(who.send(text(group(all), "hello?")).await.is_err());
        assert!(who.typing(group(all)).is_err());
        assert!(who.conversation(group(all)).await.expect("readable").group.expect("a group").dissolved);
    }
    assert_eq!(refused(&cyn, all, GroupAction::Join).await, ErrorKind::NotAllowed);
    assert_eq!(refused(&ada, all, GroupAction::Add(vec![cyn.user()])).await, ErrorKind::NotAllowed);
    assert!(cyn.find_group(&Handle::parse("all").expect("a handle")).await.is_err());
    let command =
        CreateGroup { client_id: id(), profile: found("all", JoinPolicy::Open), members: Vec::new() };
    assert_eq!(cyn.create_group(command).await.expect_err("reserved").kind(), ErrorKind::Taken);
    let token = bob.token();
    let mut bob = crate::world::again(&ada.engine, token).await;
    assert!(bob.typing(group(all)).is_err(), "also for sessions that begin afterwards");
    bob.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_group_and_a_single_command_hold_no_more_than_their_limits() {
    let world = World::new();
    let mut small = config();
    (small.group_limit, small.first_members_limit) = (3, 3);
    let engine = world.alone_with(small).await;
    let (ada, bob, cyn) =
        (join(&engine, "ada").await, join(&engine, "bob").await, join(&engine, "cyn").await);
    let dan = join(&engine, "dan").await;
    let too_many = vec![bob.user(), cyn.user(), dan.user()];
    let command = CreateGroup { client_id: id(), profile: closed("all"), members: too_many };
    assert_eq!(ada.create_group(command).await.expect_err("too many").kind(), ErrorKind::LimitReached);
    let all = create(&ada, closed("all"), &[bob.user(), cyn.user()]).await;
    assert_eq!(refused(&ada, all, GroupAction::Add(vec![dan.user()])).await, ErrorKind::LimitReached);
    let many = (1..=4).map(|number| UserId::new(number).expect("an id")).collect();
    assert_eq!(refused(&ada, all, GroupAction::Add(many)).await, ErrorKind::LimitReached);
    act(&cyn, all, GroupAction::Leave).await;
    act(&ada, all, GroupAction::Add(vec![dan.user()])).await;
}
