//! How a batch is evaluated: each item is looked at as a whole before anything of it is written.

use std::collections::BTreeMap;

use super::state::{Conversation, Record, State};
use crate::store::{Append, Batch, Item, Outcome, Placed, Precondition, RedactTarget, StandingChange, Write};
use crate::{
    Account, ClientId, ConversationId, Cursor, Device, DeviceId, Group, Handle, Member, Seq, Timestamp,
    UserId,
};

impl State {
    pub(super) fn commit(&mut self, batch: &Batch) -> Vec<Outcome> {
        let mut moved = BTreeMap::new();
        let outcomes = batch.items.iter().map(|item| self.commit_item(item, batch.now, &mut moved)).collect();
        if !moved.is_empty() {
            let rows = self.journal.entry(batch.writer).or_default();
            // A number used before is moved up: whoever has followed past it must find this row.
            let next = rows.keys().next_back().map_or(0, |last| last + 1);
            rows.insert(batch.number.max(next), moved.into_iter().collect());
        }
        outcomes
    }

    fn commit_item(
        &mut self,
        item: &Item,
        now: Timestamp,
        moved: &mut BTreeMap<ConversationId, Seq>,
    ) -> Outcome {
        if let Some(outcome) = self.repeated(item).or_else(|| self.refused(item)) {
            return outcome;
        }
        let client_id = item.once.map(|(once, _)| once.client_id);
        let mut placed = Vec::with_capacity(item.append.len());
        for (index, append) in item.append.iter().enumerate() {
            let place = self.append(append, client_id.filter(|_| index == 0), now);
            moved.insert(append.conversation, place.seq);
            placed.push(place);
        }
        if let (Some((once, digest)), Some(first)) = (item.once, placed.first()) {
            self.once.insert(once, Record { seq: first.seq, time: first.time, digest });
        }
        for write in &item.write {
            self.write(write, &placed);
        }
        Outcome::Committed(placed)
    }

    fn repeated(&self, item: &Item) -> Option<Outcome> {
        let (once, digest) = item.once.as_ref()?;
        let stored = self.recorded(once)?;
        Some(if stored.digest == *digest { Outcome::Duplicate(stored) } else { Outcome::Conflict })
    }

    fn refused(&self, item: &Item) -> Option<Outcome> {
        item.require
            .iter()
            .find_map(|precondition| self.unmet(precondition))
            .or_else(|| item.write.iter().find_map(|write| self.collides(write)))
    }

    fn unmet(&self, precondition: &Precondition) -> Option<Outcome> {
        match precondition {
            Precondition::Rules(id, expected) => {
                let found = self.conversations.get(id).map_or(0, |found| found.head.rules_seq);
                (found != *expected).then_some(Outcome::Stale)
            }
            Precondition::NameFree(name) => self.names.contains_key(name).then_some(Outcome::Taken),
            Precondition::UserFree(user) => self.accounts.contains_key(user).then_some(Outcome::Stale),
            Precondition::HandleFree(handle) => self.handles.contains_key(handle).then_some(Outcome::Taken),
            Precondition::Slot(device, expected) => {
                let found = self.devices.get(device);
                found.is_none_or(|device| device.attached != *expected).then_some(Outcome::Stale)
            }
        }
    }

    fn collides(&self, write: &Write) -> Option<Outcome> {
        let taken = match write {
            Write::PutAccount(account) => {
                self.names.get(&account.name).is_some_and(|holder| *holder != account.user)
            }
            Write::PutGroup(group) => {
                let holder = group.profile.handle.as_ref().and_then(|handle| self.handles.get(handle));
                holder.is_some_and(|holder| *holder != group.id)
            }
            _ => false,
        };
        taken.then_some(Outcome::Taken)
    }

    pub(super) fn conversation(&mut self, id: ConversationId) -> &mut Conversation {
        self.conversations.entry(id).or_insert_with(|| Conversation::new(id))
    }

    fn append(&mut self, append: &Append, client_id: Option<ClientId>, now: Timestamp) -> Placed {
        let conversation = self.conversation(append.conversation);
        let placed = conversation.head.place(append, now);
        if append.countable {
            conversation.countable.insert(placed.seq);
        } else if let Some(target) = append.target {
            conversation.referring.insert((target, placed.seq));
        }
        conversation.log.insert(placed.seq, append.entry(&placed, client_id));
        if append.countable {
            self.member(append.conversation, append.sender).own += 1;
        }
        placed
    }

    /// The row of a user, created where there is none.
    fn member(&mut self, id: ConversationId, user: UserId) -> &mut Member {
        self.places.entry(user).or_default().insert(id);
        self.conversation(id).member(user)
    }

