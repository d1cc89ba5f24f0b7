//! One pair of connections from its beginning to its end: subscriptions, arrivals, proofs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat_core::bus::Topic;
use fred::types::{Message, Value};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::Shared;
use super::link::{Disturbances, Failed, Publisher, SlotRange, Subscriber, random};
use crate::envelope::{self, Opened};

/// The shortest and the longest pause between two attempts to subscribe.
const RETRY_MIN: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// How long is waited for a connection before it is asked about again.
const CONNECT_POLL: Duration = Duration::from_millis(100);

/// Slots that look the same so many times in a row, asked of any node, are settled.
const SETTLED_AFTER: u32 = 10;

/// After so many intervals without a proof the connections are thrown away and made anew, whatever
/// the client thinks of them.
const ABANDON_INTERVALS: u32 = 10;

/// Holds one session after the other until the endpoint is closed; returns when all parts have ended.
pub(super) async fn keep(shared: &Arc<Shared>) {
    let mut parts = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            // Cancel-safe: the permit is taken only when it completes.
            () = shared.ending.notified() => break,
            // Given up halfway only to end for good: the parts stand outside of it.
            () = hold(shared, &mut parts) => {}
        }
    }
    parts.shutdown().await;
    forget(shared);
}

/// Holds a session until one part of it ends, and with it the others; then rests.
async fn hold(shared: &Arc<Shared>, parts: &mut JoinSet<()>) {
    if let Err(error) = begin(shared, parts) {
        tracing::warn!(%error, "a client for redis cannot be made");
    }
    if let Some(Err(error)) = parts.join_next().await {
        tracing::error!(%error, "a part of the connection to redis failed");
    }
    parts.shutdown().await;
    forget(shared);
    tokio::time::sleep(jittered(RETRY_MAX / 4)).await;
}

/// A session is over, and with it what it was to publish.
fn forget(shared: &Shared) {
    go_down(shared);
    shared.counters.failed.add(shared.outbox.clear());
}

fn begin(shared: &Arc<Shared>, parts: &mut JoinSet<()>) -> Result<(), fred::error::Error> {
    let subscriber = Subscriber::new(&shared.setup)?;
    let publisher = Publisher::new(&shared.setup)?;
    let (messages, disturbances) = (subscriber.messages(), subscriber.disturbances());
    parts.spawn(subscriber.connect().ended());
    parts.spawn(publisher.connect().ended());
    parts.spawn(arrivals(Arc::clone(shared), messages));
    parts.spawn(subscriptions(Arc::clone(shared), subscriber, disturbances));
    parts.spawn(proofs(Arc::clone(shared), publisher.clone()));
    let pumping = Arc::clone(shared);
    parts.spawn(async move { pumping.outbox.pump(&publisher, &pumping.counters).await });
    Ok(())
}

