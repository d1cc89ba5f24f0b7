//! Who may do what in a group, and what it changes: a pure function of what was loaded.

use super::super::accounts::group_notice;
use super::super::login::{Rules, entry};
use crate::store::{Append, Item, Precondition, SeqRef, StandingChange, Write};
use crate::{
    Content, ConversationId, Error, ErrorKind, Group, GroupAction, GroupEvent, GroupProfile, HistoryPolicy,
    JoinPolicy, Member, Standing, Timestamp, UserId,
};

/// What a decision depends on.
pub(super) struct Scene {
    pub(super) at: ConversationId,
    pub(super) rules_seq: u64,
    pub(super) group: Group,
    /// The place of the one who acts.
    pub(super) own: Member,
    /// Those whom the action is about.
    pub(super) targets: Vec<Target>,
    /// Who is told of a request to join.
    pub(super) staff: Vec<UserId>,
    pub(super) now: Timestamp,
    pub(super) group_limit: u32,
}

/// Another user whom an action is about.
pub(super) struct Target {
    pub(super) row: Member,
    /// Whether the one who acts may write to them.
    pub(super) welcome: bool,
    /// That this is still so.
    pub(super) precondition: Precondition,
}

/// Whether an action is recorded in the actor's inbox: where the group's log has no entry of it, or
/// it is told there anyway. Others are recorded in the group.
pub(super) fn is_recorded_in_inbox(action: &GroupAction) -> bool {
    matches!(
        action,
        GroupAction::Join
            | GroupAction::WithdrawRequest
            | GroupAction::Invite(_)
            | GroupAction::WithdrawInvitation(_)
            | GroupAction::AcceptInvitation
            | GroupAction::DeclineInvitation
            | GroupAction::Reject(_)
    )
}

/// Whether it is something that those do who are no members yet.
pub(super) fn is_for_outsiders(action: &GroupAction) -> bool {
    matches!(
        action,
        GroupAction::Join
            | GroupAction::WithdrawRequest
            | GroupAction::AcceptInvitation
            | GroupAction::DeclineInvitation
    )
}

/// The one other user whom an action is about.
pub(super) fn target(action: &GroupAction) -> Option<UserId> {
    match action {
        GroupAction::Invite(user)
        | GroupAction::WithdrawInvitation(user)
        | GroupAction::Approve(user)
        | GroupAction::Reject(user)
        | GroupAction::Remove(user)
        | GroupAction::SetRole(user, _)
        | GroupAction::Transfer(user)
        | GroupAction::Mute(user, _) => Some(*user),
        _ => None,
    }
}

/// Decides on an action.
pub(super) fn decide(scene: &Scene, action: &GroupAction) -> Result<Item, Error> {
    let own = scene.own.standing;
    match action {
        GroupAction::Join => scene.join(),
        GroupAction::WithdrawRequest if own == Standing::Asking => {
            Ok(scene.end_own(GroupEvent::RequestEnded))
        }
        GroupAction::AcceptInvitation if own == Standing::Invited => scene.enter(),
        GroupAction::DeclineInvitation if own == Standing::Invited => {
            Ok(scene.end_own(GroupEvent::InvitationEnded))
        }
        // Whoever is no member learns nothing, whatever they ask.
        _ if !own.is_member() => Err(Error::not_allowed()),
        GroupAction::Leave => scene.leave(),
        GroupAction::Invite(_) => scene.staff_only().and_then(|()| scene.invite()),
        GroupAction::WithdrawInvitation(_) => {
            scene.staff_only()?;
            scene.end_other(Standing::Invited, GroupEvent::InvitationEnded)
        }
        GroupAction::Approve(_) => scene.staff_only().and_then(|()| scene.approve()),
        GroupAction::Reject(_) => {
            scene.staff_only()?;
            scene.end_other(Standing::Asking, GroupEvent::RequestEnded)
        }
        GroupAction::Add(_) => scene.staff_only().and_then(|()| scene.add()),
        GroupAction::Remove(_) => scene.remove(),
        GroupAction::Mute(_, until) => scene.mute(*until),
        GroupAction::SetRole(_, role) => scene.owner_only().and_then(|()| scene.set_role(*role)),
        GroupAction::Transfer(_) => scene.owner_only().and_then(|()| scene.transfer()),
        GroupAction::ChangeProfile(profile) => scene.staff_only().and_then(|()| scene.change(profile)),
        GroupAction::Dissolve => scene.owner_only().map(|()| scene.dissolve()),
        GroupAction::WithdrawRequest | GroupAction::AcceptInvitation | GroupAction::DeclineInvitation => {
            Err(nothing())
        }
    }
}

