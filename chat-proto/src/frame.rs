//! Frames: a length of four bytes, big-endian, and that many bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The bytes ahead of each frame's payload.
pub const HEADER_BYTES: usize = 4;

/// The longest payload that either side sends before a session has begun.
pub const HANDSHAKE_FRAME_BYTES: usize = 16 * 1024;

/// The longest payload that anybody has to be ready for.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// A frame announces more than is admitted; nothing after it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {len} bytes where {limit_bytes} are admitted")]
pub struct Oversized {
    /// What the header says.
    pub len: usize,
    /// What is admitted.
    pub limit_bytes: usize,
}

/// Takes the payload of the next frame off the front of what was received; `None` while it is not
/// there as a whole. The payload shares the buffer's memory.
///
/// # Errors
/// A header that announces more than `limit_bytes`, as soon as it is there.
pub fn take(received: &mut BytesMut, limit_bytes: usize) -> Result<Option<Bytes>, Oversized> {
    let Some(len) = announced(received, limit_bytes)? else { return Ok(None) };
    if received.len() < HEADER_BYTES + len {
        return Ok(None);
    }
    received.advance(HEADER_BYTES);
    Ok(Some(received.split_to(len).freeze()))
}

/// How many bytes are missing until [`take`] has a frame; `None` while not even that is known.
///
/// # Errors
/// A header that announces more than `limit_bytes`.
pub fn missing(received: &[u8], limit_bytes: usize) -> Result<Option<usize>, Oversized> {
    let len = announced(received, limit_bytes)?;
    Ok(len.map(|len| (HEADER_BYTES + len).saturating_sub(received.len())))
}

/// Appends a frame whose payload `write` appends.
///
/// # Panics
/// The payload is longer than four bytes can say.
pub fn put(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    write(out);
    let len = out.len() - start - HEADER_BYTES;
    let len = u32::try_from(len).expect("whoever makes frames keeps them below their limit");
    out[start..start + HEADER_BYTES].copy_from_slice(&len.to_be_bytes());
}

fn announced(received: &[u8], limit_bytes: usize) -> Result<Option<usize>, Oversized> {
    let Some(header) = received.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let len = u32::from_be_bytes(*header) as usize;
    if len > limit_bytes { Err(Oversized { len, limit_bytes }) } else { Ok(Some(len)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(payloads: &[&[u8]]) -> BytesMut {
        let mut out = BytesMut::new();
        for payload in payloads {
            put(&mut out, |out| out.put_slice(payload));
        }
        out
    }

    #[test]
    fn frames_are_found_at_every_split() {
        let payloads: [&[u8]; 4] = [b"one", b"", b"three", b"4"];
        let whole = framed(&payloads);
        for cut in 0..=whole.len() {
            let mut received = BytesMut::new();
            let mut found = Vec::new();
            for part in [&whole[..cut], &whole[cut..]] {
                received.extend_from_slice(part);
                while let Some(payload) = take(&mut received, 5).expect("within the limit") {
                    found.push(payload);
                }
            }
            assert_eq!(found, payloads, "cut at {cut}");
            assert!(received.is_empty());
        }
    }

    #[test]
    fn what_is_missing_is_said_exactly() {
        let whole = framed(&[b"three"]);
        assert_eq!(missing(&whole[..3], 5), Ok(None));
        for cut in HEADER_BYTES..=whole.len() {
            assert_eq!(missing(&whole[..cut], 5), Ok(Some(whole.len() - cut)));
        }
    }

    #[test]
    fn an_oversized_frame_is_refused_by_its_header() {
        let mut received = BytesMut::from(&b"\x00\x00\x00\x06"[..]);
        assert_eq!(take(&mut received, 5), Err(Oversized { len: 6, limit_bytes: 5 }));
        assert_eq!(take(&mut received, 6), Ok(None));
    }
}
