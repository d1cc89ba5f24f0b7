//! A bounded queue from tasks to threads of our own.
//!
//! Tasks wait for room without blocking their thread; threads wait for work with or without a
//! deadline, which tokio's own channels do not offer outside a runtime.

use std::fmt;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The sending half. Whoever finds it full waits; the order of arrival is kept.
pub(super) struct Queue<T> {
    room: Arc<Semaphore>,
    /// The way to the threads, `None` once closed. Held only to send or to close.
    jobs: Mutex<Option<mpsc::Sender<Queued<T>>>>,
}

/// A job on its way, and the room that it takes until it is taken up.
pub(super) struct Queued<T> {
    job: T,
    room: OwnedSemaphorePermit,
}

/// The queue takes no more jobs.
#[derive(Debug)]
pub(super) struct Closed;

impl<T> Queue<T> {
    pub(super) fn new(capacity: usize) -> (Self, Receiver<Queued<T>>) {
        let (jobs, receiver) = mpsc::channel();
        (Self { room: Arc::new(Semaphore::new(capacity.max(1))), jobs: Mutex::new(Some(jobs)) }, receiver)
    }

    /// Waits for room and queues a job.
    ///
    /// # Cancel safety
    /// A job whose future is dropped before it completes is not queued.
    pub(super) async fn send(&self, job: T) -> Result<(), Closed> {
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| Closed)?;
        let jobs = self.jobs.lock().expect("nothing panics while it sends or closes");
        jobs.as_ref().ok_or(Closed)?.send(Queued { job, room }).map_err(|_| Closed)
    }

    /// Takes no more jobs; those that are queued are still done.
    pub(super) fn close(&self) {
        self.room.close();
        drop(self.jobs.lock().expect("nothing panics while it sends or closes").take());
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("room", &self.room.available_permits()).finish_non_exhaustive()
    }
}

impl<T> Queued<T> {
    /// Takes the job up and makes room for the next.
    pub(super) fn take(self) -> T {
        drop(self.room);
        self.job
    }
}
