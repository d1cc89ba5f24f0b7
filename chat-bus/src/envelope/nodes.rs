//! The bytes of what nodes say of who is online on them.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use chat_core::bus::{NodePresence, NodeSaid, Origin};
use chat_core::content::fields::{Malformed, put_bytes, put_present, put_uint, take_field};
use chat_core::{BootId, UserId};

const BEAT: u64 = 1;
const CHANGED: u64 = 2;
const ALL: u64 = 3;
const ASK: u64 = 4;
const LEAVING: u64 = 5;

/// Writes it, `None` for what this version has no encoding of.
pub(super) fn put(out: &mut BytesMut, presence: &NodePresence) -> Option<()> {
    let kind = match &presence.said {
        NodeSaid::Beat => BEAT,
        NodeSaid::Changed { .. } => CHANGED,
        NodeSaid::All { .. } => ALL,
        NodeSaid::Ask(_) => ASK,
        NodeSaid::Leaving => LEAVING,
        _ => return None,
    };
    put_uint(out, 1, kind);
    put_uint(out, 2, presence.version);
    match &presence.said {
        NodeSaid::Changed { online, offline } => {
            put_users(out, 3, online);
            put_users(out, 4, offline);
        }
        NodeSaid::All { part, parts, online } => {
            put_users(out, 3, online);
            put_uint(out, 5, u64::from(*part));
            put_uint(out, 6, u64::from(*parts));
        }
        NodeSaid::Ask(Some(whom)) => {
            put_present(out, 7, whom.node.as_bytes());
            put_uint(out, 8, whom.boot.0);
        }
        _ => {}
    }
    Some(())
}

/// Reads what [`put`] wrote, `None` for what a newer version says.
pub(super) fn take(mut input: Bytes) -> Result<Option<NodePresence>, Malformed> {
    let (mut kind, mut version, mut part, mut parts) = (0, 0, 0, 0);
    let (mut online, mut offline) = (Bytes::new(), Bytes::new());
    let (mut node, mut boot) = (None, 0);
    while let Some((tag, value)) = take_field(&mut input)? {
        match tag {
            1 => kind = value.uint()?,
            2 => version = value.uint()?,
            3 => online = value.bytes()?,
            4 => offline = value.bytes()?,
            5 => part = value.uint()?,
            6 => parts = value.uint()?,
            7 => node = Some(value.bytes()?),
            8 => boot = value.uint()?,
            _ => {}
        }
    }
    let small = |number: u64| u32::try_from(number).map_err(|_| Malformed("part"));
    let said = match kind {
        BEAT => NodeSaid::Beat,
        CHANGED => NodeSaid::Changed { online: users(online)?, offline: users(offline)? },
        ALL if part < parts => {
            NodeSaid::All { part: small(part)?, parts: small(parts)?, online: users(online)? }
        }
        ALL => return Err(Malformed("part")),
        ASK => NodeSaid::Ask(match node {
            Some(node) => {
                let node = std::str::from_utf8(&node).map_err(|_| Malformed("node"))?.into();
                Some(Origin { node, boot: BootId(boot) })
            }
            None => None,
        }),
        LEAVING => NodeSaid::Leaving,
        _ => return Ok(None),
    };
    Ok(Some(NodePresence { version, said }))
}

fn put_users(out: &mut BytesMut, tag: u32, users: &[UserId]) {
    let bytes: Vec<u8> = users.iter().flat_map(|user| user.number().to_be_bytes()).collect();
    put_bytes(out, tag, &bytes);
}

fn users(mut bytes: Bytes) -> Result<Arc<[UserId]>, Malformed> {
    if !bytes.len().is_multiple_of(8) {
        return Err(Malformed("users"));
    }
    let count = bytes.len() / 8;
    (0..count).map(|_| UserId::new(bytes.get_u64()).map_err(|_| Malformed("user"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(numbers: &[u64]) -> Arc<[UserId]> {
        numbers.iter().map(|number| UserId::new(*number).expect("valid")).collect()
    }

    #[test]
    fn what_nodes_say_is_read_as_it_was_written_and_its_bytes_do_not_change() {
        let whom = Origin { node: "n2".into(), boot: BootId(7) };
        let cases = [
            (NodeSaid::Beat, "08011009"),
            (
                NodeSaid::Changed { online: some(&[1, 2]), offline: some(&[3]) },
                "080210091a100000000000000001000000000000000222080000000000000003",
            ),
            (NodeSaid::All { part: 1, parts: 2, online: some(&[5]) }, "080310091a08000000000000000528013002"),
            (NodeSaid::Ask(None), "08041009"),
            (NodeSaid::Ask(Some(whom)), "080410093a026e324007"),
            (NodeSaid::Leaving, "08051009"),
        ];
        for (said, expected) in cases {
            let written = NodePresence { version: 9, said };
            let mut out = BytesMut::new();
            put(&mut out, &written).expect("a kind of this version");
            let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expected);
            assert_eq!(take(out.freeze()).expect("sound"), Some(written));
        }
    }

    #[test]
    fn parts_beyond_their_number_and_broken_ids_are_malformed() {
        for bytes in [&b"\x08\x03\x28\x02\x30\x02"[..], b"\x08\x02\x1a\x03abc", b"\x08\x03"] {
            assert!(take(Bytes::copy_from_slice(bytes)).is_err());
        }
        assert_eq!(take(Bytes::from_static(b"\x08\x63")).expect("sound"), None);
    }
}
