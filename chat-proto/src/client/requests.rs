//! Requests that are not answered yet: which goes next, which is repeated, which is late.
//!
//! A request keeps its number for as long as it lives, over repetitions and reconnections, and
//! requests of one line are sent in the order of their numbers. So after a reconnection sends that
//! were not answered go out once more in the order in which they were first sent.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use chat_core::{Error, ErrorKind};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::catch_up::Question;
use super::error::ClientError;
use super::link::HELLO_ID;
use crate::message::{Reply, Request};

/// What the application's half asks the connection task for.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) request: Request,
    /// Who waits.
    pub(super) answer: Waiter,
    /// Until when.
    pub(super) deadline: Instant,
}

/// Who waits for the result of a command.
pub(super) type Waiter = oneshot::Sender<Result<Reply, ClientError>>;

/// Who is told the answer to a request.
#[derive(Debug)]
pub(super) enum Asker {
    /// The application.
    Application(Waiter),
    /// The client, to bring the application up to date.
    CatchUp(Question),
    /// The client, which tells the server what was delivered.
    Acknowledgement,
    /// The client, to hear from the server.
    Keepalive,
    /// Nobody any more.
    Nobody,
}

/// All requests without an answer.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last_id: u64,
    unanswered: BTreeMap<u64, Unanswered>,
    deadlines: BTreeSet<(Instant, u64)>,
    in_flight: usize,
    lines: [Line; LINES],
}

#[derive(Debug)]
struct Unanswered {
    request: Request,
    asker: Asker,
    line: LineOf,
    deadline: Instant,
    tries: u32,
    was_sent: bool,
    in_flight: bool,
}

/// Requests that wait to be sent, by number.
#[derive(Debug, Default)]
struct Line {
    waiting: BTreeSet<u64>,
    /// The server wants none of them before.
    not_before: Option<Instant>,
}

/// Requests of different lines do not wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineOf {
    /// Signs of life.
    Alive,
    /// The client's other own requests.
    Own,
    /// Registration and log-in.
    Entering,
    /// What changes something durable.
    Durable,
    /// Everything else.
    Passing,
}

const LINES: usize = 5;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody has logged in.
    Entrance,
    /// There is a session.
    Session,
}

/// A request that was answered for good.
#[derive(Debug)]
pub(super) struct Answered {
    /// What was asked.
    pub(super) request: Request,
    /// Who is told.
    pub(super) asker: Asker,
    /// What they are told.
    pub(super) answer: Result<Reply, Error>,
}

/// What a deadline that passed says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lateness {
    /// Nothing: commands take long.
    OfCommands,
    /// It is of no use: the client's own requests are not answered, or it is not known whether a
    /// session has begun.
    OfConnection,
}

impl Requests {
    pub(super) fn new() -> Self {
        Self { last_id: HELLO_ID, ..Self::default() }
    }

    /// Adds a request at the end of its line.
    pub(super) fn add(&mut self, request: Request, asker: Asker, deadline: Instant) {
        self.last_id += 1;
        let id = self.last_id;
        let line = LineOf::new(&request, &asker);
        self.lines[line as usize].waiting.insert(id);
        self.deadlines.insert((deadline, id));
        let (tries, was_sent, in_flight) = (0, false, false);
        self.unanswered.insert(id, Unanswered { request, asker, line, deadline, tries, was_sent, in_flight });
    }

    /// The next request to send: of several lines that which was added first, the client's own ahead.
    pub(super) fn next_to_send(
        &mut self,
        stage: Stage,
        in_flight_limit: usize,
        now: Instant,
    ) -> Option<(u64, &Request)> {
        let others: &[LineOf] = match stage {
            // The client's own requests are few and pass, or its signs of life would wait behind others'.
            _ if self.in_flight >= in_flight_limit => &[],
            Stage::Entrance => &[LineOf::Entering],
            Stage::Session => &[LineOf::Durable, LineOf::Passing],
        };
        let first = |line: &LineOf| self.lines[*line as usize].first(now);
        let own = [LineOf::Alive, LineOf::Own].iter().find_map(first);
        let id = own.or_else(|| others.iter().filter_map(first).min())?;
        let entry = self.unanswered.get_mut(&id).expect("what waits is unanswered");
        self.lines[entry.line as usize].waiting.remove(&id);
        entry.was_sent = true;
        entry.in_flight = true;
        self.in_flight += 1;
        Some((id, &entry.request))
    }

