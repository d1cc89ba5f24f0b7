//! Verifies a record.
//!
//! Conversations are verified in portions, with one reading of the file for each, so that no more is in
//! memory than a portion's messages, or those of the largest conversation.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use chat_core::ErrorKind;

use super::history::{Answer, Damage, History};
use super::observation::{Counts, Observation, Print, VERSION};
use super::record::{Line, Reader};
use super::verify::{Kind, Settled, Violation, verify};

/// The most messages that are looked at in one reading, unless one conversation alone has more.
const PORTION: u64 = 2_000_000;

/// What a record shows.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// What it holds.
    pub counts: Counts,
    /// Whether it goes to the end of its run.
    pub complete: bool,
    /// What is wrong with the server.
    pub violations: Vec<Violation>,
    /// Why it is not what was written.
    pub damage: Vec<String>,
}

impl Checked {
    /// Whether everything is as it should be.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty() && self.damage.is_empty() && !self.shows_nothing()
    }

    /// Whether it is of a whole run in which nothing was acknowledged.
    pub fn shows_nothing(&self) -> bool {
        self.complete && self.counts.acked == 0
    }
}

/// Verifies the record of this name.
///
/// # Errors
/// It cannot be read.
pub fn check(path: &Path) -> io::Result<Checked> {
    check_in_portions(path, PORTION)
}

fn check_in_portions(path: &Path, portion: u64) -> io::Result<Checked> {
    let overview = overview(path)?;
    let mut checked = overview.checked;
    let mut places = overview.messages.into_iter().peekable();
    while places.peek().is_some() {
        let (mut chosen, mut messages) = (BTreeSet::new(), 0);
        while let Some((place, count)) =
            places.next_if(|(_, count)| messages == 0 || messages + count <= portion)
        {
            chosen.insert(place);
            messages += count.max(1);
        }
        verify_places(path, &chosen, overview.settled, &mut checked)?;
    }
    Ok(checked)
}

/// What the first reading is for.
struct Overview {
    checked: Checked,
    settled: Settled,
    /// How many were sent to or stored in each place.
    messages: BTreeMap<u32, u64>,
}

fn overview(path: &Path) -> io::Result<Overview> {
    let mut reader = Reader::open(path)?;
    let (mut checked, mut settled, mut messages) = (Checked::default(), Settled::No, BTreeMap::new());
    let mut first = true;
    while let Some(line) = reader.next_line()? {
        let observation = match line {
            Line::Whole(observation) => observation,
            Line::Malformed { number, reason } => {
                checked.damage.push(format!("line {number}: {reason}"));
                continue;
            }
        };
        let begins = matches!(observation, Observation::Run { version: VERSION, .. });
        if first && !begins {
            checked.damage.push(format!("it does not begin as a record of version {VERSION}"));
        }
        first = false;
        if checked.complete {
            checked.damage.push("it goes on after its end".into());
            break;
        }
        checked.counts.add(&observation);
        match observation {
            Observation::Place { p, .. } => drop(messages.insert(p, 0)),
            Observation::Sent { p, .. } | Observation::Stored { p, .. } => {
                *messages.entry(p).or_default() += 1;
            }
            Observation::Stray { n, conversation, seq } => {
                checked.violations.push(stray(n, &conversation, seq));
            }
            Observation::Settled => settled = Settled::Yes,
            Observation::End { counts, digest } => {
                checked.complete = true;
                if counts != checked.counts {
                    let found = checked.counts;
                    checked.damage.push(format!("it should hold {counts:?} and holds {found:?}"));
                }
                if digest.is_some_and(|digest| digest != reader.digest_before()) {
                    checked.damage.push("it is not what was written: its digest differs".into());
                }
            }
            _ => {}
        }
    }
    if first {
        checked.damage.push("it is empty".into());
    }
    if checked.complete && settled == Settled::No {
        checked.damage.push("it ends and nobody was given time".into());
    }
    Ok(Overview { checked, settled, messages })
}

/// A client was sent what is no part of the run.
pub(super) fn stray(client: u32, conversation: &str, seq: u64) -> Violation {
    let evidence = format!("client {client} saw entry {seq} of {conversation}, where nothing was sent");
    Violation { kind: Kind::Foreign, evidence }
}

