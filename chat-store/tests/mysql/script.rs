//! Small batches, which are written with their commit in one packet of several statements.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat_core::store::StoreErrorKind;
use chat_core::store::{Append, Digest, Item, Outcome, SeqRef, StandingChange, Store, Write};
use chat_core::{ConversationId, Direction, Range, Seq, Standing};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use tokio::time::Instant;

use crate::cluster::cluster;
use crate::fixture::{batch, begun, group, message, numbers, seqs, user};
use crate::server::{Server, address, connect, shared};

/// What a batch can write to, the log's own rows cut where they are long.
const TABLES: [&str; 5] = [
    "SELECT conversation, seq, time, sender, kind, countable, ordinal, target, client_id, digest,
            LEFT(content, 300) FROM log ORDER BY conversation, seq",
    "SELECT * FROM referring ORDER BY conversation, target, seq",
    "SELECT * FROM member ORDER BY conversation, user",
    "SELECT * FROM head ORDER BY conversation",
    "SELECT * FROM journal ORDER BY writer, number",
];

async fn everything(conn: &mut Conn) -> Vec<Vec<Row>> {
    let mut found = Vec::new();
    for table in TABLES {
        found.push(conn.query(table).await.expect("a table of the store"));
    }
    found
}

/// The same as can be compared.
async fn dump(conn: &mut Conn) -> String {
    let rows = everything(conn).await;
    format!(
        "{:#?}",
        rows.into_iter()
            .map(|rows| rows.into_iter().map(Row::unwrap))
            .map(Vec::from_iter)
            .collect::<Vec<_>>()
    )
}

fn content(number: u64, conversation: ConversationId, content: impl Into<Bytes>) -> Item {
    let mut item = message(number, conversation);
    item.append[0].content = content.into();
    item
}

/// Something of everything that stands in a script: entries, a reference, totals, a member, heads.
fn manifold(number: u64, of: ConversationId) -> Vec<Item> {
    let text = message(number, of);
    let mut reaction = message(number + 1, of);
    let reacting = Append { countable: false, target: Some(1), ..reaction.append[0].clone() };
    reaction.append = vec![reacting];
    let mut change = StandingChange::of(of, user(98));
    (change.standing, change.joined) = (Some(Standing::Member), Some(SeqRef::Appended(0)));
    reaction.write = vec![Write::Standing(change)];
    vec![text, reaction]
}

async fn sessions(admin: &mut Conn) -> Vec<u64> {
    let sessions = "SELECT id FROM information_schema.processlist
                    WHERE user = 'chat' AND db = DATABASE() ORDER BY id";
    admin.query(sessions).await.expect("the server answers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statement_that_fails_leaves_nothing_and_its_connection_goes_on() -> Result<(), Box<dyn Error>> {
    let here = group(1);
    let (store, mut admin) = begun(shared().await).await;
    let writing = sessions(&mut admin).await;
    // Each statement of a script, the first to the last.
    let statements = [
        ("log", "TRUE"),
        ("referring", "TRUE"),
        ("member", "NEW.user = 99"),
        ("member", "NEW.user = 98"),
        ("head", "TRUE"),
        ("journal", "TRUE"),
    ];
    for (number, (table, condition)) in (1..).zip(statements) {
        let trigger = format!(
            "CREATE TRIGGER refusing BEFORE INSERT ON {table} FOR EACH ROW
             IF {condition} THEN SIGNAL SQLSTATE '45000'; END IF"
        );
        admin.query_drop(trigger).await?;
        let before = dump(&mut admin).await;
        let refused = batch(1, 1 + number, manifold(10 * number, here));
        let error = store.commit(&refused).await.expect_err("a statement is refused");
        // The server said so ahead of the commit: nothing is in doubt.
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{table}");
        assert_eq!(dump(&mut admin).await, before, "{table}");
        admin.query_drop("DROP TRIGGER refusing").await?;
        let outcomes = store.commit(&refused).await?;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed(_))), "{outcomes:?}");
        assert_eq!(seqs(&outcomes), [2 * number, 2 * number + 1]);
    }
    assert_eq!(sessions(&mut admin).await, writing, "no connection was given up");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflict_at_any_statement_is_run_again() -> Result<(), Box<dyn Error>> {
    let here = group(1);
    let (store, mut admin) = begun(shared().await).await;
    // What it counts stays counted when a transaction is rolled back.
    admin.query_drop("CREATE TABLE conflicts (remaining INT NOT NULL) ENGINE = MyISAM").await?;
    admin.query_drop("INSERT INTO conflicts VALUES (0)").await?;
    let mut number = 1;
    for table in ["log", "referring", "member", "head", "journal"] {
        for (code, state) in [(1213, "40001"), (1205, "HY000")] {
            number += 1;
            let trigger = format!(
                "CREATE TRIGGER refusing BEFORE INSERT ON {table} FOR EACH ROW
                 IF (SELECT remaining FROM conflicts) > 0 THEN
                     UPDATE conflicts SET remaining = remaining - 1;
                     SIGNAL SQLSTATE '{state}' SET MYSQL_ERRNO = {code};
                 END IF"
            );
            admin.query_drop(trigger).await?;
            admin.query_drop("UPDATE conflicts SET remaining = 2").await?;
            let outcomes = store.commit(&batch(1, number, manifold(10 * number, here))).await?;
            let first = 2 * (number - 1);
            assert_eq!(seqs(&outcomes), [first, first + 1], "{table} {code}");
            let remaining: Option<u64> = admin.query_first("SELECT remaining FROM conflicts").await?;
            assert_eq!(remaining, Some(0), "{table} {code}");
            admin.query_drop("DROP TRIGGER refusing").await?;
        }
    }
    let head = store.heads(&[here]).await?.remove(0);
    assert_eq!((head.seq, head.ordinal), (2 * number - 1, number));
    Ok(())
}