    /// Takes the answer to a request. A refusal for the moment is not passed on while there is time to
    /// repeat the request; `wait` says after how long, when the server does not, by the number of
    /// tries. `None` when nothing is to be passed on.
    pub(super) fn answered(
        &mut self,
        id: u64,
        answer: Result<Reply, Error>,
        now: Instant,
        wait: impl FnOnce(u32) -> Duration,
    ) -> Option<Answered> {
        let entry = self.unanswered.get_mut(&id).filter(|entry| entry.in_flight)?;
        entry.in_flight = false;
        self.in_flight -= 1;
        if let Err(error) = &answer
            && is_momentary(error.kind())
            && entry.line != LineOf::Entering
            && !matches!(entry.asker, Asker::Nobody | Asker::Acknowledgement)
        {
            let delay = error.retry_delay().unwrap_or_else(|| wait(entry.tries));
            if let Some(again) = now.checked_add(delay).filter(|again| *again < entry.deadline) {
                entry.tries += 1;
                let line = &mut self.lines[entry.line as usize];
                line.waiting.insert(id);
                line.not_before = line.not_before.max(Some(again));
                return None;
            }
        }
        let Unanswered { request, asker, .. } = self.remove(id)?;
        Some(Answered { request, asker, answer })
    }

    /// Fails a request that was just taken to be sent and cannot be.
    pub(super) fn unsendable(&mut self, id: u64) -> Option<Asker> {
        let entry = self.remove(id)?;
        self.in_flight -= usize::from(entry.in_flight);
        Some(entry.asker)
    }

    /// Fails what was not answered in time.
    pub(super) fn expire(&mut self, now: Instant) -> Lateness {
        let mut lateness = Lateness::OfCommands;
        while let Some((deadline, id)) = self.deadlines.first().copied()
            && deadline <= now
        {
            self.deadlines.pop_first();
            let entry = self.unanswered.get_mut(&id).expect("what has a deadline is unanswered");
            if entry.line.is_own() || (entry.in_flight && entry.line == LineOf::Entering) {
                lateness = Lateness::OfConnection;
            }
            tell(std::mem::replace(&mut entry.asker, Asker::Nobody), Err(ClientError::TimedOut));
            // The server still works on what is in flight.
            if !entry.in_flight {
                let line = entry.line;
                self.lines[line as usize].waiting.remove(&id);
                self.unanswered.remove(&id);
            }
        }
        lateness
    }

