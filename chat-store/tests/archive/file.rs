//! Files that are not what was written are refused, with the place where they are not, and nothing is
//! finished of them.

use std::io::Cursor;

use chat_core::memory::{MemoryImport, MemoryStore};
use chat_core::store::archive::{ArchiveId, Import, ImportState};
use chat_core::testkit::archive::Installation;
use chat_core::{Epoch, Timestamp};
use chat_store::archive::{self, ArchiveError, ArchiveReader, Part, Resume};

/// A file with an installation, and where each of its frames begins: header, records, trailer.
async fn archive() -> (Vec<u8>, Vec<usize>) {
    let store = MemoryStore::new(Epoch(7));
    Installation::fill(&store, 30).await;
    let exported = archive::export(&store, Vec::new(), ArchiveId([1; 16]), Timestamp(1), |_| ()).await;
    let (file, counts) = exported.expect("the store is in order");
    let mut reader = ArchiveReader::begin(Cursor::new(&file)).expect("an archive");
    let mut boundaries = vec![12];
    loop {
        boundaries.push(usize::try_from(reader.bytes()).expect("small"));
        if reader.next_part().expect("it is whole") == Part::End {
            break;
        }
    }
    assert_eq!(boundaries.len() as u64, 2 + counts.total());
    assert_eq!(reader.bytes(), file.len() as u64);
    (file, boundaries)
}

/// Reads a file to the end, and says what is wrong with it.
fn refused(file: &[u8]) -> Option<ArchiveError> {
    let mut reader = match ArchiveReader::begin(Cursor::new(file)) {
        Ok(reader) => reader,
        Err(error) => return Some(error),
    };
    loop {
        match reader.next_part() {
            Ok(Part::Record(..)) => {}
            Ok(Part::End) => return None,
            Err(error) => return Some(error),
        }
    }
}

/// Imports a file that is refused; nothing comes of it.
async fn import_in_vain(file: &[u8]) -> ArchiveError {
    let import = MemoryImport::new(Epoch(8));
    let error = archive::import(&import, Cursor::new(file), Resume::Allowed, |_| ()).await;
    let state = import.state().await.expect("nothing fails in memory");
    assert!(!matches!(state, ImportState::Finished(_)), "nothing is finished");
    assert!(import.into_store().is_none());
    error.expect_err("the file is not what was written")
}

#[tokio::test]
async fn a_file_that_is_cut_off_is_refused_wherever_that_is() {
    let (file, boundaries) = archive().await;
    assert!(refused(&file).is_none());
    for (number, window) in boundaries.windows(2).enumerate() {
        let (begin, end) = (window[0], window[1]);
        for cut in [begin, begin + 1, begin + 7, begin + 8, begin.midpoint(end), end - 1] {
            match refused(&file[..cut]) {
                Some(ArchiveError::Truncated { offset, record }) => {
                    assert_eq!(offset, begin as u64, "cut at {cut}");
                    assert_eq!(record, number.max(1) as u64, "cut at {cut}");
                }
                other => panic!("cut at {cut}: {other:?}"),
            }
        }
    }
    // The trailer, a frame before it, and everything from some page on.
    for cut in [file.len() - 1, boundaries[boundaries.len() - 2], boundaries[boundaries.len() / 2], 12] {
        let error = import_in_vain(&file[..cut]).await;
        assert!(matches!(error, ArchiveError::Truncated { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_changed_byte_is_found_in_the_frame_that_has_it() {
    let (file, boundaries) = archive().await;
    // Every byte of what comes first and last, and one of some hundred of the rest.
    let places =
        (12..2_000).chain((2_000..file.len() - 300).step_by(337)).chain(file.len() - 300..file.len());
    for place in places {
        for bit in [0x01, 0x80] {
            let mut damaged = file.clone();
            damaged[place] ^= bit;
            let begin = boundaries[boundaries.partition_point(|begin| *begin <= place) - 1];
            // A length that was changed may lead past the end.
            let offset = match refused(&damaged) {
                Some(ArchiveError::Damaged { offset, .. } | ArchiveError::Truncated { offset, .. }) => offset,
                other => panic!("byte {place}: {other:?}"),
            };
            assert_eq!(offset, begin as u64, "byte {place}");
        }
    }
    let mut damaged = file.clone();
    damaged[boundaries[boundaries.len() / 2] + 10] ^= 4;
    let error = import_in_vain(&damaged).await;
    assert!(matches!(error, ArchiveError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("byte {}", boundaries[boundaries.len() / 2])), "{error}");
}

#[tokio::test]
async fn missing_repeated_and_exchanged_records_are_refused() {
    let (file, boundaries) = archive().await;
    let frame = |number: usize| &file[boundaries[number]..boundaries[number + 1]];
    let (middle, all) = (boundaries.len() / 2, boundaries.len());
    let before = |number: usize| &file[..boundaries[number]];
    let missing = [before(middle), &file[boundaries[middle + 1]..]].concat();
    let error = import_in_vain(&missing).await;
    assert!(matches!(error, ArchiveError::Damaged { what, .. } if what.contains("missing")), "{error:?}");
    let repeated = [before(middle + 1), &file[boundaries[middle]..]].concat();
    let exchanged =
        [before(middle), frame(middle + 1), frame(middle), &file[boundaries[middle + 2]..]].concat();
    for file in [repeated, exchanged] {
        let error = import_in_vain(&file).await;
        assert!(matches!(error, ArchiveError::Damaged { what, .. } if what.contains("order")), "{error:?}");
    }
    let second_header = [before(middle), frame(0), &file[boundaries[middle]..]].concat();
    let error = import_in_vain(&second_header).await;
    assert!(matches!(error, ArchiveError::Damaged { .. }), "{error:?}");
    let goes_on = [&file[..], frame(all - 2)].concat();
    let error = import_in_vain(&goes_on).await;
    assert!(
        matches!(error, ArchiveError::Damaged { offset, .. } if offset == file.len() as u64),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_is_no_archive_or_a_newer_one_is_refused_at_once() {
    let (file, _) = archive().await;
    for foreign in [&b"CHATTER"[..], b"SQLite format 3\0 and more", &[0; 100]] {
        let error = import_in_vain(foreign).await;
        assert!(matches!(error, ArchiveError::Foreign), "{error:?}");
    }
    for cut in [0, 4, 8, 10] {
        let error = import_in_vain(&file[..cut]).await;
        assert!(matches!(error, ArchiveError::Truncated { offset, .. } if offset == cut as u64), "{error:?}");
    }
    for version in [0_u32, 2, u32::MAX] {
        let mut newer = file.clone();
        newer[8..12].copy_from_slice(&version.to_be_bytes());
        let error = import_in_vain(&newer).await;
        assert!(matches!(error, ArchiveError::Newer { found, expected: 1 } if found == version), "{error:?}");
    }
}
