//! An account and its devices, seen and changed by their owner.

use std::time::Duration;

use super::committer::store_error;
use super::login::{Rules, entry, notice};
use super::passwords::Passwords;
use super::presence::Lasting;
use super::{Inner, Session, inbox_once};
use crate::store::{Digest, Item, Precondition, RedactTarget, SeqRef, StandingChange, Write};
use crate::{
    Account, AccountName, ClientId, ContactEvent, Content, ConversationId, Device, DeviceEvent, DeviceId,
    DeviceInfo, DisplayName, Error, ErrorKind, Group, GroupEvent, Head, LeftMessages, Member, Pair, Password,
    Profile, Receipt, Relation, Standing, UserId,
};

/// Memberships are read in pages of so many.
const PAGE: usize = 256;

impl Session {
    /// Logs out: the device loses its token, the session ends, and contacts see it at once.
    ///
    /// # Errors
    /// As all commands.
    pub async fn log_out(&self, client_id: ClientId) -> Result<(), Error> {
        self.answer(self.log_out_uncounted(client_id).await)
    }

    async fn log_out_uncounted(&self, client_id: ClientId) -> Result<(), Error> {
        self.remove_device(client_id, self.device(), DeviceEvent::LoggedOut).await?;
        self.leave(Lasting::Yes);
        Ok(())
    }

    /// The user's devices, oldest first.
    ///
    /// # Errors
    /// As all commands.
    pub async fn devices(&self) -> Result<Vec<DeviceInfo>, Error> {
        self.answer(self.devices_uncounted().await)
    }

    async fn devices_uncounted(&self) -> Result<Vec<DeviceInfo>, Error> {
        self.admit_read()?;
        let devices = self.store().devices(self.user()).await.map_err(|error| store_error(&error))?;
        let online = |device: &Device| {
            device.attached.as_ref().is_some_and(|slot| self.core().is_live(device.user, slot))
        };
        Ok(devices
            .into_iter()
            .map(|device| DeviceInfo {
                device: device.id,
                online: online(&device),
                current: device.id == self.device(),
                label: device.label,
                created: device.created,
                last_seen: device.last_seen,
            })
            .collect())
    }

    /// Revokes a device of the user: its token is worth nothing any more, its session ends.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`] when the user has no such device.
    pub async fn revoke_device(&self, client_id: ClientId, device: DeviceId) -> Result<Receipt, Error> {
        self.answer(self.revoke_device_uncounted(client_id, device).await)
    }

    async fn revoke_device_uncounted(&self, client_id: ClientId, device: DeviceId) -> Result<Receipt, Error> {
        self.remove_device(client_id, device, DeviceEvent::Revoked).await
    }

    /// Sets a new password. Devices stay logged in; revoke those that should not.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] for a wrong current password, [`ErrorKind::Invalid`] for a new
    /// one out of bounds.
    pub async fn change_password(
        &self,
        client_id: ClientId,
        current: Password,
        new: Password,
    ) -> Result<Receipt, Error> {
        self.answer(self.change_password_uncounted(client_id, current, new).await)
    }

    async fn change_password_uncounted(
        &self,
        client_id: ClientId,
        current: Password,
        new: Password,
    ) -> Result<Receipt, Error> {
        self.alive()?;
        Passwords::check_new(&new)?;
        let once = inbox_once(client_id, self.user());
        // As dear to guess from as the password's own hash.
        let salt = Digest::of(&[&client_id.0, &self.user().number().to_le_bytes()]).0;
        let fingerprint = self.core().passwords.hash_salted(&new, salt).await?;
        let digest = Digest::of(&[b"password", fingerprint.as_bytes()]);
        if let Some(known) = self.core().first_result(once, digest).await? {
            return Ok(known.receipt());
        }
        self.admit()?;
        self.prove(&current).await?;
        let hash = self.core().passwords.hash(&new).await?;
        self.change_account(client_id, digest, &Content::PasswordChanged, |account| {
            account.password_hash = Some(hash.clone());
        })
        .await
    }