fn verify_places(
    path: &Path,
    chosen: &BTreeSet<u32>,
    settled: Settled,
    checked: &mut Checked,
) -> io::Result<()> {
    let mut reader = Reader::open(path)?;
    let (mut users, mut histories) = (BTreeMap::new(), BTreeMap::new());
    while let Some(line) = reader.next_line()? {
        let Line::Whole(observation) = line else { continue };
        match observation {
            Observation::Client { n, user } => drop(users.insert(n, user)),
            Observation::Place { p, conversation, base, members } if chosen.contains(&p) => {
                let members = members.into_iter().map(|n| (n, users.get(&n).copied().unwrap_or(0)));
                histories.insert(p, History::new(conversation, base, members));
            }
            observation => {
                let Some(place) = observation.place().filter(|place| chosen.contains(place)) else {
                    continue;
                };
                match histories.get_mut(&place) {
                    Some(history) => apply(history, &observation, &users, checked),
                    None => checked.damage.push(format!("place {place} is not introduced")),
                }
            }
        }
    }
    for history in histories.values() {
        checked.violations.extend(verify(history, settled));
        if checked.complete {
            let unanswered = history.unanswered().map(|(id, _)| format!("{id} has no outcome"));
            checked.damage.extend(unanswered);
            if history.read_up_to.is_none() {
                checked.damage.push(format!("it ends and {} was not read to its end", history.name));
            }
        }
    }
    Ok(())
}

fn apply(
    history: &mut History,
    observation: &Observation,
    users: &BTreeMap<u32, u64>,
    checked: &mut Checked,
) {
    let applied = match *observation {
        Observation::Sent { t, n, id, sum, .. } => {
            let by = users.get(&n).copied().unwrap_or(0);
            history.sent(n, t, Print { id: Some(id), by, sum })
        }
        Observation::Acked { t, id, seq, .. } => history.acknowledged(id, t, seq),
        Observation::Refused { id, ref code, .. } => {
            let kind = ErrorKind::ALL.iter().find(|kind| kind.code() == code.as_str());
            let kind = kind.ok_or_else(|| Damage(format!("{id} was answered {code}, which is no code")));
            kind.and_then(|kind| history.unacknowledged(id, Answer::Refused(*kind)))
        }
        Observation::Unknown { id, .. } => history.unacknowledged(id, Answer::Unknown),
        Observation::Saw { n, seq, id, by, sum, .. } => {
            history.saw(n, seq, Print { id, by, sum });
            Ok(())
        }
        Observation::Stored { seq, id, by, sum, .. } => {
            history.stored(seq, Print { id, by, sum });
            Ok(())
        }
        Observation::Read { upto, .. } => {
            history.read(upto);
            Ok(())
        }
        _ => Ok(()),
    };
    if let Err(damage) = applied {
        checked.damage.push(damage.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::observation::Id;
    use super::super::record::Writer;
    use super::*;

    /// Three conversations with three entries each; one client is not shown the last of the second.
    fn record(path: &Path) {
        let record = Writer::create(path).expect("a file");
        record.append(&Observation::Run { version: VERSION, scenario: "direct".into(), seed: 1 });
        for n in 0..2 {
            record.append(&Observation::Client { n, user: 100 + u64::from(n) });
        }
        for p in 0..3 {
            let conversation = format!("group:{p}");
            record.append(&Observation::Place { p, conversation, base: 0, members: vec![0, 1] });
        }
        for (seq, p) in (1..=3).flat_map(|seq| (0..3).map(move |p| (seq, p))) {
            let (id, sum) = (Id([seq as u8 * 10 + p as u8; 16]), 7);
            record.append(&Observation::Sent { t: seq, n: 0, p, id, sum });
            record.append(&Observation::Acked { t: seq, n: 0, p, id, seq });
            for n in (0..2).filter(|n| (*n, p, seq) != (1, 1, 3)) {
                record.append(&Observation::Saw { t: seq, n, p, seq, id: Some(id), by: 100, sum });
            }
        }
        for (p, seq) in (0..3).flat_map(|p| (1..=3).map(move |seq| (p, seq))) {
            let id = Some(Id([seq as u8 * 10 + p as u8; 16]));
            record.append(&Observation::Stored { p, seq, id, by: 100, sum: 7 });
        }
        (0..3).for_each(|p| record.append(&Observation::Read { p, upto: 3 }));
        record.append(&Observation::Settled);
        record.end();
        record.flush().expect("written");
    }

    #[test]
    fn portions_find_what_one_reading_finds() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("record");
        record(&file);
        for portion in [1, 7, 12, 13, PORTION] {
            let checked = check_in_portions(&file, portion).expect("it can be read");
            assert!(checked.complete);
            assert_eq!(checked.damage, Vec::<String>::new(), "in portions of {portion}");
            let found: Vec<_> = checked.violations.iter().map(ToString::to_string).collect();
            assert_eq!(found, ["lost: client 1 saw group:1 up to 2 and never what follows up to 3"]);
        }
    }

    #[test]
    fn nothing_follows_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("record");
        record(&file);
        let mut text = std::fs::read_to_string(&file).expect("a record");
        text.push_str("{\"r\":\"settled\"}\n");
        std::fs::write(&file, text).expect("written");
        let checked = check(&file).expect("it can be read");
        assert_eq!(checked.damage, ["it goes on after its end"]);
    }
}
