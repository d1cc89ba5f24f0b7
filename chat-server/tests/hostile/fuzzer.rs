//! Peers who speak almost correct protocol, on many connections at a time, while others chat.
//!
//! What every peer sends follows from a seed, which is printed when something does not hold.
//! `FUZZ_SEED` runs one seed, `FUZZ_SEEDS` so many from there on:
//!
//! ```text
//! FUZZ_SEED=1000 FUZZ_SEEDS=50 cargo test -p chat-server --all-features --test hostile fuzzer -- --nocapture
//! ```
//!
//! An oracle (`fuzzer/oracle.rs`) reads what a peer sent as the server has to read it, and asks of the
//! answers that each request got one, each violation an error or a close with a code that it deserves,
//! and that nothing of what others say was heard. Those others lose nothing, and hear nothing twice.

mod mutation;
mod oracle;
mod random;
mod script;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chat_core::{ConversationId, GroupId};
use chat_proto::message::{CloseCode, Reply, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::alone;
use crate::connection::Connection;
use crate::honest::{Pair, SECRET};
use crate::measured::{Before, files_come_back, open_files};
use crate::requests::{group_of, text};
use crate::server::{Installation, Kind, in_time};
use oracle::Hearing;
use random::Random;
use script::World;

/// Run by default.
const SEEDS: [u64; 3] = [1, 2, 3];
const PAIRS: usize = 3;
/// Peers at the same time, and connections that each makes one after the other.
const PEERS: u64 = 16;
const ROUNDS: u64 = 40;
/// What the honest say in their group before.
const IN_THE_GROUP: u64 = 20;

/// What these peers may leave in caches of the store and of the engine, in logs, and in the allocator; what
/// waits in connections is far below its limit.
const MARGIN_BYTES: u64 = 96 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn almost_correct_protocol_is_answered_or_closed_and_harms_nobody() {
    let _alone = alone().await;
    for seed in seeds() {
        let told = Told(seed);
        run(seed).await;
        drop(told);
    }
}

fn seeds() -> Vec<u64> {
    let number = |name| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
    };
    match (number("FUZZ_SEED"), number("FUZZ_SEEDS")) {
        (None, None) => SEEDS.into(),
        (first, count) => {
            let first = first.unwrap_or(1);
            (first..first + count.unwrap_or(1)).collect()
        }
    }
}

/// Says how to run a seed again that failed.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.0;
            eprintln!(
                "again: FUZZ_SEED={seed} cargo test -p chat-server --all-features --test hostile fuzzer"
            );
        }
    }
}

async fn run(seed: u64) {
    let installation = Installation::with(Kind::Embedded, &[("CHAT_LOG", "info")]).await;
    let server = installation.start();
    let (memory, files) = (Before::of(&server), open_files(&server));
    let (mut pairs, mut host, world) = begin(&server.address).await;
    let world = Arc::new(world);
    let group = ConversationId::Group(world.group);
    let before = host.log(group).await;
    let talks: Vec<_> = pairs.drain(..).map(Pair::talk).collect();

    let mut peers = JoinSet::new();
    for peer in 0..PEERS {
        let (address, world) = (server.address.clone(), Arc::clone(&world));
        peers.spawn(async move {
            let mut closes = Vec::new();
            for round in 0..ROUNDS {
                closes.extend(be_hostile(&address, &world, Random::of(seed, peer, round), peer, round).await);
            }
            closes
        });
    }
    let mut closes = BTreeMap::<_, u32>::new();
    while let Some(peer) = peers.join_next().await {
        match peer {
            Ok(ends) => ends.iter().for_each(|code| *closes.entry(code.number()).or_default() += 1),
            Err(failure) => std::panic::resume_unwind(failure.into_panic()),
        }
    }
    println!("seed {seed}: closed with {closes:?}");
    assert!(closes.len() >= 3, "hardly anything was wrong");

    for talk in talks {
        let (mut pair, latencies) = talk.end().await;
        latencies.report("a pair");
        pair.has_everything().await;
        pair.leave().await;
    }
    assert_eq!(host.log(group).await, before, "nobody else writes there, and nothing is changed");
    host.leave().await;
    memory.grew_within(&server, &[("margin", MARGIN_BYTES)]);
    files_come_back(&server, files).await;
    server.stop().await;
    assert!(!installation.log().contains(" ERROR "), "{}", installation.log());
}