    /// When something is to be done: a deadline passes, or a line may be sent again.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let lines = self.lines.iter().filter(|line| !line.waiting.is_empty());
        let reopened = lines.filter_map(|line| line.not_before).filter(|not_before| *not_before > now).min();
        let deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
        deadline.into_iter().chain(reopened).min()
    }

    /// The connection is gone: what can be repeated waits again, in the old order; what cannot fails.
    /// Returns what the client asked for itself.
    pub(super) fn disconnected(&mut self) -> Vec<Request> {
        let mut own = Vec::new();
        let in_flight: Vec<u64> =
            self.unanswered.iter().filter(|(_, entry)| entry.in_flight).map(|(id, _)| *id).collect();
        for id in in_flight {
            let entry = self.unanswered.get_mut(&id).expect("it was just found");
            entry.in_flight = false;
            if !entry.line.is_own() && entry.is_repeatable() {
                self.lines[entry.line as usize].waiting.insert(id);
            } else {
                self.drop_lost(id, &mut own);
            }
        }
        for line in [LineOf::Alive, LineOf::Own] {
            let waiting = std::mem::take(&mut self.lines[line as usize].waiting);
            waiting.into_iter().for_each(|id| self.drop_lost(id, &mut own));
        }
        self.in_flight = 0;
        own
    }

    /// Fails what waits for a session, since nobody is logged in.
    pub(super) fn refuse_waiting(&mut self, error: &Error) {
        for line in [LineOf::Durable, LineOf::Passing] {
            for id in std::mem::take(&mut self.lines[line as usize].waiting) {
                if let Some(entry) = self.remove(id) {
                    tell(entry.asker, Err(error.clone().into()));
                }
            }
        }
    }

    /// Whether somebody is about to log in.
    pub(super) fn is_entering(&self) -> bool {
        self.unanswered.values().any(|entry| entry.line == LineOf::Entering)
    }

    /// Takes a command out whose effect a refused log-in proves: that the device is logged out or the
    /// account deleted.
    pub(super) fn take_farewell(&mut self) -> Option<(Request, Asker)> {
        let is_farewell = |entry: &Unanswered| {
            entry.was_sent && matches!(entry.request, Request::LogOut(_) | Request::DeleteAccount { .. })
        };
        let (id, _) = self.unanswered.iter().find(|(_, entry)| is_farewell(entry))?;
        let id = *id;
        let entry = self.remove(id)?;
        Some((entry.request, entry.asker))
    }

    /// How many requests there are.
    pub(super) fn len(&self) -> usize {
        self.unanswered.len()
    }

    /// Fails everything.
    pub(super) fn fail_all(&mut self, error: &ClientError) {
        for (_, entry) in std::mem::take(&mut self.unanswered) {
            tell(entry.asker, Err(error.clone()));
        }
        *self = Self { last_id: self.last_id, ..Self::default() };
    }

    fn drop_lost(&mut self, id: u64, own: &mut Vec<Request>) {
        let Some(entry) = self.remove(id) else { return };
        if entry.line.is_own() {
            own.push(entry.request);
        } else {
            let lost = io::Error::new(io::ErrorKind::ConnectionReset, "the connection broke");
            tell(entry.asker, Err(ClientError::unreachable(lost)));
        }
    }

    fn remove(&mut self, id: u64) -> Option<Unanswered> {
        let entry = self.unanswered.remove(&id)?;
        self.deadlines.remove(&(entry.deadline, id));
        self.lines[entry.line as usize].waiting.remove(&id);
        Some(entry)
    }
}

impl Unanswered {
    /// Whether it may be sent once more though it may have been carried out: whatever carries a client
    /// id or changes nothing. A log-in makes a device each time, and typing is true only now.
    fn is_repeatable(&self) -> bool {
        let once = matches!(self.request, Request::Login(_) | Request::Typing(_));
        !once && !matches!(self.asker, Asker::Nobody)
    }
}

impl Line {
    fn first(&self, now: Instant) -> Option<u64> {
        let is_open = self.not_before.is_none_or(|not_before| not_before <= now);
        self.waiting.first().copied().filter(|_| is_open)
    }
}

impl LineOf {
    fn is_own(self) -> bool {
        matches!(self, Self::Alive | Self::Own)
    }

    fn new(request: &Request, asker: &Asker) -> Self {
        match asker {
            Asker::Keepalive => return Self::Alive,
            Asker::CatchUp(_) | Asker::Acknowledgement => return Self::Own,
            Asker::Application(_) | Asker::Nobody => {}
        }
        match request {
            Request::Hello(_) | Request::Register(_) | Request::Login(_) => Self::Entering,
            Request::Send(_)
            | Request::LogOut(_)
            | Request::ChangePassword { .. }
            | Request::ChangeDisplayName { .. }
            | Request::DeleteAccount { .. }
            | Request::RevokeDevice { .. }
            | Request::Contact { .. }
            | Request::CreateGroup(_)
            | Request::Group { .. } => Self::Durable,
            _ => Self::Passing,
        }
    }
}

/// Tells the application, when it is the application that waits.
pub(super) fn tell(asker: Asker, answer: Result<Reply, ClientError>) {
    if let Asker::Application(waiter) = asker {
        // Whoever stopped waiting wants no answer.
        let _ = waiter.send(answer);
    }
}

/// Refusals that say nothing about the request itself.
pub(super) fn is_momentary(kind: ErrorKind) -> bool {
    use ErrorKind::{OutcomeUnknown, Overloaded, RateLimited, Unavailable};
    matches!(kind, RateLimited | Overloaded | Unavailable | OutcomeUnknown)
}

#[cfg(test)]
mod tests;
