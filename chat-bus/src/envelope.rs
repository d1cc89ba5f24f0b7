//! The bytes of a message between nodes, which a node of the version before and after this one reads.
//!
//! They are protobuf, in the subset that chat-core's canonical bytes are made of, and written with
//! the same few functions: entries travel as the canonical bytes they are and are not taken apart
//! into generated types and put together again. As a schema (package `chat.bus.v1`):
//!
//! ```text
//! message Envelope {
//!   uint64 version = 1;          // 1
//!   bytes node = 2;
//!   uint64 boot = 3;
//!   bytes conversation = 4;      // of a chunk: the canonical key, and
//!   repeated bytes entry = 5;    // canonical entries
//!   Ephemeral ephemeral = 6;     // in place of a chunk
//!   NodePresence presence = 7;   // in place of both
//! }
//! message Ephemeral {
//!   uint64 kind = 1;             // 1 presence, 2 typing, 3 read, 4 delivered
//!   uint64 user = 2;
//!   bytes conversation = 3;
//!   uint64 online = 4;
//!   uint64 seq = 5;
//! }
//! message NodePresence {
//!   uint64 kind = 1;             // 1 beat, 2 changed, 3 all, 4 ask, 5 leaving
//!   uint64 number = 2;           // the version
//!   bytes online = 3;            // user ids of 8 bytes each, big-endian
//!   bytes offline = 4;
//!   uint64 part = 5;
//!   uint64 parts = 6;
//!   bytes node = 7;              // whom an ask is for; without it, all
//!   uint64 boot = 8;
//! }
//! ```

mod nodes;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chat_core::bus::{Message, Origin, Payload};
use chat_core::content::fields::{Malformed, Value, put_bytes, put_present, put_uint, take_field};
use chat_core::{BootId, Chunk, ConversationId, Entry, Ephemeral, UserId, WireFormat};

/// What this version writes. A number above it announces what this version cannot read.
const VERSION: u64 = 1;

const PRESENCE: u64 = 1;
const TYPING: u64 = 2;
const READ: u64 = 3;
const DELIVERED: u64 = 4;

/// What was found in an envelope.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A message.
    Message(Message),
    /// What a newer version says to its like.
    Newer,
}

/// The bytes of a message, `None` for a payload that this version has no encoding of. Those of a chunk
/// are made once, however many topics it goes to.
pub(crate) fn seal(message: &Message) -> Option<Bytes> {
    let origin = &message.origin;
    let mut out = match &message.payload {
        Payload::Chunk(chunk) => {
            let sealed = chunk.encoded(WireFormat::Bus, |chunk| seal_chunk(origin, chunk));
            // Engines of one process share chunks on a bus within it, and each has an origin of its own.
            let own = is_of(sealed, origin);
            return Some(if own { sealed.clone() } else { seal_chunk(origin, chunk) });
        }
        _ => begin(origin, 64),
    };
    match &message.payload {
        Payload::Ephemeral(ephemeral) => {
            let mut inner = BytesMut::new();
            put_ephemeral(&mut inner, ephemeral)?;
            put_present(&mut out, 6, &inner);
        }
        Payload::Presence(presence) => {
            let mut inner = BytesMut::new();
            nodes::put(&mut inner, presence)?;
            put_present(&mut out, 7, &inner);
        }
        _ => return None,
    }
    Some(out.freeze())
}

fn begin(origin: &Origin, further_bytes: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(origin.node.len() + 32 + further_bytes);
    put_uint(&mut out, 1, VERSION);
    put_bytes(&mut out, 2, origin.node.as_bytes());
    put_uint(&mut out, 3, origin.boot.0);
    out
}

fn seal_chunk(origin: &Origin, chunk: &Chunk) -> Bytes {
    // Beside its content an entry takes some 60 bytes, a little more with its length.
    let mut out = begin(origin, chunk.size_bytes() + 8 * chunk.entries().len() + 32);
    put_bytes(&mut out, 4, &chunk.conversation().key());
    let mut canonical = BytesMut::with_capacity(chunk.entries()[0].size_bytes() + 32);
    for entry in chunk.entries() {
        canonical.clear();
        entry.encode(&mut canonical);
        put_present(&mut out, 5, &canonical);
    }
    out.freeze()
}