    /// Sets the name that others are shown.
    ///
    /// # Errors
    /// As all commands.
    pub async fn change_display_name(
        &self,
        client_id: ClientId,
        name: DisplayName,
    ) -> Result<Receipt, Error> {
        self.answer(self.change_display_name_uncounted(client_id, name).await)
    }

    async fn change_display_name_uncounted(
        &self,
        client_id: ClientId,
        name: DisplayName,
    ) -> Result<Receipt, Error> {
        let digest = Digest::of(&[b"display name", name.as_str().as_bytes()]);
        if let Some(known) = self.admit_new(inbox_once(client_id, self.user()), digest).await? {
            return Ok(known.receipt());
        }
        let content = Content::DisplayNameChanged(name.clone());
        self.change_account(client_id, digest, &content, |account| account.display_name = name.clone()).await
    }

    /// Deletes the account. Its groups pass to the longest-standing admin, or else member; its direct
    /// conversations stay with the other side; its name stays reserved. Every session of it ends.
    ///
    /// The account itself goes last, so that a deletion that was interrupted can be repeated.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] for a wrong password.
    pub async fn delete_account(
        &self,
        client_id: ClientId,
        password: Password,
        messages: LeftMessages,
    ) -> Result<(), Error> {
        self.answer(self.delete_account_uncounted(client_id, password, messages).await)
    }

    async fn delete_account_uncounted(
        &self,
        client_id: ClientId,
        password: Password,
        messages: LeftMessages,
    ) -> Result<(), Error> {
        self.admit()?;
        let (core, user) = (self.core(), self.user());
        self.prove(&password).await?;
        let mut after = None;
        loop {
            let page = core.store.memberships(user, after, PAGE).await.map_err(|e| store_error(&e))?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.conversation);
            for (head, member) in page {
                core.withdraw_from(&head, &member, messages).await?;
            }
        }
        let once = inbox_once(client_id, user);
        let digest = Digest::of(&[b"delete account", &[u8::from(messages == LeftMessages::Redact)]]);
        let inbox = once.conversation;
        core.settle(once, digest, || async {
            let rules = core.rules_seq(&[inbox]).await?[0];
            let mut account = self.own_account().await?;
            account.deleted = Some(core.now());
            account.password_hash = None;
            account.display_name = DisplayName::from_stored("deleted account");
            let devices = core.store.devices(user).await.map_err(|error| store_error(&error))?;
            let mut write = vec![Write::PutAccount(account)];
            write.extend(devices.into_iter().map(|device| Write::DeleteDevice(device.id)));
            Ok(Item {
                once: None,
                require: vec![Precondition::Rules(inbox, rules)],
                append: vec![notice(user, user, &Content::AccountDeleted, Rules::Change)],
                write,
            })
        })
        .await?;
        Ok(())
    }

    /// What everyone may know of the user with this name.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`] when there is none.
    pub async fn find_user(&self, name: &AccountName) -> Result<Profile, Error> {
        self.answer(self.find_user_uncounted(name).await)
    }

    async fn find_user_uncounted(&self, name: &AccountName) -> Result<Profile, Error> {
        self.admit()?;
        let account = self.core().account_named(name).await?.filter(|account| account.deleted.is_none());
        account.map(profile).ok_or_else(Error::not_allowed)
    }

    /// What everyone may know of these users, in their order; `None` for ids of nobody. At most 1,000
    /// at a time.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for more.
    pub async fn profiles(&self, users: &[UserId]) -> Result<Vec<Option<Profile>>, Error> {
        self.answer(self.profiles_uncounted(users).await)
    }

    async fn profiles_uncounted(&self, users: &[UserId]) -> Result<Vec<Option<Profile>>, Error> {
        self.admit_read()?;
        if users.len() > 1_000 {
            return Err(Error::invalid("at most 1000 profiles at a time"));
        }
        let accounts = self.store().accounts(users).await.map_err(|error| store_error(&error))?;
        Ok(accounts.into_iter().map(|account| account.map(profile)).collect())
    }

    async fn remove_device(
        &self,
        client_id: ClientId,
        device: DeviceId,
        event: DeviceEvent,
    ) -> Result<Receipt, Error> {
        let (core, user) = (self.core(), self.user());
        let once = inbox_once(client_id, user);
        let digest = Digest::of(&[b"remove device", &device.number().to_le_bytes()]);
        if let Some(known) = self.admit_new(once, digest).await? {
            return Ok(known.receipt());
        }
        let settled = core
            .settle(once, digest, || async {
                let rules = core.rules_seq(&[once.conversation]).await?[0];
                let devices = core.store.devices(user).await.map_err(|error| store_error(&error))?;
                let found =
                    devices.into_iter().find(|one| one.id == device).ok_or_else(Error::not_allowed)?;
                let content = Content::Device { event, device, label: found.label };
                Ok(Item {
                    once: None,
                    require: vec![Precondition::Rules(once.conversation, rules)],
                    append: vec![notice(user, user, &content, Rules::Change)],
                    write: vec![Write::DeleteDevice(device)],
                })
            })
            .await?;
        Ok(settled.receipt())
    }

    async fn change_account(
        &self,
        client_id: ClientId,
        digest: Digest,
        content: &Content,
        change: impl Fn(&mut Account),
    ) -> Result<Receipt, Error> {
        let (core, user) = (self.core(), self.user());
        let once = inbox_once(client_id, user);
        let change = &change;
        let settled = core
            .settle(once, digest, || async {
                let rules = core.rules_seq(&[once.conversation]).await?[0];
                let mut account = self.own_account().await?;
                change(&mut account);
                Ok(Item {
                    once: None,
                    require: vec![Precondition::Rules(once.conversation, rules)],
                    append: vec![notice(user, user, content, Rules::Change)],
                    write: vec![Write::PutAccount(account)],
                })
            })
            .await?;
        Ok(settled.receipt())
    }

    async fn own_account(&self) -> Result<Account, Error> {
        let found = self.store().accounts(&[self.user()]).await.map_err(|error| store_error(&error))?;
        let account = found.into_iter().next().flatten();
        account.filter(|account| account.deleted.is_none()).ok_or_else(Error::not_allowed)
    }

    async fn prove(&self, password: &Password) -> Result<(), Error> {
        let hash = self.own_account().await?.password_hash;
        if self.core().passwords.verify(password, hash).await? {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::Unauthenticated, "wrong password"))
        }
    }
}

