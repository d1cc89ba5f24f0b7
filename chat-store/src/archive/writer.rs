//! Writing an archive.

use std::io::Write;

use bytes::{BufMut, BytesMut};
use chat_core::content::fields::{put_bytes, put_optional, put_uint};
use chat_core::store::archive::{Record, Section};

use super::error::ArchiveError;
use super::frame::{self, HEADER, MAGIC, RECORD, TRAILER, VERSION};
use super::{Counts, Header};

/// Writes records in the order in which they are given, which is that of their positions.
#[derive(Debug)]
pub struct ArchiveWriter<W> {
    to: W,
    /// Frames that are not written yet.
    waiting: BytesMut,
    counts: Counts,
    bytes: u64,
}

impl<W: Write> ArchiveWriter<W> {
    /// So much waits before it is written.
    const BUFFER_BYTES: usize = 1 << 20;

    /// Begins an archive.
    ///
    /// # Errors
    /// Those of writing.
    pub fn begin(mut to: W, header: &Header) -> Result<Self, ArchiveError> {
        let mut out = BytesMut::from(&MAGIC[..]);
        out.put_u32(VERSION);
        let mut body = BytesMut::new();
        put_bytes(&mut body, 1, &header.archive.0);
        put_uint(&mut body, 2, header.source.0);
        put_uint(&mut body, 3, header.created.0);
        frame::put(&mut out, HEADER, &body);
        to.write_all(&out)?;
        Ok(Self { to, waiting: BytesMut::new(), counts: Counts::default(), bytes: out.len() as u64 })
    }

    /// Goes on after what is there already.
    pub(super) fn resume(to: W, counts: Counts, bytes: u64) -> Self {
        Self { to, waiting: BytesMut::new(), counts, bytes }
    }

    /// Writes a record, and says what its canonical bytes are.
    ///
    /// # Errors
    /// Those of writing, and records that are larger than any that is read.
    pub fn write(&mut self, record: &Record) -> Result<BytesMut, ArchiveError> {
        let mut body = BytesMut::new();
        record.encode(&mut body);
        if body.len() >= frame::LIMIT_BYTES {
            return Err(ArchiveError::TooLarge { bytes: body.len() });
        }
        self.frame(RECORD, &body)?;
        self.counts.add(record.position().section());
        Ok(body)
    }

    /// Hands what is written to the operating system.
    ///
    /// # Errors
    /// Those of writing.
    pub fn flush(&mut self) -> Result<(), ArchiveError> {
        self.to.write_all(&self.waiting)?;
        self.waiting.clear();
        Ok(self.to.flush()?)
    }

    /// Writes the trailer, and gives back what was written to.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> Result<W, ArchiveError> {
        let mut body = BytesMut::new();
        for section in Section::ALL {
            put_optional(&mut body, section.number() as u32, Some(self.counts.of(section)));
        }
        self.frame(TRAILER, &body)?;
        self.flush()?;
        Ok(self.to)
    }

    /// How many records there are.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn frame(&mut self, kind: u8, body: &[u8]) -> Result<(), ArchiveError> {
        let before = self.waiting.len();
        frame::put(&mut self.waiting, kind, body);
        self.bytes += (self.waiting.len() - before) as u64;
        if self.waiting.len() >= Self::BUFFER_BYTES {
            self.to.write_all(&self.waiting)?;
            self.waiting.clear();
        }
        Ok(())
    }
}
