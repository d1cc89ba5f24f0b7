//! Gates, outboxes and queues under every order of events that a random scheduler comes upon.
//!
//! Built with `--cfg interleavings` only. [`shuttle`](https://docs.rs/shuttle) runs each model some
//! thousand times, with another order of threads at every lock and atomic; a failure prints the schedule
//! that replays it, and a thread that waits for a wake that was lost is found as a deadlock.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use shuttle::future::block_on;
use shuttle::thread;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::committer::{Bounds, Gathered, Queue, Reply, Submission, Work};
use super::figures::OutboxCounts;
use super::hub::Hub;
use super::outbox::{Outbox, OutboxLimits};
use super::planted::Planted;
use super::presence::Presence;
use super::sync::{AtomicBool, AtomicUsize, Mutex};
use crate::store::{Append, Item};
use crate::{
    Chunk, ConversationId, DeviceId, EndReason, Entry, Event, GroupId, Kind, Seq, Timestamp, UserId,
};

const SCHEDULES: usize = 3_000;

/// Half of the schedules run whichever thread comes, half prefer one until a few random moments, which
/// finds what needs one thread to stand still for long.
fn explore(model: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(model.clone(), SCHEDULES / 2);
    shuttle::check_pct(model, SCHEDULES / 2, 3);
}

fn hub() -> Arc<Hub> {
    let second = Duration::from_secs(1);
    let planted = Planted::default();
    Arc::new(Hub::new(1 << 20, Arc::new(Presence::new(second, second, planted)), planted))
}

fn outbox(number: u64, session_bytes: usize) -> Arc<Outbox> {
    let limits = OutboxLimits {
        session_bytes,
        behind_marks: 8,
        total_bytes: usize::MAX,
        used_bytes: AtomicUsize::new(0),
        counts: OutboxCounts::default(),
        planted: Planted::default(),
    };
    let (user, device) = (UserId::new(number).expect("valid"), DeviceId::new(number).expect("valid"));
    Arc::new(Outbox::new(user, device, number, Arc::new(limits)))
}

fn group(number: u64) -> ConversationId {
    ConversationId::Group(GroupId::new(number).expect("valid"))
}

fn chunk(conversation: ConversationId, seq: Seq) -> Arc<Chunk> {
    let entry = Entry {
        seq,
        time: Timestamp(0),
        sender: UserId::new(99).expect("valid"),
        client_id: None,
        countable: true,
        ordinal: seq,
        target: None,
        kind: Kind::new(16).expect("valid"),
        content: Some(Bytes::from_static(b"text")),
    };
    Arc::new(Chunk::new(conversation, vec![entry]).expect("one entry"))
}

/// Where a client stands that drops overlaps and reads what it is told that it is behind in.
#[derive(Default)]
struct Client {
    positions: BTreeMap<ConversationId, Seq>,
    /// Nothing before this entry is to be told.
    first: Seq,
}

