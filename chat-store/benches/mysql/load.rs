//! The messages that are written: of 100 bytes, in 10,000 conversations, under time-ordered client ids.

use std::time::{Duration, Instant};

use super::Failure;

pub(crate) const CONVERSATIONS: u64 = 10_000;
pub(crate) const CONTENT: [u8; 100] = [b'x'; 100];

/// What one of several writers writes: each has conversations of its own, as committers do.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    writer: u64,
    writers: u64,
    drawn: u64,
}

/// A message to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) conversation: u64,
    pub(crate) sender: u64,
    pub(crate) client_id: [u8; 16],
}

impl Load {
    pub(crate) fn of(writer: u64, writers: u64) -> Self {
        Self { writer, writers, drawn: 0 }
    }

    /// Messages to conversations drawn at random.
    pub(crate) fn draw(&mut self, count: usize) -> Vec<Message> {
        (0..count).map(|_| self.next()).collect()
    }

    /// One message to each conversation.
    pub(crate) fn each(&mut self) -> Vec<Message> {
        let own = (1 + self.writer..=CONVERSATIONS).step_by(self.writers as usize);
        own.map(|conversation| Message { conversation, ..self.next() }).collect()
    }

    fn next(&mut self) -> Message {
        self.drawn += 1;
        let random = mix(self.drawn << 8 | self.writer);
        let share = CONVERSATIONS / self.writers;
        let conversation = 1 + self.writer + self.writers * (random % share);
        Message { conversation, sender: 1 + (random >> 40) % 2, client_id: version_7(random) }
    }
}

/// A UUID of version 7: milliseconds, then what tells apart those of one.
fn version_7(random: u64) -> [u8; 16] {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let high = (since.as_millis() as u64) << 16 | 0x7000 | (random >> 52);
    (u128::from(high) << 64 | u128::from(0x8000_0000_0000_0000 | random >> 2)).to_be_bytes()
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Rows per second of several writers, each of which writes a batch after the other for a span.
pub(crate) async fn rate<W, F>(
    span: Duration,
    batch: usize,
    writers: impl IntoIterator<Item = W>,
    mut write: impl FnMut(W, Instant) -> F,
) -> Result<f64, Failure>
where
    F: Future<Output = Result<u64, Failure>> + Send + 'static,
{
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in writers {
        tasks.spawn(write(writer, started + span));
    }
    let mut batches = 0;
    for written in tasks.join_all().await {
        batches += written?;
    }
    Ok((batches * batch as u64) as f64 / started.elapsed().as_secs_f64())
}

/// The middle one of several figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
