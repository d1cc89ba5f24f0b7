//! Exports and imports that were interrupted go on, and end as if they had not been.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use chat_core::memory::MemoryStore;
use chat_core::store::archive::{ArchiveId, Export, ImportRefused, ImportState};
use chat_core::store::{Batch, Store, Write as Change, WriterId};
use chat_core::testkit::archive::{Installation, Place, assert_alike, records};
use chat_core::{Epoch, Timestamp};
use chat_store::archive::{self, ArchiveError, ArchiveReader, Part, Resume};

use crate::folder::Folder;

const NAME: ArchiveId = ArchiveId([1; 16]);

async fn file_of(store: &dyn Export) -> Vec<u8> {
    archive::export(store, Vec::new(), NAME, Timestamp(1), |_| ()).await.expect("the store is in order").0
}

/// A file that can be gone on with, and whose end may be cut.
struct Cut(Cursor<Vec<u8>>);

impl Cut {
    fn at(file: &[u8], end: usize) -> Self {
        Self(Cursor::new(file[..end].to_vec()))
    }
}

impl Read for Cut {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Cut {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Cut {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[tokio::test]
async fn an_export_goes_on_from_any_byte_to_the_same_file() {
    let store = MemoryStore::new(Epoch(7));
    Installation::fill(&store, 40).await;
    let file = file_of(&store).await;
    let mut reader = ArchiveReader::begin(Cursor::new(&file)).expect("an archive");
    let mut begin = usize::try_from(reader.bytes()).expect("small");
    let mut counts = *reader.counts();
    while reader.next_part().expect("it is whole") != Part::End {
        counts = *reader.counts();
        let end = usize::try_from(reader.bytes()).expect("small");
        for cut in [begin, begin.midpoint(end)] {
            // Each takes a whole export.
            if !cut.is_multiple_of(7) {
                continue;
            }
            let resumed =
                archive::resume_export(&store, Cut::at(&file, cut), NAME, Timestamp(1), |_| ()).await;
            let (resumed, _) = resumed.expect("the store stood still");
            assert!(resumed.0.into_inner() == file, "cut at {cut}");
        }
        begin = end;
    }
    for cut in [0, 5, 10, 12, 20] {
        let begun = archive::resume_export(&store, Cut::at(&file, cut), NAME, Timestamp(1), |_| ()).await;
        assert!(begun.expect("the store is in order").0.0.into_inner() == file, "cut at {cut}");
    }
    let whole = archive::resume_export(&store, Cut::at(&file, file.len()), NAME, Timestamp(1), |_| ()).await;
    let (whole, found) = whole.expect("it is finished");
    assert!(whole.0.into_inner() == file && found == counts);
}

#[tokio::test]
async fn an_export_does_not_go_on_from_another_store_or_one_that_changed() {
    let store = MemoryStore::new(Epoch(7));
    let installation = Installation::fill(&store, 41).await;
    let file = file_of(&store).await;
    let other = MemoryStore::new(Epoch(8));
    let error =
        archive::resume_export(&other, Cut::at(&file, file.len() / 2), NAME, Timestamp(1), |_| ()).await;
    assert!(matches!(error, Err(ArchiveError::OtherStore)));
    // Something that is before all entries.
    let mut account = store.accounts(&installation.users[..1]).await.expect("it is in order").remove(0);
    account.as_mut().expect("there is one").created = Timestamp(5);
    let change = Change::PutAccount(account.expect("there is one"));
    let items = vec![chat_core::store::Item { write: vec![change], ..Default::default() }];
    let batch = Batch { writer: WriterId(9), number: 1, now: Timestamp(1), items };
    store.commit(&batch).await.expect("it is in order");
    let error =
        archive::resume_export(&store, Cut::at(&file, file.len() / 2), NAME, Timestamp(1), |_| ()).await;
    assert!(matches!(error, Err(ArchiveError::StoreChanged)));
}

#[tokio::test]
async fn an_import_of_a_file_that_was_cut_goes_on_with_the_whole_one() {
    let store = MemoryStore::new(Epoch(7));
    let installation = Installation::fill(&store, 42).await;
    let file = file_of(&store).await;
    let folder = Folder::new();
    for part in 1..8 {
        let import = folder.import().await;
        let cut = Cursor::new(&file[..file.len() * part / 8]);
        let resume = if part == 1 { Resume::Refused } else { Resume::Allowed };
        let error = archive::import(&*import, cut, resume, |_| ()).await.expect_err("it is cut");
        assert!(matches!(error, ArchiveError::Truncated { .. }), "{error:?}");
        import.close().await;
    }
    let import = folder.import().await;
    let imported = archive::import(&*import, Cursor::new(&file), Resume::Allowed, |_| ()).await;
    let counts = imported.expect("the file is whole");
    assert_eq!(counts.total(), records(&store).await.len() as u64);
    assert_eq!(import.state().await.expect("it is in order"), ImportState::Finished(NAME));
    // Once more: it is there, and the same counts are said.
    let again = archive::import(&*import, Cursor::new(&file), Resume::Allowed, |_| ()).await;
    assert_eq!(again.expect("it is finished"), counts);
    let refused = archive::import(&*import, Cursor::new(&file), Resume::Refused, |_| ()).await;
    assert!(matches!(refused, Err(ArchiveError::Refused(ImportRefused::NotEmpty))), "{refused:?}");
    import.close().await;
    let imported = folder.open().await.expect("it is finished");
    assert_alike(&store, &*imported, &installation).await;
    imported.close().await;
}

#[tokio::test]
async fn a_folder_that_is_in_use_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let store = folder.open().await.expect("an empty folder");
    Installation::fill(&*store, 43).await;
    let before = records(&*store).await;
    store.close().await;
    drop(store);
    let file = file_of(&MemoryStore::new(Epoch(7))).await;
    let import = folder.import().await;
    assert_eq!(import.state().await.expect("it is in order"), ImportState::InUse);
    for resume in [Resume::Refused, Resume::Allowed] {
        let refused = archive::import(&*import, Cursor::new(&file), resume, |_| ()).await;
        assert!(matches!(refused, Err(ArchiveError::Refused(ImportRefused::NotEmpty))), "{refused:?}");
    }
    import.close().await;
    drop(import);
    let store = folder.open().await.expect("it is served as before");
    assert_eq!(records(&*store).await, before);
    store.close().await;
}

/// The statements that made what is in the file of a folder.
fn schema(folder: &Folder) -> Vec<(String, Option<String>)> {
    let db = rusqlite::Connection::open(folder.path().join("chat.db")).expect("a database");
    let mut statement = db.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").expect("a query");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?)));
    let rows = rows.expect("it answers").map(|row| row.expect("two texts"));
    // White space and what is said when it is made are no part of it.
    let words =
        |sql: String| sql.replace("IF NOT EXISTS ", "").split_whitespace().collect::<Vec<_>>().join(" ");
    rows.map(|(name, sql)| (name, sql.map(words))).collect()
}

#[tokio::test]
async fn a_folder_that_was_imported_has_the_schema_of_any_other() {
    let (used, imported) = (Folder::new(), Folder::new());
    used.open().await.expect("an empty folder").close().await;
    let store = MemoryStore::new(Epoch(7));
    Installation::fill(&store, 44).await;
    let import = imported.import().await;
    let file = file_of(&store).await;
    archive::import(&*import, Cursor::new(&file), Resume::Refused, |_| ()).await.expect("it is whole");
    import.close().await;
    drop(import);
    assert_eq!(schema(&imported), schema(&used));
}
