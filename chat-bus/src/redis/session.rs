//! One pair of connections from its beginning to its end: subscriptions, arrivals, proofs.

use std::sync::Arc;
use std::time::Duration;

use chat_core::bus::Topic;
use fred::types::{Message, Value};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::Shared;
use super::link::{Disturbances, Failed, Publisher, Subscriber, random};
use crate::envelope::{self, Opened};

/// The shortest and the longest pause between two attempts to subscribe.
const RETRY_MIN: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// How long is waited for a connection before it is asked about again.
const CONNECT_POLL: Duration = Duration::from_millis(100);

/// After so many intervals without a proof the connections are thrown away and made anew, whatever
/// the client thinks of them.
const ABANDON_INTERVALS: u32 = 10;

/// Holds one session after the other, for ever.
pub(super) async fn keep(shared: Arc<Shared>) {
    loop {
        if let Err(error) = hold(&shared).await {
            tracing::warn!(%error, "a client for redis cannot be made");
        }
        let _ = shared.topics.down();
        shared.inbox.close();
        shared.health.unsubscribed();
        shared.counters.failed.add(shared.outbox.clear());
        tokio::time::sleep(jittered(RETRY_MAX / 4)).await;
    }
}

/// Holds a session until one part of it ends, and with it the others.
async fn hold(shared: &Arc<Shared>) -> Result<(), fred::error::Error> {
    let subscriber = Subscriber::new(&shared.setup)?;
    let publisher = Publisher::new(&shared.setup)?;
    let (messages, disturbances) = (subscriber.messages(), subscriber.disturbances());
    let mut parts = JoinSet::new();
    parts.spawn(subscriber.connect().ended());
    parts.spawn(publisher.connect().ended());
    parts.spawn(arrivals(Arc::clone(shared), messages));
    parts.spawn(subscriptions(Arc::clone(shared), subscriber, disturbances));
    parts.spawn(proofs(Arc::clone(shared), publisher.clone()));
    let pumping = Arc::clone(shared);
    parts.spawn(async move { pumping.outbox.pump(&publisher, &pumping.counters).await });
    // Dropping the set aborts the rest.
    if let Some(Err(error)) = parts.join_next().await {
        tracing::error!(%error, "a part of the connection to redis failed");
    }
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
        let wanted = shared.topics.down();
        shared.inbox.close();
        shared.health.unsubscribed();
        if !subscriber.connected(CONNECT_POLL).await {
            continue;
        }
        disturbances.drain();
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
            Err(Failed::Refused(error)) => tracing::debug!(%error, "subscribing failed"),
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Subscribes to the own channel and these topics, then to those that came to be wanted meanwhile.
async fn everything(shared: &Shared, subscriber: &Subscriber, wanted: Vec<Topic>) -> Result<(), Failed> {
    let mut channels = shared.channels(&wanted);
    channels.push(shared.proof.clone());
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
            () = shared.doubted.notified() => return Ok(()),
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
                tracing::debug!(%error, "subscribing failed");
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
    let (mut alive, mut known_epoch) = (Instant::now(), None);
    while alive.elapsed() < abandon {
        tokio::select! {
            biased;
            // Cancel-safe, both, as they say.
            _ = ticks.tick() => {}
            () = shared.subscribed.notified() => {}
        }
        if let Some(view) = publisher.cluster().await {
            shared.health.cluster(view.health);
            // Slots changed hands, and their former owner has ended the subscriptions in them, which
            // the client does not tell.
            if known_epoch.is_some_and(|known| view.epoch > known) {
                shared.doubted.notify_one();
            }
            known_epoch = known_epoch.max(Some(view.epoch));
        }
        let _ = publisher.publish(shared.proof.clone(), bytes::Bytes::from_static(b"proof")).await;
        shared.health.refresh();
        alive = shared.health.last_returned().map_or(alive, |returned| returned.max(alive));
    }
    tracing::warn!("nothing comes back from redis: connecting anew");
}

fn jittered(most: Duration) -> Duration {
    most / 2 + (most / 2).mul_f64(random() as f64 / u64::MAX as f64)
}
