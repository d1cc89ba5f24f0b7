//! What users and groups are called, as far as this profile has heard.
//!
//! Account names never change and never pass to another user, so what is known stays true and is
//! not asked for again.

use std::collections::BTreeMap;

use chat_core::{
    Content, ConversationId, Entry, Group, GroupCard, GroupId, GroupProfile, Handle, Profile, UserId,
};
use serde::{Deserialize, Serialize};

use crate::address::GroupAddress;
use crate::sanitise;

/// Names by id. Texts are kept as they came and made safe when they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Names {
    users: BTreeMap<u64, String>,
    groups: BTreeMap<u64, KnownGroup>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct KnownGroup {
    name: String,
    handle: Option<String>,
}

impl Names {
    /// Remembers a user.
    pub(crate) fn learn_user(&mut self, profile: &Profile) {
        self.users.insert(profile.user.number(), profile.name.as_str().into());
    }

    /// Remembers a group of which a card was seen.
    pub(crate) fn learn_card(&mut self, card: &GroupCard) {
        let known = KnownGroup { name: card.name.as_str().into(), handle: Some(card.handle.as_str().into()) };
        self.groups.insert(card.group.number(), known);
    }

    /// Remembers a group.
    pub(crate) fn learn_group(&mut self, group: &Group) {
        self.learn_profile(group.id, &group.profile);
    }

    /// Remembers what an entry says about the group that it stands in, or that it tells of.
    pub(crate) fn learn_entry(&mut self, conversation: ConversationId, content: &Content) {
        match (conversation, content) {
            (
                ConversationId::Group(group),
                Content::GroupCreated { profile, .. } | Content::GroupChanged(profile),
            ) => self.learn_profile(group, profile),
            (ConversationId::Inbox(_), Content::Group { group, name, .. }) => {
                self.groups.entry(group.number()).or_default().name.clone_from(name);
            }
            _ => {}
        }
    }

    /// Remembers what a group is called.
    pub(crate) fn learn_profile(&mut self, group: GroupId, profile: &GroupProfile) {
        let handle = profile.handle.as_ref().map(|handle| handle.as_str().to_owned());
        self.groups.insert(group.number(), KnownGroup { name: profile.name.as_str().into(), handle });
    }

    /// A user's account name, as it came.
    pub(crate) fn user(&self, user: UserId) -> Option<&str> {
        self.users.get(&user.number()).map(String::as_str)
    }

    /// The user with this account name.
    pub(crate) fn user_named(&self, name: &str) -> Option<UserId> {
        let number = self.users.iter().find_map(|(number, known)| (known == name).then_some(*number))?;
        UserId::new(number).ok()
    }

    /// A group's name, as it came.
    pub(crate) fn group(&self, group: GroupId) -> Option<&str> {
        self.groups.get(&group.number()).map(|known| known.name.as_str())
    }

    /// A group's handle, if it has one that is known.
    pub(crate) fn handle(&self, group: GroupId) -> Option<&str> {
        self.groups.get(&group.number()).and_then(|known| known.handle.as_deref())
    }

    /// All account names, for completion.
    pub(crate) fn user_names(&self) -> impl Iterator<Item = &str> {
        self.users.values().map(String::as_str)
    }

    /// How all known groups are addressed, for completion.
    pub(crate) fn group_addresses(&self) -> impl Iterator<Item = String> {
        self.groups
            .keys()
            .filter_map(|number| GroupId::new(*number).ok())
            .map(|group| self.group_address(group))
    }

    /// `@name`, safe to print.
    pub(crate) fn mention(&self, user: UserId) -> String {
        match self.user(user) {
            Some(name) => format!("@{}", sanitise::name(name)),
            None => format!("user {user}"),
        }
    }

    /// How a group is addressed: `#handle` or `id:ID`, safe to print.
    pub(crate) fn group_address(&self, group: GroupId) -> String {
        let handle = self.handle(group).and_then(|handle| Handle::parse(handle).ok());
        handle.map_or(GroupAddress::Id(group), GroupAddress::Handle).to_string()
    }

    /// How a conversation is addressed: what its commands take, safe to print.
    pub(crate) fn address(&self, conversation: ConversationId, me: UserId) -> String {
        match conversation {
            ConversationId::Direct(pair) => match pair.peer_of(me) {
                Some(peer) => self.mention(peer),
                None => format!("{} and {}", self.mention(pair.low()), self.mention(pair.high())),
            },
            ConversationId::Group(group) => self.group_address(group),
            ConversationId::Inbox(_) => "inbox".into(),
        }
    }

    /// How a conversation is called: like its address, with the name of a group that has no handle.
    pub(crate) fn title(&self, conversation: ConversationId, me: UserId) -> String {
        let address = self.address(conversation, me);
        match conversation {
            ConversationId::Group(group) if self.handle(group).is_none() => match self.group(group) {
                Some(name) => format!("{address} “{}”", sanitise::name(name)),
                None => address,
            },
            _ => address,
        }
    }
}

/// Everyone whom an entry speaks of.
pub(crate) fn users_of(conversation: ConversationId, entry: &Entry) -> Vec<UserId> {
    let mut users = vec![entry.sender];
    if let ConversationId::Direct(pair) = conversation {
        users.extend([pair.low(), pair.high()]);
    }
    match entry.decode_content() {
        Ok(Content::GroupCreated { members, .. } | Content::MembersAdded(members)) => users.extend(members),
        Ok(
            Content::MemberRemoved(user)
            | Content::RoleChanged { user, .. }
            | Content::Muted { user, .. }
            | Content::Contact { peer: user, .. }
            | Content::Group { user, .. },
        ) => users.push(user),
        _ => {}
    }
    users
}

#[cfg(test)]
mod tests {
    use chat_core::{AccountName, DisplayName};

    use super::*;

    fn user(number: u64) -> UserId {
        UserId::new(number).expect("valid")
    }

    fn known() -> Names {
        let mut names = Names::default();
        for (number, name) in [(1, "alice"), (2, "bob")] {
            names.learn_user(&Profile {
                user: user(number),
                name: AccountName::parse(name).expect("valid"),
                display_name: DisplayName::parse(name).expect("valid"),
                deleted: false,
            });
        }
        names
    }

    #[test]
    fn a_conversation_is_addressed_as_commands_take_it() {
        let direct = ConversationId::direct(user(1), user(2)).expect("two users");
        let group = ConversationId::Group(GroupId::new(9).expect("valid"));
        let names = known();
        assert_eq!(names.address(direct, user(1)), "@bob");
        assert_eq!(names.address(direct, user(2)), "@alice");
        assert_eq!(names.address(group, user(1)), "id:9");
        assert_eq!(names.address(ConversationId::Inbox(user(1)), user(1)), "inbox");
        assert_eq!(names.user_named("bob"), Some(user(2)));
    }

    #[test]
    fn names_of_others_are_safe_to_print() {
        let mut names = known();
        let group = GroupId::new(9).expect("valid");
        let event = Content::Group {
            event: chat_core::GroupEvent::Invited,
            group,
            user: user(1),
            name: "a\u{1b}[2Jb".into(),
        };
        names.learn_entry(ConversationId::Inbox(user(1)), &event);
        assert_eq!(names.title(ConversationId::Group(group), user(1)), "id:9 “a\u{fffd}[2Jb”");
    }
}