/// The row of a new member. A mute stays: leaving and joining again does not lift it.
pub(super) fn entering(
    at: ConversationId,
    user: UserId,
    standing: Standing,
    joined: SeqRef,
    history: HistoryPolicy,
) -> StandingChange {
    StandingChange {
        standing: Some(standing),
        joined: Some(joined),
        visible_from: Some(match history {
            HistoryPolicy::SinceJoin => joined,
            HistoryPolicy::All => SeqRef::At(1),
        }),
        ..StandingChange::of(at, user)
    }
}

impl Scene {
    fn user(&self) -> UserId {
        self.own.user
    }

    fn staff_only(&self) -> Result<(), Error> {
        if self.own.standing.is_staff() { Ok(()) } else { Err(role_needed("an owner or admin")) }
    }

    fn owner_only(&self) -> Result<(), Error> {
        if self.own.standing == Standing::Owner { Ok(()) } else { Err(role_needed("the owner")) }
    }

    fn item(&self) -> Item {
        Item { require: vec![Precondition::Rules(self.at, self.rules_seq)], ..Item::default() }
    }

    fn entry(&self, content: &Content) -> Append {
        entry(self.at, self.user(), content, Rules::Change)
    }

    fn notice(&self, inbox: UserId, event: GroupEvent, user: UserId) -> Append {
        group_notice(inbox, self.user(), event, &self.group, user)
    }

    fn standing(&self, user: UserId, standing: Standing) -> StandingChange {
        StandingChange { standing: Some(standing), ..StandingChange::of(self.at, user) }
    }

    fn sized(&self, members: u32) -> Write {
        Write::PutGroup(Group { members, ..self.group.clone() })
    }

    fn room_for(&self, more: usize) -> Result<u32, Error> {
        let members = self.group.members as usize + more;
        if members <= self.group_limit as usize {
            Ok(members as u32)
        } else {
            Err(Error::new(ErrorKind::LimitReached, "the group is full"))
        }
    }

    fn the_target(&self) -> Result<&Target, Error> {
        self.targets.first().ok_or_else(Error::not_allowed)
    }

    /// The target, when it is a member of lower rank than the one who acts.
    fn subordinate(&self) -> Result<&Target, Error> {
        let target = self.the_target()?;
        if !target.row.standing.is_member() {
            return Err(nothing());
        }
        // Standings are ordered by rank.
        if self.own.standing.is_staff() && self.own.standing < target.row.standing {
            Ok(target)
        } else {
            Err(role_needed("someone of higher rank"))
        }
    }

    fn join(&self) -> Result<Item, Error> {
        match (self.own.standing, self.group.profile.join) {
            (Standing::Owner | Standing::Admin | Standing::Member, _) => {
                Err(Error::new(ErrorKind::NotAllowed, "you are a member already"))
            }
            (Standing::Invited, _) | (_, JoinPolicy::Open) => self.enter(),
            (_, JoinPolicy::Invitation) => Err(Error::not_allowed()),
            (Standing::Asking, JoinPolicy::Request) => {
                Err(Error::new(ErrorKind::NotAllowed, "you have asked already"))
            }
            (Standing::Former, JoinPolicy::Request) => {
                let user = self.user();
                let mut item = self.item();
                item.append.push(self.notice(user, GroupEvent::Asked, user));
                item.append
                    .extend(self.staff.iter().map(|staff| self.notice(*staff, GroupEvent::Asked, user)));
                item.write.push(Write::Standing(self.standing(user, Standing::Asking)));
                item.write.push(Write::RaiseRules(self.at));
                Ok(item)
            }
        }
    }

