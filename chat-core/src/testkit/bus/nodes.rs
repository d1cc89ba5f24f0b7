//! What nodes say to each other. Whether it comes in order is left open: its versions tell the order.

use std::sync::Arc;

use super::Endpoints;
use super::fixture::{next, origin, publish, subscribe, user};
use crate::bus::{Bus, Message, NodePresence, NodeSaid, Origin, Payload, Topic};
use crate::{BootId, MAX_ID, UserId};

/// The users of one message at most, by far: what is said of more comes in parts.
const MANY: u64 = 8_192;

fn word(node: &str, version: u64, said: NodeSaid) -> Message {
    Message { origin: origin(node), payload: Payload::Presence(NodePresence { version, said }) }
}

fn users(numbers: impl IntoIterator<Item = u64>) -> Arc<[UserId]> {
    numbers.into_iter().map(user).collect()
}

fn presence(message: &Message) -> &NodePresence {
    match &message.payload {
        Payload::Presence(presence) => presence,
        other => panic!("a word of a node was published, and {other:?} arrived"),
    }
}

/// Waits until it has arrived, by the same node and with the same content.
async fn hears(bus: &Arc<dyn Bus>, wanted: &Message) {
    loop {
        let arrived = next(bus).await;
        if arrived.origin == wanted.origin && presence(&arrived) == presence(wanted) {
            return;
        }
    }
}

/// Says it to all nodes, and waits until another has heard it as it was.
async fn arrives(from: &Arc<dyn Bus>, to: &Arc<dyn Bus>, version: u64, said: NodeSaid) {
    let message = word("node", version, said);
    publish(from, Topic::Nodes, message.clone());
    hears(to, &message).await;
}

/// Every node that listens hears it, whoever says it: that a node's own words come back to it proves
/// its path.
pub async fn what_nodes_say_reaches_all_of_them(endpoints: Endpoints) {
    for node in &endpoints {
        subscribe(node, &[Topic::Nodes]).await;
    }
    for (version, (speaker, name)) in (1..).zip(endpoints.iter().zip(["a", "b", "c"])) {
        let message = word(name, version, NodeSaid::Beat);
        publish(speaker, Topic::Nodes, message.clone());
        for node in &endpoints {
            hears(node, &message).await;
        }
    }
}

/// Words of every kind.
pub async fn words_of_nodes_read_back_equal([a, b, _]: Endpoints) {
    subscribe(&b, &[Topic::Nodes]).await;
    let (few, others) = (users([1, 256, MAX_ID - 1]), users([2]));
    let changed = |online: &Arc<[UserId]>, offline: &Arc<[UserId]>| NodeSaid::Changed {
        online: Arc::clone(online),
        offline: Arc::clone(offline),
    };
    let nobody = users([]);
    let run = Origin { node: "ä node: {1}".into(), boot: BootId(u64::MAX) };
    let nameless = Origin { node: "".into(), boot: BootId(0) };
    for (version, said) in [
        (0, NodeSaid::Beat),
        (u64::MAX, NodeSaid::Beat),
        (1, changed(&few, &nobody)),
        (2, changed(&nobody, &few)),
        (3, changed(&few, &others)),
        (4, NodeSaid::All { part: 0, parts: 1, online: nobody }),
        (4, NodeSaid::All { part: 0, parts: 3, online: Arc::clone(&few) }),
        (4, NodeSaid::All { part: 2, parts: 3, online: others }),
        (5, NodeSaid::Ask(None)),
        (5, NodeSaid::Ask(Some(run))),
        (5, NodeSaid::Ask(Some(nameless))),
        (6, NodeSaid::Leaving),
    ] {
        arrives(&a, &b, version, said).await;
    }
}

/// A storm of log-ins, and whole rosters: as many users as nodes name at once.
pub async fn long_rosters_read_back_equal([a, b, _]: Endpoints) {
    subscribe(&b, &[Topic::Nodes]).await;
    let (these, those) = (users(1..=MANY), users(MAX_ID - MANY..MAX_ID));
    let all = |part, online: &Arc<[UserId]>| NodeSaid::All { part, parts: 2, online: Arc::clone(online) };
    arrives(&a, &b, 1, all(0, &these)).await;
    arrives(&a, &b, 1, all(1, &those)).await;
    arrives(&a, &b, 2, NodeSaid::Changed { online: these, offline: those }).await;
}
