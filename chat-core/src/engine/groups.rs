//! Groups: creating them, and everything that happens to their members and settings.

mod decide;

use super::accounts::{group_notice, profile};
use super::committer::store_error;
use super::login::{Rules, entry};
use super::rules::{self, Wish};
use super::{Session, Settled, inbox_once};
use crate::store::{Digest, Item, Once, Precondition, SeqRef, Write};
use crate::{
    ClientId, Content, ConversationId, CreateGroup, Error, ErrorKind, Group, GroupAction, GroupCard,
    GroupCreated, GroupEvent, GroupId, GroupMember, GroupProfile, Handle, JoinPolicy, Member, Receipt, Seq,
    Standing, UserId,
};
use decide::{Scene, Target, decide, entering};

/// The most members of a page, whatever is asked for.
const ROSTER_LIMIT: usize = 500;

/// So many admins are told of a request to join; others find it in the list of requests.
const STAFF_TOLD: usize = 20;

impl Session {
    /// Creates a group with its first members: all of it or nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Taken`] for a handle that belongs to another group, [`ErrorKind::NotAllowed`]
    /// when one of the members is nobody whom the creator may write to.
    pub async fn create_group(&self, command: CreateGroup) -> Result<GroupCreated, Error> {
        self.answer(self.create_group_uncounted(command).await)
    }

    async fn create_group_uncounted(&self, command: CreateGroup) -> Result<GroupCreated, Error> {
        self.alive()?;
        check_profile(&command.profile)?;
        let (core, user) = (self.core(), self.user());
        let mut members = command.members.clone();
        members.retain(|member| *member != user);
        members.sort_unstable();
        members.dedup();
        let limit = core.config.first_members_limit.min(core.config.group_limit as usize);
        if members.len() >= limit {
            return Err(Error::new(ErrorKind::LimitReached, format!("at most {limit} first members")));
        }
        let group = GroupId::from_random(core.environment.random.number());
        let once = inbox_once(command.client_id, user);
        let digest = creation_digest(&command);
        let settled = match self.admit_new(once, digest).await? {
            Some(known) => known,
            None => {
                core.settle(once, digest, || self.decide_creation(group, &command.profile, &members)).await?
            }
        };
        let receipt = settled.receipt();
        let created = match &settled {
            Settled::Now(_) => Some(group),
            Settled::Before(stored) => match recorded_group(stored) {
                Some(Content::Group { group, .. }) => Some(group),
                _ => None,
            },
        };
        let group = created.ok_or_else(|| Error::new(ErrorKind::Conflict, "the id was used before"))?;
        Ok(GroupCreated { group, time: receipt.time })
    }

    /// What everyone may know of the group with this handle.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`] when there is none.
    pub async fn find_group(&self, handle: &Handle) -> Result<GroupCard, Error> {
        self.answer(self.find_group_uncounted(handle).await)
    }

    async fn find_group_uncounted(&self, handle: &Handle) -> Result<GroupCard, Error> {
        self.admit()?;
        let found = self.store().group_with_handle(handle).await.map_err(|error| store_error(&error))?;
        let id = found.ok_or_else(Error::not_allowed)?;
        let heads = self.store().heads(&[ConversationId::Group(id)]).await;
        let heads = heads.map_err(|error| store_error(&error))?;
        let group = heads.into_iter().next().and_then(|head| head.group).filter(|group| !group.dissolved);
        let group = group.ok_or_else(Error::not_allowed)?;
        Ok(GroupCard {
            group: group.id,
            handle: handle.clone(),
            name: group.profile.name,
            description: group.profile.description,
            join: group.profile.join,
            members: group.members,
        })
    }

    /// Does something in or about a group, see [`GroupAction`] for who may do what.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`] for what the user may not do, or where there is nothing to be done;
    /// [`ErrorKind::LimitReached`] when the group is full.
    pub async fn group(
        &self,
        client_id: ClientId,
        group: GroupId,
        action: GroupAction,
    ) -> Result<Receipt, Error> {
        self.answer(self.group_uncounted(client_id, group, action).await)
    }

    async fn group_uncounted(
        &self,
        client_id: ClientId,
        group: GroupId,
        action: GroupAction,
    ) -> Result<Receipt, Error> {
        self.alive()?;
        if let GroupAction::ChangeProfile(profile) = &action {
            check_profile(profile)?;
        }
        let user = self.user();
        let once = if decide::is_recorded_in_inbox(&action) {
            inbox_once(client_id, user)
        } else {
            Once { client_id, sender: user, conversation: ConversationId::Group(group) }
        };
        let digest = action_digest(group, &action);
        if let Some(known) = self.admit_new(once, digest).await? {
            return Ok(known.receipt());
        }
        let settled = self.core().settle(once, digest, || self.decide_action(group, &action)).await?;
        Ok(settled.receipt())
    }

