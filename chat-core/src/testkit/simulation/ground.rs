//! What lies under a node: the store and the bus that all nodes share, for as long as the node lives.
//!
//! A node that has crashed reaches neither any more, whatever is left of it, as with a process that is
//! gone. What the store commits is recorded here, in the order in which it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::sync::watch;

use super::record::{Record, What, Written};
use super::report::NodeNumber;
use crate::bus::{Bus, BusCounts, BusEvent, BusState, BusUnavailable, Message, Published, Topic};
use crate::memory::InProcessEndpoint;
use crate::store::{
    Batch, Item, JournalPage, JournalPosition, Once, Outcome, Placed, Store, StoreError, Stored, Write,
};
use crate::{
    Account, AccountName, ConversationId, Device, Entry, Epoch, GroupId, Handle, Head, History, Member,
    Range, Seq, Standing, TokenHash, UserId,
};

/// Whether a run of a node goes on.
#[derive(Debug)]
pub(super) struct Life {
    dead: AtomicBool,
    end: watch::Sender<bool>,
}

impl Life {
    pub(super) fn begin() -> Arc<Self> {
        Arc::new(Self { dead: AtomicBool::new(false), end: watch::Sender::new(false) })
    }

    pub(super) fn end(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.end.send_replace(true);
    }

    pub(super) fn is_over(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Waits until it is over.
    pub(super) async fn over(&self) {
        let mut end = self.end.subscribe();
        // The sender lives as long as `self`.
        let _over = end.wait_for(|over| *over).await;
    }

    /// Waits for ever once it is over.
    async fn check(&self) {
        if self.is_over() {
            std::future::pending::<()>().await;
        }
    }
}

/// The shared store, as one run of one node reaches it.
pub(super) struct NodeStore {
    pub(super) store: Arc<dyn Store>,
    pub(super) node: NodeNumber,
    pub(super) life: Arc<Life>,
    pub(super) record: Record,
    pub(super) writers: usize,
}

impl NodeStore {
    async fn alive(&self) -> &dyn Store {
        self.life.check().await;
        &*self.store
    }

    fn witness(&self, batch: &Batch, outcomes: &[Outcome]) {
        for (item, outcome) in batch.items.iter().zip(outcomes) {
            if let Outcome::Committed(placed) = outcome
                && let Some(written) = written(item, placed)
            {
                self.record.put(What::Committed(self.node, written));
            }
        }
    }
}

fn written(item: &Item, placed: &[Placed]) -> Option<Written> {
    let appended = item.append.iter().zip(placed);
    let appended: Vec<_> =
        appended.map(|(entry, placed)| (entry.conversation, placed.seq, entry.sender)).collect();
    let block = |write: &Write| match write {
        Write::Standing(change) => change.blocked.map(|blocked| (change.conversation, change.user, blocked)),
        _ => None,
    };
    let blocks: Vec<_> = item.write.iter().filter_map(block).collect();
    let client_id = item.once.map(|(once, _)| once.client_id);
    (!appended.is_empty() || !blocks.is_empty()).then_some(Written { client_id, appended, blocks })
}

#[async_trait]
impl Store for NodeStore {
    fn shard(&self, conversation: &ConversationId) -> u32 {
        self.store.shard(conversation)
    }

    fn writers(&self) -> usize {
        self.writers.max(1)
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.alive().await.epoch().await
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        let outcomes = self.alive().await.commit(batch).await?;
        self.witness(batch, &outcomes);
        Ok(outcomes)
    }

    async fn recorded(&self, keys: &[Once]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.alive().await.recorded(keys).await
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError> {
        self.alive().await.accounts(users).await
    }

    async fn account_named(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        self.alive().await.account_named(name).await
    }

    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        self.alive().await.devices(user).await
    }

    async fn device_with_token(&self, token: &TokenHash) -> Result<Option<Device>, StoreError> {
        self.alive().await.device_with_token(token).await
    }

    async fn group_with_handle(&self, handle: &Handle) -> Result<Option<GroupId>, StoreError> {
        self.alive().await.group_with_handle(handle).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        self.alive().await.heads(conversations).await
    }

    async fn members(&self, of: &[(ConversationId, UserId)]) -> Result<Vec<Option<Member>>, StoreError> {
        self.alive().await.members(of).await
    }

    async fn roster(
        &self,
        conversation: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        self.alive().await.roster(conversation, standing, after, limit).await
    }

    async fn memberships(
        &self,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<(Head, Member)>, StoreError> {
        self.alive().await.memberships(user, after, limit).await
    }

    async fn entries(&self, of: ConversationId, range: &Range) -> Result<Vec<Entry>, StoreError> {
        self.alive().await.entries(of, range).await
    }

    async fn history(&self, of: ConversationId, range: &Range) -> Result<History, StoreError> {
        self.alive().await.history(of, range).await
    }

    async fn journal(&self, after: &JournalPosition, limit: usize) -> Result<JournalPage, StoreError> {
        self.alive().await.journal(after, limit).await
    }

    async fn journal_end(&self) -> Result<JournalPosition, StoreError> {
        self.alive().await.journal_end().await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.alive().await.probe().await
    }

    /// The store outlives the node.
    async fn close(&self) {}
}

/// The shared bus, as one run of one node reaches it.
pub(super) struct NodeBus {
    pub(super) bus: InProcessEndpoint,
    pub(super) life: Arc<Life>,
}

#[async_trait]
impl Bus for NodeBus {
    fn publish(&self, topic: Topic, message: Message) -> Published {
        if self.life.is_over() { Published::Dropped } else { self.bus.publish(topic, message) }
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<(), BusUnavailable> {
        self.life.check().await;
        self.bus.subscribe(topics).await
    }

    fn unsubscribe(&self, topics: &[Topic]) {
        self.bus.unsubscribe(topics);
    }

    async fn receive(&self) -> Option<BusEvent> {
        self.life.check().await;
        self.bus.receive().await
    }

    fn state(&self) -> BusState {
        self.bus.state()
    }

    fn counts(&self) -> BusCounts {
        self.bus.counts()
    }

    async fn close(&self) {
        self.bus.close().await;
    }
}
