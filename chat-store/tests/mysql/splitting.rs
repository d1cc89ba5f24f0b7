//! A batch that others stand in the way of again and again goes on in parts.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat_core::store::{Item, JournalPosition, Outcome, Store};
use chat_store::mysql::{MysqlOptions, MysqlStore};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::time::Instant;

use crate::fixture::{batch, group, message, numbers, seqs};
use crate::server::{address, shared};

/// The conversations of a batch, one message each.
const CONVERSATIONS: u64 = 8;

/// So often a batch is refused before it goes on in halves.
const REFUSED_BEFORE_SPLITTING: u64 = 4;

/// How often the hot conversation is refused until it is alone: from eight to four to two to one.
const REFUSED_IN_COMPANY: u64 = 3 * REFUSED_BEFORE_SPLITTING;

/// How often it is refused after that.
const REFUSED_ALONE: u64 = 5;

/// Conflicts for the hot conversation, and for no other. When it was refused so often that it must be
/// alone it waits, inside its transaction, until it is let go on, and is refused some more times.
async fn heat(admin: &mut Conn, hot: u64) -> Result<(), Box<dyn Error>> {
    // What it counts stays counted when a transaction is rolled back.
    admin.query_drop("CREATE TABLE conflicts (remaining INT NOT NULL) ENGINE = MyISAM").await?;
    admin
        .query_drop(format!("INSERT INTO conflicts VALUES ({REFUSED_IN_COMPANY} + {REFUSED_ALONE})"))
        .await?;
    let key: String = group(hot).key().iter().map(|byte| format!("{byte:02x}")).collect();
    let trigger = format!(
        "CREATE TRIGGER refusing BEFORE INSERT ON log FOR EACH ROW
         IF NEW.conversation = x'{key}' THEN
             IF (SELECT remaining FROM conflicts) = {REFUSED_ALONE} THEN
                 DO GET_LOCK(DATABASE(), 60);
                 DO RELEASE_LOCK(DATABASE());
             END IF;
             IF (SELECT remaining FROM conflicts) > 0 THEN
                 UPDATE conflicts SET remaining = remaining - 1;
                 SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213;
             END IF;
         END IF"
    );
    Ok(admin.query_drop(trigger).await?)
}

/// Waits until a session stands before the lock that the administrator holds.
async fn wait_until_held(admin: &mut Conn) -> Result<(), Box<dyn Error>> {
    let held = "SELECT COUNT(*) FROM information_schema.processlist
                WHERE db = DATABASE() AND state = 'User lock'";
    let patience = Instant::now() + Duration::from_secs(30);
    while admin.query_first::<u64, _>(held).await? != Some(1) {
        assert!(Instant::now() < patience, "it is refused until it is alone, and stands there");
    }
    Ok(())
}

async fn goes_alone(hot: u64, content: Bytes) -> Result<(), Box<dyn Error>> {
    let server = shared().await;
    let database = server.make_database().await;
    let mut options = MysqlOptions::default();
    options.deadline = Duration::from_secs(60);
    let store = Arc::new(MysqlStore::connect(&address(&database, server.port()), &options).await?);
    let mut admin = server.admin().await;
    admin.query_drop(format!("USE {database}")).await?;
    // Logs of different lengths, so that outcomes show whose they are.
    let before = |number: u64| (0..number).map(move |earlier| 100 * number + earlier);
    let earlier = |number| before(number).map(move |earlier| message(earlier, group(number)));
    store.commit(&batch(2, 1, (1..=CONVERSATIONS).flat_map(earlier).collect())).await?;
    let log = |number| before(number).chain([number]).collect::<Vec<_>>();
    heat(&mut admin, hot).await?;
    admin.query_drop("DO GET_LOCK(DATABASE(), 0)").await?;

    let item = |number| {
        let mut item: Item = message(number, group(number));
        item.append[0].content = content.clone();
        item
    };
    let whole = batch(1, 1, (1..=CONVERSATIONS).map(item).collect());
    let committing = tokio::spawn({
        let (store, whole) = (Arc::clone(&store), whole.clone());
        async move { store.commit(&whole).await }
    });
    wait_until_held(&mut admin).await?;
    // Parts go on in the order of the batch: what stands before it is committed, and it is not.
    for number in 1..hot {
        assert_eq!(numbers(&*store, group(number)).await?, log(number), "it waits for nothing");
    }
    assert_eq!(store.heads(&[group(hot)]).await?[0].seq, hot, "it is still refused");
    admin.query_drop("DO RELEASE_LOCK(DATABASE())").await?;

    let outcomes = committing.await??;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed(_))), "{outcomes:?}");
    assert_eq!(seqs(&outcomes), (1..=CONVERSATIONS).map(|number| number + 1).collect::<Vec<_>>());
    assert_eq!(admin.query_first("SELECT remaining FROM conflicts").await?, Some(0), "it was refused alone");
    for number in 1..=CONVERSATIONS {
        assert_eq!(numbers(&*store, group(number)).await?, log(number), "it is there once");
    }
    let moved = store.journal(&JournalPosition::default(), 100).await?.moved;
    let newest = |number| moved.contains(&(group(number), number + 1));
    assert!((1..=CONVERSATIONS).all(newest), "{moved:?}");
    let again = store.commit(&whole).await?;
    assert!(again.iter().all(|outcome| matches!(outcome, Outcome::Duplicate(_))), "{again:?}");
    Ok(())
}

/// Small enough for a packet with the commit.
const SMALL: Bytes = Bytes::from_static(b"small");

/// Too large for that, however few stand together.
fn large() -> Bytes {
    vec![b'x'; 256 << 10].into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_conversation_goes_alone_and_the_rest_of_a_small_batch_is_committed_before_it()
-> Result<(), Box<dyn Error>> {
    goes_alone(CONVERSATIONS, SMALL).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_conversation_goes_alone_and_the_rest_of_a_large_batch_is_committed_before_it()
-> Result<(), Box<dyn Error>> {
    goes_alone(CONVERSATIONS, large()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_conversation_in_the_middle_of_a_batch_goes_alone() -> Result<(), Box<dyn Error>> {
    for content in [SMALL, large()] {
        goes_alone(3, content).await?;
    }
    Ok(())
}
