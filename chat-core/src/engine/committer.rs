//! The committer: concurrent changes gather into one transaction while the one before is in flight.
//!
//! ```text
//! push ─▶ queue ─▶ gather ─▶ decide sends ─▶ Store::commit ─▶ gates, acknowledge, bus
//!         ▲   ▲                                    │
//!         │   └───────────── stale sends ──────────┘ decided again, ahead of newer ones
//!         └ full: overloaded      late: withdrawn, or outcome_unknown once in flight
//! ```
//! There is no idle delay: a batch is what arrived meanwhile, so batches grow with load. A
//! conversation is with one committer of a node at a time; several write in parallel where the store
//! gains from it and there is enough to write (`queue`).

mod decide;
#[cfg(feature = "planted-defects")]
mod planted;
mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

pub(crate) use queue::{Bounds, Gathered, Queue, Reply, Submission, Work};

use super::Inner;
use super::figures::CommitCounts;
use super::rules::{Place, Rules, Wish};
use crate::bus::{Message, Payload, Topic};
use crate::store::{
    Append, Batch, Digest, Item, Once, Outcome, Placed, StandingChange, Store, StoreError, StoreErrorKind,
    Write, WriterId,
};
use crate::{Chunk, ConversationId, Entry, Error, ErrorKind};

/// A send on its way: everything about it that does not change, and what it wants to do.
pub(crate) struct SendWork {
    pub(crate) once: Once,
    pub(crate) digest: Digest,
    pub(crate) wish: Wish,
    pub(crate) append: Append,
    pub(crate) write: Vec<Write>,
    /// What a recall empties, as found in the committer's turn.
    pub(crate) redact: Vec<Write>,
    pub(crate) attempts: u32,
}

/// So often a send is decided again before it is told to come back later.
const ATTEMPTS: u32 = 16;

/// The committers of an engine.
pub(crate) struct Committers {
    queue: Arc<Queue>,
    deadline: Duration,
}

impl Committers {
    pub(crate) fn new(bounds: Bounds, deadline: Duration) -> Self {
        Self { queue: Arc::new(Queue::new(bounds)), deadline }
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Queues work that is about a conversation; the outcome arrives at the receiver.
    ///
    /// # Errors
    /// The queue is full, or the engine is shutting down.
    pub(crate) fn submit(
        &self,
        conversation: &ConversationId,
        work: Work,
    ) -> Result<oneshot::Receiver<Result<Outcome, Error>>, Error> {
        let (waiting, outcome) = oneshot::channel();
        let reply = Reply::to(waiting, &work);
        self.queue.push(Submission::new(conversation, work, Instant::now() + self.deadline, reply))?;
        Ok(outcome)
    }

    /// What all of them did.
    pub(crate) fn counts(&self) -> &CommitCounts {
        &self.queue.counts
    }

    /// How many rows and bytes wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        self.queue.waiting()
    }

    /// Whether no more work is taken.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Takes no more work; what waits is still written.
    pub(crate) fn close(&self) {
        self.queue.close();
    }
}

/// Runs one committer until the queue is closed and empty.
pub(crate) async fn run(inner: Arc<Inner>, queue: Arc<Queue>) {
    let mut committer = Committer {
        writer: WriterId(inner.environment.random.number() >> 1),
        number: 0,
        again: Vec::new(),
        inner,
        queue,
    };
    while committer.turn().await {}
}

struct Committer {
    inner: Arc<Inner>,
    queue: Arc<Queue>,
    writer: WriterId,
    number: u64,
    /// Stale and deferred sends of this batch, to be decided again before anything newer.
    again: Vec<Submission>,
}

/// What is made of what was gathered.
#[derive(Default)]
struct Decided {
    items: Vec<Item>,
    pending: Vec<Pending>,
    /// What depends on an earlier item of this batch, and what must not overtake it.
    deferred: Vec<Submission>,
}

