//! What must hold of a history, one function for each invariant. They look at what was observed and
//! at nothing else.

#[cfg(test)]
mod tests;

use std::fmt;

use chat_core::Seq;

use super::history::{Answer, History, Reader, Runs};

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Something was acknowledged or shown and is not in the history, or it is there and never reached
    /// a member.
    Lost,
    /// One entry stands in the log twice, or came twice.
    Repeated,
    /// Not everybody has one order, or it is not that in which things were sent and acknowledged.
    Reordered,
    /// A number has no entry, or a member was not shown one and was shown later ones.
    Holes,
    /// Something is there that nobody sent, or not as it was sent, or whoever is no member saw it.
    Foreign,
    /// A send was refused for good, though whoever sends is a member and may.
    Refused,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Lost, Self::Repeated, Self::Reordered, Self::Holes, Self::Foreign, Self::Refused];

    /// A stable word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Repeated => "repeated",
            Self::Reordered => "reordered",
            Self::Holes => "holes",
            Self::Foreign => "foreign",
            Self::Refused => "refused",
        }
    }
}

/// Something that is wrong, and the observations that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What sort of thing.
    pub kind: Kind,
    /// The observations, in words.
    pub evidence: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.word(), self.evidence)
    }
}

/// Whether everybody had time to receive everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// They had.
    Yes,
    /// The record ends before.
    No,
}

/// All that is wrong with a history.
pub fn verify(history: &History, settled: Settled) -> Vec<Violation> {
    let mut found = lost(history, settled);
    found.extend(repeated(history));
    found.extend(reordered(history));
    found.extend(holes(history));
    found.extend(foreign(history));
    found.extend(refused(history));
    found
}

/// What was acknowledged is in the history, and so is what anybody saw; and everything of the history
/// reached every member in the end.
pub fn lost(history: &History, settled: Settled) -> Vec<Violation> {
    let (mut found, name) = (Vec::new(), &history.name);
    let mut report = |evidence| found.push(Violation { kind: Kind::Lost, evidence });
    if let Some(read_up_to) = history.read_up_to {
        let missing = history.stored.missing(history.base, read_up_to);
        let is_stored = |seq| seq <= read_up_to && !is_in(&missing, seq);
        for (id, sent) in &history.sent {
            let Answer::Acknowledged { seq, .. } = sent.answer else { continue };
            let is_there = history.log.get(&seq).is_some_and(|print| print.id == Some(*id));
            let is_elsewhere = sent.found.is_some_and(|place| place != seq);
            let is_elsewhere_or_stored = is_elsewhere || (is_there && is_stored(seq));
            if !is_elsewhere_or_stored {
                report(format!(
                    "client {} was told that {id} is entry {seq} of {name}; the history has it not",
                    sent.by
                ));
            }
        }
        for (seq, print) in &history.log {
            let sent = print.id.and_then(|id| history.sent.get(&id));
            // Without an answer until the end it may have been stored after the history was read.
            let late = *seq > read_up_to && sent.is_some_and(|sent| sent.answer == Answer::Unknown);
            let acknowledged = sent.is_some_and(|sent| matches!(sent.answer, Answer::Acknowledged { .. }));
            if !is_stored(*seq) && !late && !acknowledged {
                report(format!("entry {seq} of {name} was shown to a member; the history has it not"));
            }
        }
    }
    if settled == Settled::Yes {
        let upto = history.read_up_to.unwrap_or(0).max(history.acknowledged_up_to);
        for member in &history.members {
            let last = member.seen.highest().unwrap_or(history.base);
            if last < upto {
                report(format!(
                    "client {} saw {name} up to {last} and never what follows up to {upto}",
                    member.client
                ));
            }
        }
    }
    found
}

/// Each entry is there once, and comes once.
pub fn repeated(history: &History) -> Vec<Violation> {
    let (mut found, name) = (Vec::new(), &history.name);
    let mut report = |evidence| found.push(Violation { kind: Kind::Repeated, evidence });
    for (id, first, second) in &history.twice {
        report(format!("{id} is entry {first} of {name} and entry {second} too"));
    }
    for (reader, runs) in readers(history) {
        for (number, (first, last)) in runs.in_order().iter().enumerate() {
            for (earlier_first, earlier_last) in &runs.in_order()[..number] {
                let again = (*first.max(earlier_first), *last.min(earlier_last));
                if again.0 <= again.1 {
                    report(format!("{reader} came upon {} of {name} twice", range(again)));
                }
            }
        }
    }
    found
}