impl Inner {
    /// Takes a user whose account is being deleted out of one conversation. Repeating it is harmless.
    async fn withdraw_from(&self, head: &Head, member: &Member, messages: LeftMessages) -> Result<(), Error> {
        for attempt in 0..super::ATTEMPTS {
            let (head, member) =
                if attempt == 0 { (head.clone(), member.clone()) } else { self.reload(head, member).await? };
            let mut item = match head.conversation {
                ConversationId::Inbox(_) => return Ok(()),
                ConversationId::Direct(pair) => withdraw_from_direct(pair, &head, &member),
                ConversationId::Group(_) => self.withdraw_from_group(&head, &member).await?,
            };
            if messages == LeftMessages::Redact {
                item.write.push(Write::Redact {
                    conversation: head.conversation,
                    target: RedactTarget::SentBy(member.user, u64::MAX),
                });
            }
            match self.commit(&head.conversation, item).await? {
                crate::store::Outcome::Stale => tokio::time::sleep(Duration::from_millis(5)).await,
                _ => return Ok(()),
            }
        }
        Err(Error::new(ErrorKind::Overloaded, "too many changes at the same time"))
    }

    async fn reload(&self, head: &Head, member: &Member) -> Result<(Head, Member), Error> {
        let heads = self.store.heads(&[head.conversation]).await.map_err(|error| store_error(&error))?;
        let key = (member.conversation, member.user);
        let rows = self.store.members(&[key]).await.map_err(|error| store_error(&error))?;
        let head = heads.into_iter().next().unwrap_or_else(|| Head::empty(head.conversation));
        let blank = || Member::blank(member.conversation, member.user);
        Ok((head, rows.into_iter().next().flatten().unwrap_or_else(blank)))
    }

