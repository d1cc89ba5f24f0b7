//! Versions of the tables, and who may make them.

use std::error::Error;

use chat_core::store::{JournalPosition, Outcome, Store};
use chat_core::{AccountName, Epoch};
use chat_store::mysql::{MysqlOptions, MysqlStore, OpenError, SchemaState, check, migrate};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use crate::fixture::{batch, group, message, numbers, seqs, user};
use crate::server::{connect, shared};

#[tokio::test]
async fn check_tells_before_and_after_a_migration() -> Result<(), Box<dyn Error>> {
    let (url, options) = (shared().await.database().await, MysqlOptions::default());
    assert_eq!(check(&url, &options).await?, SchemaState::Empty);
    migrate(&url, &options).await?;
    assert_eq!(check(&url, &options).await?, SchemaState::Current);
    migrate(&url, &options).await?;
    Ok(())
}

#[tokio::test]
async fn nodes_that_start_together_make_one_store() -> Result<(), Box<dyn Error>> {
    let url = shared().await.database().await;
    let mut nodes = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let url = url.clone();
        nodes.spawn(async move { connect(&url).await.epoch().await.expect("it has one") });
    }
    let epochs = nodes.join_all().await;
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "{epochs:?}");
    Ok(())
}

#[tokio::test]
async fn given_epoch_is_that_of_a_new_store_only() -> Result<(), Box<dyn Error>> {
    let url = shared().await.database().await;
    let mut options = MysqlOptions::default();
    for given in [u64::MAX, 7] {
        options.epoch = Some(Epoch(given));
        assert_eq!(MysqlStore::connect(&url, &options).await?.epoch().await?, Epoch(u64::MAX));
    }
    Ok(())
}

#[tokio::test]
async fn newer_schema_is_refused_and_left_alone() -> Result<(), Box<dyn Error>> {
    let (url, options) = (shared().await.database().await, MysqlOptions::default());
    migrate(&url, &options).await?;
    let mut conn = Conn::from_url(&url).await?;
    conn.query_drop("UPDATE schema_version SET version = 99").await?;
    let refused = MysqlStore::connect(&url, &options).await.expect_err("it is newer");
    assert!(matches!(refused, OpenError::Newer { found: 99, .. }), "{refused}");
    assert!(matches!(check(&url, &options).await, Err(OpenError::Newer { .. })));
    assert!(matches!(migrate(&url, &options).await, Err(OpenError::Newer { .. })));
    assert_eq!(conn.query_first("SELECT version FROM schema_version").await?, Some(99));
    Ok(())
}

/// Where an older release may have left a database, and how far.
#[derive(Clone, Copy, Debug)]
struct Older {
    version: u64,
    /// The migrations of which statements were run: the last of them may not have been finished.
    begun: &'static [&'static str],
}

const INITIAL: &str = include_str!("../../src/mysql/migrations/0001_initial.sql");
const ARCHIVES: &str = include_str!("../../src/mysql/migrations/0002_archives.sql");

const OLDER: [Older; 3] = [
    Older { version: 1, begun: &[INITIAL] },
    // Its node died before it had noted the version.
    Older { version: 1, begun: &[INITIAL, ARCHIVES] },
    Older { version: 2, begun: &[INITIAL, ARCHIVES] },
];

impl Older {
    /// Makes the tables as that release did, and puts a user and two messages into them.
    async fn make(self, conn: &mut Conn) -> Result<(), Box<dyn Error>> {
        for statement in self.begun.iter().flat_map(|migration| migration.split(";\n")) {
            if !statement.trim().is_empty() {
                conn.query_drop(statement).await?;
            }
        }
        let version = "CREATE TABLE schema_version (
                           id TINYINT UNSIGNED NOT NULL PRIMARY KEY, version INT UNSIGNED NOT NULL
                       ) ENGINE = InnoDB";
        conn.query_drop(version).await?;
        conn.exec_drop("INSERT INTO schema_version VALUES (1, ?)", (self.version,)).await?;
        conn.query_drop("INSERT INTO store VALUES (1, 42)").await?;
        conn.query_drop("INSERT INTO account VALUES (99, 'ada', 'Ada', NULL, 1, NULL)").await?;
        let key = group(1).key().to_vec();
        for seq in 1..=2u64 {
            let message = message(seq, group(1));
            let (once, digest) = message.once.expect("each is a command");
            let append = &message.append[0];
            let insert = "INSERT INTO log VALUES (?, ?, 5, 99, ?, 1, ?, NULL, ?, ?, ?)";
            let record = (&once.client_id.0[..], &digest.0[..], &append.content[..]);
            let row = (&key, seq, append.kind.number(), seq, record.0, record.1, record.2);
            conn.exec_drop(insert, row).await?;
        }
        conn.exec_drop("INSERT INTO head VALUES (?, 2, 2, 5, 1, 0)", (&key,)).await?;
        let member = "INSERT INTO member VALUES (?, 99, 3, 0, 0, NULL, 0, 1, NULL, 1, 1, 1, 0, 2)";
        conn.exec_drop(member, (&key,)).await?;
        let moved = [&[key.len() as u8], &*key, &2u64.to_be_bytes()].concat();
        conn.exec_drop("INSERT INTO journal VALUES (1, 1, 5, ?)", (moved,)).await?;
        Ok(())
    }
}

