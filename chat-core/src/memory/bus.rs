//! The bus within a process: engines that share it hear each other as nodes of a cluster do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::bus::{Bus, BusEvent, BusUnavailable, Message, Published, Topic};

/// The most messages that wait at one endpoint; beyond it they are dropped and it is told.
const QUEUE_LIMIT: usize = 65_536;

/// A bus within the process. Cheap to clone: clones are the same bus.
#[derive(Clone, Debug, Default)]
pub struct InProcessBus {
    shared: Arc<Mutex<Subscriptions>>,
}

#[derive(Debug, Default)]
struct Subscriptions {
    next: u64,
    by_topic: BTreeMap<Topic, BTreeMap<u64, Weak<Queue>>>,
}

/// One node's endpoint of an [`InProcessBus`].
#[derive(Debug)]
pub struct InProcessEndpoint {
    number: u64,
    bus: InProcessBus,
    topics: Mutex<BTreeSet<Topic>>,
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Message>,
    lagged: bool,
    closed: bool,
}

impl InProcessBus {
    /// A bus without endpoints.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new endpoint.
    pub fn endpoint(&self) -> InProcessEndpoint {
        let mut shared = lock(&self.shared);
        shared.next += 1;
        let number = shared.next;
        InProcessEndpoint { number, bus: self.clone(), topics: Mutex::default(), queue: Arc::default() }
    }
}

#[async_trait]
impl Bus for InProcessEndpoint {
    fn publish(&self, topic: Topic, message: Message) -> Published {
        if lock(&self.queue.waiting).closed {
            return Published::Dropped;
        }
        let receivers: Vec<_> = lock(&self.bus.shared)
            .by_topic
            .get(&topic)
            .map_or_else(Vec::new, |queues| queues.values().filter_map(Weak::upgrade).collect());
        for queue in receivers {
            queue.push(message.clone());
        }
        Published::Taken
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<(), BusUnavailable> {
        let mut shared = lock(&self.bus.shared);
        if lock(&self.queue.waiting).closed {
            return Err(BusUnavailable);
        }
        for topic in topics {
            shared.by_topic.entry(*topic).or_default().insert(self.number, Arc::downgrade(&self.queue));
            lock(&self.topics).insert(*topic);
        }
        Ok(())
    }

    fn unsubscribe(&self, topics: &[Topic]) {
        let mut shared = lock(&self.bus.shared);
        for topic in topics {
            lock(&self.topics).remove(topic);
            shared.remove(*topic, self.number);
        }
    }

    async fn receive(&self) -> Option<BusEvent> {
        loop {
            {
                let mut waiting = lock(&self.queue.waiting);
                if waiting.closed {
                    return None;
                }
                if std::mem::take(&mut waiting.lagged) {
                    return Some(BusEvent::Lagged);
                }
                if let Some(message) = waiting.messages.pop_front() {
                    return Some(BusEvent::Message(message));
                }
            }
            self.queue.wake.notified().await;
        }
    }

    /// What was taken is in the queues of its receivers already.
    async fn close(&self) {
        self.queue.close();
        self.leave();
    }
}

impl InProcessEndpoint {
    /// Ends all subscriptions.
    fn leave(&self) {
        let mut shared = lock(&self.bus.shared);
        for topic in std::mem::take(&mut *lock(&self.topics)) {
            shared.remove(topic, self.number);
        }
    }
}

impl Subscriptions {
    fn remove(&mut self, topic: Topic, number: u64) {
        if let Some(queues) = self.by_topic.get_mut(&topic) {
            queues.remove(&number);
            if queues.is_empty() {
                self.by_topic.remove(&topic);
            }
        }
    }
}

impl Queue {
    fn push(&self, message: Message) {
        let mut waiting = lock(&self.waiting);
        if waiting.closed {
            return;
        }
        if waiting.messages.len() >= QUEUE_LIMIT {
            waiting.messages.clear();
            waiting.lagged = true;
        } else {
            waiting.messages.push_back(message);
        }
        drop(waiting);
        self.wake.notify_one();
    }

    fn close(&self) {
        *lock(&self.waiting) = Waiting { closed: true, ..Waiting::default() };
        self.wake.notify_one();
    }
}

impl Drop for InProcessEndpoint {
    fn drop(&mut self) {
        self.leave();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
