//! A page of history: messages with what became of them folded in.

use std::collections::BTreeMap;

use chat_core::{Body, Content, Entry, History, Seq, UserId};

use super::Reader;
use crate::sanitise;

/// A message as it stands now, or an entry of another kind between messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    /// The entry as it was written.
    pub(crate) entry: Entry,
    /// What it says since its last edit, if it was edited.
    pub(crate) edited: Option<Body>,
    /// Who reacts to it now, by symbol.
    pub(crate) reactions: BTreeMap<String, Vec<UserId>>,
    /// Whether it was taken back.
    pub(crate) recalled: bool,
}

impl Folded {
    fn new(entry: Entry) -> Self {
        let recalled = entry.content.is_none();
        Self { entry, edited: None, reactions: BTreeMap::new(), recalled }
    }

    fn apply(&mut self, change: &Entry) {
        match change.decode_content() {
            Ok(Content::Edit(body)) => self.edited = Some(body),
            Ok(Content::Recall) => self.recalled = true,
            Ok(Content::Reaction { symbol, set }) => {
                let users = self.reactions.entry(symbol).or_default();
                users.retain(|user| *user != change.sender);
                if set {
                    users.push(change.sender);
                }
            }
            _ => {}
        }
    }
}

/// The page with its edits, recalls and reactions folded into the messages, in order. `between` are
/// entries of other kinds that belong among them, such as changes of a group's members.
pub(crate) fn fold(history: History, between: Vec<Entry>) -> Vec<Folded> {
    let mut folded: BTreeMap<Seq, Folded> =
        history.entries.into_iter().chain(between).map(|entry| (entry.seq, Folded::new(entry))).collect();
    for change in &history.referring {
        let target = change.target.and_then(|target| folded.get_mut(&target));
        // A message can also refer to another one, by answering it; it changes nothing there.
        if let Some(target) = target {
            target.apply(change);
        }
    }
    let mut folded: Vec<Folded> = folded.into_values().collect();
    folded.iter_mut().for_each(|folded| folded.reactions.retain(|_, users| !users.is_empty()));
    folded
}

impl Reader<'_> {
    /// A message of a page of history in one line.
    pub(crate) fn folded_line(&self, folded: &Folded) -> String {
        let entry = &folded.entry;
        let mut line = if folded.recalled {
            self.line(&Entry { content: None, ..entry.clone() })
        } else if let Some(body) = &folded.edited {
            let content = Content::Message(body.clone());
            let kind = content.kind().unwrap_or(entry.kind);
            let now = Entry { kind, content: Some(content.encode()), ..entry.clone() };
            self.line(&now) + " (edited)"
        } else {
            self.line(entry)
        };
        for (symbol, users) in &folded.reactions {
            let users: Vec<String> = users.iter().map(|user| self.names.mention(*user)).collect();
            line += &format!("  [{} {}]", sanitise::name(symbol), users.join(", "));
        }
        line
    }
}
