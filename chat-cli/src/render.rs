//! Entries in words. Whatever comes from others is made safe to print here.

pub(crate) mod history;
pub(crate) mod json;
pub(crate) mod time;
pub(crate) mod words;

use chat_core::{
    Body, ContactEvent, Content, ConversationId, DeviceEvent, Entry, GroupEvent, Standing, UserId,
};

use crate::names::Names;
use crate::sanitise::{self, Breaks};

/// For whom, and how, entries are put into words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    /// What users and groups are called.
    pub(crate) names: &'a Names,
    /// Who reads.
    pub(crate) me: UserId,
    /// How line breaks within a text are shown.
    pub(crate) breaks: Breaks,
}

impl Reader<'_> {
    /// One entry with its number and time: `12  2026-11-24 05:47  @bob: hi`.
    pub(crate) fn line(&self, entry: &Entry) -> String {
        format!("{}  {}  {}", entry.seq, time::minute(entry.time), self.sentence(entry))
    }

    /// The same with the conversation in front: `[@bob] 12  …`.
    pub(crate) fn line_in(&self, conversation: ConversationId, entry: &Entry) -> String {
        format!("[{}] {}", self.names.title(conversation, self.me), self.line(entry))
    }

    /// What an entry says, without number and time.
    pub(crate) fn sentence(&self, entry: &Entry) -> String {
        let who = self.names.mention(entry.sender);
        let Ok(content) = entry.decode_content() else {
            return format!("{who}: (cannot be read)");
        };
        let target = entry.target.map_or("?".into(), |target| target.to_string());
        match content {
            Content::Message(body) => match entry.target {
                Some(target) => format!("{who} (answering {target}){}", self.said(&body)),
                None => format!("{who}{}", self.said(&body)),
            },
            Content::Edit(body) => format!("{who} changed {target}{}", self.said(&body)),
            Content::Recall => format!("{who} took back {target}"),
            Content::Reaction { symbol, set: true } => {
                format!("{who} reacted {} to {target}", sanitise::name(&symbol))
            }
            Content::Reaction { symbol, set: false } => {
                format!("{who} took {} off {target}", sanitise::name(&symbol))
            }
            Content::GroupCreated { profile, members } => {
                let others: Vec<UserId> =
                    members.into_iter().filter(|member| *member != entry.sender).collect();
                let with = if others.is_empty() {
                    String::new()
                } else {
                    format!(" with {}", self.everyone(&others))
                };
                format!("{who} created the group “{}”{with}", sanitise::name(profile.name.as_str()))
            }
            Content::GroupChanged(profile) => {
                format!("{who} changed the group’s profile: {}", words::group_profile(&profile))
            }
            Content::MembersAdded(members) => format!("{who} added {}", self.everyone(&members)),
            Content::Joined => format!("{who} joined"),
            Content::Left => format!("{who} left"),
            Content::MemberRemoved(user) => format!("{who} removed {}", self.names.mention(user)),
            Content::RoleChanged { user, role } => {
                format!("{who} made {} {}", self.names.mention(user), role_with_article(role))
            }
            Content::Muted { user, until } if until > entry.time => {
                format!("{who} muted {} until {}", self.names.mention(user), time::minute(until))
            }
            Content::Muted { user, .. } => format!("{who} let {} write again", self.names.mention(user)),
            Content::Dissolved => format!("{who} dissolved the group"),
            Content::AccountCreated => "your account was created".into(),
            Content::DisplayNameChanged(name) => {
                format!("your display name is now “{}”", sanitise::name(name.as_str()))
            }
            Content::PasswordChanged => "your password was changed".into(),
            Content::AccountDeleted => "your account was deleted".into(),
            Content::Device { event, device, label } => {
                format!("your device {device} “{}” {}", sanitise::name(&label), device_event(event))
            }
            Content::Contact { event, peer, note } => self.contact(entry.sender, event, peer, &note),
            Content::Group { event, group, user, name } => {
                let group = format!("“{}” ({})", sanitise::name(&name), self.names.group_address(group));
                self.group_notice(event, user, &group)
            }
            Content::Redacted => format!("{who}: (taken back)"),
            Content::Unknown(kind, _) => {
                format!("{who}: (of kind {}, which this version does not know)", kind.number())
            }
            _ => format!("{who}: (of a kind that this version cannot show)"),
        }
    }

    /// A body behind its author: `: text`, or what it is.
    pub(crate) fn said(&self, body: &Body) -> String {
        match body {
            Body::Text(text) => format!(": {}", sanitise::text(text, self.breaks)),
            Body::Data { media_type, bytes } => {
                format!(": ({}, {} bytes)", sanitise::name(media_type), bytes.len())
            }
        }
    }

    fn everyone(&self, users: &[UserId]) -> String {
        users.iter().map(|user| self.names.mention(*user)).collect::<Vec<_>>().join(", ")
    }

    fn contact(&self, sender: UserId, event: ContactEvent, peer: UserId, note: &str) -> String {
        let (other, mine) = (self.names.mention(peer), sender == self.me);
        let said =
            if note.is_empty() { String::new() } else { format!(": {}", sanitise::text(note, self.breaks)) };
        match (event, mine) {
            (ContactEvent::Requested, true) => format!("you asked {other} to become a contact{said}"),
            (ContactEvent::Requested, false) => format!("{other} asks to become your contact{said}"),
            (ContactEvent::Accepted, _) => format!("you and {other} are contacts"),
            (ContactEvent::Declined, true) => format!("you declined the request of {other}"),
            (ContactEvent::Declined, false) => format!("{other} declined your request"),
            (ContactEvent::Withdrawn, true) => format!("you took back your request to {other}"),
            (ContactEvent::Withdrawn, false) => format!("{other} took back the request"),
            (ContactEvent::Removed, true) => format!("you removed {other} from your contacts"),
            (ContactEvent::Removed, false) => format!("{other} is no longer your contact"),
            (ContactEvent::Blocked, _) => format!("you blocked {other}"),
            (ContactEvent::Unblocked, _) => format!("you unblocked {other}"),
        }
    }

    fn group_notice(&self, event: GroupEvent, user: UserId, group: &str) -> String {
        let who = if user == self.me { None } else { Some(self.names.mention(user)) };
        match (event, who) {
            (GroupEvent::Entered, None) => format!("you are a member of {group}"),
            (GroupEvent::Entered, Some(who)) => format!("{who} is a member of {group}"),
            (GroupEvent::Left, None) => format!("you are no longer a member of {group}"),
            (GroupEvent::Left, Some(who)) => format!("{who} is no longer a member of {group}"),
            (GroupEvent::Invited, None) => format!("you are invited to {group}"),
            (GroupEvent::Invited, Some(who)) => format!("{who} is invited to {group}"),
            (GroupEvent::InvitationEnded, None) => format!("your invitation to {group} has ended"),
            (GroupEvent::InvitationEnded, Some(who)) => {
                format!("the invitation of {who} to {group} has ended")
            }
            (GroupEvent::Asked, None) => format!("you asked to join {group}"),
            (GroupEvent::Asked, Some(who)) => format!("{who} asks to join {group}"),
            (GroupEvent::RequestEnded, None) => format!("your request to join {group} has ended"),
            (GroupEvent::RequestEnded, Some(who)) => {
                format!("the request of {who} to join {group} has ended")
            }
        }
    }
}

fn role_with_article(role: Standing) -> &'static str {
    match role {
        Standing::Owner => "the owner",
        Standing::Admin => "an admin",
        _ => "a member",
    }
}

fn device_event(event: DeviceEvent) -> &'static str {
    match event {
        DeviceEvent::Added => "logged in",
        DeviceEvent::LoggedOut => "logged out",
        DeviceEvent::Revoked => "was revoked",
        DeviceEvent::Replaced => "was replaced by a newer one",
    }
}

#[cfg(test)]
mod tests;
