//! Reading an archive, and finding where it is not what was written.

use std::io::Read;

use bytes::Bytes;
use chat_core::content::fields::{Malformed, take_field};
use chat_core::store::archive::{ArchiveId, Position, Record, Section};
use chat_core::{Epoch, Timestamp};

use super::error::ArchiveError;
use super::frame::{self, Found, HEADER, MAGIC, PREAMBLE_BYTES, RECORD, TRAILER, VERSION};
use super::{Counts, Header};

/// Reads the parts of an archive one after the other.
#[derive(Debug)]
pub struct ArchiveReader<R> {
    from: R,
    header: Header,
    counts: Counts,
    reached: Option<Position>,
    /// Where the next frame begins.
    offset: u64,
}

/// What stands next in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A record, and its canonical bytes.
    Record(Record, Bytes),
    /// Its end: everything was there.
    End,
}

impl<R: Read> ArchiveReader<R> {
    /// Reads the beginning.
    ///
    /// # Errors
    /// It is no archive, or one of a newer version.
    pub fn begin(mut from: R) -> Result<Self, ArchiveError> {
        let mut preamble = [0; PREAMBLE_BYTES as usize];
        let found = frame::fill(&mut from, &mut preamble)?;
        let magic = found.min(MAGIC.len());
        if preamble[..magic] != MAGIC[..magic] {
            return Err(ArchiveError::Foreign);
        }
        let truncated = |offset| ArchiveError::Truncated { offset, record: 1 };
        if found < preamble.len() {
            return Err(truncated(found as u64));
        }
        let [.., a, b, c, d] = preamble;
        let version = u32::from_be_bytes([a, b, c, d]);
        if version != VERSION {
            return Err(ArchiveError::Newer { found: version, expected: VERSION });
        }
        let offset = PREAMBLE_BYTES;
        let damaged = |what| ArchiveError::Damaged { offset, record: 0, what };
        let (body, bytes) = match frame::read(&mut from)? {
            Found::Frame { kind: HEADER, body, bytes } => (body, bytes),
            Found::Frame { .. } => return Err(damaged("the header is missing")),
            Found::End | Found::Cut => return Err(truncated(offset)),
            Found::Damaged(what) => return Err(damaged(what)),
        };
        let header = header(body).map_err(|error| ArchiveError::damaged(offset, 0, error))?;
        Ok(Self { from, header, counts: Counts::default(), reached: None, offset: offset + bytes })
    }

    /// Reads the next part. Nothing is to be read after [`Part::End`].
    ///
    /// # Errors
    /// It is cut off or damaged there, or cannot be understood.
    pub fn next_part(&mut self) -> Result<Part, ArchiveError> {
        let (offset, record) = (self.offset, self.counts.total() + 1);
        let damaged = |what| ArchiveError::Damaged { offset, record, what };
        match frame::read(&mut self.from)? {
            Found::Frame { kind: RECORD, body, bytes } => {
                let read = Record::decode(body.clone()).map_err(|source| ArchiveError::Record {
                    offset,
                    record,
                    source,
                })?;
                let position = read.position();
                if self.reached.is_some_and(|reached| position <= reached) {
                    return Err(damaged("records are not in order"));
                }
                self.reached = Some(position);
                self.counts.add(position.section());
                self.offset += bytes;
                Ok(Part::Record(read, body))
            }
            Found::Frame { kind: TRAILER, body, bytes } => {
                let counts = counts(body).map_err(|error| ArchiveError::damaged(offset, record, error))?;
                if counts != self.counts {
                    return Err(damaged("records are missing before the end"));
                }
                if frame::fill(&mut self.from, &mut [0])? > 0 {
                    return Err(ArchiveError::Damaged {
                        offset: offset + bytes,
                        record,
                        what: "something follows the end",
                    });
                }
                self.offset += bytes;
                Ok(Part::End)
            }
            Found::Frame { .. } => Err(damaged("a frame of an unknown kind")),
            Found::End | Found::Cut => Err(ArchiveError::Truncated { offset, record }),
            Found::Damaged(what) => Err(damaged(what)),
        }
    }

    /// What it says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many records were read.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many bytes were read, in whole frames.
    pub fn bytes(&self) -> u64 {
        self.offset
    }
}

fn header(mut body: Bytes) -> Result<Header, Malformed> {
    let (mut archive, mut source, mut created) = (None, 0, 0);
    while let Some((tag, value)) = take_field(&mut body)? {
        match tag {
            1 => archive = value.bytes()?.as_ref().try_into().ok(),
            2 => source = value.uint()?,
            3 => created = value.uint()?,
            _ => {}
        }
    }
    let archive = ArchiveId(archive.ok_or(Malformed("an archive without a name"))?);
    Ok(Header { archive, source: Epoch(source), created: Timestamp(created) })
}

fn counts(mut body: Bytes) -> Result<Counts, Malformed> {
    let mut counts = Counts::default();
    while let Some((tag, value)) = take_field(&mut body)? {
        // Records of a section that this version does not know would not have been read.
        let section = Section::from_number(tag.into())?;
        counts.0[section as usize] = value.uint()?;
    }
    Ok(counts)
}
