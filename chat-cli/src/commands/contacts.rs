//! Contacts, requests and blocks.

use chat_core::ContactAction;
use serde_json::json;

use crate::address::UserAddress;
use crate::arguments::ContactsCommand;
use crate::chat::Chat;
use crate::failure::Failure;
use crate::output::Output;
use crate::render::{json, words};
use crate::sanitise;

pub(super) async fn carry_out(
    chat: &mut Chat,
    output: &mut Output,
    command: ContactsCommand,
) -> Result<(), Failure> {
    let (user, action, done) = match command {
        ContactsCommand::List => return list(chat, output).await,
        ContactsCommand::Add { user, note } => (user, ContactAction::Request { note }, "asked"),
        ContactsCommand::Accept { user } => (user, ContactAction::Accept, "accepted"),
        ContactsCommand::Decline { user } => (user, ContactAction::Decline, "declined"),
        ContactsCommand::Withdraw { user } => (user, ContactAction::Withdraw, "took back the request to"),
        ContactsCommand::Remove { user } => (user, ContactAction::Remove, "removed"),
        ContactsCommand::Block { user } => (user, ContactAction::Block, "blocked"),
        ContactsCommand::Unblock { user } => (user, ContactAction::Unblock, "unblocked"),
    };
    act(chat, output, &user, action, done).await
}

async fn act(
    chat: &mut Chat,
    output: &mut Output,
    address: &UserAddress,
    action: ContactAction,
    done: &str,
) -> Result<(), Failure> {
    let user = chat.user(address).await?;
    let client = chat.client();
    client.contact(client.new_id(), user, action).await.map_err(|error| chat.failure(error))?;
    let names = chat.names();
    output.result(
        || format!("{done} {}", names.mention(user)),
        || json::done(json!({ "user": json::user(names, user) })),
    )
}

async fn list(chat: &mut Chat, output: &mut Output) -> Result<(), Failure> {
    let contacts = chat.contacts().await?;
    for contact in &contacts {
        chat.profile.state.names.learn_user(&contact.profile);
        let profile = &contact.profile;
        output.result(
            || {
                let name = sanitise::name(profile.name.as_str());
                let shown = sanitise::name(profile.display_name.as_str());
                format!("@{name}  “{shown}”  {}", words::contact(contact))
            },
            || json::contact(contact),
        )?;
    }
    if contacts.is_empty() {
        output.remark("no contacts yet: ask somebody with `contacts add @NAME`")?;
    }
    Ok(())
}
