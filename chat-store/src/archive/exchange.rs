//! From a store into an archive, and from an archive into a store.

use std::io::{Read, Seek, SeekFrom, Write};

use chat_core::Timestamp;
use chat_core::store::archive::{
    ArchiveId, Export, Import, ImportState, PageLimits, Position, Record, Section,
};
use sha2::{Digest as _, Sha256};

use super::{ArchiveError, ArchiveReader, ArchiveWriter, Counts, Header, Part};

/// One page: one transaction of an import.
const PAGE: PageLimits = PageLimits { records: 4096, bytes: 4 << 20 };

/// How far an exchange has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Records.
    pub records: u64,
    /// Bytes of the archive.
    pub bytes: u64,
}

/// What an unfinished archive holds.
struct Written {
    reached: Option<Position>,
    state: Sha256,
}

impl Written {
    fn nothing() -> Self {
        Self { reached: None, state: Sha256::new() }
    }

    fn add(&mut self, position: Position, bytes: &[u8]) {
        self.reached = Some(position);
        if position.section() < Section::Entries {
            self.state.update(bytes);
        }
    }
}

/// Writes the installation of a store, which must stand still, and gives back what was written to.
///
/// # Errors
/// [`ArchiveError`] says why the archive is unfinished.
pub async fn export<W: Write>(
    store: &dyn Export,
    to: W,
    archive: ArchiveId,
    now: Timestamp,
    progress: impl FnMut(Progress),
) -> Result<(W, Counts), ArchiveError> {
    let header = Header { archive, source: store.epoch().await?, created: now };
    let writer = ArchiveWriter::begin(to, &header)?;
    continued(store, writer, Written::nothing(), progress).await
}

/// Goes on with an unfinished archive after its last whole record, or begins one where not even its
/// header is whole; a finished one stays as it is. The archive ends where the file then stands:
/// whatever is behind that is no part of it.
///
/// # Errors
/// [`ArchiveError`] says why the archive is unfinished.
pub async fn resume_export<F: Read + Write + Seek>(
    store: &dyn Export,
    mut file: F,
    archive: ArchiveId,
    now: Timestamp,
    progress: impl FnMut(Progress),
) -> Result<(F, Counts), ArchiveError> {
    let begun = ArchiveReader::begin(std::io::BufReader::with_capacity(1 << 20, &mut file));
    let mut reader = match begun {
        Ok(reader) => reader,
        Err(ArchiveError::Truncated { .. }) => {
            file.seek(SeekFrom::Start(0))?;
            return export(store, file, archive, now, progress).await;
        }
        Err(error) => return Err(error),
    };
    if reader.header().source != store.epoch().await? {
        return Err(ArchiveError::OtherStore);
    }
    let mut written = Written::nothing();
    loop {
        match reader.next_part() {
            Ok(Part::Record(record, bytes)) => written.add(record.position(), &bytes),
            Ok(Part::End) => {
                let (counts, bytes) = (*reader.counts(), reader.bytes());
                drop(reader);
                file.seek(SeekFrom::Start(bytes))?;
                return Ok((file, counts));
            }
            // What was being written when the export was interrupted; it is written over.
            Err(ArchiveError::Truncated { .. } | ArchiveError::Damaged { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    let (counts, bytes) = (*reader.counts(), reader.bytes());
    drop(reader);
    if written.reached.is_some_and(|reached| reached.section() == Section::Entries) {
        // Better now than at the end of all entries.
        unchanged(store, &written).await?;
    }
    file.seek(SeekFrom::Start(bytes))?;
    continued(store, ArchiveWriter::resume(file, counts, bytes), written, progress).await
}

async fn continued<W: Write>(
    store: &dyn Export,
    mut writer: ArchiveWriter<W>,
    mut written: Written,
    mut progress: impl FnMut(Progress),
) -> Result<(W, Counts), ArchiveError> {
    loop {
        let page = store.export(written.reached.as_ref(), &PAGE).await?;
        if page.is_empty() {
            break;
        }
        for record in &page {
            let bytes = writer.write(record)?;
            written.add(record.position(), &bytes);
        }
        writer.flush()?;
        progress(Progress { records: writer.counts().total(), bytes: writer.bytes() });
    }
    unchanged(store, &written).await?;
    let counts = *writer.counts();
    Ok((writer.finish()?, counts))
}

/// Whether the store still holds what was written of it, entries left out: none is added, and none
/// taken away, without a head that moves.
async fn unchanged(store: &dyn Export, written: &Written) -> Result<(), ArchiveError> {
    let (mut reached, mut state) = (None, Sha256::new());
    loop {
        let page = store.export(reached.as_ref(), &PAGE).await?;
        for record in &page {
            if record.position().section() < Section::Entries {
                let mut bytes = bytes::BytesMut::new();
                record.encode(&mut bytes);
                state.update(&bytes);
            }
        }
        reached = page.last().map(Record::position);
        if reached.is_none_or(|reached| reached.section() == Section::Entries) {
            break;
        }
    }
    if state.finalize() == written.state.clone().finalize() {
        Ok(())
    } else {
        Err(ArchiveError::StoreChanged)
    }
}

/// Puts an archive into a store, from where the store has got to, and makes it one that can be served.
///
/// With `resume` an unfinished import goes on, and a finished one of the same archive stays as it is.
///
/// # Errors
/// [`ArchiveError`] says why the store is unfinished; nothing was written when it was refused.
pub async fn import(
    store: &dyn Import,
    from: impl Read,
    resume: Resume,
    mut progress: impl FnMut(Progress),
) -> Result<Counts, ArchiveError> {
    let mut reader = ArchiveReader::begin(from)?;
    let archive = reader.header().archive;
    let found = store.state().await?;
    match (found, resume) {
        (ImportState::Finished(finished), Resume::Allowed) if finished == archive => {
            while let Part::Record(..) = reader.next_part()? {}
            return Ok(*reader.counts());
        }
        (ImportState::Unfinished { archive: unfinished, .. }, Resume::Refused) if unfinished == archive => {
            return Err(ArchiveError::Unfinished);
        }
        _ => {}
    }
    let reached = found.reached(archive).map_err(ArchiveError::Refused)?;
    let (mut page, mut bytes) = (Vec::new(), 0);
    loop {
        let part = reader.next_part()?;
        let is_end = part == Part::End;
        if let Part::Record(record, _) = part
            && reached.is_none_or(|reached| record.position() > reached)
        {
            bytes += record.size_bytes();
            page.push(record);
        }
        if is_end || page.len() >= PAGE.records || bytes >= PAGE.bytes {
            store.write(archive, &page).await?;
            (page, bytes) = (Vec::new(), 0);
            progress(Progress { records: reader.counts().total(), bytes: reader.bytes() });
        }
        if is_end {
            break;
        }
    }
    store.finish(archive).await?;
    Ok(*reader.counts())
}

/// Whether an import may go on with what an earlier one has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// It may.
    Allowed,
    /// It is an error.
    Refused,
}
