//! `kill -9` at any moment of an export or import, and then `--resume`.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chat_core::store::{Append, Batch, Digest, Item, Once, Outcome, Store as _, WriterId};
use chat_core::{ClientId, ConversationId, GroupId, Kind as EntryKind, Timestamp, UserId};
use chat_store::sqlite::{SqliteOptions, SqliteStore};

use crate::command::{command, done, file, records, refused};
use crate::guard;
use crate::server::{Installation, Kind, LOOK, PATIENCE};

/// So many entries, of some 600 bytes each.
const ENTRIES: u64 = 40_000;
const BATCH: u64 = 500;

/// Fills the folder of an installation, on which no server has run.
async fn fill(installation: &Installation) {
    let store = SqliteStore::open(&installation.data(), &SqliteOptions::default()).expect("a new store");
    let sender = UserId::new(1).expect("within bounds");
    for batch in 0..ENTRIES / BATCH {
        let item = |number: u64| {
            let group = GroupId::new(1 + number % 50).expect("within bounds");
            let conversation = ConversationId::Group(group);
            let content = Bytes::from(format!("{number:600}"));
            let client_id = ClientId((u128::from(number) * 0x9e37_79b9_7f4a_7c15).to_be_bytes());
            let once = Once { client_id, sender, conversation };
            let append = Append {
                conversation,
                sender,
                kind: EntryKind::new(500).expect("within bounds"),
                countable: true,
                target: None,
                content: content.clone(),
                changes_rules: false,
            };
            Item { once: Some((once, Digest::of(&[&content]))), append: vec![append], ..Item::default() }
        };
        let items = (batch * BATCH..(batch + 1) * BATCH).map(item).collect();
        let batch = Batch { writer: WriterId(1), number: batch + 1, now: Timestamp(batch), items };
        let outcomes = store.commit(&batch).await.expect("the store is in order");
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed(_))));
    }
    store.close().await;
}

/// Kills a process; whether it had not ended by itself.
fn kill(mut child: Child) -> bool {
    // It may have ended already.
    let _ = child.kill();
    let status = guard::wait(&mut child);
    assert!(status.success() || status.signal() == Some(9), "{status}");
    status.signal() == Some(9)
}

