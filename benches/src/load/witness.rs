//! Where everything that clients send, are answered and see comes together: it is written to the record,
//! kept for verifying, and measured.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chat_core::{ClientId, ConversationId, Entry, ErrorKind, Outgoing, Seq, UserId};

use super::check::stray;
use super::history::{Answer, Damage, History};
use super::latency::Latencies;
use super::observation::{Id, Observation, Print, VERSION};
use super::record::Writer;
use super::silence::Silence;
use super::verify::{Settled, Violation, verify};

/// Sees everything.
#[derive(Debug)]
pub struct Witness {
    began: Instant,
    record: Option<Writer>,
    places: Vec<Place>,
    numbers: HashMap<ConversationId, u32>,
    /// The user of each client.
    users: Vec<UserId>,
    /// Since when each client is connected of its own will, in microseconds.
    present_since: Vec<AtomicU64>,
    /// What clients saw that is no part of the run.
    strays: Mutex<Vec<Violation>>,
    /// What was counted and measured.
    pub tally: Tally,
}

#[derive(Debug)]
struct Place {
    conversation: ConversationId,
    base: Seq,
    /// Guards what is known of the place; held for a few operations of maps.
    history: Mutex<History>,
}

/// A conversation that is to be written to.
#[derive(Clone, Debug)]
pub struct Venue {
    /// Which.
    pub conversation: ConversationId,
    /// Its last entry.
    pub base: Seq,
    /// The clients of its members, in ascending order.
    pub members: Vec<u32>,
}

/// What was counted and measured.
#[derive(Debug, Default)]
pub struct Tally {
    /// What was sent.
    pub sent: AtomicU64,
    /// What of it was acknowledged.
    pub acknowledged: AtomicU64,
    /// What of it was refused for good, by code.
    pub refused: Mutex<HashMap<&'static str, u64>>,
    /// What of it had no answer in the end.
    pub unknown: AtomicU64,
    /// Entries that arrived at clients other than their sender.
    pub deliveries: AtomicU64,
    /// From when something was to be sent to its acknowledgement.
    pub acknowledgements: Latencies,
    /// From when something was to be sent to its arrival at another client that was there.
    pub arrivals: Latencies,
    /// For how long nothing was acknowledged. Guards itself; held for moments.
    silence: Mutex<Silence>,
    /// The longest from an acknowledgement to an arrival at another client, in microseconds.
    longest_late_us: AtomicU64,
    /// The longest from the end of the sending to an arrival, in microseconds.
    after_sending_us: AtomicU64,
    /// When the sending ended, in microseconds; 0 before.
    sending_ended_us: AtomicU64,
}

impl Witness {
    /// Begins to watch.
    pub fn new(
        record: Option<Writer>,
        (scenario, seed): (String, u64),
        users: Vec<UserId>,
        venues: Vec<Venue>,
    ) -> Self {
        if let Some(record) = &record {
            record.append(&Observation::Run { version: VERSION, scenario, seed });
            for (n, user) in (0..).zip(&users) {
                record.append(&Observation::Client { n, user: user.number() });
            }
        }
        let numbers = venues.iter().zip(0..).map(|(venue, p)| (venue.conversation, p)).collect();
        let mut places = Vec::with_capacity(venues.len());
        for (p, Venue { conversation, base, members }) in (0..).zip(venues) {
            let with_users = members.iter().map(|n| (*n, users[*n as usize].number()));
            let history = Mutex::new(History::new(name(conversation), base, with_users));
            places.push(Place { conversation, base, history });
            if let Some(record) = &record {
                record.append(&Observation::Place { p, conversation: name(conversation), base, members });
            }
        }
        Self {
            began: Instant::now(),
            record,
            places,
            numbers,
            present_since: users.iter().map(|_| AtomicU64::new(0)).collect(),
            users,
            strays: Mutex::default(),
            tally: Tally::default(),
        }
    }

    /// A moment in microseconds since the beginning.
    pub fn micros(&self, moment: Instant) -> u64 {
        micros(moment.saturating_duration_since(self.began))
    }

    /// Which conversation a place is.
    pub fn conversation(&self, place: u32) -> ConversationId {
        self.places[place as usize].conversation
    }

    /// How many places there are.
    pub fn places(&self) -> u32 {
        self.places.len() as u32
    }

    /// The clients of a place's members.
    pub fn members(&self, place: u32) -> Vec<u32> {
        self.history(place).members.iter().map(|member| member.client).collect()
    }

