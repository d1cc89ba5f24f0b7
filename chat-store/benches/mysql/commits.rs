//! Batches that the store commits, beside the bare limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chat_core::store::{Append, Batch, Digest, Item, Once, Outcome, Precondition, Store, WriterId};
use chat_core::{ClientId, ConversationId, GroupId, Kind, Timestamp, UserId};
use chat_store::mysql::{MysqlOptions, MysqlStore};
use mysql_async::prelude::Queryable;

use super::Failure;
use super::bare::{self, Bare};
use super::load::{CONTENT, Load, Message, median, rate};
use super::server::Server;

const SPAN: Duration = Duration::from_secs(3);
const RUNS: usize = 3;

/// Prints a line for each size of batches and number of writers.
pub(crate) async fn measure(server: &Server) -> Result<(), Failure> {
    println!("writers | batch | bare rows/s | store rows/s | of bare | statements, prepared per batch");
    for writers in [1, 4] {
        let (of_bare, of_store) = (server.database().await, server.database().await);
        let mut options = MysqlOptions::default();
        options.writers = writers;
        // It makes the tables.
        MysqlStore::connect(&of_bare, &options).await?.close().await;
        let store = Arc::new(MysqlStore::connect(&of_store, &options).await?);
        let mut committers: Vec<Committer> = Vec::new();
        let mut bares = Vec::new();
        for writer in 0..writers as u64 {
            let load = Load::of(writer, writers as u64);
            bares.push(Bare::connect(&of_bare, load.clone()).await?);
            committers.push(Committer::begin(Arc::clone(&store), load).await?);
        }
        for batch in [1, 10, 100, 1_000] {
            let (mut rates, mut shares, mut statements) = ([vec![], vec![]], vec![], vec![]);
            for _ in 0..RUNS {
                let bare;
                (bares, bare) = bare::rate(bares, batch, SPAN).await?;
                let before = questions(server).await?;
                let (returned, back) = std::sync::mpsc::channel();
                let count = Arc::new(AtomicU64::new(0));
                let committed = rate(SPAN, batch, committers.drain(..), |committer, until| {
                    let (returned, count) = (returned.clone(), Arc::clone(&count));
                    async move {
                        let (committer, batches) = committer.run(batch, until).await?;
                        returned.send(committer)?;
                        count.fetch_add(batches, Ordering::Relaxed);
                        Ok(batches)
                    }
                })
                .await?;
                committers.extend(back.try_iter());
                let after = questions(server).await?;
                let batches = count.load(Ordering::Relaxed) as f64;
                statements.push([0, 1].map(|kind| (after[kind] - before[kind]) as f64 / batches));
                rates[0].push(bare);
                rates[1].push(committed);
                shares.push(committed / bare);
            }
            let [bare, committed] = rates.map(median);
            let [ran, prepared] = [0, 1].map(|kind| median(statements.iter().map(|of| of[kind]).collect()));
            println!(
                "{writers} | {batch} | {bare:.0} | {committed:.0} | {:.2} | {ran:.1}, {prepared:.2}",
                median(shares)
            );
        }
        store.close().await;
    }
    Ok(())
}

/// How many statements the server has run and prepared for clients so far.
async fn questions(server: &Server) -> Result<[u64; 2], Failure> {
    let mut admin = server.admin().await;
    let mut found = [0; 2];
    for (number, name) in ["Questions", "Com_stmt_prepare"].iter().enumerate() {
        let value = format!("SHOW GLOBAL STATUS LIKE '{name}'");
        let value: Option<(String, u64)> = admin.query_first(value).await?;
        found[number] = value.map_or(0, |(_, value)| value);
    }
    admin.disconnect().await?;
    Ok(found)
}

/// A writer of the journal that commits a batch after the other.
struct Committer {
    store: Arc<MysqlStore>,
    writer: WriterId,
    load: Load,
    number: u64,
}

impl Committer {
    async fn begin(store: Arc<MysqlStore>, mut load: Load) -> Result<Self, Failure> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let writer = WriterId(NEXT.fetch_add(1, Ordering::Relaxed));
        let first = load.each();
        let mut committer = Self { store, writer, load, number: 0 };
        for some in first.chunks(1_000) {
            committer.commit(some).await?;
        }
        Ok(committer)
    }

    async fn run(mut self, batch: usize, until: Instant) -> Result<(Self, u64), Failure> {
        let before = self.number;
        while Instant::now() < until {
            let messages = self.load.draw(batch);
            self.commit(&messages).await?;
        }
        let batches = self.number - before;
        Ok((self, batches))
    }

    async fn commit(&mut self, messages: &[Message]) -> Result<(), Failure> {
        self.number += 1;
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_millis() as u64;
        let items = messages.iter().map(item).collect();
        let batch = Batch { writer: self.writer, number: self.number, now: Timestamp(now), items };
        let outcomes = self.store.commit(&batch).await?;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed(_))));
        Ok(())
    }
}

/// A message as the engine writes it.
fn item(message: &Message) -> Item {
    let conversation = ConversationId::Group(GroupId::new(message.conversation).expect("within bounds"));
    let sender = UserId::new(message.sender).expect("within bounds");
    let once = Once { client_id: ClientId(message.client_id), sender, conversation };
    let append = Append {
        conversation,
        sender,
        kind: Kind::new(500).expect("within bounds"),
        countable: true,
        target: None,
        content: Bytes::from_static(&CONTENT),
        changes_rules: false,
    };
    Item {
        once: Some((once, Digest([7; 16]))),
        require: vec![Precondition::Rules(conversation, 0)],
        append: vec![append],
        write: Vec::new(),
    }
}
