//! What groups there are, and who is in them.

use chat_core::{ConversationId, Standing};

use crate::address::GroupAddress;
use crate::arguments::Waiting;
use crate::chat::Chat;
use crate::failure::Failure;
use crate::output::Output;
use crate::render::{json, time, words};
use crate::sanitise;

const PAGE: usize = 200;

/// The own groups, and those that one is invited to or asks to join.
pub(super) async fn groups(chat: &mut Chat, output: &mut Output) -> Result<(), Failure> {
    let mut any = false;
    for state in chat.states().await? {
        let Some(group) = &state.group else { continue };
        if state.standing == Standing::Former {
            continue;
        }
        any = true;
        output.result(
            || {
                let handle = chat.names().handle(group.id).map(sanitise::name);
                let handle = handle.map_or(String::new(), |handle| format!("#{handle}  "));
                format!(
                    "{handle}id:{}  “{}”  {}  {} members  {} unread",
                    group.id,
                    sanitise::name(group.profile.name.as_str()),
                    words::standing(state.standing),
                    group.members,
                    state.unread
                )
            },
            || json::group(group, &state),
        )?;
    }
    if any { Ok(()) } else { output.remark("no groups yet: `groups create NAME` or `groups join #HANDLE`") }
}

/// What everyone may know of a group with a handle; of the own groups also those without.
pub(super) async fn card(
    chat: &mut Chat,
    output: &mut Output,
    address: &GroupAddress,
) -> Result<(), Failure> {
    match address {
        GroupAddress::Handle(handle) => {
            let card = chat.client().find_group(handle).await.map_err(|error| chat.failure(error))?;
            chat.profile.state.names.learn_card(&card);
            output.result(
                || {
                    let name = sanitise::name(card.name.as_str());
                    let about = sanitise::name(&card.description);
                    let join = words::join(card.join);
                    format!(
                        "#{handle}  id:{}  “{name}”  {join}  {} members  {about}",
                        card.group, card.members
                    )
                },
                || json::card(&card),
            )
        }
        GroupAddress::Id(group) => {
            let state = chat.state(ConversationId::Group(*group)).await?;
            let Some(group) = &state.group else { return Ok(()) };
            output.result(
                || {
                    format!(
                        "id:{}  {}  {} members",
                        group.id,
                        words::group_profile(&group.profile),
                        group.members
                    )
                },
                || json::group(group, &state),
            )
        }
    }
}

/// The members of a group, or who waits at its door.
pub(super) async fn members(
    chat: &mut Chat,
    output: &mut Output,
    address: &GroupAddress,
    only: Option<Waiting>,
) -> Result<(), Failure> {
    let group = chat.group(address).await?;
    let mut after = None;
    loop {
        let page = chat.client().roster(group, only.map(Into::into), after, PAGE).await;
        let page = page.map_err(|error| chat.failure(error))?;
        for member in &page {
            chat.profile.state.names.learn_user(&member.profile);
            output.result(
                || {
                    let name = sanitise::name(member.profile.name.as_str());
                    let shown = sanitise::name(member.profile.display_name.as_str());
                    let muted = member
                        .muted_until
                        .map_or(String::new(), |until| format!("  muted until {}", time::minute(until)));
                    format!("@{name}  “{shown}”  {}{muted}", words::standing(member.standing))
                },
                || json::member(member),
            )?;
        }
        match page.last() {
            Some(last) => after = Some((last.joined_seq, last.profile.user)),
            None => return Ok(()),
        }
    }
}
