//! One member of a group sends, and all of them receive.

use std::time::{Duration, Instant};

use chat_core::{ConversationId, GroupId};
use chat_proto::message::{Push, Request, ServerFrame};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use super::super::Failure;
use super::super::connection::Connection;
use super::super::prepare::Person;
use super::senders::{lateness, micros, stamped};
use super::{Job, Report, WARM_UP, histogram, percentiles};
use crate::world::Ids;

/// The first of the users sends, the others count; all in one process.
pub(super) async fn run(job: &Job, people: &[Person]) -> Result<Report, Failure> {
    let group = GroupId::new(job.group.ok_or("no group")?)?;
    let conversation = ConversationId::Group(group);
    let started = Instant::now();
    let mut connections = Vec::with_capacity(job.count);
    for (number, person) in people[..job.count].iter().enumerate() {
        connections.push(Connection::open(job.address(number), person.token).await?);
    }
    let mut sender = connections.remove(0);
    let from = Instant::now() + WARM_UP;
    let to = from + Duration::from_secs(job.seconds);
    let mut tasks = JoinSet::new();
    for connection in connections {
        tasks.spawn(count(connection, from, to, started));
    }
    let (mut ids, mut in_flight) = (Ids::from(1 << 50), 0);
    let mut own = 0;
    while Instant::now() < to {
        if in_flight == 0 {
            // So many at once, acknowledged together: they travel as one chunk.
            for _ in 0..job.window {
                sender.queue(Request::Send(stamped(&mut ids, conversation, started)));
                in_flight += 1;
            }
            sender.flush().await?;
        }
        match tokio::time::timeout_at(to.into(), sender.next()).await {
            Ok(frame) => match frame? {
                ServerFrame::Reply { reply, .. } => {
                    reply?;
                    in_flight -= 1;
                }
                ServerFrame::Push(Push::Entries { entries, .. }) if Instant::now() >= from => {
                    own += entries.len() as u64;
                }
                _ => {}
            },
            Err(_) => break,
        }
    }
    report(job, tasks, own).await
}

/// Members that only receive, in a process beside the one that sends.
pub(super) async fn listen(job: &Job, people: &[Person]) -> Result<Report, Failure> {
    let mut connections = Vec::with_capacity(job.count);
    for (number, person) in people[..job.count].iter().enumerate() {
        connections.push(Connection::open(job.address(number), person.token).await?);
    }
    println!("listening");
    let from = Instant::now() + WARM_UP;
    let to = from + Duration::from_secs(job.seconds);
    let mut tasks = JoinSet::new();
    for connection in connections {
        tasks.spawn(count(connection, from, to, from));
    }
    report(job, tasks, 0).await
}

async fn report(
    job: &Job,
    mut tasks: JoinSet<Result<(u64, Histogram<u64>), Failure>>,
    mut received: u64,
) -> Result<Report, Failure> {
    let mut deliveries = histogram();
    while let Some(done) = tasks.join_next().await {
        let (count, lateness) = done??;
        received += count;
        deliveries.add(&lateness)?;
    }
    Ok(Report {
        rate: received as f64 / job.seconds as f64,
        delivered_us: percentiles(&deliveries),
        ..Report::default()
    })
}

async fn count(
    mut connection: Connection,
    from: Instant,
    to: Instant,
    started: Instant,
) -> Result<(u64, Histogram<u64>), Failure> {
    let (mut received, mut deliveries) = (0, histogram());
    while let Ok(frame) = tokio::time::timeout_at(to.into(), connection.next()).await {
        if let ServerFrame::Push(Push::Entries { entries, .. }) = frame?
            && Instant::now() >= from
        {
            received += entries.len() as u64;
            // One of a chunk tells for all of it.
            if let Some(late) = entries.first().and_then(|entry| lateness(entry, started)) {
                deliveries.saturating_record(micros(late));
            }
        }
    }
    Ok((received, deliveries))
}
