//! Clients that send and listen all the time, and an oracle that knows what they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chat_core::{Body, ClientId, ContactAction, ConversationId, Entry, Ephemeral, Seq, UserId};
use chat_proto::client::{Account, Client, ClientEvent, ClientEvents};
use tokio::task::{JoinHandle, JoinSet};

use crate::clients::{self, read_log, seqs};
use crate::requests::{self, group_of, said};
use crate::server::{LOOK, in_time};

/// Two for each node.
pub(crate) const PEOPLE: usize = 6;

/// Each person sends so often, and has at most so many sends under way.
const PACE: Duration = Duration::from_millis(15);
const UNDER_WAY: usize = 16;

/// Everything arrives within two seconds of its commit. A machine that is busy with other things may
/// add to that; what was measured is printed.
const ON_TIME: Duration = Duration::from_secs(2 + 3);

/// Six people, all in one group, each pair of neighbours in a conversation of its own, all contacts of
/// each other. Each sends to the group and to a neighbour until the load is finished.
pub(crate) struct Load {
    pub(crate) people: Vec<Person>,
    stop: Arc<AtomicBool>,
    told: Arc<AtomicU64>,
    sending: Vec<JoinHandle<Vec<Sent>>>,
    outages: Vec<Outage>,
}

/// When there was no store, whatever else there was: nothing could be read by whoever lacked it.
#[derive(Clone, Copy)]
struct Outage {
    begun: Instant,
    ended: Instant,
}

/// One of them.
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) account: Account,
    heard: Arc<Mutex<Heard>>,
    listening: JoinHandle<()>,
}

/// What somebody was told of a message of theirs.
struct Sent {
    place: ConversationId,
    id: ClientId,
    words: String,
    seq: Seq,
    begun: Instant,
    acknowledged: Instant,
}

/// What somebody has heard, and when.
#[derive(Default)]
struct Heard {
    entries: BTreeMap<ConversationId, Vec<(Instant, Entry)>>,
    presence: Vec<(Instant, UserId, bool)>,
    /// From the end of a connection until everything was caught up with.
    away: Vec<(Instant, Option<Instant>)>,
}

impl Heard {
    fn was_away(&self, from: Instant, to: Instant) -> bool {
        self.away.iter().any(|(gone, back)| *gone <= to && back.is_none_or(|back| back >= from))
    }
}

impl Person {
    async fn join(address: &str, name: &str) -> Self {
        let mut config = clients::config(address);
        // A node that accepts and says nothing is left soon.
        config.connect_timeout = Duration::from_secs(2);
        let (client, events) = Client::connect(config).await.expect("the server accepts");
        let account = client.register(requests::registration(name)).await.expect("a new account");
        let heard = Arc::new(Mutex::new(Heard::default()));
        let listening = tokio::spawn(listen(events, Arc::clone(&heard)));
        Self { client, account, heard, listening }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn position(&self, of: ConversationId) -> Seq {
        let heard = self.heard();
        heard.entries.get(&of).and_then(|log| log.last()).map_or(0, |(_, entry)| entry.seq)
    }

    /// Becomes a contact of somebody.
    pub(crate) async fn befriend(&self, user: UserId) {
        let request = ContactAction::Request { note: String::new() };
        self.client.contact(self.client.new_id(), user, request).await.expect("contacts");
    }

    /// Waits until somebody was last seen so; says when that was.
    pub(crate) async fn saw(&self, user: UserId, online: bool) -> Instant {
        in_time("somebody comes or goes", async {
            loop {
                let seen = self.heard().presence.iter().rfind(|seen| seen.1 == user).copied();
                if let Some((when, _, seen)) = seen
                    && seen == online
                {
                    return when;
                }
                tokio::time::sleep(LOOK).await;
            }
        })
        .await
    }
}

async fn listen(mut events: ClientEvents, heard: Arc<Mutex<Heard>>) {
    while let Some(event) = events.next().await {
        let now = Instant::now();
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            ClientEvent::Entry { conversation, entry } => {
                heard.entries.entry(conversation).or_default().push((now, entry));
            }
            ClientEvent::Ephemeral(Ephemeral::Presence { user, online }) => {
                heard.presence.push((now, user, online));
            }
            ClientEvent::Disconnected { .. } => heard.away.push((now, None)),
            ClientEvent::CaughtUp => {
                heard.away.iter_mut().for_each(|(_, back)| *back = back.or(Some(now)));
            }
            ClientEvent::Ended(reason) => panic!("the client ended: {reason:?}"),
            ClientEvent::GaveUp(error) => panic!("the client gave up: {error}"),
            _ => {}
        }
    }
}