/// What is committed together, a part for each shard, in the order of arrival within each.
fn by_shard(store: &dyn Store, items: Vec<Item>, pending: Vec<Pending>) -> Vec<(Vec<Item>, Vec<Pending>)> {
    let mut parts: Vec<(u32, Vec<Item>, Vec<Pending>)> = Vec::with_capacity(1);
    for (item, pending) in items.into_iter().zip(pending) {
        let shard = home(&item).map_or(0, |conversation| store.shard(&conversation));
        match parts.iter_mut().find(|(of, ..)| *of == shard) {
            Some((_, items, waiting)) => {
                items.push(item);
                waiting.push(pending);
            }
            None => parts.push((shard, vec![item], vec![pending])),
        }
    }
    parts.into_iter().map(|(_, items, pending)| (items, pending)).collect()
}

/// The conversation that an item is about first of all.
fn home(item: &Item) -> Option<ConversationId> {
    let written = |write: &Write| match write {
        Write::RaiseRules(conversation)
        | Write::Standing(StandingChange { conversation, .. })
        | Write::Read { conversation, .. }
        | Write::Delivered { conversation, .. }
        | Write::Redact { conversation, .. }
        | Write::Trim { conversation, .. } => Some(*conversation),
        Write::PutGroup(group) => Some(ConversationId::Group(group.id)),
        Write::PutAccount(_) | Write::PutDevice(_) | Write::DeleteDevice(_) | Write::Attach { .. } => None,
    };
    let appended = item.append.first().map(|entry| entry.conversation);
    appended.or_else(|| item.write.iter().find_map(written))
}

/// A submission whose item is in flight.
struct Pending {
    deadline: Instant,
    reply: Option<Reply>,
    send: Option<(Box<SendWork>, Rules)>,
}

impl Committer {
    async fn turn(&mut self) -> bool {
        let Some(Gathered { submissions, lanes }) = self.queue.gather().await else { return false };
        let Decided { items, pending, deferred } = self.decide(submissions).await;
        for (items, pending) in by_shard(&*self.inner.store, items, pending) {
            let now = self.inner.environment.clock.now();
            self.commit(Batch { writer: self.writer, number: 0, now, items }, pending).await;
        }
        let mut again = std::mem::take(&mut self.again);
        again.extend(deferred);
        self.queue.release(lanes, again);
        true
    }

