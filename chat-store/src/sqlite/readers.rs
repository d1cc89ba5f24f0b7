//! The threads that read, each on a connection of its own and each job on one snapshot.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use chat_core::store::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::{Failure, closed};
use super::queue::{Queue, Queued};

/// A query on its way to a reader, with its answer's way inside.
pub(super) type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The jobs that wait. Whichever reader is free holds the lock while it waits for the next one.
pub(super) type Jobs = Arc<Mutex<Receiver<Queued<Job>>>>;

/// Does jobs until the queue is closed and empty.
pub(super) fn run(connection: &Connection, jobs: &Jobs) {
    loop {
        let next = jobs.lock().expect("nothing panics while it waits for a job").recv();
        let Ok(queued) = next else { return };
        queued.take()(connection);
    }
}

/// Runs a query on a reader, on a snapshot that is taken after this call began.
pub(super) async fn read<T: Send + 'static>(
    queue: &Queue<Job>,
    attempted: &'static str,
    query: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
) -> Result<T, StoreError> {
    let (answer, answered) = oneshot::channel();
    let job: Job = Box::new(move |connection| {
        // Nobody waits any more: a reader's time is for those who do.
        if !answer.is_closed() {
            let _ = answer.send(on_snapshot(connection, query));
        }
    });
    queue.send(job).await.map_err(|_| closed(attempted))?;
    answered.await.map_err(|_| closed(attempted))?.map_err(|failure| failure.during(attempted))
}

/// What one transaction reads is of one moment.
fn on_snapshot<T>(
    connection: &Connection,
    query: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let found = query(connection);
    if let Err(error) = connection.prepare_cached("COMMIT")?.execute([]) {
        // Whatever is wrong, the next query needs a snapshot of its own.
        connection.execute_batch("ROLLBACK")?;
        return Err(error.into());
    }
    found
}