    /// A client is connected of its own will from now on.
    pub fn came(&self, client: u32) {
        self.present_since[client as usize].store(self.now(), Ordering::Relaxed);
    }

    /// A client is about to send something for the first time.
    pub fn sent(&self, client: u32, place: u32, at_us: u64, id: ClientId, outgoing: &Outgoing) {
        let print = Print::expected(self.users[client as usize], id, outgoing);
        let (id, sum) = (Id(id.0), print.sum);
        self.write(|| Observation::Sent { t: at_us, n: client, p: place, id, sum });
        self.tally.sent.fetch_add(1, Ordering::Relaxed);
        lock(&self.tally.silence).sent(self.now());
        undamaged(self.history(place).sent(client, at_us, print));
    }

    /// What a client sent was acknowledged. What comes when no more answers are taken is passed over.
    pub fn acknowledged(&self, client: u32, place: u32, at_us: u64, id: ClientId, seq: Seq) {
        let (t, id) = (self.now(), Id(id.0));
        let mut history = self.history(place);
        if history.is_unanswered(id) {
            self.write(|| Observation::Acked { t, n: client, p: place, id, seq });
            self.tally.acknowledged.fetch_add(1, Ordering::Relaxed);
            lock(&self.tally.silence).acknowledged(t);
            self.tally.acknowledgements.record(client, t.saturating_sub(at_us));
            undamaged(history.acknowledged(id, t, seq));
        }
    }

    /// What a client sent was refused for good. What comes when no more answers are taken is passed over.
    pub fn refused(&self, client: u32, place: u32, id: ClientId, kind: ErrorKind) {
        let (t, id) = (self.now(), Id(id.0));
        let mut history = self.history(place);
        if history.is_unanswered(id) {
            self.write(|| Observation::Refused { t, n: client, p: place, id, code: kind.code().into() });
            *lock(&self.tally.refused).entry(kind.code()).or_default() += 1;
            lock(&self.tally.silence).unacknowledged(t);
            undamaged(history.unacknowledged(id, Answer::Refused(kind)));
        }
    }

    /// An entry arrived at a client.
    pub fn saw(&self, client: u32, conversation: ConversationId, entry: &Entry) {
        let (t, seq) = (self.now(), entry.seq);
        let Some(place) = self.numbers.get(&conversation).copied() else {
            self.stray(client, conversation, seq);
            return;
        };
        if seq <= self.places[place as usize].base {
            return;
        }
        let print = Print::of(entry);
        let Print { id, by, sum } = print;
        self.write(|| Observation::Saw { t, n: client, p: place, seq, id, by, sum });
        let sent = self.history(place).saw(client, seq, print);
        let since = self.present_since[client as usize].load(Ordering::Relaxed);
        let ended = self.tally.sending_ended_us.load(Ordering::Relaxed);
        if ended > 0 {
            self.tally.after_sending_us.fetch_max(t.saturating_sub(ended.max(since)), Ordering::Relaxed);
        }
        let Some(sent) = sent.filter(|sent| sent.by != client) else { return };
        self.tally.deliveries.fetch_add(1, Ordering::Relaxed);
        // What had no answer when no more were taken is recorded with the time until then.
        if since <= sent.at_us && sent.answer != Answer::Unknown {
            self.tally.arrivals.record(client, t.saturating_sub(sent.at_us));
        }
        if let Answer::Acknowledged { at_us, .. } = sent.answer {
            self.tally.longest_late_us.fetch_max(t.saturating_sub(at_us.max(since)), Ordering::Relaxed);
        }
    }

    /// A part of a place's history was read.
    pub fn stored(&self, place: u32, entries: &[Entry]) {
        let mut history = self.history(place);
        for entry in entries {
            let print = Print::of(entry);
            let (Print { id, by, sum }, seq) = (print, entry.seq);
            self.write(|| Observation::Stored { p: place, seq, id, by, sum });
            history.stored(seq, print);
        }
    }

    /// A place's history was read to its end.
    pub fn read(&self, place: u32, upto: Seq) {
        self.write(|| Observation::Read { p: place, upto });
        self.history(place).read(upto);
    }

    /// Nothing new is sent from now on.
    pub fn sending_ended(&self) {
        self.tally.sending_ended_us.store(self.now(), Ordering::Relaxed);
    }

    /// What has no answer gets none any more.
    pub fn no_more_answers(&self) {
        for place in 0..self.places() {
            let mut history = self.history(place);
            let (unanswered, now): (Vec<_>, _) = (history.unanswered().collect(), self.now());
            for (id, n) in unanswered {
                self.waited_in_vain(&history, id, now);
                self.write(|| Observation::Unknown { n, p: place, id });
                self.tally.unknown.fetch_add(1, Ordering::Relaxed);
                lock(&self.tally.silence).unacknowledged(now);
                undamaged(history.unacknowledged(id, Answer::Unknown));
            }
        }
    }

