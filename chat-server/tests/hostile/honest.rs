//! Two who chat through it all: every message arrives, once and in order, and how long it took is told.

use std::time::{Duration, Instant};

use chat_core::{ConversationId, Entry, ErrorKind, UserId};
use chat_proto::message::{Reply, Request};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::connection::Connection;
use crate::requests::{END, direct, entries, said, text};
use crate::server::in_time;

/// In everything that the honest say.
pub(crate) const SECRET: &str = "between us";

/// What people need to think of the next thing to say, at least.
const PAUSE: Duration = Duration::from_millis(5);

/// A pair, between two of its talks.
pub(crate) struct Pair {
    sender: Connection,
    receiver: Connection,
    pub(crate) conversation: ConversationId,
    sent: u64,
}

/// How long messages took from being sent to being heard.
pub(crate) struct Latencies(Vec<Duration>);

/// A pair that talks until it is told to end.
pub(crate) struct Talk {
    end: watch::Sender<bool>,
    said: watch::Receiver<u64>,
    talking: JoinHandle<(Pair, Latencies)>,
}

impl Pair {
    pub(crate) async fn join(address: &str, names: [&str; 2]) -> Self {
        let (sender, sender_in) = Connection::join(address, names[0]).await;
        let (receiver, receiver_in) = Connection::join(address, names[1]).await;
        let conversation = direct(sender_in.session, receiver_in.session);
        Self { sender, receiver, conversation, sent: 0 }
    }

    /// Says so many things, one after the other.
    pub(crate) async fn say(&mut self, count: usize) -> Latencies {
        let mut latencies = Vec::with_capacity(count);
        for _ in 0..count {
            latencies.push(self.say_one().await);
        }
        Latencies(latencies)
    }

    /// Talks in a task of its own.
    pub(crate) fn talk(mut self) -> Talk {
        let (end, ended) = watch::channel(false);
        let (saying, said) = watch::channel(self.sent);
        let talking = tokio::spawn(async move {
            let mut latencies = Vec::new();
            while !*ended.borrow() {
                latencies.push(self.say_one().await);
                saying.send_replace(self.sent);
                tokio::time::sleep(PAUSE).await;
            }
            (self, Latencies(latencies))
        });
        Talk { end, said, talking }
    }

    /// What was said is the whole log, in the order in which it was said.
    pub(crate) async fn has_everything(&mut self) {
        let log = log(&mut self.receiver, self.conversation).await;
        assert!(log.iter().map(|entry| entry.seq).eq(1..=self.sent));
        assert!(log.iter().map(said).eq((1..=self.sent).map(words)));
    }

    pub(crate) fn users(&self) -> [UserId; 2] {
        let ConversationId::Direct(pair) = self.conversation else { unreachable!("it is of two") };
        [pair.low(), pair.high()]
    }

    pub(crate) async fn leave(self) {
        self.sender.leave().await;
        self.receiver.leave().await;
    }

    async fn say_one(&mut self) -> Duration {
        self.sent += 1;
        let begun = Instant::now();
        let request: Request = text(self.sent, self.conversation, words(self.sent));
        let asked = self.sender.begin(request).await;
        // The next that is heard is what was said: nothing is missing, repeated, or out of place.
        let heard = self.receiver.entries(self.conversation, 1).await;
        let took = begun.elapsed();
        assert_eq!(heard.len(), 1);
        assert_eq!((heard[0].seq, said(&heard[0])), (self.sent, words(self.sent)));
        match self.sender.reply(asked).await {
            Ok(Reply::Receipt(receipt)) => assert_eq!(receipt.seq, self.sent),
            other => panic!("a receipt expected: {other:?}"),
        }
        took
    }
}

/// The whole log of a conversation, read as clients do: where there is no room for a page, they ask again.
pub(crate) async fn log(reader: &mut Connection, of: ConversationId) -> Vec<Entry> {
    let reading = async {
        let mut log: Vec<Entry> = Vec::new();
        loop {
            let from = log.last().map_or(1, |last| last.seq + 1);
            match reader.ask(entries(of, from, END)).await {
                Ok(Reply::Entries(page)) if page.is_empty() => return log,
                Ok(Reply::Entries(page)) => log.extend(page),
                Err(error) if error.kind() == ErrorKind::Overloaded => {
                    tokio::time::sleep(error.retry_delay().expect("it says when to ask again")).await;
                }
                other => panic!("a page of entries expected: {other:?}"),
            }
        }
    };
    in_time("there is room for pages", reading).await
}

fn words(number: u64) -> String {
    format!("{SECRET}: {number}")
}

impl Talk {
    /// Waits until so many more messages have been heard.
    pub(crate) async fn goes_on(&mut self, count: u64) {
        let now = *self.said.borrow();
        let heard = in_time("the talk goes on", self.said.wait_for(|said| *said >= now + count)).await;
        assert!(heard.is_ok(), "the talk has ended by itself");
    }

    pub(crate) async fn end(self) -> (Pair, Latencies) {
        self.end.send_replace(true);
        self.talking.await.expect("everything arrived")
    }
}

impl Latencies {
    /// Prints them; nothing passes or fails by them.
    pub(crate) fn report(mut self, when: &str) {
        self.0.sort_unstable();
        let at = |share: f64| self.0[((self.0.len() - 1) as f64 * share) as usize];
        println!(
            "{when}: {} messages, p50 {:.1?}, p99 {:.1?}, longest {:.1?}",
            self.0.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}