impl Load {
    /// Starts it: the people connect to these addresses in turn.
    pub(crate) async fn start(addresses: &[String]) -> Self {
        let mut people = Vec::new();
        for number in 0..PEOPLE {
            people.push(Person::join(&addresses[number % addresses.len()], &format!("user{number}")).await);
        }
        let users: Vec<_> = people.iter().map(|one| one.account.user).collect();
        for (number, one) in people.iter().enumerate() {
            for other in &users[number + 1..] {
                one.befriend(*other).await;
            }
        }
        let created = people[0].client.create_group(group_of(1, users.clone())).await.expect("a group");
        let group = ConversationId::Group(created.group);
        let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let sending = (0..PEOPLE).map(|number| {
            let pair =
                ConversationId::direct(users[number], users[(number + 1) % PEOPLE]).expect("two users");
            let client = people[number].client.clone();
            tokio::spawn(send(client, number, [group, pair], Arc::clone(&stop), Arc::clone(&told)))
        });
        let sending = sending.collect();
        let load = Self { people, stop, told, sending, outages: Vec::new() };
        load.goes_on().await;
        load
    }

    /// Does what takes the store away and brings it back. What is due in that time is due when it is over.
    pub(crate) async fn without_store<T>(&mut self, outage: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let outcome = outage.await;
        self.outages.push(Outage { begun, ended: Instant::now() });
        outcome
    }

