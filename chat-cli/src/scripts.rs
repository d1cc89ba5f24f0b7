//! The face for scripts: one command, its results, an exit code.

use chat_proto::client::ClientEvents;
use serde_json::json;

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
            let (chat, _) = account::register(profile, server, name, display_name, entry).await?;
            account::whoami(&chat, output)?;
            chat.leave().await.map(drop)
        }
        Command::Login { name, entry } => {
            let (chat, _) = account::log_in(profile, server, name, entry).await?;
            account::whoami(&chat, output)?;
            chat.leave().await.map(drop)
        }
        Command::Logout if profile.token().is_none() => {
            let mut profile = profile;
            profile.forget()?;
            output.result(|| "nobody was logged in".into(), || json::done(json!({})))
        }
        Command::Logout => {
            let (chat, _) = resume(profile, server).await?;
            account::log_out(&chat).await?;
            account::leave_for_good(chat).await?;
            output.result(|| "logged out".into(), || json::done(json!({})))
        }
        Command::Tail { to } => {
            let (mut chat, mut events) = resume(profile, server).await?;
            let result = tail::run(&mut chat, &mut events, output, to.as_ref()).await;
            // The positions of what was printed are kept however it ended.
            let left = chat.leave().await;
            result.and(left.map(drop))
        }
        command => {
            // Without its events the client neither keeps nor acknowledges entries: what was missed
            // stays missed until something shows it.
            let (mut chat, _) = resume(profile, server).await?;
            let result = match command {
                Command::Password { password_stdin } => {
                    change_password(&chat, output, Source::of_flag(password_stdin)).await
                }
                command => commands::carry_out(&mut chat, output, command).await,
            };
            let left = chat.leave().await;
            result.and(left.map(drop))
        }
    }
}

async fn resume(profile: Profile, server: Option<&str>) -> Result<(Chat, ClientEvents), Failure> {
    Chat::resume(profile, server).await.map_err(|(_, failure)| failure)
}

async fn change_password(chat: &Chat, output: &mut Output, source: Source) -> Result<(), Failure> {
    let current = source.read("Current password: ")?;
    let new = source.choose()?;
    account::change_password(chat, output, current, new).await
}
