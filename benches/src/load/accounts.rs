//! Accounts that the clients log in to: made over the wire, and kept in a file where one is named, since
//! each costs the server the hash of a password.

use std::fmt::Write;
use std::io;
use std::path::Path;
use std::time::Duration;

use chat_core::{AccountName, ClientId, Credentials, Password, Register, Token, UserId};
use chat_proto::client::{Account, Client, ClientError};

use super::participant::is_momentary;
use crate::measure::Failure;

/// The password of all accounts, which hold nothing.
const PASSWORD: &str = "correct horse";

/// So often an account is asked for that is refused for the moment.
const TRIES: usize = 120;

/// Somebody who has an account, or is to be given one; a user has one for each device.
#[derive(Clone, Debug)]
pub struct Person {
    /// The account's name.
    pub name: AccountName,
    /// Which of the user's devices it is, from 0.
    pub device: u32,
    /// The user and the device's token, once it is known.
    known: Option<(UserId, Token)>,
}

impl Person {
    /// One without an account. The first device registers, further ones log in after that.
    pub fn new(name: AccountName, device: u32) -> Self {
        Self { name, device, known: None }
    }

    /// What it logs in with, if it has an account.
    pub fn token(&self) -> Option<(UserId, Token)> {
        self.known
    }
}

/// Registers, or logs in as a further device.
pub(super) async fn log_in(client: &Client, person: &mut Person) -> Result<(UserId, Token), Failure> {
    let id = client.new_id();
    let mut last = None;
    for _ in 0..TRIES {
        match attempt(client, person, id).await {
            Ok(account) => {
                let known = (account.user, account.token.ok_or("a new device was given no token")?);
                person.known = Some(known);
                return Ok(known);
            }
            Err(ClientError::Refused(error)) if is_momentary(error.kind()) => {
                tokio::time::sleep(error.retry_delay().unwrap_or(Duration::from_millis(200))).await;
                last = Some(ClientError::from(error));
            }
            Err(error @ (ClientError::TimedOut | ClientError::Unreachable { .. })) => last = Some(error),
            Err(error) => return Err(format!("no account {}: {error}", person.name).into()),
        }
    }
    Err(format!("no account {}: {}", person.name, last.map_or_else(String::new, |error| error.to_string()))
        .into())
}

async fn attempt(client: &Client, person: &Person, client_id: ClientId) -> Result<Account, ClientError> {
    let (name, password) = (person.name.clone(), Password::new(PASSWORD));
    let device_label = format!("load {}", person.device);
    if person.device == 0 {
        client.register(Register { client_id, name, display_name: None, password, device_label }).await
    } else {
        client.login(Credentials::Password { name, password, device_label }).await
    }
}

/// Reads the accounts of a file, none when there is no file.
///
/// # Errors
/// The file cannot be read or holds something else.
pub fn load(file: &Path) -> Result<Vec<Person>, Failure> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", file.display()).into()),
    };
    let parsed = text.lines().zip(1..).map(|(line, number)| {
        parse(line).ok_or_else(|| format!("{}: line {number} is no account", file.display()).into())
    });
    parsed.collect()
}

/// Writes accounts: a line for each, with name, device, user id and token.
///
/// # Errors
/// The file cannot be written.
pub fn save(file: &Path, people: &[Person]) -> Result<(), Failure> {
    let mut text = String::new();
    for person in people {
        let Some((user, token)) = person.known else { continue };
        write!(text, "{} {} {user} ", person.name, person.device)?;
        token.0.iter().try_for_each(|byte| write!(text, "{byte:02x}"))?;
        text.push('\n');
    }
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()).into())
}

fn parse(line: &str) -> Option<Person> {
    let [name, device, user, token] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let byte = |at: usize| u8::from_str_radix(token.get(2 * at..2 * at + 2)?, 16).ok();
    let mut bytes = [0; 32];
    for (at, place) in bytes.iter_mut().enumerate() {
        *place = byte(at)?;
    }
    let known = (user.parse().ok()?, Token(bytes));
    Some(Person { name: AccountName::parse(name).ok()?, device: device.parse().ok()?, known: Some(known) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("accounts");
        assert!(load(&file).expect("no file is no account").is_empty());
        let mut person = Person::new(AccountName::parse("load1x0").expect("a name"), 1);
        person.known = Some((UserId::from_random(9), Token([0xab; 32])));
        save(&file, std::slice::from_ref(&person)).expect("saved");
        let loaded = load(&file).expect("loaded");
        assert_eq!(loaded.len(), 1);
        assert_eq!((&loaded[0].name, loaded[0].device), (&person.name, 1));
        assert_eq!(loaded[0].token(), person.token());
        std::fs::write(&file, "somebody else\n").expect("written");
        assert!(load(&file).is_err());
    }
}
