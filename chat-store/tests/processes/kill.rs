//! Durable: what was acknowledged survives `kill -9`, once and without a hole.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use chat_core::store::{Append, Batch, Digest, Item, Once, Outcome, SeqRef, Store, Write, WriterId};
use chat_core::{ClientId, ConversationId, Direction, Kind, Range, Timestamp, UserId};
use chat_store::sqlite::{SqliteOptions, SqliteStore};

use crate::child::{OtherProcess, role};

const NAME: &str = "kill::acknowledged_entries_survive_kill_9_once_and_without_a_hole";
const KILLS: u64 = 6;
const WRITERS: u64 = 4;
const PEERS: u64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_entries_survive_kill_9_once_and_without_a_hole() {
    if let Some((folder, run)) = role() {
        return write_until_killed(&folder, run).await;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seed = RandomState::new().hash_one(0);
    println!("seed {seed}");
    let mut acknowledged = BTreeMap::new();
    for run in 0..KILLS {
        let mut other = OtherProcess::run(NAME, folder.path(), run);
        let moment = 1 + (seed >> (8 * run)) % 1_500;
        for _ in 0..moment {
            let line = other.next_line("acknowledged").expect("it writes until it is killed");
            remember(&mut acknowledged, &line);
        }
        other.kill();
        while let Some(line) = other.next_line("acknowledged") {
            remember(&mut acknowledged, &line);
        }
        check(folder.path(), &acknowledged).await;
    }
    assert!(acknowledged.len() as u64 >= KILLS);
}

/// Notes which command stands where; a repetition must have been told the same.
fn remember(acknowledged: &mut BTreeMap<u64, (u64, u64)>, line: &str) {
    let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
    let [command, peer, seq] = numbers[..] else { panic!("three numbers expected: {line}") };
    assert_eq!(*acknowledged.entry(command).or_insert((peer, seq)), (peer, seq), "command {command}");
}

async fn check(folder: &Path, acknowledged: &BTreeMap<u64, (u64, u64)>) {
    let store = SqliteStore::open(folder, &SqliteOptions::default()).expect("it recovers");
    let mut found = BTreeMap::new();
    for peer in 1..=PEERS {
        let all = Range {
            from: 1,
            to: u64::MAX,
            direction: Direction::Forward,
            limit: usize::MAX,
            limit_bytes: usize::MAX,
        };
        let entries = store.entries(place(peer), &all).await.expect("it reads");
        let head = store.heads(&[place(peer)]).await.expect("it reads").remove(0);
        assert_eq!(head.seq, entries.len() as u64);
        assert_eq!(head.ordinal, head.seq);
        for (expected, entry) in (1..).zip(&entries) {
            assert_eq!((entry.seq, entry.ordinal), (expected, expected), "gapless");
            let id = entry.client_id.expect("each is a command");
            let command = u128::from_be_bytes(id.0) as u64;
            assert_eq!(found.insert(command, (peer, entry.seq)), None, "command {command} is there once");
        }
        let member = store.members(&[(place(peer), user(99))]).await.expect("it reads").remove(0);
        let member = member.filter(|_| head.seq > 0);
        assert_eq!(member.map_or(0, |member| member.own), head.seq, "totals are those of the log");
    }
    for (command, placed) in acknowledged {
        assert_eq!(found.get(command), Some(placed), "command {command} was acknowledged");
    }
    let records: BTreeSet<_> = found.keys().collect();
    assert_eq!(records.len(), found.len());
    store.close().await;
}

/// Commits from several tasks, and says what was acknowledged. Begins with repetitions of what the
/// run before it may or may not have committed.
async fn write_until_killed(folder: &Path, run: u64) {
    let store = Arc::new(SqliteStore::open(folder, &SqliteOptions::default()).expect("nobody else has it"));
    let next = Arc::new(AtomicU64::new(run * 1_000_000));
    println!();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (store, next) = (Arc::clone(&store), Arc::clone(&next));
        tasks.spawn(async move {
            let repeated = run.saturating_sub(1) * 1_000_000 + writer * 400;
            for number in 1.. {
                let commands: Vec<u64> = if number <= 20 {
                    (0..20).map(|index| repeated + (number - 1) * 20 + index).collect()
                } else {
                    let count = 1 + (number + writer) % 20;
                    let first = next.fetch_add(count, Ordering::Relaxed);
                    (first..first + count).collect()
                };
                let items = commands.iter().map(|command| item(*command)).collect();
                let batch =
                    Batch { writer: WriterId(run * WRITERS + writer), number, now: Timestamp(number), items };
                let outcomes = store.commit(&batch).await.expect("the disk has room");
                for (command, outcome) in commands.iter().zip(outcomes) {
                    let seq = match outcome {
                        Outcome::Committed(placed) => placed[0].seq,
                        Outcome::Duplicate(stored) => stored.seq,
                        other => panic!("nothing stands against it: {other:?}"),
                    };
                    println!("acknowledged {command} {} {seq}", peer_of(*command));
                }
            }
        });
    }
    tasks.join_all().await;
}

fn item(command: u64) -> Item {
    let conversation = place(peer_of(command));
    let once =
        Once { client_id: ClientId(u128::from(command).to_be_bytes()), sender: user(99), conversation };
    let content = Bytes::from(format!("message {command}"));
    Item {
        once: Some((once, Digest::of(&[&content]))),
        require: Vec::new(),
        append: vec![Append {
            conversation,
            sender: user(99),
            kind: Kind::new(500).expect("within bounds"),
            countable: true,
            target: None,
            content,
            changes_rules: false,
        }],
        write: vec![Write::Read { conversation, user: user(99), to: SeqRef::Appended(0) }],
    }
}

fn peer_of(command: u64) -> u64 {
    1 + command % PEERS
}

fn place(peer: u64) -> ConversationId {
    ConversationId::direct(user(99), user(peer)).expect("two users")
}

fn user(number: u64) -> UserId {
    UserId::new(number).expect("within bounds")
}
