//! Entries: their canonical bytes are the schema's message `Entry`, so they pass through as they are.

use bytes::{BufMut, Bytes, BytesMut};
use chat_core::content::fields;
use chat_core::{Chunk, Entry};
use prost::Message;

use super::{Malformed, Wire};
use crate::frame;

impl Wire for Entry {
    type Form = Bytes;

    fn write(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.size_bytes());
        self.encode(&mut out);
        out.freeze()
    }

    fn read(form: Bytes) -> Result<Self, Malformed> {
        Self::decode(form).map_err(Malformed::at("entry"))
    }
}

/// Field numbers of `ServerFrame.entries` and of `Entries`.
const FRAME_ENTRIES: u32 = 9;
const ENTRIES_CONVERSATION: u32 = 1;
const ENTRIES_ENTRIES: u32 = 2;

/// A frame with more entries than one ends at this size.
const FRAME_BYTES: usize = 256 * 1024;

/// Appends a chunk as pushes, as few as their size admits, so that the longest frame depends on the
/// longest entry and not on the batch that an entry was committed with.
pub(crate) fn put_chunk(out: &mut BytesMut, chunk: &Chunk) {
    let mut prefix = BytesMut::new();
    let conversation = chunk.conversation().write().encode_to_vec();
    fields::put_present(&mut prefix, ENTRIES_CONVERSATION, &conversation);

    let (mut body, mut entry_bytes) = (prefix.clone(), BytesMut::new());
    for entry in chunk.entries() {
        entry_bytes.clear();
        entry.encode(&mut entry_bytes);
        if body.len() > prefix.len() && body.len() + entry_bytes.len() > FRAME_BYTES {
            put_frame(out, &body);
            body.clear();
            body.put_slice(&prefix);
        }
        fields::put_present(&mut body, ENTRIES_ENTRIES, &entry_bytes);
    }
    put_frame(out, &body);
}

fn put_frame(out: &mut BytesMut, entries: &[u8]) {
    // Exactly sized: the result is shared by all sessions that wait for it.
    out.reserve(frame::HEADER_BYTES + 6 + entries.len());
    frame::put(out, |out| fields::put_present(out, FRAME_ENTRIES, entries));
}
