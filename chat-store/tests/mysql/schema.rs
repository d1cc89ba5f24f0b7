//! Versions of the tables, and who may make them.

use std::error::Error;

use chat_core::Epoch;
use chat_core::store::Store;
use chat_store::mysql::{MysqlOptions, MysqlStore, OpenError, SchemaState, check, migrate};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

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

#[tokio::test]
async fn address_without_a_database_is_refused() {
    for url in ["mysql://chat@127.0.0.1:1", "http://chat", "mysql://chat@127.0.0.1:1/"] {
        let refused = MysqlStore::connect(url, &MysqlOptions::default()).await;
        assert!(matches!(refused, Err(OpenError::Address(_))), "{url}");
    }
}