    fn write(&mut self, write: &Write, placed: &[Placed]) {
        match write {
            Write::PutAccount(account) => self.put_account(account),
            Write::PutDevice(device) => self.put_device(device),
            Write::DeleteDevice(device) => self.delete_device(*device),
            Write::Attach { device, slot, now } => {
                if let Some(device) = self.devices.get_mut(device) {
                    device.attached.clone_from(slot);
                    device.last_seen = *now;
                }
            }
            Write::PutGroup(group) => self.put_group(group),
            Write::RaiseRules(id) => self.conversation(*id).head.raise_rules(),
            Write::Standing(change) => {
                self.member(change.conversation, change.user);
                self.conversation(change.conversation).change_standing(change, placed);
            }
            Write::Read { conversation, user, to } => {
                self.conversation(*conversation).read(*user, to.resolve(placed));
            }
            Write::Delivered { conversation, user, to } => {
                self.conversation(*conversation).deliver(*user, to.resolve(placed));
            }
            Write::Redact { conversation, target } => self.conversation(*conversation).redact(*target),
            Write::Trim { conversation, first_seq } => self.conversation(*conversation).trim(*first_seq),
        }
    }

    pub(super) fn put_account(&mut self, account: &Account) {
        if let Some(former) = self.accounts.insert(account.user, account.clone()) {
            self.names.remove(&former.name);
        }
        self.names.insert(account.name.clone(), account.user);
    }

    pub(super) fn put_device(&mut self, device: &Device) {
        self.delete_device(device.id);
        self.owned.entry(device.user).or_default().insert(device.id);
        self.tokens.insert(device.token_hash, device.id);
        self.devices.insert(device.id, device.clone());
    }

    fn delete_device(&mut self, id: DeviceId) {
        if let Some(device) = self.devices.remove(&id) {
            self.owned.entry(device.user).or_default().remove(&id);
            self.tokens.remove(&device.token_hash);
        }
    }

    pub(super) fn put_group(&mut self, group: &Group) {
        let head = &mut self.conversation(ConversationId::Group(group.id)).head;
        let former = head.group.replace(group.clone());
        let handle = |group: Group| -> Option<Handle> { group.profile.handle };
        if let Some(released) = former.and_then(handle) {
            self.handles.remove(&released);
        }
        if let Some(handle) = &group.profile.handle {
            self.handles.insert(handle.clone(), group.id);
        }
    }
}

impl Conversation {
    fn member(&mut self, user: UserId) -> &mut Member {
        let conversation = self.head.conversation;
        self.members.entry(user).or_insert_with(|| {
            let member = Member::blank(conversation, user);
            self.roster.insert((member.joined_seq, user));
            member
        })
    }

    fn change_standing(&mut self, change: &StandingChange, placed: &[Placed]) {
        let member = self.member(change.user);
        let before = member.joined_seq;
        let joined = change.apply(member, placed);
        let after = member.joined_seq;
        self.roster.remove(&(before, change.user));
        self.roster.insert((after, change.user));
        if let Some(joined) = joined {
            self.read(change.user, joined);
            self.deliver(change.user, joined);
        }
    }

    fn read(&mut self, user: UserId, to: Seq) {
        let Some(member) = self.members.get(&user) else { return };
        let Some(seq) = self.head.advance(member.read.seq, to) else { return };
        // Counted from the head downwards, since what is below `first_seq` cannot be counted any more.
        let after = self.log.range(seq + 1..).map(|(_, entry)| entry);
        let ordinal = self.head.ordinal - after.clone().filter(|entry| entry.countable).count() as u64;
        let later = after.filter(|entry| entry.countable && entry.sender == user).count() as u64;
        let cursor = Cursor { seq, ordinal, own: member.own - later };
        self.member(user).read = cursor;
    }

    fn deliver(&mut self, user: UserId, to: Seq) {
        let Some(member) = self.members.get_mut(&user) else { return };
        member.delivered = self.head.advance(member.delivered, to).unwrap_or(member.delivered);
    }

    fn redact(&mut self, target: RedactTarget) {
        match target {
            RedactTarget::Entry(seq) => {
                if let Some(entry) = self.log.get_mut(&seq) {
                    entry.content = None;
                }
            }
            RedactTarget::SentBy(sender, up_to) => {
                for (_, entry) in self.log.range_mut(..=up_to) {
                    let says = entry.countable || RedactTarget::REFERRING.contains(&entry.kind);
                    if entry.sender == sender && says {
                        entry.content = None;
                    }
                }
            }
        }
    }

    fn trim(&mut self, first_seq: Seq) {
        if self.head.trim(first_seq) {
            let first = self.head.first_seq;
            self.log = self.log.split_off(&first);
            self.countable = self.countable.split_off(&first);
            self.referring.retain(|(_, seq)| *seq >= first);
        }
    }
}
