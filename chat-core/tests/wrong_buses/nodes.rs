//! Faults of what nodes say to each other.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chat_core::bus::{Bus, BusEvent, Message, NodePresence, NodeSaid, Origin, Payload, Published, Topic};

use crate::bus::{Fault, Loses, Rewrites, Right, WrongBus, with};

pub(crate) const FAULTS: &[WrongBus] = &[
    WrongBus {
        fault: "has no channel for what nodes say",
        case: "what_nodes_say_reaches_all_of_them",
        fresh: || with(|| Loses(|topic, _| topic == Topic::Nodes)),
    },
    WrongBus {
        fault: "does not bring a node its own words back",
        case: "what_nodes_say_reaches_all_of_them",
        fresh: || with(KeepsOwnWords::default),
    },
    WrongBus {
        fault: "carries no words of nodes",
        case: "words_of_nodes_read_back_equal",
        fresh: || with(|| Loses(|_, message| matches!(message.payload, Payload::Presence(_)))),
    },
    WrongBus {
        fault: "keeps 32 bits of a version",
        case: "words_of_nodes_read_back_equal",
        fresh: || with(|| Rewrites(|message| rewrite(message, |word| word.version &= 0xffff_ffff))),
    },
    WrongBus {
        fault: "loses who went when others came",
        case: "words_of_nodes_read_back_equal",
        fresh: || with(|| Rewrites(|message| rewrite(message, lose_who_went))),
    },
    WrongBus {
        fault: "drops the roster of nobody",
        case: "words_of_nodes_read_back_equal",
        fresh: || with(|| Loses(|_, message| is_roster_of_nobody(message))),
    },
    WrongBus {
        fault: "says of every part of a roster that it is the first",
        case: "words_of_nodes_read_back_equal",
        fresh: || with(|| Rewrites(|message| rewrite(message, say_first))),
    },
    WrongBus {
        fault: "takes a node without a name for no node",
        case: "words_of_nodes_read_back_equal",
        fresh: || with(|| Rewrites(|message| rewrite(message, ask_all))),
    },
    WrongBus {
        fault: "takes a farewell for a beat",
        case: "words_of_nodes_read_back_equal",
        fresh: || with(|| Rewrites(|message| rewrite(message, stay))),
    },
    WrongBus {
        fault: "cuts rosters after a thousand users",
        case: "long_rosters_read_back_equal",
        fresh: || with(|| Rewrites(|message| rewrite(message, cut))),
    },
];

fn rewrite(message: &mut Message, rewrite: fn(&mut NodePresence)) {
    if let Payload::Presence(presence) = &mut message.payload {
        rewrite(presence);
    }
}

fn lose_who_went(word: &mut NodePresence) {
    if let NodeSaid::Changed { online, offline } = &mut word.said
        && !online.is_empty()
    {
        *offline = Arc::default();
    }
}

fn is_roster_of_nobody(message: &Message) -> bool {
    let Payload::Presence(word) = &message.payload else { return false };
    matches!(&word.said, NodeSaid::All { online, .. } if online.is_empty())
}

fn say_first(word: &mut NodePresence) {
    if let NodeSaid::All { part, .. } = &mut word.said {
        *part = 0;
    }
}

fn ask_all(word: &mut NodePresence) {
    if let NodeSaid::Ask(whom) = &mut word.said {
        whom.take_if(|whom| whom.node.is_empty());
    }
}

fn stay(word: &mut NodePresence) {
    if word.said == NodeSaid::Leaving {
        word.said = NodeSaid::Beat;
    }
}

fn cut(word: &mut NodePresence) {
    if let NodeSaid::All { online, .. } = &mut word.said {
        *online = online.iter().copied().take(1_000).collect();
    }
}

/// It knows them by the node that they come from.
#[derive(Default)]
struct KeepsOwnWords {
    own: Mutex<Option<Origin>>,
}

#[async_trait]
impl Fault for KeepsOwnWords {
    fn publish(&self, right: &Right, topic: Topic, message: Message) -> Published {
        if let Payload::Presence(_) = &message.payload {
            *self.own.lock().expect("no panic") = Some(message.origin.clone());
        }
        right.publish(topic, message)
    }

    async fn receive(&self, right: &Right) -> Option<BusEvent> {
        loop {
            let event = right.receive().await;
            let Some(BusEvent::Message(Message { origin, payload: Payload::Presence(_) })) = &event else {
                return event;
            };
            if self.own.lock().expect("no panic").as_ref() != Some(origin) {
                return event;
            }
        }
    }
}