/// Whether bytes were sealed for this origin.
fn is_of(sealed: &Bytes, origin: &Origin) -> bool {
    let mut rest = sealed.clone();
    let (mut node, mut boot) = (None, 0);
    while let Ok(Some((tag, value))) = take_field(&mut rest) {
        match (tag, value) {
            (1, _) => {}
            (2, Value::Bytes(bytes)) => node = Some(bytes),
            (3, Value::Uint(number)) => boot = number,
            _ => break,
        }
    }
    node.unwrap_or_default() == origin.node.as_bytes() && boot == origin.boot.0
}

/// Reads what [`seal`] wrote; contents share the memory of `input`.
///
/// # Errors
/// Bytes that no version writes.
pub(crate) fn open(mut input: Bytes) -> Result<Opened, Malformed> {
    let (mut version, mut node, mut boot) = (0, Bytes::new(), 0);
    // Most chunks have one entry.
    let mut entries = Vec::with_capacity(1);
    let (mut conversation, mut ephemeral, mut presence) = (None, None, None);
    while let Some((tag, value)) = take_field(&mut input)? {
        match tag {
            1 => version = value.uint()?,
            2 => node = value.bytes()?,
            3 => boot = value.uint()?,
            4 => conversation = Some(conversation_of(&value.bytes()?)?),
            5 => entries.push(Entry::decode(value.bytes()?)?),
            6 => ephemeral = Some(value.bytes()?),
            7 => presence = Some(value.bytes()?),
            _ => {}
        }
        // Written first: what follows may mean something else in a later version.
        if version > VERSION {
            return Ok(Opened::Newer);
        }
    }
    if version == 0 {
        return Err(Malformed("envelope without version"));
    }
    let payload = match (conversation, ephemeral, presence) {
        (Some(conversation), _, _) => {
            let chunk = Chunk::new(conversation, entries).ok_or(Malformed("chunk with holes"))?;
            Payload::Chunk(Arc::new(chunk))
        }
        (None, Some(bytes), _) => match take_ephemeral(bytes)? {
            Some(ephemeral) => Payload::Ephemeral(ephemeral),
            None => return Ok(Opened::Newer),
        },
        (None, None, Some(bytes)) => match nodes::take(bytes)? {
            Some(presence) => Payload::Presence(presence),
            None => return Ok(Opened::Newer),
        },
        (None, None, None) => return Ok(Opened::Newer),
    };
    let node = std::str::from_utf8(&node).map_err(|_| Malformed("node"))?.into();
    Ok(Opened::Message(Message { origin: Origin { node, boot: BootId(boot) }, payload }))
}

fn put_ephemeral(out: &mut BytesMut, ephemeral: &Ephemeral) -> Option<()> {
    let (kind, conversation, online, seq) = match ephemeral {
        Ephemeral::Presence { online, .. } => (PRESENCE, None, *online, 0),
        Ephemeral::Typing { conversation, .. } => (TYPING, Some(conversation), false, 0),
        Ephemeral::Read { conversation, seq, .. } => (READ, Some(conversation), false, *seq),
        Ephemeral::Delivered { conversation, seq, .. } => (DELIVERED, Some(conversation), false, *seq),
        _ => return None,
    };
    put_uint(out, 1, kind);
    put_uint(out, 2, ephemeral.user().number());
    if let Some(conversation) = conversation {
        put_bytes(out, 3, &conversation.key());
    }
    put_uint(out, 4, u64::from(online));
    put_uint(out, 5, seq);
    Some(())
}

fn take_ephemeral(mut input: Bytes) -> Result<Option<Ephemeral>, Malformed> {
    let (mut kind, mut user, mut conversation, mut online, mut seq) = (0, 0, None, false, 0);
    while let Some((tag, value)) = take_field(&mut input)? {
        match tag {
            1 => kind = value.uint()?,
            2 => user = value.uint()?,
            3 => conversation = Some(value.bytes()?),
            4 => online = value.uint()? != 0,
            5 => seq = value.uint()?,
            _ => {}
        }
    }
    if !(PRESENCE..=DELIVERED).contains(&kind) {
        return Ok(None);
    }
    let user = UserId::new(user).map_err(|_| Malformed("user"))?;
    if kind == PRESENCE {
        return Ok(Some(Ephemeral::Presence { user, online }));
    }
    let conversation = conversation_of(&conversation.ok_or(Malformed("ephemeral without conversation"))?)?;
    Ok(Some(match kind {
        TYPING => Ephemeral::Typing { conversation, user },
        READ => Ephemeral::Read { conversation, user, seq },
        _ => Ephemeral::Delivered { conversation, user, seq },
    }))
}

