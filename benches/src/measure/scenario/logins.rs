//! Devices that log in by token and go again.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use super::super::Failure;
use super::super::connection::Connection;
use super::super::prepare::Person;
use super::senders::micros;
use super::{Job, Report, histogram, percentiles};

pub(super) async fn run(job: &Job, people: &[Person]) -> Result<Report, Failure> {
    let (started, span) = (Instant::now(), Duration::from_secs(job.seconds));
    let mut lanes = JoinSet::new();
    let each = people.len() / job.count.max(1);
    for (number, lane) in people.chunks(each.max(1)).take(job.count).enumerate() {
        let (lane, address) = (lane.to_vec(), job.address(number).to_owned());
        lanes.spawn(async move {
            let mut times: Histogram<u64> = histogram();
            for person in lane.iter().cycle() {
                if started.elapsed() >= span {
                    break;
                }
                let begun = Instant::now();
                drop(Connection::open(&address, person.token).await?);
                times.saturating_record(micros(begun.elapsed()));
            }
            Ok::<_, Failure>(times)
        });
    }
    let mut times = histogram();
    while let Some(lane) = lanes.join_next().await {
        times.add(lane??)?;
    }
    Ok(Report {
        rate: times.len() as f64 / started.elapsed().as_secs_f64(),
        acknowledged_us: percentiles(&times),
        ..Report::default()
    })
}
