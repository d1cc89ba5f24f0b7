//! What a server says without being asked.

use bytes::{Bytes, BytesMut};
use chat_core::{Chunk, ConversationId, Entry, Ephemeral, Seq, WireFormat};

use super::Close;
use crate::convert::put_chunk;

/// What a server says without being asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Push {
    /// New entries.
    Entries {
        /// Where.
        conversation: ConversationId,
        /// At least one, their seqs without holes.
        entries: Vec<Entry>,
    },
    /// Entries up to this one were not pushed.
    Behind {
        /// Where.
        conversation: ConversationId,
        /// The last one.
        upto: Seq,
    },
    /// As [`Push::Behind`], in more conversations than are kept account of.
    BehindEverywhere,
    /// Something that is true now and stored nowhere.
    Ephemeral(Ephemeral),
    /// A sign of life.
    Ping,
    /// The connection is about to be closed; the last frame.
    Close(Close),
}

/// The frames that push a chunk, headers included: made by the first session that needs them and
/// shared by all others.
pub fn chunk_frames(chunk: &Chunk) -> &Bytes {
    chunk.encoded(WireFormat::Protobuf, |chunk| {
        let mut out = BytesMut::new();
        put_chunk(&mut out, chunk);
        out.freeze()
    })
}