    async fn withdraw_from_group(&self, head: &Head, member: &Member) -> Result<Item, Error> {
        let (at, user) = (head.conversation, member.user);
        let Some(group) = head.group.clone().filter(|group| !group.dissolved) else {
            return Ok(Item::default());
        };
        let mut item = Item { require: vec![Precondition::Rules(at, head.rules_seq)], ..Item::default() };
        if !member.standing.is_member() {
            if member.standing != Standing::Former {
                item.write.push(Write::RaiseRules(at));
                item.write.push(Write::Standing(StandingChange {
                    standing: Some(Standing::Former),
                    ..StandingChange::of(at, user)
                }));
            }
            return Ok(item);
        }
        let heir = if member.standing == Standing::Owner { self.heir(at, user).await? } else { None };
        if member.standing == Standing::Owner && heir.is_none() {
            item.append.push(entry(at, user, &Content::Dissolved, Rules::Change));
            item.write.push(Write::PutGroup(Group { dissolved: true, members: 0, ..group }));
        } else {
            if let Some(heir) = heir {
                let content = Content::RoleChanged { user: heir, role: Standing::Owner };
                item.append.push(entry(at, user, &content, Rules::Change));
                item.write.push(Write::Standing(StandingChange {
                    standing: Some(Standing::Owner),
                    ..StandingChange::of(at, heir)
                }));
            }
            item.append.push(entry(at, user, &Content::Left, Rules::Change));
            item.write.push(Write::PutGroup(Group { members: group.members.saturating_sub(1), ..group }));
        }
        let last = SeqRef::Appended(item.append.len() - 1);
        item.write.push(Write::Standing(StandingChange {
            standing: Some(Standing::Former),
            left: Some(last),
            ..StandingChange::of(at, user)
        }));
        Ok(item)
    }

    /// Who becomes the owner when the owner goes: the longest-standing admin, or else member.
    pub(super) async fn heir(&self, at: ConversationId, owner: UserId) -> Result<Option<UserId>, Error> {
        for standing in [Standing::Admin, Standing::Member] {
            let found = self.store.roster(at, Some(standing), None, 2).await;
            let found = found.map_err(|error| store_error(&error))?;
            if let Some(heir) = found.into_iter().find(|member| member.user != owner) {
                return Ok(Some(heir.user));
            }
        }
        Ok(None)
    }
}

fn withdraw_from_direct(pair: Pair, head: &Head, member: &Member) -> Item {
    let (at, user) = (head.conversation, member.user);
    let mut item = Item {
        require: vec![Precondition::Rules(at, head.rules_seq)],
        write: vec![Write::RaiseRules(at)],
        ..Item::default()
    };
    for one in [pair.low(), pair.high()] {
        item.write.push(Write::Standing(StandingChange {
            relation: Some(Relation::None),
            ..StandingChange::of(at, one)
        }));
    }
    if let Some(peer) = pair.peer_of(user).filter(|_| member.relation != Relation::None) {
        let content = Content::Contact { event: ContactEvent::Removed, peer: user, note: String::new() };
        item.append.push(notice(peer, user, &content, Rules::Stay));
    }
    item
}

/// What everyone may know of an account.
pub(super) fn profile(account: Account) -> Profile {
    Profile {
        user: account.user,
        name: account.name,
        display_name: account.display_name,
        deleted: account.deleted.is_some(),
    }
}

/// A notice about a group in a user's inbox.
pub(super) fn group_notice(
    inbox: UserId,
    sender: UserId,
    event: GroupEvent,
    group: &Group,
    user: UserId,
) -> crate::store::Append {
    let name = group.profile.name.as_str().to_owned();
    notice(inbox, sender, &Content::Group { event, group: group.id, user, name }, Rules::Stay)
}