    /// The first place from `from` on in which a member has not seen everything that was acknowledged or,
    /// once it was read, stands in the history.
    pub fn behind(&self, from: u32) -> Option<u32> {
        (from..self.places()).find(|place| {
            let history = self.history(*place);
            history.behind(history.acknowledged_up_to.max(history.read_up_to.unwrap_or(0))).is_some()
        })
    }

    /// Everybody had the time that there was to receive everything: all that is wrong.
    pub fn verdict(&self) -> Vec<Violation> {
        // Senders that were stopped may have been about to send.
        self.no_more_answers();
        self.write(|| Observation::Settled);
        let mut found = std::mem::take(&mut *lock(&self.strays));
        for place in 0..self.places() {
            found.extend(verify(&self.history(place), Settled::Yes));
        }
        found
    }

    /// Ends the record.
    ///
    /// # Errors
    /// It could not be written.
    pub fn end_record(&self) -> std::io::Result<()> {
        self.record.iter().for_each(Writer::end);
        self.flush()
    }

    /// Leaves the record behind as far as it goes.
    ///
    /// # Errors
    /// It could not be written.
    pub fn flush(&self) -> std::io::Result<()> {
        self.record.as_ref().map_or(Ok(()), Writer::flush)
    }

    /// Nothing more is waited for: the answer, and arrivals at members who are there and do not have it.
    fn waited_in_vain(&self, history: &History, id: Id, now: u64) {
        let sent = history.sent[&id];
        let waited = now.saturating_sub(sent.at_us);
        self.tally.acknowledgements.record_lower_bound(sent.by, waited);
        for member in history.members.iter().filter(|member| member.client != sent.by) {
            let since = self.present_since[member.client as usize].load(Ordering::Relaxed);
            if since <= sent.at_us && !sent.found.is_some_and(|seq| member.seen.contains(seq)) {
                self.tally.arrivals.record_lower_bound(member.client, waited);
            }
        }
    }

    fn stray(&self, client: u32, conversation: ConversationId, seq: Seq) {
        // Their own inboxes tell them of log-ins and the like.
        if conversation == ConversationId::Inbox(self.users[client as usize]) {
            return;
        }
        let conversation = name(conversation);
        lock(&self.strays).push(stray(client, &conversation, seq));
        self.write(|| Observation::Stray { n: client, conversation, seq });
    }

    fn write(&self, observation: impl FnOnce() -> Observation) {
        if let Some(record) = &self.record {
            record.append(&observation());
        }
    }

    fn history(&self, place: u32) -> MutexGuard<'_, History> {
        lock(&self.places[place as usize].history)
    }

    fn now(&self) -> u64 {
        self.micros(Instant::now())
    }
}

impl Tally {
    /// The longest time in which something was under way and nothing was acknowledged.
    pub fn longest_silence(&self) -> Duration {
        Duration::from_micros(lock(&self.silence).longest_us())
    }

    /// The longest from an acknowledgement to an arrival at another client, not counting the time for which
    /// that one was away of its own will.
    pub fn longest_late(&self) -> Duration {
        Duration::from_micros(self.longest_late_us.load(Ordering::Relaxed))
    }

    /// The longest from the end of the sending to an arrival, not counting the time for which that client
    /// was away of its own will.
    pub fn after_sending(&self) -> Duration {
        Duration::from_micros(self.after_sending_us.load(Ordering::Relaxed))
    }

    /// How much was sent and has no answer yet.
    pub fn under_way(&self) -> u64 {
        let answered = self.acknowledged.load(Ordering::Relaxed) + self.refused_in_all();
        self.sent.load(Ordering::Relaxed).saturating_sub(answered)
    }

    fn refused_in_all(&self) -> u64 {
        lock(&self.refused).values().sum()
    }
}

/// A conversation, for people and records.
fn name(conversation: ConversationId) -> String {
    match conversation {
        ConversationId::Direct(pair) => format!("direct:{}:{}", pair.low(), pair.high()),
        ConversationId::Group(group) => format!("group:{group}"),
        ConversationId::Inbox(user) => format!("inbox:{user}"),
    }
}

fn undamaged(observed: Result<(), Damage>) {
    observed.expect("clients send once and take one answer");
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked while holding it ends the run; what is told until then is still true.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
