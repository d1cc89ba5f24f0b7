//! The record of a run: one JSON object per line, each an [`Observation`].
//!
//! A line is written before what it observes can have consequences: that something is sent before it is,
//! and what arrived before anything is sent in answer. So each beginning of a record is the record of a
//! beginning of the run, and what a killed program leaves can be checked as far as it goes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crc32fast::Hasher;

use super::observation::{Counts, Observation};

/// Writes a record.
#[derive(Debug)]
pub struct Writer {
    /// Guards the order of lines; held while one is written.
    file: Mutex<Output>,
}

#[derive(Debug)]
struct Output {
    file: BufWriter<File>,
    counts: Counts,
    /// Of all that was written.
    digest: Hasher,
    /// The line that is being written.
    line: Vec<u8>,
    has_ended: bool,
    /// The first error; nothing is written after it.
    failed: Option<io::Error>,
}

impl Writer {
    /// Begins a record, in place of what the file held.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let output = Output {
            file,
            counts: Counts::default(),
            digest: Hasher::new(),
            line: Vec::new(),
            has_ended: false,
            failed: None,
        };
        Ok(Self { file: Mutex::new(output) })
    }

    /// Appends a line, unless the record has ended. An error is kept for [`Writer::flush`], and nothing is
    /// appended after it.
    pub fn append(&self, observation: &Observation) {
        self.output().append(observation);
    }

    /// Appends the last line.
    pub fn end(&self) {
        let mut output = self.output();
        let (counts, digest) = (output.counts, Some(output.digest.clone().finalize()));
        output.append(&Observation::End { counts, digest });
        output.has_ended = true;
    }

    /// Hands everything to the operating system, after which a killed program leaves it behind.
    ///
    /// # Errors
    /// The file could not be written, now or earlier.
    pub fn flush(&self) -> io::Result<()> {
        let mut output = self.output();
        if output.failed.is_none() {
            output.failed = output.file.flush().err();
        }
        match &output.failed {
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Ok(()),
        }
    }

    fn output(&self) -> MutexGuard<'_, Output> {
        // A line that a panic cut short is the last that counts.
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output {
    fn append(&mut self, observation: &Observation) {
        if self.failed.is_none() && !self.has_ended {
            self.counts.add(observation);
            self.failed = self.write(observation).err();
        }
    }

    fn write(&mut self, observation: &Observation) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, observation)?;
        self.line.push(b'\n');
        self.digest.update(&self.line);
        self.file.write_all(&self.line)
    }
}

/// Reads a record, line by line.
#[derive(Debug)]
pub struct Reader {
    file: BufReader<File>,
    line: Vec<u8>,
    number: u64,
    /// Of all lines before the present one.
    digest: Hasher,
}

/// What a line of a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// An observation.
    Whole(Observation),
    /// It makes no sense.
    Malformed {
        /// Which line, from 1.
        number: u64,
        /// What is wrong with it.
        reason: String,
    },
}

impl Reader {
    /// Opens a record.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = BufReader::with_capacity(1 << 20, File::open(path)?);
        Ok(Self { file, line: Vec::new(), number: 0, digest: Hasher::new() })
    }

    /// The next line, `None` at the end. A last line that was not written to its end is none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        self.digest.update(&self.line);
        self.line.clear();
        self.number += 1;
        if self.file.read_until(b'\n', &mut self.line)? == 0 || !self.line.ends_with(b"\n") {
            return Ok(None);
        }
        Ok(Some(match serde_json::from_slice(&self.line) {
            Ok(observation) => Line::Whole(observation),
            Err(error) => Line::Malformed { number: self.number, reason: error.to_string() },
        }))
    }

    /// The CRC-32 of all bytes before the line that was read last.
    pub fn digest_before(&self) -> u32 {
        self.digest.clone().finalize()
    }
}
