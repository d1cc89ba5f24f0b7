//! The JSON of scripts: one object per line, told apart by `type`. The README lists the fields;
//! fields are added and never renamed. Texts are as they were sent: JSON escapes what a terminal
//! must not see.

use chat_core::{
    Body, Contact, ContactEvent, Content, ConversationId, ConversationState, DeviceEvent, DeviceInfo, Entry,
    Group, GroupCard, GroupEvent, GroupMember, Profile, Receipt, UserId,
};
use serde_json::{Map, Value, json};

use super::history::Folded;
use super::{time, words};
use crate::names::Names;

/// `{id, name}`; the name is null while it is not known.
pub(crate) fn user(names: &Names, user: UserId) -> Value {
    json!({ "id": user.number(), "name": names.user(user) })
}

fn profile(profile: &Profile) -> Value {
    json!({
        "id": profile.user.number(),
        "name": profile.name.as_str(),
        "display_name": profile.display_name.as_str(),
        "deleted": profile.deleted,
    })
}

/// An entry.
pub(crate) fn entry(names: &Names, me: UserId, conversation: ConversationId, entry: &Entry) -> Value {
    let mut object = json!({
        "type": "entry",
        "to": names.address(conversation, me),
        "seq": entry.seq,
        "time": time::rfc3339(entry.time),
        "sender": user(names, entry.sender),
        "countable": entry.countable,
        "target": entry.target,
    });
    if let ConversationId::Group(group) = conversation {
        object["group"] = json!({
            "id": group.number(),
            "handle": names.handle(group),
            "name": names.group(group),
        });
    }
    extend(&mut object, content(names, entry));
    object
}

/// A message of a page of history: an entry with what became of it.
pub(crate) fn folded(names: &Names, me: UserId, conversation: ConversationId, folded: &Folded) -> Value {
    let mut object = entry(names, me, conversation, &folded.entry);
    if let Some(body) = &folded.edited {
        extend(&mut object, body_fields(body));
    }
    object["edited"] = folded.edited.is_some().into();
    object["recalled"] = folded.recalled.into();
    object["reactions"] = folded
        .reactions
        .iter()
        .map(|(symbol, users)| {
            let users: Value = users.iter().map(|who| user(names, *who)).collect();
            json!({ "symbol": symbol, "users": users })
        })
        .collect();
    object
}

fn extend(object: &mut Value, fields: Value) {
    if let (Value::Object(object), Value::Object(fields)) = (object, fields) {
        object.extend(fields);
    }
}

