//! The words for values that several outputs name.

use chat_core::{Contact, GroupProfile, HistoryPolicy, JoinPolicy, Relation, Standing};

use crate::sanitise;

/// The word for a standing, the same in JSON.
pub(crate) fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Owner => "owner",
        Standing::Admin => "admin",
        Standing::Member => "member",
        Standing::Invited => "invited",
        Standing::Asking => "asking",
        Standing::Former => "former",
    }
}

/// The word for a relation, the same in JSON.
pub(crate) fn relation(relation: Relation) -> &'static str {
    match relation {
        Relation::None => "none",
        Relation::Outgoing => "outgoing",
        Relation::Incoming => "incoming",
        Relation::Contact => "contact",
    }
}

/// The word for a join policy, the same in JSON.
pub(crate) fn join(policy: JoinPolicy) -> &'static str {
    match policy {
        JoinPolicy::Open => "open",
        JoinPolicy::Request => "request",
        JoinPolicy::Invitation => "invitation",
    }
}

/// The word for a history policy, the same in JSON.
pub(crate) fn history(policy: HistoryPolicy) -> &'static str {
    match policy {
        HistoryPolicy::SinceJoin => "since_join",
        HistoryPolicy::All => "all",
    }
}

/// How a contact stands, in words.
pub(crate) fn contact(contact: &Contact) -> String {
    let mut words = Vec::new();
    match contact.relation {
        Relation::Contact => words.push("contact"),
        Relation::Incoming => words.push("asks to become your contact"),
        Relation::Outgoing => words.push("was asked by you"),
        Relation::None => {}
    }
    match contact.online {
        Some(true) => words.push("online"),
        Some(false) => words.push("offline"),
        None => {}
    }
    if contact.blocked {
        words.push("blocked");
    }
    if contact.profile.deleted {
        words.push("account deleted");
    }
    words.join(", ")
}

/// A group's profile in one line.
pub(crate) fn group_profile(profile: &GroupProfile) -> String {
    let mut text = format!("“{}”", sanitise::name(profile.name.as_str()));
    if let Some(handle) = &profile.handle {
        text += &format!(", #{}", sanitise::name(handle.as_str()));
    }
    text += match profile.join {
        JoinPolicy::Open => ", open to everyone",
        JoinPolicy::Request => ", joined by request",
        JoinPolicy::Invitation => ", joined by invitation",
    };
    text += match profile.history {
        HistoryPolicy::SinceJoin => ", history since one's joining",
        HistoryPolicy::All => ", all history",
    };
    if !profile.description.is_empty() {
        text += &format!(": {}", sanitise::name(&profile.description));
    }
    text
}
