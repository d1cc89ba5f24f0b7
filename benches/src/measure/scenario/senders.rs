//! Pairs that send to each other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chat_core::{Body, Content, ConversationId, Outgoing, Send, UserId};
use chat_proto::message::{Push, Request, ServerFrame};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use super::super::Failure;
use super::super::connection::Connection;
use super::super::prepare::Person;
use super::{COUNTED, COUNTING, Job, Report, WARM_UP, histogram, percentiles};
use crate::world::Ids;

struct Tally {
    acknowledged: u64,
    acknowledgements: Histogram<u64>,
    deliveries: Histogram<u64>,
}

pub(super) async fn run(job: &Job, people: &[Person]) -> Result<Report, Failure> {
    let started = Instant::now();
    let mut senders = Vec::new();
    for number in 0..job.count.max(2) {
        let (me, peer) = (people[number], people[number ^ 1]);
        let connection = Connection::open(job.address(number), me.token).await?;
        let sends = job.count > 1 || number == 0;
        senders.push(Sender {
            connection,
            conversation: ConversationId::direct(me.user, peer.user).ok_or("two users")?,
            user: me.user,
            window: if sends { job.window } else { 0 },
            ids: Ids::from((number as u64) << 32 | u64::from(std::process::id()) << 52),
            started,
        });
    }
    // Counting begins when it has gone on for a while.
    let from = Instant::now() + WARM_UP;
    let to = from + Duration::from_secs(job.seconds);
    let mut tasks = JoinSet::new();
    for sender in senders {
        tasks.spawn(sender.run(from, to));
    }
    tokio::time::sleep_until(from.into()).await;
    println!("{COUNTING}");
    let mut total = Tally { acknowledged: 0, acknowledgements: histogram(), deliveries: histogram() };
    let mut connected = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (connection, tally) = done??;
        connected.push(connection);
        total.acknowledged += tally.acknowledged;
        total.acknowledgements.add(&tally.acknowledgements)?;
        total.deliveries.add(&tally.deliveries)?;
    }
    println!("{COUNTED}");
    Ok(Report {
        rate: total.acknowledged as f64 / job.seconds as f64,
        acknowledged_us: percentiles(&total.acknowledgements),
        delivered_us: percentiles(&total.deliveries),
    })
}

struct Sender {
    connection: Connection,
    conversation: ConversationId,
    user: UserId,
    window: usize,
    ids: Ids,
    started: Instant,
}

impl Sender {
    async fn run(mut self, from: Instant, to: Instant) -> Result<(Connection, Tally), Failure> {
        let mut tally = Tally { acknowledged: 0, acknowledgements: histogram(), deliveries: histogram() };
        let mut sent = BTreeMap::new();
        for _ in 0..self.window {
            self.send(&mut sent);
        }
        while Instant::now() < to {
            self.connection.flush().await?;
            let frame = match tokio::time::timeout_at(to.into(), self.connection.next()).await {
                Ok(frame) => frame?,
                Err(_) => break,
            };
            self.take(frame, &mut sent, &mut tally, from)?;
            while let Some(frame) = self.connection.ready()? {
                self.take(frame, &mut sent, &mut tally, from)?;
            }
        }
        Ok((self.connection, tally))
    }

    fn send(&mut self, sent: &mut BTreeMap<u64, Instant>) {
        let send = stamped(&mut self.ids, self.conversation, self.started);
        let id = self.connection.queue(Request::Send(send));
        sent.insert(id, Instant::now());
    }

    fn take(
        &mut self,
        frame: ServerFrame,
        sent: &mut BTreeMap<u64, Instant>,
        tally: &mut Tally,
        from: Instant,
    ) -> Result<(), Failure> {
        let now = Instant::now();
        match frame {
            ServerFrame::Reply { request_id, reply } => {
                reply?;
                if let Some(begun) = sent.remove(&request_id) {
                    if now >= from {
                        tally.acknowledged += 1;
                        tally.acknowledgements.saturating_record(micros(now - begun));
                    }
                    self.send(sent);
                }
            }
            ServerFrame::Push(Push::Entries { entries, .. }) if now >= from => {
                for entry in entries.iter().filter(|entry| entry.sender != self.user) {
                    if let Some(late) = lateness(entry, self.started) {
                        tally.deliveries.saturating_record(micros(late));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A message of 100 bytes that says when it was sent.
pub(super) fn stamped(ids: &mut Ids, conversation: ConversationId, started: Instant) -> Send {
    let text = format!("{:020}{}", started.elapsed().as_nanos(), "x".repeat(80));
    Send {
        client_id: ids.next_id(),
        conversation,
        message: Outgoing::Message { body: Body::Text(text), reply_to: None },
        read_up_to: None,
    }
}

/// How long ago a message was sent by this process.
pub(super) fn lateness(entry: &chat_core::Entry, started: Instant) -> Option<Duration> {
    let Ok(Content::Message(Body::Text(text))) = entry.decode_content() else { return None };
    let sent = text.get(..20)?.parse().ok()?;
    started.elapsed().checked_sub(Duration::from_nanos(sent))
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1)
}
