//! The interactive face: a prompt at which one types while messages arrive above it.

mod completion;
mod dialogue;
mod line;
mod missed;
mod seat;
mod terminal;

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
        let (chat, events) = match profile.token() {
            Some(_) => Chat::resume(profile, server).await?,
            None => match dialogue::come_in(&terminal, profile, server).await? {
                Some(entered) => entered,
                None => return Ok(()),
            },
        };
        match seat::sit(&terminal, chat, events).await? {
            Departure::Quit => return Ok(()),
            Departure::LoggedOut(left) => profile = *left,
        }
    }
}
