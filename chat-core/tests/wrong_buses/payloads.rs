//! Faults of what is carried of conversations.

use std::sync::Arc;

use chat_core::bus::{Message, Payload};
use chat_core::{Chunk, Entry, Ephemeral};

use crate::bus::{Loses, Rewrites, WrongBus, with};

pub(crate) const FAULTS: &[WrongBus] = &[
    WrongBus {
        fault: "loses the targets of entries",
        case: "chunks_read_back_equal",
        fresh: || with(|| Rewrites(|message| rewrite(message, |entry| entry.target = None))),
    },
    WrongBus {
        fault: "takes an empty content for none",
        case: "chunks_read_back_equal",
        fresh: || with(|| Rewrites(|message| rewrite(message, forget_empty))),
    },
    WrongBus {
        fault: "drops what is larger than a megabyte",
        case: "large_chunks_read_back_equal",
        fresh: || with(|| Loses(|_, message| is_large(message))),
    },
    WrongBus {
        fault: "tells of who came as of who went",
        case: "ephemerals_read_back_equal",
        fresh: || {
            with(|| {
                Rewrites(|message| {
                    if let Payload::Ephemeral(Ephemeral::Presence { online, .. }) = &mut message.payload {
                        *online = false;
                    }
                })
            })
        },
    },
];

/// Rewrites each entry of a chunk.
fn rewrite(message: &mut Message, rewrite: impl Fn(&mut Entry)) {
    if let Payload::Chunk(chunk) = &mut message.payload {
        let mut entries = chunk.entries().to_vec();
        entries.iter_mut().for_each(rewrite);
        *chunk = Arc::new(Chunk::new(chunk.conversation(), entries).expect("as consecutive as they were"));
    }
}

fn forget_empty(entry: &mut Entry) {
    entry.content.take_if(|content| content.is_empty());
}

fn is_large(message: &Message) -> bool {
    matches!(&message.payload, Payload::Chunk(chunk) if chunk.size_bytes() > 1 << 20)
}
