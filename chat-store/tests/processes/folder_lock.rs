//! One process per data folder.

use std::time::Duration;

use chat_core::store::Store;
use chat_store::sqlite::{OpenError, SqliteOptions, SqliteStore};

use crate::child::{OtherProcess, role};

#[test]
fn second_process_is_refused_and_told_who_uses_the_folder() {
    if let Some((folder, _)) = role() {
        let _store = SqliteStore::open(&folder, &SqliteOptions::default()).expect("nobody else has it");
        println!("\nopened");
        // Until it is killed; the limit is for a parent that was killed itself.
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = "folder_lock::second_process_is_refused_and_told_who_uses_the_folder";
    let mut other = OtherProcess::run(name, folder.path(), 0);
    other.next_line("opened").expect("it opens the store");

    let error = SqliteStore::open(folder.path(), &SqliteOptions::default()).expect_err("it is in use");
    assert!(matches!(error, OpenError::InUse { process: Some(id), .. } if id == other.id()), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(&folder.path().display().to_string()), "{message}");
    assert!(message.contains("another process") && message.contains(&other.id().to_string()), "{message}");

    other.kill();
    SqliteStore::open(folder.path(), &SqliteOptions::default()).expect("the lock went with the process");
}

#[tokio::test]
async fn second_store_of_one_process_is_refused_until_the_first_is_closed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = || SqliteStore::open(folder.path(), &SqliteOptions::default());
    let first = open().expect("nobody else has it");
    assert!(matches!(open(), Err(OpenError::InUse { .. })));
    first.close().await;
    let second = open().expect("it was closed");
    drop(second);
    open().expect("it was dropped");
}
