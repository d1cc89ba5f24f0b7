//! The permission table, and the edges of it.

use super::*;
use crate::{DisplayName, GroupId, Handle};

fn user(number: u64) -> UserId {
    UserId::new(number).expect("valid")
}

fn scene(own: Standing, target: Standing, join: JoinPolicy) -> Scene {
    let id = GroupId::new(1).expect("valid");
    let at = ConversationId::Group(id);
    let profile = GroupProfile {
        name: DisplayName::from_stored("g"),
        description: String::new(),
        handle: Some(Handle::from_stored("g")),
        join,
        history: HistoryPolicy::SinceJoin,
    };
    let row = |number, standing| Member { standing, ..Member::blank(at, user(number)) };
    let direct = ConversationId::direct(user(1), user(2)).expect("two users");
    Scene {
        at,
        rules_seq: 4,
        group: Group { id, profile, members: 3, dissolved: false },
        own: row(1, own),
        targets: vec![Target {
            row: row(2, target),
            welcome: true,
            precondition: Precondition::Rules(direct, 0),
        }],
        staff: vec![user(9)],
        now: Timestamp(10),
        group_limit: 4,
    }
}

fn allowed(own: Standing, target: Standing, action: &GroupAction) -> bool {
    decide(&scene(own, target, JoinPolicy::Open), action).is_ok()
}

const ALL: [Standing; 6] = [
    Standing::Owner,
    Standing::Admin,
    Standing::Member,
    Standing::Invited,
    Standing::Asking,
    Standing::Former,
];

/// For each standing of the actor, in the order of `ALL`, whether the action is allowed.
fn row(target: Standing, action: &GroupAction) -> String {
    ALL.iter().map(|own| if allowed(*own, target, action) { 'y' } else { '-' }).collect()
}

#[test]
fn the_permission_table_holds() {
    let two = user(2);
    assert_eq!(row(Standing::Former, &GroupAction::Join), "---yyy");
    assert_eq!(row(Standing::Member, &GroupAction::Leave), "-yy---");
    assert_eq!(row(Standing::Former, &GroupAction::Invite(two)), "yy----");
    assert_eq!(row(Standing::Invited, &GroupAction::WithdrawInvitation(two)), "yy----");
    assert_eq!(row(Standing::Asking, &GroupAction::Approve(two)), "yy----");
    assert_eq!(row(Standing::Asking, &GroupAction::Reject(two)), "yy----");
    assert_eq!(row(Standing::Former, &GroupAction::Add(vec![two])), "yy----");
    assert_eq!(row(Standing::Member, &GroupAction::Remove(two)), "yy----");
    assert_eq!(row(Standing::Admin, &GroupAction::Remove(two)), "y-----");
    assert_eq!(row(Standing::Owner, &GroupAction::Remove(two)), "------");
    assert_eq!(row(Standing::Member, &GroupAction::Mute(two, Timestamp(99))), "yy----");
    assert_eq!(row(Standing::Admin, &GroupAction::Mute(two, Timestamp(99))), "y-----");
    assert_eq!(row(Standing::Member, &GroupAction::SetRole(two, Standing::Admin)), "y-----");
    assert_eq!(row(Standing::Admin, &GroupAction::Transfer(two)), "y-----");
    assert_eq!(row(Standing::Member, &GroupAction::Dissolve), "y-----");
    assert_eq!(row(Standing::Member, &GroupAction::AcceptInvitation), "---y--");
    assert_eq!(row(Standing::Member, &GroupAction::DeclineInvitation), "---y--");
    assert_eq!(row(Standing::Member, &GroupAction::WithdrawRequest), "----y-");
    let profile = scene(Standing::Owner, Standing::Member, JoinPolicy::Request).group.profile;
    assert_eq!(row(Standing::Member, &GroupAction::ChangeProfile(profile)), "yy----");
}

#[test]
fn a_join_by_request_asks_and_tells_the_staff() {
    let scene = scene(Standing::Former, Standing::Former, JoinPolicy::Request);
    let item = decide(&scene, &GroupAction::Join).expect("asked");
    let told: Vec<_> = item.append.iter().map(|append| append.conversation).collect();
    assert_eq!(told, [ConversationId::Inbox(user(1)), ConversationId::Inbox(user(9))]);
    assert!(item.write.contains(&Write::RaiseRules(scene.at)));
}

#[test]
fn a_group_for_the_invited_shows_nothing_to_others() {
    let scene = scene(Standing::Former, Standing::Former, JoinPolicy::Invitation);
    let refused = decide(&scene, &GroupAction::Join).expect_err("refused");
    assert_eq!(format!("{refused:?}"), format!("{:?}", Error::not_allowed()));
}

#[test]
fn a_full_group_admits_nobody() {
    let mut scene = scene(Standing::Owner, Standing::Asking, JoinPolicy::Open);
    scene.group.members = 4;
    let refused = decide(&scene, &GroupAction::Approve(user(2))).expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::LimitReached);
}

#[test]
fn an_owner_leaves_only_an_empty_group() {
    let mut scene = scene(Standing::Owner, Standing::Member, JoinPolicy::Open);
    assert!(decide(&scene, &GroupAction::Leave).is_err());
    scene.group.members = 1;
    let item = decide(&scene, &GroupAction::Leave).expect("dissolved");
    assert!(matches!(&item.write[..], [Write::PutGroup(Group { dissolved: true, .. })]));
}

#[test]
fn a_handle_stays() {
    let scene = scene(Standing::Owner, Standing::Member, JoinPolicy::Open);
    let renamed = GroupProfile { handle: None, ..scene.group.profile.clone() };
    assert!(decide(&scene, &GroupAction::ChangeProfile(renamed)).is_err());
}