    /// Waits until many more messages were acknowledged.
    pub(crate) async fn goes_on(&self) {
        let enough = self.told.load(Ordering::Relaxed) + 200;
        in_time("progress", async {
            while self.told.load(Ordering::Relaxed) < enough {
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
    }

    /// Sends no more, waits until everybody has everything, and compares: what was acknowledged, what
    /// everybody heard, and what the store holds.
    pub(crate) async fn finish(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let mut sent = Vec::new();
        for one in self.sending {
            sent.push(in_time("all sends", one).await.expect("every send is acknowledged"));
        }
        let mut last: BTreeMap<ConversationId, Seq> = BTreeMap::new();
        for one in sent.iter().flatten() {
            let last = last.entry(one.place).or_default();
            *last = one.seq.max(*last);
        }
        let users: Vec<_> = self.people.iter().map(|one| one.account.user).collect();
        let members = |place: ConversationId| {
            let is_member = move |user: &UserId| match place {
                ConversationId::Direct(pair) => pair.contains(*user),
                _ => true,
            };
            users.iter().enumerate().filter(move |(_, user)| is_member(user)).map(|(number, _)| number)
        };
        // Nothing new is written that could bring to light what is missing.
        in_time("everybody has everything", async {
            for (place, last) in &last {
                for member in members(*place) {
                    while self.people[member].position(*place) < *last {
                        assert!(!self.people[member].listening.is_finished(), "user{member} goes on");
                        tokio::time::sleep(LOOK).await;
                    }
                }
            }
        })
        .await;

        let mut report = Report { outages: self.outages, ..Report::default() };
        for place in last.keys() {
            let reader = members(*place).next().expect("it has members");
            let log = read_log(&mut self.people[reader].client.clone(), *place).await;
            assert_eq!(seqs(&log), (1..=log.len() as u64).collect::<Vec<_>>(), "gapless");
            assert_all_once(*place, &log, sent.iter().flatten());
            for member in members(*place) {
                let heard = self.people[member].heard();
                let entries: Vec<_> = heard.entries[place].iter().map(|(_, entry)| entry.clone()).collect();
                // Where somebody became a member stands in the state already: they may start after that.
                let missing = log.len() - entries.len();
                assert!(missing <= 1, "user{member} has heard nothing twice, and misses nothing");
                assert_eq!(entries, log[missing..], "user{member} heard the log");
                report.add_delays(&heard, *place, sent.iter().flatten());
            }
        }
        for (number, (one, sent)) in self.people.iter().zip(&sent).enumerate() {
            let heard = one.heard();
            let longest = sent.iter().map(|one| one.acknowledged - one.begun).max().unwrap_or_default();
            report.longest_sends.push(longest);
            report.times_away.push(heard.away.len());
            let gone = heard.presence.iter().filter(|(_, _, online)| !online).map(|(_, user, _)| *user);
            report.seen_offline.extend(gone.filter_map(|gone| users.iter().position(|user| *user == gone)));
            println!("user{number}: longest send {longest:?}, {} times away", heard.away.len());
        }
        for one in &self.people {
            one.client.close().await;
        }
        println!("{} messages, latest {:?}", sent.iter().flatten().count(), report.latest);
        report
    }
}

/// Every message that was acknowledged stands where its sender was told, and there is no other.
fn assert_all_once<'a>(place: ConversationId, log: &[Entry], sent: impl Iterator<Item = &'a Sent>) {
    let mut count = 0;
    for one in sent.filter(|one| one.place == place) {
        let entry = &log[usize::try_from(one.seq).expect("small") - 1];
        assert_eq!((entry.client_id, said(entry)), (Some(one.id), one.words.clone()));
        count += 1;
    }
    let messages: Vec<_> = log.iter().filter(|entry| entry.countable).collect();
    let ids: BTreeSet<_> = messages.iter().filter_map(|entry| entry.client_id).collect();
    assert_eq!((messages.len(), ids.len()), (count, count), "all, once, and nothing else");
}

async fn send(
    client: Client,
    sender: usize,
    places: [ConversationId; 2],
    stop: Arc<AtomicBool>,
    told: Arc<AtomicU64>,
) -> Vec<Sent> {
    let (mut sent, mut under_way) = (Vec::new(), JoinSet::new());
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for number in 1.. {
        pace.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        while under_way.len() >= UNDER_WAY {
            sent.extend(under_way.join_next().await.map(|one| one.expect("it is stored")));
        }
        let (place, id, words) = (places[number % 2], client.new_id(), format!("{sender} {number}"));
        let mut command = requests::message(0, place, Body::Text(words.clone()));
        command.client_id = id;
        let begun = Instant::now();
        let pending = client.begin_send(command).await.expect("the client goes on");
        let told = Arc::clone(&told);
        under_way.spawn(async move {
            let receipt = pending.await.expect("it is repeated until it is stored");
            told.fetch_add(1, Ordering::Relaxed);
            Sent { place, id, words, seq: receipt.seq, begun, acknowledged: Instant::now() }
        });
    }
    sent.extend(under_way.join_all().await);
    sent
}

/// What a load was like.
#[derive(Default)]
pub(crate) struct Report {
    outages: Vec<Outage>,
    /// From an acknowledgement until the last of those had it who were connected all the time. Where the
    /// store was away in between, from its return.
    latest: Duration,
    /// Of each person.
    pub(crate) longest_sends: Vec<Duration>,
    pub(crate) times_away: Vec<usize>,
    /// The people whom another one saw go.
    pub(crate) seen_offline: BTreeSet<usize>,
}

impl Report {
    fn add_delays<'a>(&mut self, heard: &Heard, place: ConversationId, sent: impl Iterator<Item = &'a Sent>) {
        let times: BTreeMap<_, _> =
            heard.entries[&place].iter().map(|(when, entry)| (entry.seq, *when)).collect();
        for one in sent.filter(|one| one.place == place) {
            let Some(when) = times.get(&one.seq) else { continue };
            if !heard.was_away(one.acknowledged, *when) {
                let due = self.due_from(one.acknowledged, *when);
                self.latest = self.latest.max(when.saturating_duration_since(due));
            }
        }
    }

    /// From when on it counts how late something arrived.
    fn due_from(&self, acknowledged: Instant, arrived: Instant) -> Instant {
        let between = self.outages.iter().filter(|one| one.begun <= arrived && acknowledged <= one.ended);
        between.map(|one| one.ended).fold(acknowledged, Instant::max)
    }

    /// Whoever was connected had everything in time.
    pub(crate) fn assert_on_time(&self) {
        assert!(self.latest < ON_TIME, "something arrived after {:?}", self.latest);
    }

    /// Nobody was seen to go.
    pub(crate) fn assert_no_flicker(&self) {
        assert!(self.seen_offline.is_empty(), "seen to go: {:?}", self.seen_offline);
    }
}