impl Client {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Entries(chunk) => {
                let position = self.positions.entry(chunk.conversation()).or_default();
                assert!(chunk.first() >= self.first, "{} was before", chunk.first());
                assert!(chunk.first() <= *position + 1, "a gap: {} after {position}", chunk.first());
                *position = chunk.last().max(*position);
            }
            Event::Behind { conversation, upto } => {
                let position = self.positions.entry(*conversation).or_default();
                *position = (*upto).max(*position);
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    /// Waits for events until it has everything up to a seq.
    fn reach(&mut self, outbox: &Outbox, conversation: ConversationId, seq: Seq) {
        while self.positions.get(&conversation).is_none_or(|position| *position < seq) {
            let event = block_on(poll_fn(|cx| outbox.poll_take(cx)));
            self.take(&event.expect("the session goes on"));
        }
    }
}

/// Commits entries, and offers each once it is committed, as committers of several nodes do.
fn write(hub: &Hub, head: &Mutex<Seq>, conversation: ConversationId, entries: usize) {
    for _ in 0..entries {
        let seq = {
            let mut head = head.lock().expect("no model panics with it");
            *head += 1;
            *head
        };
        hub.offer(chunk(conversation, seq));
    }
}

/// Offers what gates miss, as it is stored.
fn fill_holes(hub: &Hub, head: &Mutex<Seq>) {
    let (holes, _) = hub.take_holes(Instant::now());
    for conversation in holes {
        if let Some((from, to)) = hub.gate(&conversation).and_then(|gate| gate.missing()) {
            let stored = *head.lock().expect("no model panics with it");
            (from..=to.min(stored)).for_each(|seq| hub.offer(chunk(conversation, seq)));
        }
    }
}

/// Listens, then reads the head: what follows it will be heard.
fn listen(hub: &Hub, head: &Mutex<Seq>, conversation: ConversationId, outbox: &Arc<Outbox>) -> Client {
    let known = hub.attach(conversation, outbox);
    let read = *head.lock().expect("no model panics with it");
    if !known {
        hub.begin(&conversation, outbox, read);
    }
    Client { positions: BTreeMap::from([(conversation, read)]), first: 0 }
}

/// Says where the gates begin that were opened meanwhile. What is there by then, the client reads.
fn begun(hub: &Hub, head: &Mutex<Seq>, outbox: &Outbox, client: &mut Client) {
    for conversation in outbox.take_opened() {
        let read = *head.lock().expect("no model panics with it");
        hub.begin(&conversation, outbox, read);
        client.positions.insert(conversation, read);
    }
}

type Task = Box<dyn FnOnce(&Hub, &Mutex<Seq>) + Send>;

/// Runs tasks beside what an engine runs beside its gates, and then ends that.
fn run(hub: &Arc<Hub>, head: &Arc<Mutex<Seq>>, tasks: Vec<Task>) {
    let over = Arc::new(AtomicBool::new(false));
    let helpers = [Helper::FanOut, Helper::Repair].map(|helper| {
        let (hub, head, over) = (Arc::clone(hub), Arc::clone(head), Arc::clone(&over));
        thread::spawn(move || {
            block_on(async {
                while !over.load(Ordering::Acquire) {
                    match helper {
                        // More than one listener is too many for a writer here: turns are left to it.
                        Helper::FanOut => {
                            while hub.run_turn().await {}
                            hub.turns_wake.notified().await;
                        }
                        Helper::Repair => {
                            fill_holes(&hub, &head);
                            hub.holes_wake.notified().await;
                        }
                    }
                }
            });
        })
    });
    let tasks: Vec<_> = tasks
        .into_iter()
        .map(|task| {
            let (hub, head) = (Arc::clone(hub), Arc::clone(head));
            thread::spawn(move || task(&hub, &head))
        })
        .collect();
    tasks.into_iter().for_each(|task| task.join().expect("it holds"));
    over.store(true, Ordering::Release);
    hub.turns_wake.notify_one();
    hub.holes_wake.notify_one();
    helpers.into_iter().for_each(|helper| helper.join().expect("it holds"));
}

#[derive(Clone, Copy)]
enum Helper {
    FanOut,
    Repair,
}

#[test]
fn sessions_that_begin_while_others_write_hear_everything_in_order() {
    explore(|| {
        let (hub, head) = (hub(), Arc::new(Mutex::new(0)));
        let writer = || -> Task { Box::new(|hub, head| write(hub, head, group(1), 2)) };
        let listener = |number| -> Task {
            Box::new(move |hub, head| {
                let outbox = outbox(number, 1 << 20);
                hub.add_session(&outbox);
                let mut client = listen(hub, head, group(1), &outbox);
                client.reach(&outbox, group(1), 4);
                hub.remove_session(&outbox);
            })
        };
        run(&hub, &head, vec![writer(), writer(), listener(1), listener(2)]);
        assert!(hub.gate(&group(1)).is_none(), "the last to leave closes the gate");
    });
}

#[test]
fn a_direct_conversation_is_heard_from_its_first_entry_by_who_was_there_and_who_comes() {
    explore(|| {
        let (hub, head) = (hub(), Arc::new(Mutex::new(0)));
        let (there, comes) = (outbox(1, 1 << 20), outbox(2, 1 << 20));
        let pair = ConversationId::direct(there.user, comes.user).expect("two users");
        hub.add_session(&there);
        there.take_opened();
        run(
            &hub,
            &head,
            vec![
                Box::new(move |hub, head| write(hub, head, pair, 2)),
                Box::new(move |hub, head| write(hub, head, pair, 1)),
                Box::new(move |_, _| Client::default().reach(&there, pair, 3)),
                Box::new(move |hub, head| {
                    hub.add_session(&comes);
                    // Who finds no such conversation listens to none.
                    let found = *head.lock().expect("no model panics with it") > 0;
                    let mut client = if found { listen(hub, head, pair, &comes) } else { Client::default() };
                    begun(hub, head, &comes, &mut client);
                    client.reach(&comes, pair, 3);
                }),
            ],
        );
    });
}

#[test]
fn who_begins_while_the_node_hears_of_what_was_before_is_told_nothing_of_it() {
    explore(|| {
        let (hub, head) = (hub(), Arc::new(Mutex::new(0)));
        let outboxes = [outbox(1, 1 << 20), outbox(2, 1 << 20)];
        let pair = ConversationId::direct(outboxes[0].user, outboxes[1].user).expect("two users");
        write(&hub, &head, pair, 3);
        let mut tasks: Vec<Task> = vec![
            Box::new(move |hub, _| hub.note(&pair, 2)),
            Box::new(move |hub, head| {
                hub.note(&pair, 3);
                write(hub, head, pair, 1);
            }),
        ];
        tasks.extend(outboxes.map(|outbox| -> Task {
            Box::new(move |hub, head| {
                hub.add_session(&outbox);
                let mut client = listen(hub, head, pair, &outbox);
                begun(hub, head, &outbox, &mut client);
                client.first = 4;
                client.reach(&outbox, pair, 4);
            })
        }));
        run(&hub, &head, tasks);
    });
}

#[test]
fn a_session_that_ends_while_it_begins_to_listen_stays_in_no_gate() {
    explore(|| {
        let (hub, outbox) = (hub(), outbox(1, 1 << 20));
        hub.add_session(&outbox);
        let ending = thread::spawn({
            let (hub, outbox) = (Arc::clone(&hub), Arc::clone(&outbox));
            move || {
                outbox.end(EndReason::LoggedOut);
                hub.remove_session(&outbox);
            }
        });
        let removing = thread::spawn({
            let (hub, outbox) = (Arc::clone(&hub), Arc::clone(&outbox));
            move || hub.leave(&group(1), &outbox)
        });
        for number in 1..=2 {
            if !hub.attach(group(number), &outbox) {
                hub.begin(&group(number), &outbox, 0);
            }
        }
        ending.join().expect("it holds");
        removing.join().expect("it holds");
        for number in 1..=2 {
            assert!(hub.gate(&group(number)).is_none());
        }
        assert!(outbox.take_attached().is_empty());
    });
}

#[test]
fn a_queue_that_overflows_while_it_is_read_loses_nothing_and_gives_every_byte_back() {
    explore(|| {
        let room = 2 * chunk(group(1), 1).size_bytes();
        let outbox = outbox(1, room);
        let gates: Vec<_> = (1..=2)
            .map(|number| {
                let outbox = Arc::clone(&outbox);
                thread::spawn(move || {
                    for seq in 1..=3 {
                        outbox.push(&chunk(group(number), seq));
                    }
                })
            })
            .collect();
        let mut client = Client::default();
        client.reach(&outbox, group(1), 3);
        client.reach(&outbox, group(2), 3);
        gates.into_iter().for_each(|gate| gate.join().expect("it holds"));
        assert!(outbox.take().is_none());
        assert_eq!(outbox.used_bytes(), 0);
    });
}

#[test]
fn what_the_committers_queue_took_is_gathered_whenever_it_is_closed_and_of_a_conversation_in_order() {
    explore(|| {
        let bounds = Bounds { rows: 4, bytes: 1 << 20, batch_rows: 2, batch_bytes: 1 << 20, batches: 2 };
        let queue = Arc::new(Queue::new(bounds));
        let pushing: Vec<_> = (1..=2)
            .map(|about| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    (1..=3).filter(|number| queue.push(submission(about, *number)).is_ok()).count()
                })
            })
            .collect();
        let closing = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.close()
        });
        // What each conversation's last was, under a lock that is tried and never waited for.
        let last = Arc::new([Mutex::new(0), Mutex::new(0)]);
        let committers: Vec<_> = (0..2)
            .map(|_| {
                let (queue, last) = (Arc::clone(&queue), Arc::clone(&last));
                thread::spawn(move || commit_all(&queue, &last))
            })
            .collect();
        closing.join().expect("it holds");
        let taken: usize = pushing.into_iter().map(|task| task.join().expect("it holds")).sum();
        let gathered: usize = committers.into_iter().map(|task| task.join().expect("it holds")).sum();
        assert_eq!(gathered, taken);
        assert_eq!(queue.waiting(), (0, 0));
    });
}