/// Waits until a session is in this state, and ends the statement that it is in.
async fn kill_query(admin: &mut Conn, state: &str) -> Result<(), Box<dyn Error>> {
    // Whoever runs a trigger counts as who made it.
    let find = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND state = ?";
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(id) = admin.exec_first::<u64, _, _>(find, (state,)).await? {
            return Ok(admin.query_drop(format!("KILL QUERY {id}")).await?);
        }
        assert!(Instant::now() < patience, "it stops in the middle");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statement_that_is_killed_ahead_of_the_commit_leaves_nothing_and_its_connection_goes_on()
-> Result<(), Box<dyn Error>> {
    let here = group(1);
    let (store, mut admin) = begun(shared().await).await;
    let store = Arc::new(store);
    let writing = sessions(&mut admin).await;
    admin.query_drop("DO GET_LOCK(DATABASE(), 0)").await?;
    for (number, table) in (1..).zip(["log", "referring", "member", "head", "journal"]) {
        let trigger = format!(
            "CREATE TRIGGER halting BEFORE INSERT ON {table} FOR EACH ROW DO GET_LOCK(DATABASE(), 60)"
        );
        admin.query_drop(trigger).await?;
        let before = dump(&mut admin).await;
        let killed = batch(1, 1 + number, manifold(10 * number, here));
        let committing = tokio::spawn({
            let (store, killed) = (Arc::clone(&store), killed.clone());
            async move { store.commit(&killed).await }
        });
        kill_query(&mut admin, "User lock").await?;
        let error = committing.await?.expect_err("a statement is killed");
        // The server said so, and nothing is in doubt.
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{table}");
        assert_eq!(dump(&mut admin).await, before, "{table}");
        admin.query_drop("DROP TRIGGER halting").await?;
        assert_eq!(seqs(&store.commit(&killed).await?), [2 * number, 2 * number + 1]);
    }
    assert_eq!(sessions(&mut admin).await, writing, "no connection was given up");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commit_that_is_killed_is_ambiguous_and_settled_by_running_again() -> Result<(), Box<dyn Error>> {
    // Of its own, since nobody commits on it for a while.
    let server = Server::start().await;
    let (store, mut admin) = begun(&server).await;
    let store = Arc::new(store);
    for stage in ["START", "FLUSH", "BLOCK_DDL", "BLOCK_COMMIT"] {
        admin.query_drop(format!("BACKUP STAGE {stage}")).await?;
    }
    let killed = batch(1, 2, manifold(10, group(1)));
    let committing = tokio::spawn({
        let (store, killed) = (Arc::clone(&store), killed.clone());
        async move { store.commit(&killed).await }
    });
    kill_query(&mut admin, "Waiting for backup lock").await?;
    let error = committing.await?.expect_err("its commit is killed");
    assert_eq!(error.kind(), StoreErrorKind::Ambiguous);
    admin.query_drop("BACKUP STAGE END").await?;
    assert_eq!(seqs(&store.commit(&killed).await?), [2, 3]);
    assert_eq!(store.heads(&[group(1)]).await?[0].seq, 3, "it is there once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contents_of_all_bytes_come_back_as_they_were() -> Result<(), Box<dyn Error>> {
    let store = connect(&shared().await.database().await).await;
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let contents: [Bytes; 7] = [
        all.into(),
        Bytes::new(),
        Bytes::from_static(b"'"),
        Bytes::from_static(b"\\'; COMMIT; -- \""),
        Bytes::from_static(b"?, :named, ?"),
        Bytes::from_static("\u{0}\u{1a}\\ \u{e9} \u{1f600}".as_bytes()),
        Bytes::from_static(b"\xff\xfe\x80"),
    ];
    let items = (1..).zip(&contents).map(|(number, bytes)| content(number, group(1), bytes.clone()));
    store.commit(&batch(1, 1, items.collect())).await?;
    let (from, direction) = (1, Direction::Forward);
    let range = Range { from, to: Seq::MAX, direction, limit: 100, limit_bytes: usize::MAX };
    let entries = store.entries(group(1), &range).await?;
    let found: Vec<_> =
        entries.into_iter().map(|entry| entry.content.expect("nothing is redacted")).collect();
    assert_eq!(found, contents);
    Ok(())
}

/// How many prepared statements clients have run so far.
async fn executed(admin: &mut Conn) -> u64 {
    let count: Option<(String, u64)> =
        admin.query_first("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'").await.expect("the server answers");
    count.expect("every server counts them").1
}

/// Makes a batch with a message of a length, and says how many prepared statements it took.
async fn commit_with(admin: &mut Conn, store: &impl Store, number: u64, length: usize) -> u64 {
    let before = executed(admin).await;
    // Of three digits each, which stand in contents.
    let first = 100 + 10 * number;
    let mut items = manifold(first, group(1));
    items.push(content(first + 2, group(2), vec![b'x'; length]));
    items[2].once = items[2].once.map(|(once, _)| (once, Digest([7; 16])));
    items[2].write = vec![Write::Read { conversation: group(1), user: user(98), to: SeqRef::At(1) }];
    store.commit(&batch(1, number, items)).await.expect("nothing stands against it");
    executed(admin).await - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_and_large_batches_write_the_same_rows() -> Result<(), Box<dyn Error>> {
    // Of its own, since its statements are counted.
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let database = server.make_database().await;
    let store = connect(&address(&database, server.port())).await;
    store.commit(&batch(1, 1, vec![message(1, group(1)), message(2, group(2))])).await?;
    let of_small = commit_with(&mut admin, &store, 2, 0).await;
    let (mut small, mut large) = (0, 1 << 20);
    let of_large = commit_with(&mut admin, &store, 3, large).await;
    assert!(of_small + 5 <= of_large, "{of_small}, {of_large}");
    let mut number = 4;
    while large - small > 1 {
        let middle = small.midpoint(large);
        let count = commit_with(&mut admin, &store, number, middle).await;
        assert!([of_small, of_large].contains(&count), "{count}");
        *(if count == of_small { &mut small } else { &mut large }) = middle;
        number += 1;
    }
    assert!(large < 256 << 10, "texts are far from the size of a packet: {large}");
    let mut dumps = Vec::new();
    for (length, expected) in [(small, of_small), (large, of_large)] {
        let database = server.make_database().await;
        let store = connect(&address(&database, server.port())).await;
        admin.query_drop(format!("USE {database}")).await?;
        store.commit(&batch(1, 1, vec![message(1, group(1)), message(2, group(2))])).await?;
        assert_eq!(commit_with(&mut admin, &store, 2, length).await, expected);
        let rows = everything(&mut admin).await;
        let counts: Vec<usize> = rows.iter().map(Vec::len).collect();
        assert_eq!(counts, [5, 1, 3, 2, 2]);
        dumps.push(dump(&mut admin).await);
    }
    assert_eq!(dumps[0], dumps[1]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_beaten_by_another_server_between_its_writes_is_not_committed_in_part()
-> Result<(), Box<dyn Error>> {
    let cluster = cluster().await;
    let urls = cluster.database().await;
    let (beaten, winning) = (connect(&urls[0]).await, connect(&urls[1]).await);
    beaten.commit(&batch(1, 1, vec![message(1, group(1))])).await?;
    let database = urls[0].rsplit('/').next().expect("the address names it");
    let mut admin = cluster.server(0).admin().await;
    admin.query_drop("SET SESSION wsrep_sync_wait = 15").await?;
    admin.query_drop(format!("USE {database}")).await?;
    let mut number = 1;
    for table in ["log", "member", "head", "journal"] {
        number += 1;
        let (commits, others) = (10 * number, 10 * number + 1);
        // Who writes on the first server stops in the middle until the other's is there.
        let port = cluster.server(0).port();
        let trigger = format!(
            "CREATE TRIGGER halting BEFORE INSERT ON {table} FOR EACH ROW
             IF @@port = {port} AND NOT EXISTS (SELECT 1 FROM log WHERE client_id = x'{others:032x}')
             THEN DO SLEEP(60); END IF"
        );
        admin.query_drop(trigger).await?;
        let losing = batch(1, number, vec![message(commits, group(1))]);
        let winning_one = batch(2, number, vec![message(others, group(1))]);
        let against = async {
            let stopped = format!(
                "SELECT COUNT(*) FROM information_schema.processlist
                 WHERE db = '{database}' AND state = 'User sleep'"
            );
            let patience = Instant::now() + Duration::from_secs(4);
            while admin.query_first::<u64, _>(&stopped).await? != Some(1) {
                assert!(Instant::now() < patience, "it stops in the middle");
            }
            Ok::<_, Box<dyn Error>>(winning.commit(&winning_one).await?)
        };
        let (lost, won) = tokio::join!(beaten.commit(&losing), against);
        // It was run again, behind the other.
        assert_eq!((seqs(&won?), seqs(&lost?)), (vec![2 * number - 2], vec![2 * number - 1]), "{table}");
        admin.query_drop("DROP TRIGGER halting").await?;
    }
    let mut expected = vec![1];
    expected.extend((2..=number).flat_map(|number| [10 * number + 1, 10 * number]));
    for store in [&beaten, &winning] {
        assert_eq!(numbers(store, group(1)).await?, expected);
    }
    Ok(())
}
