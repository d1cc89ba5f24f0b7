//! What the tab key offers: commands, users and groups.

use std::sync::{Arc, Mutex, PoisonError};

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::line::COMMANDS;
use crate::names::Names;

/// What can be completed to besides commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Candidates {
    users: Vec<String>,
    groups: Vec<String>,
}

impl Candidates {
    /// Everyone and every group that has a name.
    pub(super) fn of(names: &Names) -> Self {
        let users = names.user_names().map(|name| format!("@{}", crate::sanitise::name(name)));
        Self { users: users.collect(), groups: names.group_addresses().collect() }
    }

    /// Where the word before `position` begins, and what it can become.
    fn complete(&self, line: &str, position: usize) -> (usize, Vec<String>) {
        let before = &line[..position];
        let start = before
            .rfind(char::is_whitespace)
            .map_or(0, |blank| blank + before[blank..].chars().next().map_or(0, char::len_utf8));
        let word = &before[start..];
        let of = |names: &[String]| -> Vec<String> {
            names.iter().filter(|name| name.starts_with(word)).map(|name| format!("{name} ")).collect()
        };
        let offered = match word.chars().next() {
            Some('/') if start == 0 => COMMANDS
                .iter()
                .filter(|(command, ..)| command.len() > 2 && command.starts_with(word))
                .map(|(command, ..)| format!("{command} "))
                .collect(),
            Some('@') => of(&self.users),
            Some('#' | 'i') => of(&self.groups),
            _ => Vec::new(),
        };
        (start, offered)
    }
}

/// Shares candidates between the conversation, which learns names, and the editor, which offers
/// them. The lock guards the candidates alone and is held only to copy or replace them.
#[derive(Clone, Debug, Default)]
pub(super) struct Completion(Arc<Mutex<Candidates>>);

impl Completion {
    /// From now on these are offered.
    pub(super) fn offer(&self, candidates: Candidates) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = candidates;
    }
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).complete(line, position))
    }
}

impl Helper for Completion {}
impl Highlighter for Completion {}
impl Validator for Completion {}

impl Hinter for Completion {
    type Hint = String;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(line: &str) -> (usize, Vec<String>) {
        let candidates = Candidates {
            users: vec!["@alice".into(), "@alan".into(), "@bob".into()],
            groups: vec!["#rust".into(), "id:7".into()],
        };
        candidates.complete(line, line.len())
    }

    #[test]
    fn commands_are_offered_at_the_start_only() {
        assert_eq!(offered("/unr"), (0, vec!["/unread ".into()]));
        assert!(offered("hi /unr").1.is_empty());
    }

    #[test]
    fn users_and_groups_are_offered_wherever_they_stand() {
        assert_eq!(offered("/msg @al"), (5, vec!["@alice ".into(), "@alan ".into()]));
        assert_eq!(offered("/switch #"), (8, vec!["#rust ".into()]));
        assert_eq!(offered("/switch id"), (8, vec!["id:7 ".into()]));
        assert_eq!(offered("grüße an @b"), ("grüße an ".len(), vec!["@bob ".into()]));
        assert!(offered("plain text").1.is_empty());
    }
}
