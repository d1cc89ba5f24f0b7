//! Logging in or registering at the prompt.

use chat_core::{AccountName, Credentials, Password, Register};
use chat_proto::client::{Client, ClientEvents};

use super::terminal::Terminal;
use crate::chat::{Chat, Entrance};
use crate::failure::Failure;
use crate::profile::Profile;

const DEVICE_LABEL: &str = "chat-cli";

/// What somebody who has no token can do.
enum Choice {
    LogIn,
    Register,
    Quit,
}

/// Asks until somebody has come in; `None` when they went away instead.
pub(super) async fn come_in(
    terminal: &Terminal,
    mut profile: Profile,
    server: Option<&str>,
) -> Result<Option<(Chat, ClientEvents)>, Failure> {
    terminal.remember(None).await;
    loop {
        let Some(choice) = terminal.line("(l)og in, (r)egister or (q)uit? ").await else {
            return Ok(None);
        };
        let entrance = match choice_of(&choice) {
            Some(Choice::LogIn) => log_in(terminal).await,
            Some(Choice::Register) => register(terminal).await,
            Some(Choice::Quit) => return Ok(None),
            None => continue,
        };
        let Some(entrance) = entrance else { continue };
        match Chat::enter(profile, server, entrance).await {
            Ok(entered) => return Ok(Some(entered)),
            // A wrong password is tried again, a server that is away is not.
            Err((kept, Failure::Refused(error))) => {
                terminal.say(Failure::Refused(error).to_string());
                profile = kept;
            }
            Err((_, failure)) => return Err(failure),
        }
    }
}

fn choice_of(line: &str) -> Option<Choice> {
    match line.trim().trim_start_matches('/').to_lowercase().as_str() {
        "l" | "login" | "log in" => Some(Choice::LogIn),
        "r" | "register" => Some(Choice::Register),
        "q" | "quit" | "exit" => Some(Choice::Quit),
        _ => None,
    }
}

type Enter = Box<dyn FnOnce(&Client) -> Entrance + Send>;

async fn log_in(terminal: &Terminal) -> Option<Enter> {
    let name = name(terminal).await?;
    let password = terminal.password("Password: ").await?;
    let device_label = DEVICE_LABEL.into();
    Some(Box::new(move |_| Entrance::LogIn(Credentials::Password { name, password, device_label })))
}

async fn register(terminal: &Terminal) -> Option<Enter> {
    let name = name(terminal).await?;
    let password = choose_password(terminal).await?;
    Some(Box::new(move |client| {
        Entrance::Register(Register {
            client_id: client.new_id(),
            name,
            display_name: None,
            password,
            device_label: DEVICE_LABEL.into(),
        })
    }))
}

async fn name(terminal: &Terminal) -> Option<AccountName> {
    let typed = terminal.line("Name: ").await?;
    let typed = typed.trim();
    match AccountName::parse(typed.strip_prefix('@').unwrap_or(typed)) {
        Ok(name) => Some(name),
        Err(error) => {
            terminal.say(error.to_string());
            None
        }
    }
}

/// A new password, typed twice; `None` after saying what is wrong with it.
pub(super) async fn choose_password(terminal: &Terminal) -> Option<Password> {
    let password = terminal.password("New password: ").await?;
    if password.expose().len() < Password::MINIMUM_BYTES {
        terminal.say(format!("a password has at least {} bytes", Password::MINIMUM_BYTES));
        return None;
    }
    if terminal.password("The same again: ").await? != password {
        terminal.say("the two passwords are not the same");
        return None;
    }
    Some(password)
}