/// There is one order: entries come in it, everybody finds the same ones at the same places, and what
/// was sent after something was acknowledged stands behind it.
pub fn reordered(history: &History) -> Vec<Violation> {
    let (mut found, name) = (Vec::new(), &history.name);
    let mut report = |evidence| found.push(Violation { kind: Kind::Reordered, evidence });
    for (reader, runs) in readers(history) {
        let mut seen = Runs::default();
        for (first, last) in runs.in_order() {
            if let Some(highest) = seen.highest()
                && *first < highest
                && !seen.contains(*first)
            {
                report(format!("{reader} came upon {first} of {name} after {highest}"));
            }
            seen.extend_to(*first, *last);
        }
    }
    for (reader, seq, print) in &history.differing {
        let first = &history.log[seq];
        if first.id != print.id {
            report(format!(
                "entry {seq} of {name} is {} to {reader}, {} to others",
                id(print.id),
                id(first.id)
            ));
        }
    }
    for (id, sent) in &history.sent {
        let Answer::Acknowledged { seq, .. } = sent.answer else { continue };
        if seq <= sent.after {
            report(format!("{id} became entry {seq} of {name}, sent after {} was acknowledged", sent.after));
        }
        if let Some(place) = sent.found.filter(|place| *place != seq) {
            report(format!("{id} was acknowledged as entry {seq} of {name} and is entry {place}"));
        }
    }
    found
}

/// The entries of the history are numbered without holes, and so is what each member saw.
pub fn holes(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    for (reader, runs) in readers(history) {
        let upto = match reader {
            Reader::Store => history.read_up_to.max(runs.highest()),
            Reader::Client(_) => runs.highest(),
        };
        for missing in runs.missing(history.base, upto.unwrap_or(history.base)) {
            let evidence =
                format!("{reader} came upon what follows {} of {}, not it", range(missing), history.name);
            found.push(Violation { kind: Kind::Holes, evidence });
        }
    }
    found
}

/// Everything was sent in this run, by whom it says, with this content, was not refused, and is seen by
/// members only.
pub fn foreign(history: &History) -> Vec<Violation> {
    let (mut found, name) = (Vec::new(), &history.name);
    let mut report = |evidence| found.push(Violation { kind: Kind::Foreign, evidence });
    for (client, seq) in &history.eavesdropped {
        report(format!("client {client} saw entry {seq} of {name} and is no member"));
    }
    let differing = history.differing.iter().map(|(_, seq, print)| (seq, print));
    let entries = history.log.iter().chain(differing);
    for (seq, print) in entries {
        match print.id.and_then(|id| history.sent.get(&id)) {
            None => report(format!("entry {seq} of {name}, {}, was not sent", id(print.id))),
            Some(sent) if sent.print != *print => {
                report(format!("entry {seq} of {name}, {}, is not what was sent", id(print.id)));
            }
            Some(sent) if matches!(sent.answer, Answer::Refused(_)) => {
                report(format!("entry {seq} of {name}, {}, was refused", id(print.id)));
            }
            Some(_) => {}
        }
    }
    found
}

/// Whoever sends is a member all the time, so that nothing is refused but for the moment.
pub fn refused(history: &History) -> Vec<Violation> {
    let refused = history.sent.iter().filter_map(|(id, sent)| {
        let Answer::Refused(kind) = sent.answer else { return None };
        let evidence = format!("{id} of client {} in {} was answered {}", sent.by, history.name, kind.code());
        Some(Violation { kind: Kind::Refused, evidence })
    });
    refused.collect()
}

fn readers(history: &History) -> impl Iterator<Item = (Reader, &Runs)> {
    let members = history.members.iter().map(|member| (Reader::Client(member.client), &member.seen));
    members.chain([(Reader::Store, &history.stored)])
}

fn is_in(ranges: &[(Seq, Seq)], seq: Seq) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= seq);
    after > 0 && ranges[after - 1].1 >= seq
}

fn range((first, last): (Seq, Seq)) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

fn id(id: Option<super::observation::Id>) -> String {
    id.map_or_else(|| "one without id".into(), |id| id.to_string())
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(client) => write!(f, "client {client}"),
            Self::Store => f.write_str("who read the history"),
        }
    }
}
