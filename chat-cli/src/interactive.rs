//! The interactive face: a prompt at which one types while messages arrive above it.

mod blocked;
mod completion;
mod dialogue;
mod line;
mod missed;
mod seat;
mod terminal;

use chat_core::ErrorKind;

use crate::chat::Chat;
use crate::failure::Failure;
use crate::profile::Profile;

use seat::Departure;
use terminal::Terminal;

/// Chats until the user has had enough.
pub(crate) async fn run(profile: Profile, server: Option<&str>) -> Result<(), Failure> {
    let terminal = Terminal::open()?;
    let mut profile = profile;
    loop {
        let entered = match profile.token() {
            Some(_) => match Chat::resume(profile, server).await {
                Ok(entered) => Some(entered),
                // The token is void: there is still the password.
                Err((kept, failure)) if failure.kind() == Some(ErrorKind::Unauthenticated) => {
                    terminal.say(failure.to_string());
                    dialogue::come_in(&terminal, kept, server).await?
                }
                Err((_, failure)) => return Err(failure),
            },
            None => dialogue::come_in(&terminal, profile, server).await?,
        };
        let Some((chat, events)) = entered else { return Ok(()) };
        match seat::sit(&terminal, chat, events).await? {
            Departure::Quit => return Ok(()),
            Departure::LoggedOut(left) => profile = *left,
        }
    }
}
