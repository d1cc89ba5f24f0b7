//! What a typed line means. Slash commands are the commands of the command line in short; the
//! others belong to the interactive client alone.

use clap::Parser;

use crate::address::{Address, UserAddress};
use crate::arguments::{Arguments, Command, ContactsCommand, DevicesCommand};

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing.
    Empty,
    /// To write this into the current conversation.
    Say(String),
    /// To carry out a command.
    Run(Command),
    /// To make a conversation the current one; none of them.
    Switch(Option<Address>),
    /// To change the password.
    Password,
    /// To show what can be typed.
    Help,
    /// To log out.
    LogOut,
    /// To go.
    Quit,
}

/// All slash commands, for completion and help: the command, what follows it, what it does.
pub(super) const COMMANDS: [(&str, &str, &str); 28] = [
    ("/help", "", "show this"),
    ("/switch", "[TO]", "make a conversation the current one: plain lines go there"),
    ("/msg", "TO TEXT", "write to a user or group"),
    ("/reply", "SEQ TEXT", "answer a message of the current conversation"),
    ("/edit", "SEQ TEXT", "change an own message"),
    ("/recall", "SEQ", "take back a message"),
    ("/react", "SEQ SYMBOL [--off]", "react to a message"),
    ("/history", "[TO] [--limit N] [--before SEQ]", "show earlier messages"),
    ("/unread", "", "show where messages are unread"),
    ("/read", "[TO]", "mark a conversation as read"),
    ("/contacts", "", "list contacts, requests and blocks"),
    ("/add", "@NAME [NOTE]", "ask somebody to become a contact"),
    ("/accept", "@NAME", "accept a request"),
    ("/decline", "@NAME", "decline a request"),
    ("/withdraw", "@NAME", "take back an own request"),
    ("/remove", "@NAME", "stop being contacts"),
    ("/block", "@NAME", "let somebody write no more"),
    ("/unblock", "@NAME", "undo a block"),
    ("/group", "list|create|join|leave|members|invite|accept|…", "groups; /group help tells all"),
    ("/groups", "", "list the own groups"),
    ("/devices", "[list|revoke ID]", "the own devices"),
    ("/whoami", "", "say who is logged in"),
    ("/name", "NAME", "change the display name"),
    ("/password", "", "change the password"),
    ("/logout", "", "log out and forget everything here"),
    ("/quit", "", "go; the next start needs no password"),
    ("/exit", "", "the same"),
    ("//", "TEXT", "write a text that begins with a slash"),
];

/// What `line` asks for, given the current conversation.
///
/// # Errors
/// What is wrong with it, for whoever typed it.
pub(super) fn parse(line: &str, current: Option<&Address>) -> Result<Line, String> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(Line::Empty);
    }
    let Some(command) = line.strip_prefix('/') else { return Ok(Line::Say(line.into())) };
    if command.starts_with('/') {
        return Ok(Line::Say(command.into()));
    }
    let (name, rest) = split_word(command);
    Ok(match name {
        "help" | "?" => Line::Help,
        "quit" | "exit" => Line::Quit,
        "logout" => Line::LogOut,
        "password" => Line::Password,
        "switch" if rest.is_empty() => Line::Switch(None),
        "switch" => Line::Switch(Some(rest.parse()?)),
        "msg" => {
            let (to, text) = split_word(rest);
            let to = to.parse()?;
            Line::Run(Command::Send { to, reply_to: None, text: vec![text_of(text)?] })
        }
        "reply" => {
            let (seq, text) = seq_and_text(rest)?;
            Line::Run(Command::Send { to: here(current)?, reply_to: Some(seq), text: vec![text_of(text)?] })
        }
        "edit" => {
            let (seq, text) = seq_and_text(rest)?;
            Line::Run(Command::Edit { to: here(current)?, seq, text: vec![text_of(text)?] })
        }
        "recall" => Line::Run(Command::Recall { to: here(current)?, seq: seq_and_text(rest)?.0 }),
        "react" => {
            let (seq, symbol) = seq_and_text(rest)?;
            let (symbol, off) = match symbol.strip_suffix("--off") {
                Some(symbol) => (symbol.trim_end(), true),
                None => (symbol, false),
            };
            Line::Run(Command::React { to: here(current)?, seq, symbol: text_of(symbol)?, off })
        }
        "history" | "read" => {
            let mut words = words(rest)?;
            if words.first().is_none_or(|first| first.starts_with("--")) {
                words.insert(0, here(current)?.to_string());
            }
            Line::Run(as_arguments(name, words)?)
        }
        "name" => Line::Run(as_arguments(name, vec![text_of(rest)?])?),
        "contacts" => Line::Run(Command::Contacts(ContactsCommand::List)),
        "add" => {
            let (user, note) = split_word(rest);
            Line::Run(Command::Contacts(ContactsCommand::Add { user: user_of(user)?, note: note.into() }))
        }
        "accept" => contact(rest, |user| ContactsCommand::Accept { user })?,
        "decline" => contact(rest, |user| ContactsCommand::Decline { user })?,
        "withdraw" => contact(rest, |user| ContactsCommand::Withdraw { user })?,
        "remove" => contact(rest, |user| ContactsCommand::Remove { user })?,
        "block" => contact(rest, |user| ContactsCommand::Block { user })?,
        "unblock" => contact(rest, |user| ContactsCommand::Unblock { user })?,
        "groups" => Line::Run(as_arguments("groups", vec!["list".into()])?),
        "group" => Line::Run(as_arguments("groups", words(rest)?)?),
        "devices" if rest.is_empty() => Line::Run(Command::Devices(DevicesCommand::List)),
        "devices" => Line::Run(as_arguments("devices", words(rest)?)?),
        "unread" | "whoami" => Line::Run(as_arguments(name, words(rest)?)?),
        unknown => return Err(format!("there is no /{unknown}; /help shows what there is")),
    })
}

