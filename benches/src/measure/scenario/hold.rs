//! Connections that do nothing.

use std::time::Duration;

use super::super::Failure;
use super::super::connection::Connection;
use super::super::prepare::Person;
use super::{Job, Report};

pub(super) async fn run(job: &Job, people: &[Person]) -> Result<Report, Failure> {
    let mut held = Vec::with_capacity(job.count);
    for (number, person) in people[..job.count].iter().enumerate() {
        held.push(Connection::open(job.address(number), person.token).await?);
    }
    println!("holding");
    tokio::time::sleep(Duration::from_secs(job.seconds)).await;
    Ok(Report { rate: held.len() as f64, ..Report::default() })
}