/// Starts a process as often as it takes, and kills it each time when there is more of something.
fn kill_again_and_again(mut start: impl FnMut(usize) -> Child, progress: impl Fn() -> u64) -> usize {
    let mut kills = 0;
    loop {
        let (before, mut child) = (progress(), start(kills));
        let patience = Instant::now() + PATIENCE;
        while progress() <= before && child.try_wait().expect("it is ours").is_none() {
            assert!(Instant::now() < patience, "no progress");
            std::thread::sleep(LOOK);
        }
        if !kill(child) {
            return kills;
        }
        kills += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_was_killed_goes_on_to_the_same_file() {
    let installation = Installation::new(Kind::Embedded).await;
    fill(&installation).await;
    let (archive, whole) = (file(&installation, "archive"), file(&installation, "whole"));
    done(&installation, "export", &[&whole]);
    let bytes = || fs::metadata(&archive).map_or(0, |file| file.len());
    let start = |kills| {
        let arguments = if kills == 0 { vec![&*archive] } else { vec!["--resume", &archive] };
        guard::spawn(command(&installation, "export", &arguments).stderr(Stdio::null()))
    };
    let kills = kill_again_and_again(start, bytes);
    assert!(kills > 0, "it was killed");
    let expected = records(Path::new(&whole));
    assert!(records(Path::new(&archive)) == expected, "after {kills} kills");

    // Torn anywhere else, as a machine does that loses its power.
    let uncut = fs::read(&archive).expect("it is whole");
    for cut in [uncut.len() - 1, uncut.len() / 2, uncut.len() / 3] {
        let torn = [&uncut[..cut], &[0; 5_000][..uncut.len().saturating_sub(cut).min(5_000)]].concat();
        fs::write(&archive, torn).expect("it can be written to");
        done(&installation, "export", &["--resume", &archive]);
        assert!(fs::read(&archive).expect("it is whole") == uncut, "cut at {cut}");
    }
    // What is behind the end is no part of it.
    let mut longer = File::options().append(true).open(&archive).expect("it is there");
    longer.write_all(b"more").expect("it can be written to");
    let place = Installation::new(Kind::Embedded).await;
    let follows = refused(&place, "import", &[&archive]);
    assert!(follows.contains("follows the end"), "{follows}");
    done(&installation, "export", &["--resume", &archive]);
    assert!(fs::read(&archive).expect("it is whole") == uncut);
}

/// What is in the log of a database; nothing while there is none.
#[cfg(feature = "server-tests")]
async fn entries_at(address: &str) -> u64 {
    use mysql_async::prelude::Queryable as _;
    let opts = mysql_async::Opts::from_url(address).expect("an address");
    let mut database = mysql_async::Conn::new(opts).await.expect("the database is there");
    let found = database.query_first("SELECT COUNT(*) FROM log").await;
    database.disconnect().await.expect("it was connected");
    found.ok().flatten().unwrap_or(0)
}

/// What is in the log of a store; nothing while there is none.
fn entries_in(place: &Installation) -> u64 {
    #[cfg(feature = "server-tests")]
    if let Some(address) = place.database() {
        let runtime = tokio::runtime::Handle::current();
        return tokio::task::block_in_place(|| runtime.block_on(entries_at(address)));
    }
    let file = place.data().join("chat.db");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let found = rusqlite::Connection::open_with_flags(file, flags)
        .and_then(|db| db.query_row("SELECT count(*) FROM log", [], |row| row.get::<_, i64>(0)));
    found.map_or(0, i64::cast_unsigned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_was_killed_goes_on_to_the_same_store() {
    import_killed_again_and_again(Kind::Embedded).await;
}

#[cfg(feature = "server-tests")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_was_killed_goes_on_to_the_same_database() {
    import_killed_again_and_again(Kind::Mysql).await;
}

async fn import_killed_again_and_again(kind: Kind) {
    let installation = Installation::new(Kind::Embedded).await;
    fill(&installation).await;
    let archive = file(&installation, "archive");
    done(&installation, "export", &[&archive]);
    let place = Installation::new(kind).await;

    // At first out of a pipe that is slow, until it has said how far it is.
    let mut import = command(&place, "import", &["-"]);
    let mut child = guard::spawn(import.stdin(Stdio::piped()).stderr(Stdio::piped()));
    let mut pipe = child.stdin.take().expect("it is piped");
    let stderr = child.stderr.take().expect("it is piped");
    let telling = std::thread::spawn(move || {
        let mut line = String::new();
        BufReader::new(stderr).read_line(&mut line).expect("a line of text");
        line
    });
    let mut from = File::open(&archive).expect("it was written");
    let mut piece = vec![0; 200_000];
    let all = from.metadata().expect("it is there").len();
    while !telling.is_finished() {
        let read = from.read(&mut piece).expect("it can be read");
        assert!(from.stream_position().expect("it is a file") < all, "it says nothing");
        pipe.write_all(&piece[..read]).expect("the import reads");
        std::thread::sleep(Duration::from_millis(40));
    }
    let line = telling.join().expect("no panic");
    assert!(line.starts_with("imported ") && line.ends_with(" MiB\n"), "{line}");
    assert!(kill(child), "it waits for the rest");
    let unfinished = refused(&place, "import", &[&archive]);
    assert!(unfinished.contains("--resume"), "{unfinished}");
    let output = place.start_in_vain();
    assert_eq!(output.status.code(), Some(1));

    // Then with every page.
    let start = |_| guard::spawn(command(&place, "import", &["--resume", &archive]).stderr(Stdio::null()));
    let before = entries_in(&place);
    assert!(before > 0 && before < ENTRIES, "half-way: {before}");
    let kills = kill_again_and_again(start, || entries_in(&place));
    assert!(kills > 0, "it was killed");
    let again = file(&place, "again");
    done(&place, "export", &[&again]);
    assert!(records(Path::new(&again)) == records(Path::new(&archive)), "after {kills} kills");
}
