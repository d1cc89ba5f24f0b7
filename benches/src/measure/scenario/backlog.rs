//! One user fetches a long conversation, page by page.

use std::time::{Duration, Instant};

use chat_core::{ConversationId, Direction, Range};
use chat_proto::message::{Reply, Request, ServerFrame};

use super::super::Failure;
use super::super::connection::Connection;
use super::super::prepare::Person;
use super::{Job, Report};

pub(super) async fn run(job: &Job, people: &[Person]) -> Result<Report, Failure> {
    let pair = ConversationId::direct(people[0].user, people[1].user).ok_or("two users")?;
    let mut connection = Connection::open(job.address(0), people[1].token).await?;
    let (started, mut fetched, mut from) = (Instant::now(), 0u64, 1);
    while started.elapsed() < Duration::from_secs(job.seconds) {
        let range = Range {
            from,
            to: u64::MAX >> 12,
            direction: Direction::Forward,
            limit: 500,
            limit_bytes: usize::MAX >> 12,
        };
        connection.queue(Request::Entries { conversation: pair, range });
        connection.flush().await?;
        let entries = loop {
            if let ServerFrame::Reply { reply, .. } = connection.next().await?
                && let Reply::Entries(entries) = reply?
            {
                break entries;
            }
        };
        fetched += entries.len() as u64;
        from = entries.last().map_or(1, |last| last.seq + 1);
    }
    Ok(Report { rate: fetched as f64 / started.elapsed().as_secs_f64(), ..Report::default() })
}
