//! The face for scripts: one command, its results, an exit code.

use chat_proto::client::ClientEvents;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::arguments::Command;
use crate::chat::Chat;
use crate::commands::{self, account, tail};
use crate::failure::Failure;
use crate::output::Output;
use crate::password::Source;
use crate::profile::Profile;
use crate::render::json;

/// Carries out one command.
pub(crate) async fn run(
    profile: Profile,
    server: Option<&str>,
    output: &mut Output,
    command: Command,
) -> Result<(), Failure> {
    match command {
        Command::Register { name, display_name, entry } => {
            let (chat, _events) = account::register(profile, server, name, display_name, entry).await?;
            account::whoami(&chat, output)?;
            chat.leave().await.map(drop)
        }
        Command::Login { name, entry } => {
            let (chat, _events) = account::log_in(profile, server, name, entry).await?;
            account::whoami(&chat, output)?;
            chat.leave().await.map(drop)
        }
        Command::Logout if profile.token().is_none() => {
            let mut profile = profile;
            profile.forget()?;
            output.result(|| "nobody was logged in".into(), || json::done(json!({})))
        }
        Command::Logout => {
            let (chat, events) = Chat::resume(profile, server).await?;
            let drain = drain(events);
            let result = account::log_out(&chat).await;
            let left = match result {
                Ok(()) => account::leave_for_good(chat).await,
                Err(failure) => Err(failure),
            };
            drain.abort();
            left?;
            output.result(|| "logged out".into(), || json::done(json!({})))
        }
        Command::Tail { to } => {
            let (mut chat, mut events) = Chat::resume(profile, server).await?;
            let result = tail::run(&mut chat, &mut events, output, to.as_ref()).await;
            // The positions of what was printed are kept however it ended.
            let left = chat.leave().await;
            result.and(left.map(drop))
        }
        command => {
            let (mut chat, events) = Chat::resume(profile, server).await?;
            let drain = drain(events);
            let result = match command {
                Command::Password { password_stdin } => {
                    change_password(&chat, output, Source::of_flag(password_stdin)).await
                }
                command => commands::carry_out(&mut chat, output, command).await,
            };
            let left = chat.leave().await;
            drain.abort();
            result.and(left.map(drop))
        }
    }
}

async fn change_password(chat: &Chat, output: &mut Output, source: Source) -> Result<(), Failure> {
    let current = source.read("Current password: ")?;
    let new = source.choose()?;
    account::change_password(chat, output, current, new).await
}

/// Takes events off a connection whose command has no use for them, so that they do not hold up its
/// answers. What was missed stays missed: positions move only when something is shown.
fn drain(mut events: ClientEvents) -> JoinHandle<()> {
    tokio::spawn(async move { while events.next().await.is_some() {} })
}
