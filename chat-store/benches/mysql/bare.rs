//! The bare limit: for each batch one transaction with one multi-row insert into the log and one
//! multi-row upsert of heads, into the store's own tables. No reads, no totals, no journal.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chat_core::{ConversationId, GroupId};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Value};

use super::Failure;
use super::load::{self, CONTENT, Load, Message};

/// One connection, and the heads of its conversations.
pub(crate) struct Bare {
    conn: Conn,
    load: Load,
    seqs: BTreeMap<u64, u64>,
}

impl Bare {
    pub(crate) async fn connect(url: &str, load: Load) -> Result<Self, Failure> {
        let mut conn = Conn::from_url(format!("{url}?prefer_socket=false")).await?;
        conn.query_drop("SET NAMES binary, SESSION autocommit = 0").await?;
        let mut bare = Self { conn, load, seqs: BTreeMap::new() };
        for some in bare.load.each().chunks(1_000) {
            bare.write(some).await?;
        }
        Ok(bare)
    }

    async fn run(mut self, batch: usize, until: Instant) -> Result<(Self, u64), Failure> {
        let mut batches = 0;
        while Instant::now() < until {
            let messages = self.load.draw(batch);
            self.write(&messages).await?;
            batches += 1;
        }
        Ok((self, batches))
    }

    async fn write(&mut self, messages: &[Message]) -> Result<(), Failure> {
        let mut rows = Vec::with_capacity(messages.len() * 11);
        let mut moved = BTreeMap::new();
        for message in messages {
            let seq = self.seqs.entry(message.conversation).or_default();
            *seq += 1;
            moved.insert(message.conversation, *seq);
            rows.extend([key(message.conversation), (*seq).into(), 1u64.into(), message.sender.into()]);
            rows.extend([500u16.into(), 1u8.into(), (*seq).into(), Value::NULL]);
            rows.extend([&message.client_id[..], &[7; 16], &CONTENT].map(Value::from));
        }
        let insert = "INSERT INTO log (conversation, seq, time, sender, kind, countable, ordinal, target,
                                       client_id, digest, content) VALUES ";
        self.conn
            .exec_drop(insert.to_owned() + &tuples(11, messages.len()), Params::Positional(rows))
            .await?;
        let count = moved.len().next_power_of_two();
        let last = moved.last_key_value().map(|(id, seq)| (*id, *seq));
        let padded = moved.into_iter().chain(std::iter::repeat_with(|| last).flatten()).take(count);
        let heads = padded
            .flat_map(|(id, seq)| [key(id), seq.into(), seq.into(), 1u64.into(), 1u64.into(), 0u64.into()]);
        let upsert = format!(
            "INSERT INTO head (conversation, seq, ordinal, time, first_seq, rules_seq) VALUES {}
             ON DUPLICATE KEY UPDATE seq = VALUES(seq), ordinal = VALUES(ordinal), time = VALUES(time)",
            tuples(6, count)
        );
        self.conn.exec_drop(upsert, Params::Positional(heads.collect())).await?;
        Ok(self.conn.query_drop("COMMIT").await?)
    }
}

/// Rows per second of all of them, each of which writes a batch after the other for a span.
pub(crate) async fn rate(
    bares: Vec<Bare>,
    batch: usize,
    span: Duration,
) -> Result<(Vec<Bare>, f64), Failure> {
    let (returned, back) = std::sync::mpsc::channel();
    let rate = load::rate(span, batch, bares, |bare, until| {
        let returned = returned.clone();
        async move {
            let (bare, batches) = bare.run(batch, until).await?;
            returned.send(bare)?;
            Ok(batches)
        }
    });
    let rate = rate.await?;
    Ok((back.try_iter().collect(), rate))
}

pub(crate) fn key(conversation: u64) -> Value {
    let id = ConversationId::Group(GroupId::new(conversation).expect("within bounds"));
    Value::Bytes(id.key().to_vec())
}

pub(crate) fn tuples(columns: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    vec![row; rows].join(",")
}