    /// The members of a group in the order in which they joined, for its members; those who asked or
    /// were invited, for its owner and admins. An empty page ends them.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`] for others.
    pub async fn roster(
        &self,
        group: GroupId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Result<Vec<GroupMember>, Error> {
        self.answer(self.roster_uncounted(group, standing, after, limit).await)
    }

    async fn roster_uncounted(
        &self,
        group: GroupId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Result<Vec<GroupMember>, Error> {
        self.admit_read()?;
        let at = ConversationId::Group(group);
        let own = self.member(at).await?;
        let allowed = match standing {
            Some(Standing::Former) => false,
            Some(Standing::Invited | Standing::Asking) => own.standing.is_staff(),
            _ => own.standing.is_member(),
        };
        if !allowed {
            return Err(Error::not_allowed());
        }
        let limit = limit.clamp(1, ROSTER_LIMIT);
        let rows = self.store().roster(at, standing, after, limit).await.map_err(|e| store_error(&e))?;
        let users: Vec<_> = rows.iter().map(|row| row.user).collect();
        let accounts = self.store().accounts(&users).await.map_err(|error| store_error(&error))?;
        Ok(rows
            .into_iter()
            .zip(accounts)
            .filter_map(|(row, account)| {
                Some(GroupMember {
                    profile: profile(account?),
                    standing: row.standing,
                    joined_seq: row.joined_seq,
                    muted_until: row.muted_until,
                })
            })
            .collect())
    }

    async fn decide_creation(
        &self,
        id: GroupId,
        profile: &GroupProfile,
        members: &[UserId],
    ) -> Result<Item, Error> {
        let user = self.user();
        let at = ConversationId::Group(id);
        let targets = self.targets(at, members).await?;
        if targets.iter().any(|target| !target.welcome) {
            return Err(Error::not_allowed());
        }
        let mut all = vec![user];
        all.extend_from_slice(members);
        let group = Group { id, profile: profile.clone(), members: all.len() as u32, dissolved: false };
        let mut item = Item {
            require: vec![Precondition::Rules(at, 0)],
            // The record of the command is the creator's own notice.
            append: vec![group_notice(user, user, GroupEvent::Entered, &group, user)],
            write: vec![Write::PutGroup(group.clone())],
            ..Item::default()
        };
        item.require.extend(targets.iter().map(|target| target.precondition.clone()));
        item.require.extend(profile.handle.clone().map(Precondition::HandleFree));
        let created = Content::GroupCreated { profile: profile.clone(), members: all.clone() };
        item.append.push(entry(at, user, &created, Rules::Change));
        for member in &all {
            let standing = if *member == user { Standing::Owner } else { Standing::Member };
            let row = entering(at, *member, standing, SeqRef::Appended(1), profile.history);
            item.write.push(Write::Standing(row));
            if *member != user {
                item.append.push(group_notice(*member, user, GroupEvent::Entered, &group, *member));
            }
        }
        Ok(item)
    }

    async fn decide_action(&self, group: GroupId, action: &GroupAction) -> Result<Item, Error> {
        let (core, user) = (self.core(), self.user());
        let at = ConversationId::Group(group);
        let heads = core.store.heads(&[at]).await.map_err(|error| store_error(&error))?;
        let head = heads.into_iter().next();
        let (rules_seq, group) = match head {
            Some(head) => (head.rules_seq, head.group.filter(|group| !group.dissolved)),
            None => (0, None),
        };
        let group = group.ok_or_else(Error::not_allowed)?;
        let rows = core.store.members(&[(at, user)]).await.map_err(|error| store_error(&error))?;
        let own = rows.into_iter().next().flatten().unwrap_or_else(|| Member::blank(at, user));
        // Before anything else is looked at: what is wrong with it would tell that the group exists.
        if !own.standing.is_member() && !decide::is_for_outsiders(action) {
            return Err(Error::not_allowed());
        }
        let targets = match action {
            GroupAction::Add(users) => {
                let mut users = users.clone();
                users.sort_unstable();
                users.dedup();
                if users.len() > core.config.first_members_limit {
                    return Err(Error::new(ErrorKind::LimitReached, "too many members at once"));
                }
                self.targets(at, &users).await?
            }
            other => self.targets(at, decide::target(other).as_slice()).await?,
        };
        let asks = *action == GroupAction::Join && group.profile.join == JoinPolicy::Request;
        let staff = if asks { self.staff(at).await? } else { Vec::new() };
        let scene = Scene {
            at,
            rules_seq,
            group,
            own,
            targets,
            staff,
            now: core.now(),
            group_limit: core.config.group_limit,
        };
        decide(&scene, action)
    }

    /// What an action on other users depends on.
    async fn targets(&self, at: ConversationId, users: &[UserId]) -> Result<Vec<Target>, Error> {
        let (core, user) = (self.core(), self.user());
        let rows: Vec<_> = users.iter().map(|target| (at, *target)).collect();
        let rows = core.store.members(&rows).await.map_err(|error| store_error(&error))?;
        let mut directs = Vec::with_capacity(users.len());
        for target in users {
            let direct = ConversationId::direct(user, *target);
            directs.push((direct.ok_or_else(|| Error::invalid("this does not concern yourself"))?, user));
        }
        let loaded = rules::load(&*core.store, &directs).await.map_err(|error| store_error(&error))?;
        let mut targets = Vec::with_capacity(users.len());
        for (((target, row), (direct, _)), rules) in users.iter().zip(rows).zip(&directs).zip(loaded) {
            let rules = rules.ok_or_else(Error::not_allowed)?;
            let welcome = rules::decide(&rules, Wish::Write, user, core.config.writing, core.now()).is_ok();
            targets.push(Target {
                row: row.unwrap_or_else(|| Member::blank(at, *target)),
                welcome,
                precondition: rules.precondition(*direct),
            });
        }
        Ok(targets)
    }

    async fn staff(&self, at: ConversationId) -> Result<Vec<UserId>, Error> {
        let mut staff = Vec::new();
        for standing in [Standing::Owner, Standing::Admin] {
            let rows = self.store().roster(at, Some(standing), None, STAFF_TOLD).await;
            staff.extend(rows.map_err(|error| store_error(&error))?.into_iter().map(|row| row.user));
        }
        Ok(staff)
    }
}

fn recorded_group(stored: &crate::store::Stored) -> Option<Content> {
    // The record of a creation is a notice about a group.
    Content::decode(crate::Kind::known(crate::content::GROUP_NOTICE), stored.content.as_ref()?).ok()
}

fn check_profile(profile: &GroupProfile) -> Result<(), Error> {
    if profile.description.len() > GroupProfile::DESCRIPTION_LIMIT_BYTES {
        let limit = GroupProfile::DESCRIPTION_LIMIT_BYTES;
        return Err(Error::invalid(format!("the description is longer than {limit} bytes")));
    }
    if profile.handle.is_none() && profile.join != JoinPolicy::Invitation {
        return Err(Error::invalid("a group that can be joined needs a handle by which it is found"));
    }
    Ok(())
}

fn profile_parts(profile: &GroupProfile) -> Digest {
    Digest::of(&[
        profile.name.as_str().as_bytes(),
        profile.description.as_bytes(),
        profile.handle.as_ref().map_or("", Handle::as_str).as_bytes(),
        &profile.join.number().to_le_bytes(),
        &profile.history.number().to_le_bytes(),
    ])
}

fn users_bytes(users: &[UserId]) -> Vec<u8> {
    users.iter().flat_map(|user| user.number().to_le_bytes()).collect()
}

fn creation_digest(command: &CreateGroup) -> Digest {
    Digest::of(&[b"create group", &profile_parts(&command.profile).0, &users_bytes(&command.members)])
}

fn action_digest(group: GroupId, action: &GroupAction) -> Digest {
    let user = |user: &UserId| users_bytes(&[*user]);
    let (name, argument): (&[u8], Vec<u8>) = match action {
        GroupAction::Join => (b"join", Vec::new()),
        GroupAction::WithdrawRequest => (b"withdraw request", Vec::new()),
        GroupAction::Leave => (b"leave", Vec::new()),
        GroupAction::Invite(who) => (b"invite", user(who)),
        GroupAction::WithdrawInvitation(who) => (b"withdraw invitation", user(who)),
        GroupAction::AcceptInvitation => (b"accept invitation", Vec::new()),
        GroupAction::DeclineInvitation => (b"decline invitation", Vec::new()),
        GroupAction::Approve(who) => (b"approve", user(who)),
        GroupAction::Reject(who) => (b"reject", user(who)),
        GroupAction::Add(users) => (b"add", users_bytes(users)),
        GroupAction::Remove(who) => (b"remove", user(who)),
        GroupAction::SetRole(who, role) => {
            (b"role", [user(who), role.number().to_le_bytes().into()].concat())
        }
        GroupAction::Transfer(who) => (b"transfer", user(who)),
        GroupAction::Mute(who, until) => (b"mute", [user(who), until.0.to_le_bytes().into()].concat()),
        GroupAction::ChangeProfile(profile) => (b"profile", profile_parts(profile).0.into()),
        GroupAction::Dissolve => (b"dissolve", Vec::new()),
    };
    Digest::of(&[b"group", &group.number().to_le_bytes(), name, &argument])
}