fn here(current: Option<&Address>) -> Result<Address, String> {
    current
        .cloned()
        .ok_or_else(|| "no conversation is current: /switch @NAME or /switch #HANDLE first".into())
}

fn text_of(text: &str) -> Result<String, String> {
    match text {
        "" => Err("a text is missing".into()),
        // To commands a lone dash is standard input, which is where we are typing.
        "-" => Err("a lone dash cannot be sent".into()),
        text => Ok(text.into()),
    }
}

fn user_of(word: &str) -> Result<UserAddress, String> {
    if word.is_empty() { Err("whom? @NAME is missing".into()) } else { word.parse() }
}

fn contact(rest: &str, command: impl FnOnce(UserAddress) -> ContactsCommand) -> Result<Line, String> {
    user_of(rest).map(|user| Line::Run(Command::Contacts(command(user))))
}

fn seq_and_text(rest: &str) -> Result<(u64, &str), String> {
    let (seq, text) = split_word(rest);
    let seq = seq.parse().map_err(|_| format!("expected the number of a message, found `{seq}`"))?;
    Ok((seq, text))
}

fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// The words as the command line takes them.
fn as_arguments(command: &str, words: Vec<String>) -> Result<Command, String> {
    let words = ["chat-cli".to_owned(), command.to_owned()].into_iter().chain(words);
    let parsed = Arguments::try_parse_from(words).map_err(|error| error.render().to_string())?;
    parsed.command.ok_or_else(|| "a command is missing".into())
}

/// Words between blanks; quotes hold together what has blanks.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in text.chars() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    if let Some(quote) = quote {
        return Err(format!("a closing {quote} is missing"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use crate::arguments::GroupsCommand;

    use super::*;

    fn bob() -> Address {
        "@bob".parse().expect("an address")
    }

    fn parsed(line: &str) -> Result<Line, String> {
        parse(line, Some(&bob()))
    }

    #[test]
    fn a_plain_line_is_a_message_and_a_doubled_slash_begins_one() {
        assert_eq!(parsed("  hello there "), Ok(Line::Say("hello there".into())));
        assert_eq!(parsed("//etc/hosts"), Ok(Line::Say("/etc/hosts".into())));
        assert_eq!(parsed("   "), Ok(Line::Empty));
        assert_eq!(parsed("-"), Ok(Line::Say("-".into())));
    }

    #[test]
    fn a_message_keeps_its_inner_blanks_and_quotes() {
        let sent = parsed("/msg #rust it's  \"here\"").expect("parses");
        let text = vec!["it's  \"here\"".to_owned()];
        let to = "#rust".parse().expect("an address");
        assert_eq!(sent, Line::Run(Command::Send { to, reply_to: None, text }));
    }

    #[test]
    fn what_is_about_a_message_is_about_the_current_conversation() {
        let text = vec!["yes".to_owned()];
        assert_eq!(
            parsed("/reply 3 yes"),
            Ok(Line::Run(Command::Send { to: bob(), reply_to: Some(3), text: text.clone() }))
        );
        assert_eq!(parsed("/edit 3 yes"), Ok(Line::Run(Command::Edit { to: bob(), seq: 3, text })));
        assert_eq!(
            parsed("/react 3 👍 --off"),
            Ok(Line::Run(Command::React { to: bob(), seq: 3, symbol: "👍".into(), off: true }))
        );
        assert_eq!(
            parsed("/history --limit 5"),
            Ok(Line::Run(Command::History { to: bob(), limit: 5, before: None }))
        );
        assert!(parse("/reply 3 yes", None).expect_err("refused").contains("/switch"));
    }

    #[test]
    fn group_commands_are_those_of_the_command_line() {
        let Ok(Line::Run(Command::Groups(GroupsCommand::Create { name, .. }))) =
            parsed("/group create \"Rust Berlin\" --handle rust")
        else {
            panic!("a group is created")
        };
        assert_eq!(name.as_str(), "Rust Berlin");
        assert!(matches!(
            parsed("/group remove #rust @bob"),
            Ok(Line::Run(Command::Groups(GroupsCommand::Remove { .. })))
        ));
        assert_eq!(parsed("/groups"), Ok(Line::Run(Command::Groups(GroupsCommand::List))));
    }

    #[test]
    fn every_listed_command_is_understood() {
        for (command, _, _) in COMMANDS {
            for rest in ["", " @bob", " 3", " 3 x", " list", " x"] {
                if let Err(error) = parsed(&format!("{command}{rest}")) {
                    assert!(!error.starts_with("there is no"), "{command}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_wrong_line_says_what_is_missing() {
        for (line, part) in [
            ("/nonsense", "/help"),
            ("/msg", "@NAME"),
            ("/msg @bob", "text is missing"),
            ("/msg @bob -", "dash"),
            ("/reply x y", "number"),
            ("/add", "whom"),
            ("/switch bob", "@NAME"),
            ("/group create \"Rust", "closing"),
            ("/group create", "NAME"),
            ("/devices revoke x", "device id"),
        ] {
            let error = parsed(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