    async fn commit(&mut self, mut batch: Batch, mut pending: Vec<Pending>) {
        let mut delay = Duration::from_millis(20);
        let mut ambiguous = false;
        loop {
            self.number += 1;
            batch.number = self.number;
            #[cfg(feature = "planted-defects")]
            self.foretell(&batch, &mut pending).await;
            let began = Instant::now();
            let result = self.commit_once(&batch, &mut pending).await;
            self.queue.counts.attempt(&result, batch.items.len(), began.elapsed());
            self.inner.watch.committed(&result);
            match result {
                Ok(outcomes) => {
                    let touched = ambiguous.then(|| touched(&batch));
                    self.settle(batch, pending, outcomes);
                    if let Some(touched) = touched {
                        self.note_heads(&touched).await;
                    }
                    return;
                }
                Err(error) if error.kind() == StoreErrorKind::Ambiguous => {
                    // Only running it again under the head locks tells what became of it.
                    tracing::warn!(%error, "a commit's outcome is unknown; running it again");
                    ambiguous = true;
                    #[cfg(feature = "planted-defects")]
                    if self.inner.planted.is(super::planted::Defect::AmbiguitySettledByLook) {
                        return self.look_alone(&batch, pending).await;
                    }
                }
                Err(error) if ambiguous && error.kind() != StoreErrorKind::Invalid => {
                    tracing::warn!(%error, "settling a commit whose outcome is unknown");
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "commit failed");
                    for one in &mut pending {
                        one.answer(Err(store_error(&error)), &self.queue.counts);
                    }
                    return;
                }
            }
            if self.queue.is_closed() {
                let counts = &self.queue.counts;
                pending.iter_mut().for_each(|one| one.answer(Err(outcome_unknown()), counts));
                return;
            }
            self.wait(delay, &mut pending).await;
            delay = (delay * 2).min(Duration::from_secs(1));
        }
    }

    /// What an attempt wrote whose answer was lost, its repetition does not report: whoever listens
    /// is told of it by the heads.
    async fn note_heads(&self, touched: &[ConversationId]) {
        let (store, nobody) = (&self.inner.store, &mut Vec::new());
        let mut delay = Duration::from_millis(20);
        while !self.queue.is_closed() {
            match self.reading(nobody, store.heads(touched)).await {
                Ok(heads) => {
                    return heads.iter().for_each(|head| self.inner.hub.note(&head.conversation, head.seq));
                }
                Err(error) => tracing::warn!(%error, "heads cannot be read yet"),
            }
            self.wait(delay, &mut []).await;
            delay = (delay * 2).min(Duration::from_secs(1));
        }
    }

    /// Commits once. While the store works, those whose deadline passes are answered.
    async fn commit_once(&self, batch: &Batch, pending: &mut [Pending]) -> Result<Vec<Outcome>, StoreError> {
        let mut commit = pin!(self.inner.store.commit(batch));
        loop {
            let next = self.next_deadline(pending);
            tokio::select! {
                biased;
                // Cancel-safe: the pinned future is polled again, never dropped before it is done.
                result = &mut commit => return result,
                () = tokio::time::sleep_until(next) => self.answer_late(pending),
            }
        }
    }

    async fn wait(&self, delay: Duration, pending: &mut [Pending]) {
        tokio::time::sleep(delay).await;
        self.answer_late(pending);
    }

    fn next_deadline(&self, pending: &[Pending]) -> Instant {
        let in_flight = pending.iter().filter(|one| one.reply.is_some()).map(|one| one.deadline).min();
        let waiting = self.queue.next_deadline();
        let far = Instant::now() + Duration::from_secs(60);
        in_flight.into_iter().chain(waiting).min().unwrap_or(far)
    }

    fn answer_late(&self, pending: &mut [Pending]) {
        let now = Instant::now();
        for one in pending.iter_mut().filter(|one| one.deadline <= now) {
            one.answer(Err(outcome_unknown()), &self.queue.counts);
        }
        self.queue.withdraw(now);
    }

    /// Releases what was committed to the gates, acknowledges, and publishes. The gates come first,
    /// so that a sender's connection finds the acknowledgement and the entry in one turn.
    fn settle(&mut self, batch: Batch, pending: Vec<Pending>, outcomes: Vec<Outcome>) {
        let mut entries: BTreeMap<ConversationId, Vec<Entry>> = BTreeMap::new();
        let mut answers = Vec::with_capacity(pending.len());
        for ((item, mut one), outcome) in batch.items.into_iter().zip(pending).zip(outcomes) {
            match &outcome {
                Outcome::Committed(placed) => {
                    if let Some((send, rules)) = &one.send {
                        self.remember_rows(send, rules);
                    }
                    collect(&mut entries, &item, placed);
                }
                Outcome::Stale => {
                    if let Some((send, _)) = one.send.take()
                        && let Some(reply) = one.reply.take()
                    {
                        self.carry(send, one.deadline, reply);
                        continue;
                    }
                }
                _ => {}
            }
            answers.push((one, outcome));
        }
        let chunks = self.chunks(entries);
        for chunk in &chunks {
            #[cfg(feature = "planted-defects")]
            if self.inner.planted.is(super::planted::Defect::OwnEntryOvertakes) {
                self.inner.hub.pass_over_before(chunk);
            }
            self.inner.hub.offer(Arc::clone(chunk));
        }
        for (mut one, outcome) in answers {
            one.answer(Ok(outcome), &self.queue.counts);
        }
        for chunk in &chunks {
            self.publish(chunk);
            if let Some(hooks) = &self.inner.hooks {
                hooks.committed(chunk);
            }
        }
    }

    fn chunks(&self, entries: BTreeMap<ConversationId, Vec<Entry>>) -> Vec<Arc<Chunk>> {
        let cut = |(conversation, entries)| self.inner.hub.cut(conversation, entries);
        entries.into_iter().flat_map(cut).collect()
    }

    fn publish(&self, chunk: &Arc<Chunk>) {
        if let Some(bus) = &self.inner.bus {
            let message =
                Message { origin: self.inner.origin.clone(), payload: Payload::Chunk(Arc::clone(chunk)) };
            for topic in topics(chunk.conversation()) {
                // Most users have one device, and of two who write to each other this node has one.
                if matches!(topic, Topic::User(user) if self.inner.presence.is_here_alone(user)) {
                    continue;
                }
                // A dropped message is found by the journal.
                let _ = bus.publish(topic, message.clone());
            }
        }
    }

    fn carry(&mut self, mut send: Box<SendWork>, deadline: Instant, reply: Reply) {
        self.inner.rules.forget(send.append.conversation, send.append.sender);
        send.attempts += 1;
        if send.attempts > ATTEMPTS {
            let busy = Error::new(ErrorKind::Overloaded, "the conversation's rules are changing");
            reply.send(Err(busy.retry_after(Duration::from_millis(200))), &self.queue.counts);
        } else {
            let about = send.append.conversation;
            self.again.push(Submission::new(&about, Work::Send(send), deadline, reply));
        }
    }

    /// The first message between two users has created their rows.
    fn remember_rows(&self, send: &SendWork, rules: &Rules) {
        if let Place::Direct { rows_missing: true, .. } = rules.place {
            let mut rules = rules.clone();
            if let Place::Direct { rows_missing, .. } = &mut rules.place {
                *rows_missing = false;
            }
            self.inner.rules.insert(send.append.conversation, send.append.sender, rules);
        }
    }
}

