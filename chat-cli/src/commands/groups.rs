//! Groups and their members.

mod list;
mod profile;

use std::time::{SystemTime, UNIX_EPOCH};

use chat_core::{GroupAction, GroupId, Timestamp};
use serde_json::json;

use crate::address::GroupAddress;
use crate::arguments::GroupsCommand;
use crate::chat::Chat;
use crate::failure::Failure;
use crate::output::Output;
use crate::render::json;

pub(super) async fn carry_out(
    chat: &mut Chat,
    output: &mut Output,
    command: GroupsCommand,
) -> Result<(), Failure> {
    match command {
        GroupsCommand::List => list::groups(chat, output).await,
        GroupsCommand::Members { group, only } => list::members(chat, output, &group, only).await,
        GroupsCommand::Find { group } => list::card(chat, output, &group).await,
        GroupsCommand::Create { name, handle, join, history, description, members } => {
            let wanted = profile::Wanted {
                name: Some(name),
                handle,
                join,
                history: Some(history),
                description: Some(description),
            };
            profile::create(chat, output, wanted, &members).await
        }
        GroupsCommand::Set { group, name, description, handle, join, history } => {
            let wanted = profile::Wanted { name, handle, join, history, description };
            profile::change(chat, output, &group, wanted).await
        }
        other => {
            let (group, action, done) = action(chat, other).await?;
            act(chat, output, group, action, &done).await
        }
    }
}

/// The group, what is done in it, and the words for having done it.
async fn action(chat: &mut Chat, command: GroupsCommand) -> Result<(GroupId, GroupAction, String), Failure> {
    let (address, action, done): (GroupAddress, GroupAction, String) = match command {
        GroupsCommand::Join { group } => (group, GroupAction::Join, "joined, or asked to join,".into()),
        GroupsCommand::Withdraw { group } => {
            (group, GroupAction::WithdrawRequest, "took back the request to join".into())
        }
        GroupsCommand::Leave { group } => (group, GroupAction::Leave, "left".into()),
        GroupsCommand::Accept { group } => (group, GroupAction::AcceptInvitation, "joined".into()),
        GroupsCommand::Decline { group } => {
            (group, GroupAction::DeclineInvitation, "declined the invitation to".into())
        }
        GroupsCommand::Dissolve { group } => (group, GroupAction::Dissolve, "dissolved".into()),
        GroupsCommand::Invite { group, user } => {
            (group, GroupAction::Invite(chat.user(&user).await?), format!("invited @{} to", user.0))
        }
        GroupsCommand::Uninvite { group, user } => {
            let action = GroupAction::WithdrawInvitation(chat.user(&user).await?);
            (group, action, format!("took back the invitation of @{} to", user.0))
        }
        GroupsCommand::Approve { group, user } => {
            (group, GroupAction::Approve(chat.user(&user).await?), format!("admitted @{} to", user.0))
        }
        GroupsCommand::Reject { group, user } => {
            (group, GroupAction::Reject(chat.user(&user).await?), format!("turned down @{} for", user.0))
        }
        GroupsCommand::Remove { group, user } => {
            (group, GroupAction::Remove(chat.user(&user).await?), format!("removed @{} from", user.0))
        }
        GroupsCommand::Transfer { group, user } => {
            let action = GroupAction::Transfer(chat.user(&user).await?);
            (group, action, format!("made @{} the owner of", user.0))
        }
        GroupsCommand::Role { group, user, role } => {
            let action = GroupAction::SetRole(chat.user(&user).await?, role.into());
            (group, action, format!("changed the role of @{} in", user.0))
        }
        GroupsCommand::Mute { group, user, span } => {
            let until = if span.is_zero() { Timestamp(0) } else { now().plus(span) };
            let action = GroupAction::Mute(chat.user(&user).await?, until);
            let done = if span.is_zero() { "lets write again" } else { "muted" };
            (group, action, format!("{done} @{} in", user.0))
        }
        GroupsCommand::Add { group, users } => {
            let added: Vec<String> = users.iter().map(|user| format!("@{}", user.0)).collect();
            (group, GroupAction::Add(chat.users(&users).await?), format!("added {} to", added.join(", ")))
        }
        GroupsCommand::List
        | GroupsCommand::Members { .. }
        | GroupsCommand::Find { .. }
        | GroupsCommand::Create { .. }
        | GroupsCommand::Set { .. } => return Err(Failure::Usage("not available here".into())),
    };
    Ok((chat.group(&address).await?, action, done))
}

async fn act(
    chat: &Chat,
    output: &mut Output,
    group: GroupId,
    action: GroupAction,
    done: &str,
) -> Result<(), Failure> {
    let client = chat.client();
    client.group(client.new_id(), group, action).await.map_err(|error| chat.failure(error))?;
    let to = chat.names().group_address(group);
    output.result(|| format!("{done} {to}"), || json::done(json!({ "group": group.number(), "to": to })))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(0).plus(since)
}