fn conversation_of(key: &[u8]) -> Result<ConversationId, Malformed> {
    ConversationId::from_key(key).map_err(|_| Malformed("conversation"))
}

#[cfg(test)]
mod tests {
    use chat_core::{ClientId, GroupId, Kind, Timestamp};

    use super::*;

    fn sealed(payload: Payload) -> Bytes {
        let origin = Origin { node: "n1".into(), boot: BootId(258) };
        seal(&Message { origin, payload }).expect("a payload of this version")
    }

    fn group_chunk() -> Chunk {
        let entry = Entry {
            seq: 7,
            time: Timestamp(1_700_000_000_000),
            sender: UserId::new(5).expect("valid"),
            client_id: Some(ClientId([9; 16])),
            countable: true,
            ordinal: 6,
            target: None,
            kind: Kind::new(999).expect("valid"),
            content: Some(Bytes::from_static(b"hi")),
        };
        let group = ConversationId::Group(GroupId::new(3).expect("valid"));
        Chunk::new(group, vec![entry]).expect("one entry")
    }

    fn chunk() -> Bytes {
        sealed(Payload::Chunk(Arc::new(group_chunk())))
    }

    fn typing() -> Bytes {
        let user = UserId::new(5).expect("valid");
        sealed(Payload::Ephemeral(Ephemeral::Typing { conversation: ConversationId::Inbox(user), user }))
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn bytes_between_versions_do_not_change() {
        assert_eq!(
            hex(&chunk()),
            "080112026e31188202220902000000000000000\
             32a2908071080d095ffbc3118052210090909090909090909090909090909092801300640e707ba3e026869"
        );
        assert_eq!(hex(&typing()), "080112026e31188202320f080210051a09030000000000000005");
    }

    #[test]
    fn a_chunk_is_sealed_once_for_an_origin_and_for_others_as_if_it_were_new() {
        let origin = |node: &str, boot| Origin { node: node.into(), boot: BootId(boot) };
        let of = |chunk: &Arc<Chunk>, origin: Origin| {
            seal(&Message { origin, payload: Payload::Chunk(Arc::clone(chunk)) }).expect("a known payload")
        };
        let origins = [
            origin("n1", 258),
            origin("n2", 258),
            origin("n1", 259),
            origin("n1", 0),
            origin("", 0),
            origin("n11", 258),
        ];
        for first in &origins {
            let shared = Arc::new(group_chunk());
            let bytes = of(&shared, first.clone());
            assert_eq!(of(&shared, first.clone()).as_ptr(), bytes.as_ptr(), "sealed twice");
            for other in &origins {
                let fresh = of(&Arc::new(group_chunk()), other.clone());
                assert_eq!(of(&shared, other.clone()), fresh, "{first:?} is taken for {other:?}");
            }
        }
    }

    #[test]
    fn what_a_newer_version_says_is_passed_over() {
        let mut version_two = BytesMut::from(&b"\x08\x02\x22\x01"[..]);
        version_two.extend_from_slice(b"?");
        let mut unknown_payload = BytesMut::from(&b"\x08\x01"[..]);
        put_bytes(&mut unknown_payload, 9, b"later");
        let mut unknown_ephemeral = BytesMut::from(&b"\x08\x01"[..]);
        put_bytes(&mut unknown_ephemeral, 6, b"\x08\x63");
        for bytes in [version_two, unknown_payload, unknown_ephemeral] {
            assert!(matches!(open(bytes.freeze()), Ok(Opened::Newer)));
        }
        let mut unknown_field = BytesMut::from(&chunk()[..]);
        put_bytes(&mut unknown_field, 9, b"later");
        assert!(matches!(open(unknown_field.freeze()), Ok(Opened::Message(_))));
    }

    #[test]
    fn bytes_cut_short_or_changed_are_refused_or_read_and_never_panic() {
        for whole in [chunk(), typing()] {
            for cut in 0..whole.len() {
                let _ = open(whole.slice(..cut));
                for byte in [0x00, 0x7f, 0xff] {
                    let mut changed = whole.to_vec();
                    changed[cut] = byte;
                    let _ = open(changed.into());
                }
            }
        }
        assert!(open(Bytes::new()).is_err());
        assert!(open(Bytes::from_static(b"PING")).is_err());
    }
}