impl Pending {
    fn answer(&mut self, outcome: Result<Outcome, Error>, counts: &CommitCounts) {
        if let Some(reply) = self.reply.take() {
            reply.send(outcome, counts);
        }
    }
}

impl SendWork {
    fn item(&self, rules: &Rules) -> Item {
        let conversation = self.append.conversation;
        let mut write = Vec::with_capacity(self.write.len());
        if let (Place::Direct { rows_missing: true, .. }, ConversationId::Direct(pair)) =
            (&rules.place, conversation)
        {
            for user in [pair.low(), pair.high()] {
                write.push(Write::Standing(StandingChange::of(conversation, user)));
            }
        }
        write.extend(self.write.iter().chain(&self.redact).cloned());
        Item {
            once: Some((self.once, self.digest)),
            require: vec![rules.precondition(conversation)],
            append: vec![self.append.clone()],
            write,
        }
    }
}

/// The topics that a conversation's chunks are published to.
pub(crate) fn topics(conversation: ConversationId) -> impl Iterator<Item = Topic> {
    let (first, second) = match conversation {
        ConversationId::Direct(pair) => (Topic::User(pair.low()), Some(Topic::User(pair.high()))),
        ConversationId::Group(group) => (Topic::Group(group), None),
        ConversationId::Inbox(user) => (Topic::User(user), None),
    };
    std::iter::once(first).chain(second)
}

/// Where a batch writes entries.
fn touched(batch: &Batch) -> Vec<ConversationId> {
    let all = batch.items.iter().flat_map(|item| item.append.iter().map(|append| append.conversation));
    all.collect::<BTreeSet<_>>().into_iter().collect()
}

fn collect(entries: &mut BTreeMap<ConversationId, Vec<Entry>>, item: &Item, placed: &[Placed]) {
    for (index, (append, placed)) in item.append.iter().zip(placed).enumerate() {
        let client_id = item.once.as_ref().filter(|_| index == 0).map(|(once, _)| once.client_id);
        entries.entry(append.conversation).or_default().push(append.entry(placed, client_id));
    }
}

fn outcome_unknown() -> Error {
    Error::new(ErrorKind::OutcomeUnknown, "not known yet whether it was stored; retry with the same id")
        .retry_after(Duration::from_secs(1))
}

/// What a session is told of a store's error.
pub(crate) fn store_error(error: &StoreError) -> Error {
    let told = match error.kind() {
        StoreErrorKind::Trimmed => Error::new(ErrorKind::Trimmed, "older than what is kept"),
        StoreErrorKind::Ambiguous => outcome_unknown(),
        _ => {
            Error::new(ErrorKind::Unavailable, "storage is not available").retry_after(Duration::from_secs(1))
        }
    };
    told.with_source(error.clone())
}
