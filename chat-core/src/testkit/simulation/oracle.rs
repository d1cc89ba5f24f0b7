//! The oracle: what was recorded, judged against each promise, one file for each.
//!
//! Every judgement is a pure function of the [`Evidence`]: what clients asked, were told, received and
//! saw, what the store wrote in which order, and how everything stands in the end.

mod atomic;
mod bounded;
mod complete;
mod cursors;
mod durable;
mod membership;
mod once;
mod ordered;
mod presence;
mod private;
mod unread;

use super::record::Evidence;
use super::report::Invariant;
use crate::ConversationId;

/// Something that breaks a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) conversation: Option<ConversationId>,
    pub(super) words: String,
    /// Found after so many facts; the trace need not go on.
    pub(super) until: Option<usize>,
}

impl Finding {
    fn at(conversation: ConversationId, words: impl Into<String>) -> Self {
        Self { conversation: Some(conversation), words: words.into(), until: None }
    }

    fn anywhere(words: impl Into<String>) -> Self {
        Self { conversation: None, words: words.into(), until: None }
    }

    fn until(self, facts: usize) -> Self {
        Self { until: Some(facts), ..self }
    }
}

/// Everything that breaks a promise, by promise.
pub(super) fn judge(evidence: &Evidence) -> Vec<(Invariant, Finding)> {
    let of = |invariant: Invariant| match invariant {
        Invariant::Durable => durable::check(evidence),
        Invariant::Once => once::check(evidence),
        Invariant::Ordered => ordered::check(evidence),
        Invariant::Complete => complete::check(evidence),
        Invariant::Bounded => bounded::check(evidence),
        Invariant::Presence => presence::check(evidence),
        Invariant::Atomic => atomic::check(evidence),
        Invariant::Unread => unread::check(evidence),
        Invariant::Cursors => cursors::check(evidence),
        Invariant::Private => private::check(evidence),
    };
    let found = |invariant: Invariant| of(invariant).into_iter().map(move |finding| (invariant, finding));
    Invariant::ALL.into_iter().flat_map(found).collect()
}