fn body_fields(body: &Body) -> Value {
    match body {
        Body::Text(text) => json!({ "kind": "text", "text": text }),
        Body::Data { media_type, bytes } => {
            json!({ "kind": "data", "media_type": media_type, "bytes": hex(bytes) })
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn content(names: &Names, entry: &Entry) -> Value {
    let users = |users: &[UserId]| users.iter().map(|who| user(names, *who)).collect::<Value>();
    let Ok(content) = entry.decode_content() else {
        return json!({ "kind": "unreadable" });
    };
    match content {
        Content::Message(body) => body_fields(&body),
        Content::Edit(body) => {
            let mut fields = body_fields(&body);
            fields["kind"] = "edit".into();
            fields
        }
        Content::Recall => json!({ "kind": "recall" }),
        Content::Reaction { symbol, set } => json!({ "kind": "reaction", "symbol": symbol, "set": set }),
        Content::GroupCreated { profile, members } => {
            json!({ "kind": "group_created", "name": profile.name.as_str(), "members": users(&members) })
        }
        Content::GroupChanged(profile) => json!({
            "kind": "group_changed",
            "name": profile.name.as_str(),
            "description": profile.description,
            "handle": profile.handle.as_ref().map(chat_core::Handle::as_str),
            "join": words::join(profile.join),
            "history": words::history(profile.history),
        }),
        Content::MembersAdded(members) => json!({ "kind": "members_added", "members": users(&members) }),
        Content::Joined => json!({ "kind": "joined" }),
        Content::Left => json!({ "kind": "left" }),
        Content::MemberRemoved(who) => json!({ "kind": "member_removed", "user": user(names, who) }),
        Content::RoleChanged { user: who, role } => {
            json!({ "kind": "role_changed", "user": user(names, who), "role": words::standing(role) })
        }
        Content::Muted { user: who, until } => {
            json!({ "kind": "muted", "user": user(names, who), "until": time::rfc3339(until) })
        }
        Content::Dissolved => json!({ "kind": "dissolved" }),
        Content::AccountCreated => json!({ "kind": "account_created" }),
        Content::DisplayNameChanged(name) => {
            json!({ "kind": "display_name_changed", "display_name": name.as_str() })
        }
        Content::PasswordChanged => json!({ "kind": "password_changed" }),
        Content::AccountDeleted => json!({ "kind": "account_deleted" }),
        Content::Device { event, device: id, label } => json!({
            "kind": "device", "event": device_event(event), "device": id.number(), "label": label,
        }),
        Content::Contact { event, peer, note } => json!({
            "kind": "contact", "event": contact_event(event), "user": user(names, peer), "note": note,
        }),
        Content::Group { event, group, user: who, name } => json!({
            "kind": "group",
            "event": group_event(event),
            "group": { "id": group.number(), "handle": names.handle(group), "name": name },
            "user": user(names, who),
        }),
        Content::Redacted => json!({ "kind": "redacted" }),
        Content::Unknown(kind, bytes) => {
            json!({ "kind": "unknown", "number": kind.number(), "bytes": hex(&bytes) })
        }
        _ => json!({ "kind": "unknown", "number": entry.kind.number() }),
    }
}

fn device_event(event: DeviceEvent) -> &'static str {
    match event {
        DeviceEvent::Added => "added",
        DeviceEvent::LoggedOut => "logged_out",
        DeviceEvent::Revoked => "revoked",
        DeviceEvent::Replaced => "replaced",
    }
}

fn contact_event(event: ContactEvent) -> &'static str {
    match event {
        ContactEvent::Requested => "requested",
        ContactEvent::Accepted => "accepted",
        ContactEvent::Declined => "declined",
        ContactEvent::Withdrawn => "withdrawn",
        ContactEvent::Removed => "removed",
        ContactEvent::Blocked => "blocked",
        ContactEvent::Unblocked => "unblocked",
    }
}

fn group_event(event: GroupEvent) -> &'static str {
    match event {
        GroupEvent::Entered => "entered",
        GroupEvent::Left => "left",
        GroupEvent::Invited => "invited",
        GroupEvent::InvitationEnded => "invitation_ended",
        GroupEvent::Asked => "asked",
        GroupEvent::RequestEnded => "request_ended",
    }
}

/// A contact, request or block.
pub(crate) fn contact(contact: &Contact) -> Value {
    json!({
        "type": "contact",
        "user": profile(&contact.profile),
        "relation": words::relation(contact.relation),
        "blocked": contact.blocked,
        "online": contact.online,
    })
}

/// A group of the user's.
pub(crate) fn group(group: &Group, state: &ConversationState) -> Value {
    json!({
        "type": "group",
        "id": group.id.number(),
        "handle": group.profile.handle.as_ref().map(chat_core::Handle::as_str),
        "name": group.profile.name.as_str(),
        "description": group.profile.description,
        "join": words::join(group.profile.join),
        "history": words::history(group.profile.history),
        "members": group.members,
        "standing": words::standing(state.standing),
        "unread": state.unread,
    })
}

/// What everyone may know of a group.
pub(crate) fn card(card: &GroupCard) -> Value {
    json!({
        "type": "group_card",
        "id": card.group.number(),
        "handle": card.handle.as_str(),
        "name": card.name.as_str(),
        "description": card.description,
        "join": words::join(card.join),
        "members": card.members,
    })
}

/// A member of a group.
pub(crate) fn member(member: &GroupMember) -> Value {
    json!({
        "type": "member",
        "user": profile(&member.profile),
        "standing": words::standing(member.standing),
        "joined_seq": member.joined_seq,
        "muted_until": member.muted_until.map(time::rfc3339),
    })
}

/// An own device.
pub(crate) fn device(device: &DeviceInfo) -> Value {
    json!({
        "type": "device",
        "id": device.device.number(),
        "label": device.label,
        "created": time::rfc3339(device.created),
        "last_seen": time::rfc3339(device.last_seen),
        "online": device.online,
        "current": device.current,
    })
}

/// That something was done, and where it stands in the log.
pub(crate) fn receipt(to: &str, receipt: &Receipt) -> Value {
    json!({ "type": "receipt", "to": to, "seq": receipt.seq, "time": time::rfc3339(receipt.time) })
}

/// How much of a conversation is unread.
pub(crate) fn unread(to: &str, state: &ConversationState) -> Value {
    json!({ "type": "unread", "to": to, "unread": state.unread, "read": state.read, "head": state.head })
}

/// That something was done of which nothing more is to be told.
pub(crate) fn done(fields: Value) -> Value {
    let mut object = Value::Object(Map::from_iter([("type".to_owned(), "done".into())]));
    extend(&mut object, fields);
    object
}