    /// The one who acts becomes a member.
    fn enter(&self) -> Result<Item, Error> {
        let (user, members) = (self.user(), self.room_for(1)?);
        let mut item = self.item();
        item.append.push(self.notice(user, GroupEvent::Entered, user));
        item.append.push(self.entry(&Content::Joined));
        let history = self.group.profile.history;
        let row = entering(self.at, user, Standing::Member, SeqRef::Appended(1), history);
        item.write.push(Write::Standing(row));
        item.write.push(self.sized(members));
        Ok(item)
    }

    /// The one who acts takes back a request or declines an invitation.
    fn end_own(&self, event: GroupEvent) -> Item {
        let user = self.user();
        let mut item = self.item();
        item.append.push(self.notice(user, event, user));
        item.write.push(Write::Standing(self.standing(user, Standing::Former)));
        item.write.push(Write::RaiseRules(self.at));
        item
    }

    /// Staff takes back an invitation or turns down a request.
    fn end_other(&self, standing: Standing, event: GroupEvent) -> Result<Item, Error> {
        let target = self.the_target()?;
        if target.row.standing != standing {
            return Err(nothing());
        }
        let mut item = self.item();
        item.append.push(self.notice(self.user(), event, target.row.user));
        item.append.push(self.notice(target.row.user, event, target.row.user));
        item.write.push(Write::Standing(self.standing(target.row.user, Standing::Former)));
        item.write.push(Write::RaiseRules(self.at));
        Ok(item)
    }

    fn leave(&self) -> Result<Item, Error> {
        if self.own.standing == Standing::Owner {
            return if self.group.members <= 1 {
                Ok(self.dissolve())
            } else {
                Err(Error::new(ErrorKind::NotAllowed, "make another member the owner first"))
            };
        }
        let user = self.user();
        Ok(self.part(&Content::Left, user))
    }

    /// Somebody stops being a member; the entry is the last that they may read.
    fn part(&self, content: &Content, user: UserId) -> Item {
        let mut item = self.item();
        item.append.push(self.entry(content));
        item.append.push(self.notice(user, GroupEvent::Left, user));
        item.write.push(Write::Standing(StandingChange {
            left: Some(SeqRef::Appended(0)),
            ..self.standing(user, Standing::Former)
        }));
        item.write.push(self.sized(self.group.members.saturating_sub(1)));
        item
    }

    fn invite(&self) -> Result<Item, Error> {
        let target = self.the_target()?;
        let user = target.row.user;
        match target.row.standing {
            _ if !target.welcome => return Err(Error::not_allowed()),
            // They want what is offered. The record is in the inbox of the one who invites.
            Standing::Asking => {
                return self.admit(&[target], Some(self.notice(self.user(), GroupEvent::Entered, user)));
            }
            Standing::Invited => {
                return Err(Error::new(ErrorKind::NotAllowed, "this user is invited already"));
            }
            Standing::Former => {}
            _ => return Err(Error::new(ErrorKind::NotAllowed, "this user is a member already")),
        }
        let mut item = self.item();
        item.require.push(target.precondition.clone());
        item.append.push(self.notice(self.user(), GroupEvent::Invited, user));
        item.append.push(self.notice(user, GroupEvent::Invited, user));
        item.write.push(Write::Standing(self.standing(user, Standing::Invited)));
        item.write.push(Write::RaiseRules(self.at));
        Ok(item)
    }

    fn approve(&self) -> Result<Item, Error> {
        let target = self.the_target()?;
        if target.row.standing != Standing::Asking {
            return Err(nothing());
        }
        self.admit(&[target], None)
    }