/// Everything about the tables of a database that the server tells.
async fn shape(conn: &mut Conn) -> Result<String, Box<dyn Error>> {
    let columns =
        "SELECT table_name, column_name, ordinal_position, column_default, is_nullable, column_type,
                          collation_name, column_comment
                   FROM information_schema.columns WHERE table_schema = DATABASE()
                   ORDER BY table_name, ordinal_position";
    let keys = "SELECT table_name, index_name, seq_in_index, column_name, non_unique
                FROM information_schema.statistics WHERE table_schema = DATABASE()
                ORDER BY table_name, index_name, seq_in_index";
    let mut shape = Vec::new();
    for query in [columns, keys] {
        shape.extend(conn.query::<Row, _>(query).await?.into_iter().map(Row::unwrap));
    }
    Ok(format!("{shape:#?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_tables_are_brought_up_to_date_with_their_rows_by_nodes_that_start_together()
-> Result<(), Box<dyn Error>> {
    let (new, options) = (shared().await.database().await, MysqlOptions::default());
    migrate(&new, &options).await?;
    let mut conn = Conn::from_url(&new).await?;
    let (expected, version) = (shape(&mut conn).await?, "SELECT version FROM schema_version");
    let latest: Option<u64> = conn.query_first(version).await?;
    for older in OLDER {
        let url = shared().await.database().await;
        let mut conn = Conn::from_url(&url).await?;
        older.make(&mut conn).await?;
        let found = check(&url, &options).await?;
        assert!(matches!(found, SchemaState::Older { found, .. } if found == older.version), "{found:?}");
        let mut nodes = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let (of_operator, of_server, options) = (url.clone(), url.clone(), options.clone());
            nodes.spawn(async move { migrate(&of_operator, &options).await.expect("it gets its turn") });
            nodes.spawn(async move { connect(&of_server).await.close().await });
        }
        nodes.join_all().await;
        assert_eq!(check(&url, &options).await?, SchemaState::Current);
        assert_eq!(conn.query_first::<u64, _>(version).await?, latest);
        assert_eq!(shape(&mut conn).await?, expected, "{older:?}");

        let store = connect(&url).await;
        assert_eq!(store.epoch().await?, Epoch(42));
        let account = store.account_named(&AccountName::parse("ada")?).await?;
        assert_eq!(account.map(|account| account.user), Some(user(99)));
        assert_eq!(numbers(&store, group(1)).await?, [1, 2]);
        let moved = store.journal(&JournalPosition::default(), 10).await?.moved;
        assert_eq!(moved, [(group(1), 2)]);
        // What was recorded then is known, and the log goes on.
        let outcomes = store.commit(&batch(2, 1, vec![message(2, group(1)), message(3, group(1))])).await?;
        assert!(matches!(outcomes[..], [Outcome::Duplicate(_), Outcome::Committed(_)]), "{outcomes:?}");
        assert_eq!(seqs(&outcomes), [2, 3]);
        assert_eq!(numbers(&store, group(1)).await?, [1, 2, 3]);
    }
    Ok(())
}

#[tokio::test]
async fn address_without_a_database_is_refused() {
    for url in ["mysql://chat@127.0.0.1:1", "http://chat", "mysql://chat@127.0.0.1:1/"] {
        let refused = MysqlStore::connect(url, &MysqlOptions::default()).await;
        assert!(matches!(refused, Err(OpenError::Address(_))), "{url}");
    }
}
