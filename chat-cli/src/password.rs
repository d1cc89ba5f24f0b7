//! Where passwords come from: the terminal without an echo, or standard input when it is asked for.

use std::io::{self, IsTerminal};

use chat_core::Password;

use crate::failure::Failure;

/// Where a password comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// It is typed at a prompt.
    Prompt,
    /// A line of standard input.
    Stdin,
}

impl Source {
    /// What the flag `--password-stdin` says.
    pub(crate) fn of_flag(stdin: bool) -> Self {
        if stdin { Self::Stdin } else { Self::Prompt }
    }

    /// An existing password.
    pub(crate) fn read(self, prompt: &str) -> Result<Password, Failure> {
        match self {
            Self::Stdin => read_line(),
            Self::Prompt => ask(prompt),
        }
    }

    /// A new password; typed twice, where it is typed.
    pub(crate) fn choose(self) -> Result<Password, Failure> {
        let password = self.read("New password: ")?;
        if password.expose().len() < Password::MINIMUM_BYTES {
            let least = Password::MINIMUM_BYTES;
            return Err(Failure::Usage(format!("a password has at least {least} bytes")));
        }
        if self == Self::Prompt && ask("The same again: ")? != password {
            return Err(Failure::Usage("the two passwords are not the same".into()));
        }
        Ok(password)
    }
}

fn read_line() -> Result<Password, Failure> {
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    match read {
        Ok(0) => Err(Failure::Usage("there is no password on standard input".into())),
        Ok(_) => Ok(Password::new(line.trim_end_matches(['\r', '\n']))),
        Err(error) => Err(Failure::Usage(format!("cannot read the password: {error}"))),
    }
}

fn ask(prompt: &str) -> Result<Password, Failure> {
    if !io::stdin().is_terminal() {
        let advice = "there is no terminal to ask for the password: use --password-stdin";
        return Err(Failure::Usage(advice.into()));
    }
    let typed = rpassword::prompt_password(prompt);
    typed.map(Password::new).map_err(|error| Failure::Usage(format!("cannot ask for the password: {error}")))
}