/// Takes arriving messages out of the client at once.
async fn arrivals(shared: Arc<Shared>, mut messages: Receiver<Message>) {
    loop {
        match messages.recv().await {
            Ok(message) if *message.channel == *shared.proof => shared.health.returned(),
            Ok(message) => arrived(&shared, message.value),
            Err(RecvError::Lagged(_)) => {
                shared.counters.overrun.add(1);
                shared.inbox.lag();
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn arrived(shared: &Shared, value: Value) {
    let payload = match value {
        Value::Bytes(bytes) => Some(bytes),
        Value::String(text) => Some(text.into_inner()),
        _ => None,
    };
    shared.counters.received.add(1);
    match payload.map(|bytes| (bytes.len(), envelope::open(bytes))) {
        Some((size, Ok(Opened::Message(message)))) => shared.inbox.push(message, size),
        Some((_, Ok(Opened::Newer))) => shared.counters.newer.add(1),
        Some((_, Err(_))) | None => shared.counters.malformed.add(1),
    }
}

/// Keeps everything that is wanted subscribed. Ends when the connection cannot be trusted any more.
async fn subscriptions(shared: Arc<Shared>, subscriber: Subscriber, mut disturbances: Disturbances) {
    loop {
        if resubscribe(&shared, &subscriber, &mut disturbances).await.is_err() {
            return;
        }
        if follow(&shared, &subscriber, &mut disturbances).await.is_err() {
            return;
        }
    }
}

/// The replies of a connection are not its commands' any more.
struct Untrusted;

/// Subscribes to everything until that has succeeded on one undisturbed connection.
async fn resubscribe(
    shared: &Shared,
    subscriber: &Subscriber,
    disturbances: &mut Disturbances,
) -> Result<(), Untrusted> {
    let mut pause = RETRY_MIN;
    loop {
        go_down(shared);
        while !subscriber.connected(CONNECT_POLL).await {
            if let Some(error) = disturbances.failure() {
                shared.health.complain(&error);
            }
        }
        disturbances.drain();
        // What was asked for in vain meanwhile is wanted with the rest.
        let wanted = shared.topics.down();
        match everything(shared, subscriber, wanted).await {
            Ok(()) if !disturbances.drain() => {
                shared.inbox.open_after_loss();
                shared.counters.resubscribed.add(1);
                shared.health.subscribed();
                shared.subscribed.notify_one();
                return Ok(());
            }
            Ok(()) => {}
            Err(Failed::Confused) => return Err(Untrusted),
            Err(Failed::Refused(error)) => shared.health.complain(&error),
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Subscriptions are gone or in doubt: nothing is taken, given or promised until they are complete.
fn go_down(shared: &Shared) {
    let _ = shared.topics.down();
    shared.inbox.close();
    shared.health.unsubscribed();
}

/// Subscribes to the own channel and these topics, then to those that came to be wanted meanwhile.
async fn everything(shared: &Shared, subscriber: &Subscriber, wanted: Vec<Topic>) -> Result<(), Failed> {
    let mut channels = shared.with_proof(&wanted);
    while !channels.is_empty() {
        subscriber.subscribe(channels).await?;
        let missed: Vec<_> = shared.topics.up_unless_missed().into_iter().collect();
        channels = shared.channels(&missed);
    }
    Ok(())
}

/// Does what callers ask for until something disturbs the subscriptions.
async fn follow(
    shared: &Shared,
    subscriber: &Subscriber,
    disturbances: &mut Disturbances,
) -> Result<(), Untrusted> {
    loop {
        let work = tokio::select! {
            biased;
            // Cancel-safe, all three, as they say.
            () = disturbances.next() => return Ok(()),
            () = shared.doubted.notified() => {
                match subscriber.subscribe(shared.with_proof(&shared.topics.wanted())).await {
                    Ok(()) => {
                        shared.counters.resubscribed.add(1);
                        shared.inbox.lag();
                        continue;
                    }
                    Err(Failed::Confused) => return Err(Untrusted),
                    Err(Failed::Refused(error)) => {
                        shared.health.complain(&error);
                        return Ok(());
                    }
                }
            }
            work = shared.topics.work() => work,
        };
        let entered: Vec<_> = work.asks.iter().flat_map(|ask| ask.topics.iter().copied()).collect();
        let leaving: Vec<_> = work.leaving.into_iter().collect();
        let outcome = async {
            if !entered.is_empty() {
                subscriber.subscribe(shared.channels(&entered)).await?;
            }
            subscriber.unsubscribe(shared.channels(&leaving)).await
        };
        match outcome.await {
            // Those who ask are answered only for the connection on which they were subscribed.
            Ok(()) if disturbances.drain() => return Ok(()),
            Ok(()) => {
                for ask in work.asks {
                    let _ = ask.subscribed.send(());
                }
            }
            Err(Failed::Confused) => return Err(Untrusted),
            Err(Failed::Refused(error)) => {
                shared.health.complain(&error);
                return Ok(());
            }
        }
    }
}

/// Sends messages to itself, and asks a cluster how it is. Ends when nothing comes back for long.
async fn proofs(shared: Arc<Shared>, publisher: Publisher) {
    let interval = shared.setup.options.proof_interval;
    let abandon = (interval * ABANDON_INTERVALS).max(shared.setup.options.command_timeout * 3);
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut alive, mut slots) = (Instant::now(), Slots::default());
    while alive.elapsed() < abandon {
        tokio::select! {
            biased;
            // Cancel-safe, both, as they say.
            _ = ticks.tick() => {}
            () = shared.subscribed.notified() => {}
        }
        if let Some(view) = publisher.cluster().await {
            shared.health.cluster(view.health);
            if let Some(owners) = view.owners
                && slots.seen(owners) == Subscriptions::Doubted
            {
                shared.doubted.notify_one();
            }
        }
        if let Err(error) = publisher.publish(shared.proof.clone(), Bytes::from_static(b"proof")).await {
            shared.health.complain(&error);
        }
        shared.health.refresh();
        alive = shared.health.last_returned().map_or(alive, |returned| returned.max(alive));
    }
    tracing::warn!("nothing comes back from redis: connecting anew");
}

/// Watches slots change hands. A node that gives a slot away ends the subscriptions in it, and the
/// client does not tell.
#[derive(Debug, Default)]
struct Slots {
    owners: Option<Vec<SlotRange>>,
    /// How many more times they have to look the same to be taken for settled.
    unsettled: u32,
}

/// Whether subscriptions may have ended unheard.
#[derive(Debug, PartialEq)]
enum Subscriptions {
    Kept,
    Doubted,
}

impl Slots {
    /// Takes in how slots are owned. Subscriptions are doubted at once when that changed, and once
    /// more when all nodes have heard of it: until then the former owner may have taken them again.
    fn seen(&mut self, owners: Vec<SlotRange>) -> Subscriptions {
        let before = self.owners.replace(owners);
        if before.is_some() && before != self.owners {
            self.unsettled = SETTLED_AFTER;
            return Subscriptions::Doubted;
        }
        let settling = self.unsettled == 1;
        self.unsettled = self.unsettled.saturating_sub(1);
        if settling { Subscriptions::Doubted } else { Subscriptions::Kept }
    }
}

fn jittered(most: Duration) -> Duration {
    most / 2 + (most / 2).mul_f64(random() as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_that_changed_hands_cast_doubt_at_once_and_again_when_they_have_settled() {
        let owned = |id: &str| vec![(0, 16_383, id.to_owned())];
        let mut slots = Slots::default();
        assert_eq!(slots.seen(owned("a")), Subscriptions::Kept);
        assert_eq!(slots.seen(owned("a")), Subscriptions::Kept);
        assert_eq!(slots.seen(owned("b")), Subscriptions::Doubted);
        for _ in 1..SETTLED_AFTER {
            assert_eq!(slots.seen(owned("b")), Subscriptions::Kept);
        }
        assert_eq!(slots.seen(owned("b")), Subscriptions::Doubted);
        assert_eq!(slots.seen(owned("b")), Subscriptions::Kept);
    }
}
