//! Frames: how bytes in a file are told apart, and whether they are those that were written.

use std::io::{self, Read};

use bytes::{BufMut, Bytes, BytesMut};

pub(super) const MAGIC: [u8; 8] = *b"CHATARCH";
pub(super) const VERSION: u32 = 1;

/// Bytes of magic and version.
pub(super) const PREAMBLE_BYTES: u64 = 12;
/// Bytes of length and checksum.
const LEAD_BYTES: usize = 8;
/// The most that a frame holds: far more than any body that a server lets in.
pub(super) const LIMIT_BYTES: usize = 256 << 20;

pub(super) const HEADER: u8 = 1;
pub(super) const RECORD: u8 = 2;
pub(super) const TRAILER: u8 = 3;

/// What was found where a frame should begin.
pub(super) enum Found {
    Frame {
        kind: u8,
        body: Bytes,
        bytes: u64,
    },
    /// Nothing at all.
    End,
    /// Less than the frame says that it is.
    Cut,
    /// Something else than was written.
    Damaged(&'static str),
}

/// Appends a frame.
pub(super) fn put(out: &mut BytesMut, kind: u8, body: &[u8]) {
    let length = (body.len() + 1) as u32;
    out.put_u32(length);
    out.put_u32(checksum(length, kind, body));
    out.put_u8(kind);
    out.put_slice(body);
}

/// Reads one frame.
pub(super) fn read(from: &mut impl Read) -> io::Result<Found> {
    let mut lead = [0; LEAD_BYTES];
    match fill(from, &mut lead)? {
        0 => return Ok(Found::End),
        LEAD_BYTES => {}
        _ => return Ok(Found::Cut),
    }
    let [a, b, c, d, e, f, g, h] = lead;
    let (length, expected) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
    if length == 0 || length as usize > LIMIT_BYTES {
        return Ok(Found::Damaged("a length that no frame has"));
    }
    // What a damaged length asks for is taken only as far as it is there.
    let mut payload = Vec::new();
    from.take(length.into()).read_to_end(&mut payload)?;
    if payload.len() < length as usize {
        return Ok(Found::Cut);
    }
    let body = Bytes::from(payload);
    if checksum(length, body[0], &body[1..]) != expected {
        return Ok(Found::Damaged("its checksum differs"));
    }
    let bytes = (LEAD_BYTES + body.len()) as u64;
    Ok(Found::Frame { kind: body[0], body: body.slice(1..), bytes })
}

/// Reads until the buffer is full or the end is reached, and says how far.
pub(super) fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn checksum(length: u32, kind: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_be_bytes());
    hasher.update(&[kind]);
    hasher.update(body);
    hasher.finalize()
}
