//! Probing: what it says of writes, and that it makes none.

use std::sync::Arc;

use super::fixture::{Writer, appending, direct, head, log, message};
use crate::store::{JournalPage, Store};

/// On an empty store and on one in use; nothing moves, and the journal shows nothing.
pub async fn probes_pass_while_writes_do(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    store.probe().await.expect("an empty store takes writes");
    writer.done(appending([message(here, 1, "1")])).await;
    let (log_before, head_before) = (log(&store, here).await, head(&store, here).await);
    let end = store.journal_end().await.expect("the store is in order");
    store.probe().await.expect("it has taken one");
    assert_eq!((log(&store, here).await, head(&store, here).await), (log_before, head_before));
    let JournalPage { moved, .. } = store.journal(&end, 10).await.expect("the store is in order");
    assert_eq!(moved, []);
}
