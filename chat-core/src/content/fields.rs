//! Tagged fields: the subset of the protobuf wire format that canonical bytes are made of.
//!
//! Varints and length-delimited fields only (Protocol Buffers, "Encoding"), in ascending order of
//! tags, defaults left out, so that one value has one encoding. Readers skip tags they do not know.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::UserId;

const VARINT: u64 = 0;
const DELIMITED: u64 = 2;

/// Bytes that are no sequence of fields, or lack a field that their kind needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed encoding: {0}")]
pub struct Malformed(pub &'static str);

/// Appends a varint.
pub fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value as u8) | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Appends a number, unless it is 0.
pub fn put_uint(out: &mut BytesMut, tag: u32, value: u64) {
    if value != 0 {
        put_varint(out, u64::from(tag) << 3 | VARINT);
        put_varint(out, value);
    }
}

/// Appends a number, if there is one, even when it is 0.
pub fn put_optional(out: &mut BytesMut, tag: u32, value: Option<u64>) {
    if let Some(value) = value {
        put_varint(out, u64::from(tag) << 3 | VARINT);
        put_varint(out, value);
    }
}

/// Appends bytes, unless there are none.
pub fn put_bytes(out: &mut BytesMut, tag: u32, value: &[u8]) {
    if !value.is_empty() {
        put_present(out, tag, value);
    }
}

/// Appends bytes, even when there are none: for fields whose presence says something.
pub fn put_present(out: &mut BytesMut, tag: u32, value: &[u8]) {
    put_varint(out, u64::from(tag) << 3 | DELIMITED);
    put_varint(out, value.len() as u64);
    out.put_slice(value);
}

/// Takes a varint off the front.
///
/// # Errors
/// Bytes that end within it, or a number of more than 64 bits.
pub fn take_varint(input: &mut Bytes) -> Result<u64, Malformed> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        if !input.has_remaining() {
            return Err(Malformed("truncated number"));
        }
        let byte = input.get_u8();
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed("number over 64 bits"))
}

/// What one field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Uint(u64),
    /// Bytes, sharing the memory of what they were read from.
    Bytes(Bytes),
}

impl Value {
    /// The number.
    ///
    /// # Errors
    /// The field holds bytes.
    pub fn uint(self) -> Result<u64, Malformed> {
        if let Self::Uint(value) = self { Ok(value) } else { Err(Malformed("number expected")) }
    }

    /// The bytes.
    ///
    /// # Errors
    /// The field holds a number.
    pub fn bytes(self) -> Result<Bytes, Malformed> {
        if let Self::Bytes(value) = self { Ok(value) } else { Err(Malformed("bytes expected")) }
    }

    /// The bytes as text.
    ///
    /// # Errors
    /// The field holds a number, or bytes that are not UTF-8.
    pub fn text(self) -> Result<String, Malformed> {
        String::from_utf8(self.bytes()?.into()).map_err(|_| Malformed("text is not UTF-8"))
    }
}

/// Takes one field off the front: its tag and value; fixed-width fields of a newer writer are skipped.
///
/// # Errors
/// Bytes that are no field.
pub fn take_field(input: &mut Bytes) -> Result<Option<(u32, Value)>, Malformed> {
    while input.has_remaining() {
        let key = take_varint(input)?;
        let tag = u32::try_from(key >> 3).map_err(|_| Malformed("tag over 32 bits"))?;
        match key & 7 {
            VARINT => return Ok(Some((tag, Value::Uint(take_varint(input)?)))),
            DELIMITED => {
                let len = take_varint(input)?;
                if len > input.remaining() as u64 {
                    return Err(Malformed("truncated bytes"));
                }
                return Ok(Some((tag, Value::Bytes(input.split_to(len as usize)))));
            }
            fixed @ (1 | 5) => {
                let width = if fixed == 1 { 8 } else { 4 };
                if input.remaining() < width {
                    return Err(Malformed("truncated fixed field"));
                }
                input.advance(width);
            }
            _ => return Err(Malformed("unknown field type")),
        }
    }
    Ok(None)
}

/// The fields of one message; a later one of the same tag wins, as protobuf has it.
pub(crate) struct Fields(Vec<(u32, Value)>);

impl Fields {
    pub(crate) fn parse(mut bytes: Bytes) -> Result<Self, Malformed> {
        let mut fields = Vec::new();
        while let Some(field) = take_field(&mut bytes)? {
            fields.push(field);
        }
        Ok(Self(fields))
    }

    pub(crate) fn take(&mut self, tag: u32) -> Option<Value> {
        let at = self.0.iter().rposition(|(found, _)| *found == tag)?;
        Some(self.0.swap_remove(at).1)
    }

    pub(crate) fn uint(&mut self, tag: u32) -> Result<u64, Malformed> {
        self.take(tag).map_or(Ok(0), Value::uint)
    }

    pub(crate) fn bytes(&mut self, tag: u32) -> Result<Bytes, Malformed> {
        self.take(tag).map_or(Ok(Bytes::new()), Value::bytes)
    }

    pub(crate) fn text(&mut self, tag: u32) -> Result<String, Malformed> {
        self.take(tag).map_or(Ok(String::new()), Value::text)
    }

    pub(crate) fn user(&mut self, tag: u32) -> Result<UserId, Malformed> {
        UserId::new(self.uint(tag)?).map_err(|_| Malformed("user id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_at_every_width() {
        for value in [0, 1, 127, 128, 1 << 35, u64::MAX] {
            let mut out = BytesMut::new();
            put_varint(&mut out, value);
            assert_eq!(take_varint(&mut out.freeze()), Ok(value));
        }
    }

    #[test]
    fn overlong_and_truncated_input_is_refused() {
        assert!(take_varint(&mut Bytes::from_static(&[0xff; 10])).is_err());
        assert!(take_varint(&mut Bytes::from_static(&[0x80])).is_err());
        assert!(take_field(&mut Bytes::from_static(&[0x0a, 5, 1])).is_err());
        assert!(take_field(&mut Bytes::from_static(&[0x0b])).is_err());
    }

    #[test]
    fn fields_of_a_newer_writer_are_passed_over() {
        let mut input = Bytes::from_static(&[0x0d, 1, 2, 3, 4, 0x10, 7]);
        assert_eq!(take_field(&mut input), Ok(Some((2, Value::Uint(7)))));
        assert_eq!(take_field(&mut input), Ok(None));
    }
}
