//! What the commands do. Both faces come here: the command line, and slash commands.

pub(crate) mod account;
mod contacts;
mod devices;
mod groups;
mod history;
mod messages;
mod reading;
pub(crate) mod tail;

use crate::arguments::Command;
use crate::chat::Chat;
use crate::failure::Failure;
use crate::output::Output;

/// Carries out a command of somebody who is logged in.
///
/// Those that change who is logged in, or go on until stopped, belong to the face that runs them.
pub(crate) async fn carry_out(chat: &mut Chat, output: &mut Output, command: Command) -> Result<(), Failure> {
    match command {
        Command::Whoami => account::whoami(chat, output),
        Command::Name { display_name } => account::rename(chat, output, display_name).await,
        Command::Contacts(command) => contacts::carry_out(chat, output, command).await,
        Command::Groups(command) => groups::carry_out(chat, output, command).await,
        Command::Send { to, reply_to, text } => messages::send(chat, output, &to, reply_to, &text).await,
        Command::Edit { to, seq, text } => messages::edit(chat, output, &to, seq, &text).await,
        Command::Recall { to, seq } => messages::recall(chat, output, &to, seq).await,
        Command::React { to, seq, symbol, off } => {
            let reaction = if off { messages::Reaction::Off } else { messages::Reaction::On };
            messages::react(chat, output, &to, seq, symbol, reaction).await
        }
        Command::History { to, limit, before } => {
            history::print(chat, output, &to, limit.into(), before).await
        }
        Command::Unread => reading::unread(chat, output).await,
        Command::Read { to, up_to } => reading::read(chat, output, &to, up_to).await,
        Command::Devices(command) => devices::carry_out(chat, output, command).await,
        Command::Register { .. }
        | Command::Login { .. }
        | Command::Logout
        | Command::Password { .. }
        | Command::Tail { .. } => Err(Failure::Usage("not available here".into())),
    }
}
