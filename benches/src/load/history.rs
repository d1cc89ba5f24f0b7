//! What is known of one place: what was sent there and how that was answered, what its members saw, and
//! what the store holds. It takes observations in the order in which they were made.
//!
//! It grows by some 200 bytes with each message, and not with the number of members: what a member saw
//! is kept as runs of consecutive entries, and only what differs from what others saw is kept itself.

use std::collections::{BTreeMap, HashMap};

use chat_core::{ErrorKind, Seq};

use super::observation::{Id, Print};

/// The history of one place.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The conversation, for people.
    pub name: String,
    /// Its last entry before the run.
    pub base: Seq,
    /// The clients of its members, in ascending order of their numbers.
    pub members: Vec<Member>,
    /// Each entry as it was found first, whether by a member or in the store.
    pub log: BTreeMap<Seq, Print>,
    /// Entries that somebody found to be something else than stands in the log.
    pub differing: Vec<(Reader, Seq, Print)>,
    /// Client ids that stand at a second seq: first and second.
    pub twice: Vec<(Id, Seq, Seq)>,
    /// Entries seen by clients of no member.
    pub eavesdropped: Vec<(u32, Seq)>,
    /// What was sent.
    pub sent: HashMap<Id, Sent>,
    /// What the store holds, in the order in which it was read.
    pub stored: Runs,
    /// The last entry of the store, when its history was read to the end.
    pub read_up_to: Option<Seq>,
    /// The highest entry that was acknowledged.
    pub acknowledged_up_to: Seq,
}

/// A client of a member.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// Its number.
    pub client: u32,
    /// Its user.
    pub user: u64,
    /// What it saw, in the order of arrival.
    pub seen: Runs,
}

/// Who found an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// This client, when it arrived there.
    Client(u32),
    /// Who read the history at the end.
    Store,
}

/// A message, edit or reaction that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// By which client.
    pub by: u32,
    /// As what.
    pub print: Print,
    /// When it was to be sent, in microseconds since the run began.
    pub at_us: u64,
    /// The highest entry of the place that was acknowledged before it was sent: this one comes later.
    pub after: Seq,
    /// Where it was found.
    pub found: Option<Seq>,
    /// How it was answered.
    pub answer: Answer,
}

/// How a send was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Not yet.
    None,
    /// It is stored.
    Acknowledged {
        /// As which entry.
        seq: Seq,
        /// When, in microseconds since the run began.
        at_us: u64,
    },
    /// It is not stored and never will be.
    Refused(ErrorKind),
    /// Not until the end of the run.
    Unknown,
}

/// An observation that cannot have been made: the record is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage(pub String);

impl History {
    /// A place before the run.
    pub fn new(name: String, base: Seq, members: impl IntoIterator<Item = (u32, u64)>) -> Self {
        let member = |(client, user)| Member { client, user, seen: Runs::default() };
        let members = members.into_iter().map(member).collect();
        Self { name, base, members, acknowledged_up_to: base, ..Self::default() }
    }

    /// A client is about to send something.
    ///
    /// # Errors
    /// It was sent before.
    pub fn sent(&mut self, client: u32, at_us: u64, print: Print) -> Result<(), Damage> {
        let id = print.id.ok_or_else(|| Damage("something was sent without an id".into()))?;
        let after = self.acknowledged_up_to;
        let sent = Sent { by: client, print, at_us, after, found: None, answer: Answer::None };
        match self.sent.insert(id, sent) {
            None => Ok(()),
            Some(_) => Err(Damage(format!("client {client} sent {id} a second time as if it were new"))),
        }
    }

    /// A send was acknowledged.
    ///
    /// # Errors
    /// It was not sent, or was answered otherwise.
    pub fn acknowledged(&mut self, id: Id, at_us: u64, seq: Seq) -> Result<(), Damage> {
        let sent = self.sent.get_mut(&id).ok_or_else(|| unsent(id))?;
        if sent.answer != Answer::None {
            return Err(Damage(format!("{id} has two answers")));
        }
        sent.answer = Answer::Acknowledged { seq, at_us };
        self.acknowledged_up_to = self.acknowledged_up_to.max(seq);
        Ok(())
    }

