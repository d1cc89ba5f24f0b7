//! Several installations on one Redis, each in a namespace of its own, do not hear each other.

use chat_bus::RedisBus;
use chat_core::GroupId;
use chat_core::bus::{Bus, Published, Topic};

use crate::fixture::{Heard, healthy, hear, namespace, numbered, options, settle, topic};
use crate::servers::{shared_cluster, shared_server};

/// Waits for this number, and insists that nothing else comes before it.
async fn hears_only(bus: &RedisBus, number: u64) {
    loop {
        match hear(bus).await {
            Heard::Lagged => {}
            Heard::Number(heard) => break assert_eq!(heard, number, "of another namespace"),
        }
    }
}

async fn nobody_hears_another(url: &str) {
    let first = namespace();
    // The second begins as the channels of the first do.
    let names = [first.clone(), format!("{first}:u"), format!("{first}-2")];
    let group = Topic::Group(GroupId::new(1).expect("within bounds"));
    let topics = [Topic::Nodes, topic(1), group];
    let mut buses = Vec::new();
    for name in &names {
        let bus = healthy(options(url, name)).await;
        bus.subscribe(&topics).await.expect("the bus is there");
        settle(&bus).await;
        buses.push(bus);
    }
    let mut number = 0;
    for topic in topics {
        for speaker in &buses {
            number += 1;
            assert_eq!(speaker.publish(topic, numbered(number)), Published::Taken);
            // When it has come back, it has been given to all who are subscribed to its channel.
            hears_only(speaker, number).await;
        }
        for bus in &buses {
            number += 1;
            assert_eq!(bus.publish(topic, numbered(number)), Published::Taken);
            hears_only(bus, number).await;
        }
    }
    for bus in &buses {
        // Beside what it has published itself only the proofs of its own path, which are not counted.
        assert_eq!(bus.counts().received, bus.counts().taken);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_on_one_server_do_not_hear_each_other() {
    nobody_hears_another(&shared_server().url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_on_one_cluster_do_not_hear_each_other() {
    nobody_hears_another(&shared_cluster().url()).await;
}