/// Commits what there is until the queue is closed: first gives all of a batch back to be decided again
/// but what comes first.
fn commit_all(queue: &Queue, last: &[Mutex<u64>; 2]) -> usize {
    let mut committed = 0;
    while let Some(Gathered { submissions, lanes }) = block_on(queue.gather()) {
        let mut submissions = submissions.into_iter();
        if let Some(Submission { work: Work::Item(item), .. }) = submissions.next() {
            let appended = &item.append[0];
            let ConversationId::Group(about) = appended.conversation else { panic!("they are about groups") };
            let mut last = last[about.number() as usize - 1].try_lock().expect("nobody else has it");
            let number = u64::from(appended.kind.number());
            assert!(number > *last, "{number} after {last}");
            *last = number;
            committed += 1;
        }
        queue.release(lanes, submissions.collect());
    }
    committed
}

fn submission(about: u64, number: u64) -> Submission {
    let append = Append {
        conversation: group(about),
        sender: UserId::new(99).expect("valid"),
        kind: Kind::new(16 + number).expect("valid"),
        countable: true,
        target: None,
        content: Bytes::from_static(b"text"),
        changes_rules: false,
    };
    let work = Work::Item(Box::new(Item { append: vec![append], ..Item::default() }));
    let (waiting, _) = oneshot::channel();
    let reply = Reply::to(waiting, &work);
    Submission::new(&group(about), work, Instant::now(), reply)
}