    /// A send has no acknowledgement and will have none.
    ///
    /// # Errors
    /// It was not sent, or was answered otherwise.
    pub fn unacknowledged(&mut self, id: Id, answer: Answer) -> Result<(), Damage> {
        let sent = self.sent.get_mut(&id).ok_or_else(|| unsent(id))?;
        if sent.answer != Answer::None {
            return Err(Damage(format!("{id} has two answers")));
        }
        sent.answer = answer;
        Ok(())
    }

    /// An entry arrived at a client; says what had been sent, if it is known.
    pub fn saw(&mut self, client: u32, seq: Seq, print: Print) -> Option<Sent> {
        if seq <= self.base {
            return None;
        }
        match self.members.binary_search_by_key(&client, |member| member.client) {
            Ok(member) => self.members[member].seen.push(seq),
            Err(_) => self.eavesdropped.push((client, seq)),
        }
        self.found(Reader::Client(client), seq, print)
    }

    /// An entry was read from the store.
    pub fn stored(&mut self, seq: Seq, print: Print) {
        self.stored.push(seq);
        self.found(Reader::Store, seq, print);
    }

    /// The history was read to its end.
    pub fn read(&mut self, upto: Seq) {
        self.read_up_to = Some(upto);
    }

    /// Whether this was sent and has no answer yet.
    pub fn is_unanswered(&self, id: Id) -> bool {
        self.sent.get(&id).is_some_and(|sent| sent.answer == Answer::None)
    }

    /// What has no answer yet.
    pub fn unanswered(&self) -> impl Iterator<Item = (Id, u32)> {
        self.sent.iter().filter(|(_, sent)| sent.answer == Answer::None).map(|(id, sent)| (*id, sent.by))
    }

    /// A member that has not seen everything up to this entry.
    pub fn behind(&self, upto: Seq) -> Option<&Member> {
        self.members.iter().find(|member| member.seen.last().unwrap_or(self.base) < upto)
    }

    fn found(&mut self, reader: Reader, seq: Seq, print: Print) -> Option<Sent> {
        match self.log.get(&seq) {
            Some(known) if *known == print => return self.sent.get(&print.id?).copied(),
            Some(_) => self.differing.push((reader, seq, print)),
            None => drop(self.log.insert(seq, print)),
        }
        let id = print.id?;
        let sent = self.sent.get_mut(&id)?;
        match sent.found {
            Some(first) if first != seq => self.twice.push((id, first, seq)),
            _ => sent.found = Some(seq),
        }
        Some(*sent)
    }
}

fn unsent(id: Id) -> Damage {
    Damage(format!("{id} is answered and was not sent"))
}

/// Numbers in the order in which they came, as runs of consecutive ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs(Vec<(Seq, Seq)>);

impl Runs {
    /// One more comes.
    pub fn push(&mut self, seq: Seq) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == seq => *last = seq,
            _ => self.0.push((seq, seq)),
        }
    }

    /// These come, too.
    pub fn extend_to(&mut self, first: Seq, last: Seq) {
        self.0.push((first, last));
    }

    /// First and last of each run, in the order in which they came.
    pub fn in_order(&self) -> &[(Seq, Seq)] {
        &self.0
    }

    /// The one that came last.
    pub fn last(&self) -> Option<Seq> {
        self.0.last().map(|(_, last)| *last)
    }

    /// The highest.
    pub fn highest(&self) -> Option<Seq> {
        self.0.iter().map(|(_, last)| *last).max()
    }

    /// Whether this one came.
    pub fn contains(&self, seq: Seq) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&seq))
    }

    /// What did not come of those after `base` and up to `upto`, as ranges in ascending order.
    pub fn missing(&self, base: Seq, upto: Seq) -> Vec<(Seq, Seq)> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let (mut missing, mut next) = (Vec::new(), base + 1);
        for (first, last) in sorted.into_iter().chain([(upto.saturating_add(1), upto)]) {
            if first > next && next <= upto {
                missing.push((next, (first - 1).min(upto)));
            }
            next = next.max(last.saturating_add(1));
        }
        missing
    }
}
