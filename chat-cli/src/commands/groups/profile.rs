//! What a group is called and how it admits.

use chat_core::{
    ConversationId, CreateGroup, DisplayName, GroupAction, GroupProfile, Handle, HistoryPolicy, JoinPolicy,
};
use serde_json::json;

use crate::address::{GroupAddress, UserAddress};
use crate::arguments::{Join, Since};
use crate::chat::Chat;
use crate::failure::Failure;
use crate::output::Output;
use crate::render::{json, time, words};

/// What of a profile was given.
pub(super) struct Wanted {
    pub(super) name: Option<DisplayName>,
    pub(super) handle: Option<Handle>,
    pub(super) join: Option<Join>,
    pub(super) history: Option<Since>,
    pub(super) description: Option<String>,
}

impl Wanted {
    fn over(self, mut profile: GroupProfile) -> GroupProfile {
        if let Some(name) = self.name {
            profile.name = name;
        }
        if let Some(join) = self.join {
            profile.join = join.into();
        }
        if let Some(history) = self.history {
            profile.history = history.into();
        }
        if let Some(description) = self.description {
            profile.description = description;
        }
        profile.handle = self.handle.or(profile.handle);
        profile
    }
}

/// Makes a group.
pub(super) async fn create(
    chat: &mut Chat,
    output: &mut Output,
    wanted: Wanted,
    members: &[UserAddress],
) -> Result<(), Failure> {
    let Some(name) = wanted.name.clone() else { return Err(Failure::Usage("a group needs a name".into())) };
    // Nobody finds a group without a handle, so it is joined by invitation.
    let join = if wanted.handle.is_some() { JoinPolicy::Open } else { JoinPolicy::Invitation };
    let profile = wanted.over(GroupProfile {
        name,
        description: String::new(),
        handle: None,
        join,
        history: HistoryPolicy::SinceJoin,
    });
    if profile.handle.is_none() && profile.join != JoinPolicy::Invitation {
        return Err(Failure::Usage("a group that others join or ask to join needs a --handle".into()));
    }
    let members = chat.users(members).await?;
    let client = chat.client();
    let command = CreateGroup { client_id: client.new_id(), profile: profile.clone(), members };
    let created = client.create_group(command).await.map_err(|error| chat.failure(error))?;
    let group = created.group;
    chat.profile.state.names.learn_profile(group, &profile);
    let handle = profile.handle.as_ref().map(Handle::as_str);
    output.result(
        || {
            let handle = handle.map_or(String::new(), |handle| format!("#{handle}  "));
            format!("created {handle}id:{group}")
        },
        || {
            json!({
                "type": "group_created",
                "id": group.number(),
                "handle": handle,
                "name": profile.name.as_str(),
                "time": time::rfc3339(created.time),
            })
        },
    )
}

/// Changes what was given of a group's profile.
pub(super) async fn change(
    chat: &mut Chat,
    output: &mut Output,
    address: &GroupAddress,
    wanted: Wanted,
) -> Result<(), Failure> {
    let id = chat.group(address).await?;
    let state = chat.state(ConversationId::Group(id)).await?;
    let Some(group) = state.group else {
        return Err(Failure::Usage(format!("{address} has no profile")));
    };
    let profile = wanted.over(group.profile);
    let client = chat.client();
    let action = GroupAction::ChangeProfile(profile.clone());
    client.group(client.new_id(), id, action).await.map_err(|error| chat.failure(error))?;
    chat.profile.state.names.learn_profile(id, &profile);
    let to = chat.names().group_address(id);
    output.result(
        || format!("{to} is now {}", words::group_profile(&profile)),
        || json::done(json!({ "group": id.number(), "to": to })),
    )
}
