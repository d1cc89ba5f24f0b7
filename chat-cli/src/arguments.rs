//! The command line of scripts. The interactive face understands the same commands behind a slash.

mod groups;

use std::path::PathBuf;

use chat_core::{DeviceId, DisplayName, Seq};
use clap::{Args, Parser, Subcommand};

pub(crate) use groups::{GroupsCommand, Join, Since, Waiting};

use crate::address::{Address, UserAddress};

/// A terminal chat client. Without a command it is interactive.
///
/// TO names a conversation: @NAME (a user), #HANDLE or group:HANDLE or id:GROUP-ID (a group), inbox
/// (the own notices).
///
/// Exit codes: 0 done, 1 refused by the server, 2 wrong usage, 3 the server cannot be reached.
#[derive(Debug, Parser)]
#[command(name = "chat-cli", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// The server, HOST:PORT [default: the profile's, or 127.0.0.1:6060].
    #[arg(long, global = true, env = "CHAT_SERVER", value_name = "HOST:PORT")]
    pub(crate) server: Option<String>,
    /// The profile: one user on one server. Several can be used side by side.
    #[arg(long, global = true, default_value = "default", value_name = "NAME")]
    pub(crate) profile: String,
    /// Where profiles are kept [default: $XDG_CONFIG_HOME/chat or ~/.config/chat].
    #[arg(long, global = true, env = "CHAT_PROFILE_DIR", value_name = "FOLDER")]
    pub(crate) profile_dir: Option<PathBuf>,
    /// Print one JSON object per line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do; nothing for the interactive client.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// Make an account and log in to it.
    Register {
        /// The name of the account.
        name: UserAddress,
        /// The name shown to others [default: the account's].
        #[arg(long, value_parser = display_name)]
        display_name: Option<DisplayName>,
        /// Where the password comes from and what the device is called.
        #[command(flatten)]
        entry: LogInOptions,
    },
    /// Log in; the profile keeps a token, so that no later command asks for the password.
    Login {
        /// The name of the account.
        name: UserAddress,
        /// Where the password comes from and what the device is called.
        #[command(flatten)]
        entry: LogInOptions,
    },
    /// Log out and forget everything that the profile holds.
    Logout,
    /// Say who is logged in.
    Whoami,
    /// Change the display name.
    Name {
        /// The new one.
        #[arg(value_parser = display_name)]
        display_name: DisplayName,
    },
    /// Change the password.
    Password {
        /// Read the current and the new password from two lines of standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Contacts, requests and blocks.
    #[command(subcommand)]
    Contacts(ContactsCommand),
    /// Groups and their members.
    #[command(subcommand)]
    Groups(GroupsCommand),
    /// Write a message; prints its number once the server has stored it.
    Send {
        /// To whom.
        to: Address,
        /// The number of the message that it answers.
        #[arg(long, value_name = "SEQ")]
        reply_to: Option<Seq>,
        /// The text; `-` for standard input.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        text: Vec<String>,
    },
    /// Change an own message.
    Edit {
        /// Where it stands.
        to: Address,
        /// Its number.
        seq: Seq,
        /// The new text; `-` for standard input.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        text: Vec<String>,
    },
    /// Take back a message.
    Recall {
        /// Where it stands.
        to: Address,
        /// Its number.
        seq: Seq,
    },
    /// React to a message.
    React {
        /// Where it stands.
        to: Address,
        /// Its number.
        seq: Seq,
        /// An emoji or a short text.
        symbol: String,
        /// Take the reaction off again.
        #[arg(long)]
        off: bool,
    },
    /// Print the last messages of a conversation, oldest first.
    History {
        /// Which conversation.
        to: Address,
        /// The most messages.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        /// Only messages before this number.
        #[arg(long, value_name = "SEQ")]
        before: Option<Seq>,
    },
    /// Say where messages are unread.
    Unread,
    /// Mark a conversation as read.
    Read {
        /// Which.
        to: Address,
        /// Up to this number [default: all of it].
        #[arg(long, value_name = "SEQ")]
        up_to: Option<Seq>,
    },
    /// Print new entries until stopped, missed ones first.
    Tail {
        /// Only of this conversation.
        to: Option<Address>,
    },
    /// The devices that may log in without the password.
    #[command(subcommand)]
    Devices(DevicesCommand),
}

/// How a log-in gets its password, and what it calls the device.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct LogInOptions {
    /// Read the password from the first line of standard input.
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// What to call this device.
    #[arg(long, default_value = "chat-cli", value_name = "LABEL")]
    pub(crate) device: String,
}

/// What can be done about other users.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum ContactsCommand {
    /// List contacts, requests and blocks.
    List,
    /// Ask a user to become a contact.
    Add {
        /// Whom.
        user: UserAddress,
        /// A word to them.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Accept a request.
    Accept {
        /// Whose.
        user: UserAddress,
    },
    /// Decline a request.
    Decline {
        /// Whose.
        user: UserAddress,
    },
    /// Take back an own request.
    Withdraw {
        /// To whom.
        user: UserAddress,
    },
    /// Stop being contacts.
    Remove {
        /// Whom.
        user: UserAddress,
    },
    /// Let a user write no more.
    Block {
        /// Whom.
        user: UserAddress,
    },
    /// Undo a block.
    Unblock {
        /// Whom.
        user: UserAddress,
    },
}

/// What can be done about own devices.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum DevicesCommand {
    /// List them.
    List,
    /// Make one log in with the password again.
    Revoke {
        /// Its id.
        device: DeviceId,
    },
}

fn display_name(text: &str) -> Result<DisplayName, String> {
    DisplayName::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        let words = ["chat-cli"].into_iter().chain(line.split_whitespace());
        Arguments::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_documented_command_parses() {
        for line in [
            "",
            "register alice --password-stdin",
            "login @alice --server localhost:1 --json",
            "logout",
            "whoami",
            "contacts list",
            "contacts add @bob --note hello",
            "contacts accept bob",
            "contacts decline bob",
            "contacts withdraw bob",
            "contacts remove bob",
            "contacts block bob",
            "contacts unblock bob",
            "groups list",
            "groups create Rust --handle rust --join request --member @bob --member carol",
            "groups find #rust",
            "groups join #rust",
            "groups leave group:rust",
            "groups invite id:7 @bob",
            "groups remove id:7 @bob",
            "groups members rust --only asking",
            "groups role rust bob admin",
            "groups mute rust bob 10m",
            "groups set rust --join open",
            "groups dissolve rust",
            "send @bob hello there",
            "send @bob --reply-to 3 yes",
            "send #rust -",
            "edit @bob 3 better so",
            "recall @bob 3",
            "react @bob 3 👍 --off",
            "history @bob --limit 5 --before 10",
            "unread",
            "read #rust --up-to 4",
            "tail",
            "tail inbox",
            "devices list",
            "devices revoke 9",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn a_text_is_taken_as_it_stands() {
        let arguments = parse("send @bob -x --help -- y").expect("parses");
        let Some(Command::Send { text, .. }) = arguments.command else { panic!("a send") };
        assert_eq!(text.join(" "), "-x --help -- y");
    }

    #[test]
    fn wrong_words_are_refused_with_what_is_expected() {
        for (line, part) in [
            ("send bob hi", "expected @NAME"),
            ("contacts add #x", "not allowed"),
            ("groups mute rust bob soon", "such as 10m"),
            ("groups mute rust bob é", "such as 10m"),
            ("history @bob --limit 0", "1..=1000"),
            ("devices revoke x", "device id"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