/// Everybody who is there before it begins: pairs, one who has a group with them, and those who mean harm.
async fn begin(address: &str) -> (Vec<Pair>, Connection, World) {
    let mut pairs = Vec::new();
    for number in 0..PAIRS {
        let names = [format!("honest{}", 2 * number), format!("honest{}", 2 * number + 1)];
        pairs.push(Pair::join(address, [&names[0], &names[1]]).await);
    }
    let honest: Vec<_> = pairs.iter().flat_map(Pair::users).collect();
    let mut theirs: Vec<_> = pairs.iter().map(|pair| pair.conversation).collect();
    let (mut host, _) = Connection::join(address, "host").await;
    let group = found(&mut host, group_of(1, honest.clone())).await;
    let conversation = ConversationId::Group(group);
    for number in 0..IN_THE_GROUP {
        host.ask(text(10 + number, conversation, SECRET)).await.expect("a member writes");
    }
    theirs.push(conversation);
    let mut hostile = Vec::new();
    for number in 0..PEERS {
        let name = format!("hostile{number}");
        let (connection, logged_in) = Connection::join(address, &name).await;
        hostile.push((name, logged_in.session.user, logged_in.token.expect("a new device")));
        connection.leave().await;
    }
    (pairs, host, World { honest, theirs, group, hostile })
}

async fn found(host: &mut Connection, group: chat_core::CreateGroup) -> GroupId {
    match host.ask(Request::CreateGroup(group)).await {
        Ok(Reply::GroupCreated(created)) => created.group,
        other => panic!("a group expected: {other:?}"),
    }
}

/// One connection; says how it was closed, if it was.
async fn be_hostile(
    address: &str,
    world: &World,
    mut random: Random,
    peer: u64,
    round: u64,
) -> Option<CloseCode> {
    let script = script::script(&mut random, world, &format!("new{peer}x{round}"));
    let stream = mutation::mutated(&mut random, script).concat();
    let (said, hearing) = match random.below(5) {
        0 => (&stream[..random.below(stream.len() + 1)], Hearing::Cut),
        1 => (&stream[..], Hearing::Cut),
        _ => (&stream[..], Hearing::Whole),
    };
    let parts = split(&mut random, said);
    let heard = talk(address, parts, hearing).await;
    oracle::judge(said, &heard, hearing)
}

/// The stream as it leaves: at once, or in pieces of any length.
fn split(random: &mut Random, said: &[u8]) -> Vec<Bytes> {
    let longest = *random.one_of(&[usize::MAX, usize::MAX, 4_000, 300]);
    let mut rest = Bytes::copy_from_slice(said);
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let length = if longest == usize::MAX { rest.len() } else { 1 + random.below(longest) };
        parts.push(rest.split_to(length.min(rest.len())));
    }
    parts
}

/// Says all of it and hears what is answered.
async fn talk(address: &str, parts: Vec<Bytes>, hearing: Hearing) -> Vec<u8> {
    let stream = in_time("a connection", TcpStream::connect(address)).await.expect("the server accepts");
    stream.set_nodelay(true).expect("it is connected");
    let (mut reading, mut writing) = stream.into_split();
    let saying = async move {
        for part in parts {
            // The server may have hung up.
            if writing.write_all(&part).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if hearing == Hearing::Whole {
            let _ = writing.shutdown().await;
        }
        writing
    };
    let mut heard = Vec::new();
    if hearing == Hearing::Cut {
        let writing = in_time("the server reads", saying).await;
        let _ = reading.try_read_buf(&mut heard);
        let stream = reading.reunite(writing).expect("halves of one");
        stream.set_zero_linger().expect("it is connected");
        return heard;
    }
    let hearing = async { reading.read_to_end(&mut heard).await.expect("an end in order") };
    in_time("the server's end", async { tokio::join!(saying, hearing) }).await;
    heard
}
