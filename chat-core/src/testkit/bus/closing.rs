//! The end of an endpoint.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Endpoints;
use super::fixture::{all_arrive, numbered, publish, subscribe, user_topic};
use crate::bus::{Bus, Published};

/// Far longer than closing has: a second to deliver what was taken.
const PATIENCE: Duration = Duration::from_secs(20);

async fn close(bus: &Arc<dyn Bus>) {
    timeout(PATIENCE, bus.close()).await.expect("closing takes about a second at most");
}

/// What arrives until the endpoint says that it is closed.
async fn runs_dry(bus: &Arc<dyn Bus>) {
    let events = async { while bus.receive().await.is_some() {} };
    timeout(PATIENCE, events).await.expect("a closed endpoint says so to its receiver");
}

/// Once an endpoint is closed it takes nothing more, and its receiver is told, whether it waits
/// already or asks later.
pub async fn closed_takes_nothing([a, b, _]: Endpoints) {
    subscribe(&b, &[user_topic(1)]).await;
    let waiting = tokio::spawn({
        let b = Arc::clone(&b);
        async move { runs_dry(&b).await }
    });
    tokio::task::yield_now().await;
    close(&b).await;
    waiting.await.expect("the receiver that waits is told");
    assert_eq!(b.publish(user_topic(1), numbered(1)), Published::Dropped);
    publish(&a, user_topic(1), numbered(2));
    runs_dry(&b).await;
    close(&b).await;
    runs_dry(&b).await;
}

/// What was taken before the end is delivered, and the others go on.
pub async fn closed_endpoint_leaves_the_others_alone([a, b, c]: Endpoints) {
    subscribe(&b, &[user_topic(1)]).await;
    subscribe(&c, &[user_topic(1)]).await;
    for number in 1..=100 {
        publish(&a, user_topic(1), numbered(number));
    }
    close(&a).await;
    all_arrive(&b, 1..=100).await;
    close(&b).await;
    publish(&c, user_topic(1), numbered(101));
    all_arrive(&c, 1..=101).await;
}