    fn add(&self) -> Result<Item, Error> {
        if self.targets.iter().any(|target| !target.welcome) {
            return Err(Error::not_allowed());
        }
        let new: Vec<_> = self.targets.iter().filter(|target| !target.row.standing.is_member()).collect();
        if new.is_empty() {
            return Err(Error::new(ErrorKind::NotAllowed, "they are members already"));
        }
        let mut item = self.admit(&new, None)?;
        item.require.extend(new.iter().map(|target| target.precondition.clone()));
        Ok(item)
    }

    /// These become members; `record` comes first where the action is not recorded in the group.
    fn admit(&self, new: &[&Target], record: Option<Append>) -> Result<Item, Error> {
        let members = self.room_for(new.len())?;
        let users: Vec<_> = new.iter().map(|target| target.row.user).collect();
        let mut item = self.item();
        item.append.extend(record);
        let joined = SeqRef::Appended(item.append.len());
        item.append.push(self.entry(&Content::MembersAdded(users.clone())));
        for user in users {
            item.append.push(self.notice(user, GroupEvent::Entered, user));
            let history = self.group.profile.history;
            // Staff that takes somebody in lets them write.
            item.write.push(Write::Standing(StandingChange {
                muted_until: Some(None),
                ..entering(self.at, user, Standing::Member, joined, history)
            }));
        }
        item.write.push(self.sized(members));
        Ok(item)
    }

    fn remove(&self) -> Result<Item, Error> {
        let user = self.subordinate()?.row.user;
        Ok(self.part(&Content::MemberRemoved(user), user))
    }

    fn mute(&self, until: Timestamp) -> Result<Item, Error> {
        let user = self.subordinate()?.row.user;
        let mut item = self.item();
        item.append.push(self.entry(&Content::Muted { user, until }));
        item.write.push(Write::Standing(StandingChange {
            muted_until: Some(Some(until).filter(|until| *until > self.now)),
            ..StandingChange::of(self.at, user)
        }));
        Ok(item)
    }

    fn set_role(&self, role: Standing) -> Result<Item, Error> {
        if !matches!(role, Standing::Admin | Standing::Member) {
            return Err(Error::invalid("a role is admin or member; ownership is transferred"));
        }
        let target = self.subordinate()?;
        if target.row.standing == role {
            return Err(nothing());
        }
        let user = target.row.user;
        let mut item = self.item();
        item.append.push(self.entry(&Content::RoleChanged { user, role }));
        item.write.push(Write::Standing(self.standing(user, role)));
        Ok(item)
    }

    fn transfer(&self) -> Result<Item, Error> {
        let user = self.subordinate()?.row.user;
        let mut item = self.item();
        item.append.push(self.entry(&Content::RoleChanged { user, role: Standing::Owner }));
        item.write.push(Write::Standing(self.standing(user, Standing::Owner)));
        item.write.push(Write::Standing(self.standing(self.user(), Standing::Admin)));
        Ok(item)
    }

    fn change(&self, profile: &GroupProfile) -> Result<Item, Error> {
        let mut item = self.item();
        match (&self.group.profile.handle, &profile.handle) {
            (Some(old), new) if new.as_ref() != Some(old) => {
                return Err(Error::invalid("the handle of a group stays as it is"));
            }
            (None, Some(new)) => item.require.push(Precondition::HandleFree(new.clone())),
            _ => {}
        }
        item.append.push(self.entry(&Content::GroupChanged(profile.clone())));
        item.write.push(Write::PutGroup(Group { profile: profile.clone(), ..self.group.clone() }));
        Ok(item)
    }

    fn dissolve(&self) -> Item {
        let mut item = self.item();
        item.append.push(self.entry(&Content::Dissolved));
        item.write.push(Write::PutGroup(Group { dissolved: true, members: 0, ..self.group.clone() }));
        item
    }
}

fn nothing() -> Error {
    Error::new(ErrorKind::NotAllowed, "there is nothing of the kind to be done")
}

fn role_needed(role: &'static str) -> Error {
    Error::new(ErrorKind::NotAllowed, format!("only {role} may do this"))
}

#[cfg(test)]
mod tests;
