//! Records of commands, which are not always looked for before the log refuses a batch.

use std::error::Error;

use chat_core::store::{Item, Outcome, Precondition, Store, Write};

use crate::fixture::{batch, group, message, numbers, seqs};
use crate::server::{connect, shared};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repetitions_among_new_and_refused_items_are_told() -> Result<(), Box<dyn Error>> {
    let store = connect(&shared().await.database().await).await;
    let here = group(1);
    store.commit(&batch(1, 1, vec![message(1, here), message(2, here)])).await?;
    let stale = |item| Item { require: vec![Precondition::Rules(here, 7)], ..item };
    // Those that would be refused: looked for within the batch.
    let items = vec![message(3, here), stale(message(1, here)), stale(message(4, here))];
    let outcomes = store.commit(&batch(1, 2, items)).await?;
    assert!(matches!(outcomes[0], Outcome::Committed(_)), "{outcomes:?}");
    assert!(matches!(outcomes[1], Outcome::Duplicate(_)), "{outcomes:?}");
    assert_eq!(outcomes[2], Outcome::Stale);
    // Those that would not: the log refuses the batch, and it is evaluated again.
    let items = vec![message(5, here), message(2, here), stale(message(4, here))];
    let outcomes = store.commit(&batch(1, 3, items)).await?;
    assert_eq!(seqs(&outcomes[..2]), [4, 2]);
    assert!(matches!(outcomes[1], Outcome::Duplicate(_)), "{outcomes:?}");
    assert_eq!(outcomes[2], Outcome::Stale);
    assert_eq!(numbers(&store, here).await?, [1, 2, 3, 5]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repetition_of_what_the_same_batch_trims_is_told() -> Result<(), Box<dyn Error>> {
    let store = connect(&shared().await.database().await).await;
    let here = group(1);
    store.commit(&batch(1, 1, vec![message(1, here), message(2, here)])).await?;
    let trim = Item { write: vec![Write::Trim { conversation: here, first_seq: 2 }], ..Item::default() };
    let outcomes = store.commit(&batch(1, 2, vec![trim, message(1, here), message(3, here)])).await?;
    assert!(matches!(outcomes[1], Outcome::Duplicate(_)), "{outcomes:?}");
    assert_eq!(seqs(&outcomes[1..]), [1, 3]);
    // And later.
    let outcomes = store.commit(&batch(1, 3, vec![message(1, here), message(2, here)])).await?;
    assert_eq!(seqs(&outcomes), [1, 2]);
    assert_eq!(store.heads(&[here]).await?[0].seq, 3);
    Ok(())
}
