//! What one batch holds for one conversation: the unit in which entries are published and delivered.

use std::sync::OnceLock;

use bytes::Bytes;

use crate::{ConversationId, Entry, Seq};

/// An encoding in which chunks are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireFormat {
    /// Protobuf frames.
    Protobuf,
    /// The JSON mapping.
    Json,
    /// What a bus sends to other nodes. It may name the node that sends, of which one process can hold
    /// several: who finds the bytes of another makes its own.
    Bus,
}

const WIRE_FORMATS: usize = 3;

/// Consecutive entries of one conversation, shared by all who receive them.
#[derive(Debug)]
pub struct Chunk {
    conversation: ConversationId,
    entries: Box<[Entry]>,
    size_bytes: usize,
    encoded: [OnceLock<Bytes>; WIRE_FORMATS],
}

impl Chunk {
    /// A chunk of entries, `None` unless there is at least one and their seqs follow each other.
    pub fn new(conversation: ConversationId, entries: Vec<Entry>) -> Option<Self> {
        let consecutive = entries.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq);
        if entries.is_empty() || !consecutive {
            return None;
        }
        let size_bytes = entries.iter().map(Entry::size_bytes).sum();
        Some(Self { conversation, entries: entries.into(), size_bytes, encoded: Default::default() })
    }

    /// Where the entries belong.
    pub fn conversation(&self) -> ConversationId {
        self.conversation
    }

    /// The entries, at least one, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The seq of the first entry.
    pub fn first(&self) -> Seq {
        self.entries[0].seq
    }

    /// The seq of the last entry.
    pub fn last(&self) -> Seq {
        self.entries[self.entries.len() - 1].seq
    }

    /// Roughly what it occupies, in bytes.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Its bytes in a wire format, made by the first who asks and shared by the rest.
    pub fn encoded(&self, format: WireFormat, encode: impl FnOnce(&Self) -> Bytes) -> &Bytes {
        self.encoded[format as usize].get_or_init(|| encode(self))
    }
}
