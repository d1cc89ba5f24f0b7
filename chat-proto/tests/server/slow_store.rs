//! A store that answers late, and what was asked for first latest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chat_core::memory::MemoryStore;
use chat_core::store::{Batch, JournalPage, JournalPosition, Once, Outcome, Store, StoreError, Stored};
use chat_core::{
    Account, AccountName, ConversationId, Device, Entry, Epoch, GroupId, Handle, Head, History, Member,
    Range, Seq, Standing, TokenHash, UserId,
};
use chat_proto::message::{CloseCode, Reply, Request, ServerFrame};
use chat_proto::server::Ending;

use crate::harness::{Server, direct, login, register, reply, text};

struct Late {
    store: MemoryStore,
    calls: AtomicU64,
    /// How many lists of devices are being read, and the most that ever were.
    lists: AtomicU64,
    most_lists: Arc<AtomicU64>,
}

impl Late {
    fn new() -> Self {
        let (calls, lists, most_lists) = (AtomicU64::new(0), AtomicU64::new(0), Arc::default());
        Self { store: MemoryStore::new(Epoch(1)), calls, lists, most_lists }
    }

    /// Of any ten calls each takes less time than the one before it.
    async fn wait(&self) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(10 * (10 - call % 10))).await;
    }
}

#[async_trait]
impl Store for Late {
    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.store.epoch().await
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        self.wait().await;
        self.store.commit(batch).await
    }

    async fn recorded(&self, keys: &[Once]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.wait().await;
        self.store.recorded(keys).await
    }

    async fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, StoreError> {
        self.wait().await;
        self.store.accounts(users).await
    }

    async fn account_named(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        self.store.account_named(name).await
    }

    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        let lists = self.lists.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_lists.fetch_max(lists, Ordering::Relaxed);
        self.wait().await;
        self.lists.fetch_sub(1, Ordering::Relaxed);
        self.store.devices(user).await
    }

    async fn device_with_token(&self, token: &TokenHash) -> Result<Option<Device>, StoreError> {
        self.store.device_with_token(token).await
    }

    async fn group_with_handle(&self, handle: &Handle) -> Result<Option<GroupId>, StoreError> {
        self.store.group_with_handle(handle).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        self.wait().await;
        self.store.heads(conversations).await
    }

    async fn members(&self, of: &[(ConversationId, UserId)]) -> Result<Vec<Option<Member>>, StoreError> {
        self.wait().await;
        self.store.members(of).await
    }

    async fn roster(
        &self,
        conversation: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        self.store.roster(conversation, standing, after, limit).await
    }

    async fn memberships(
        &self,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<(Head, Member)>, StoreError> {
        self.store.memberships(user, after, limit).await
    }

    async fn entries(&self, of: ConversationId, range: &Range) -> Result<Vec<Entry>, StoreError> {
        self.store.entries(of, range).await
    }

    async fn history(&self, of: ConversationId, range: &Range) -> Result<History, StoreError> {
        self.wait().await;
        self.store.history(of, range).await
    }

    async fn journal(&self, after: &JournalPosition, limit: usize) -> Result<JournalPage, StoreError> {
        self.store.journal(after, limit).await
    }

    async fn journal_end(&self) -> Result<JournalPosition, StoreError> {
        self.store.journal_end().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

async fn server() -> Server {
    Server::over(Late::new(), |_| {}, |_| {}).await
}

#[tokio::test(start_paused = true)]
async fn pipelined_sends_keep_their_order_while_the_store_is_slow() {
    let server = server().await;
    let (mut ada_peer, ada) = server.join("ada").await;
    let (_bob_peer, bob) = server.join("bob").await;
    let conversation = direct(ada.session, bob.session);
    let mut segment = bytes::BytesMut::new();
    let mut ids = Vec::new();
    ada_peer.ask(text(0, conversation, "first")).await.expect("sent");
    for n in 1..=30 {
        // A reply looks for what it answers, so that it is ready to be queued later than the next text.
        let request = if n % 2 == 0 { text(n, conversation, "text") } else { reply(n, conversation, 1) };
        let (id, frame) = ada_peer.frame(request);
        ids.push(id);
        segment.unsplit(frame);
    }
    ada_peer.write(&segment).await;
    let mut receipts = Vec::new();
    while receipts.len() < ids.len() {
        match ada_peer.next().await.expect("the connection goes on") {
            ServerFrame::Reply { request_id, reply: Ok(Reply::Receipt(receipt)) } => {
                receipts.push((request_id, receipt.seq));
            }
            ServerFrame::Push(_) => {}
            other => panic!("a receipt expected: {other:?}"),
        }
    }
    receipts.sort_unstable();
    assert_eq!(receipts, ids.into_iter().zip(2..).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn other_requests_do_not_wait_for_a_slow_one() {
    let server = server().await;
    let (mut peer, ada) = server.join("ada").await;
    let slow = peer.begin(Request::Devices).await;
    let inbox = ConversationId::Inbox(ada.session.user);
    let quick = peer.begin(Request::Typing(inbox)).await;
    let mut order = Vec::new();
    while order.len() < 2 {
        if let Some(ServerFrame::Reply { request_id, .. }) = peer.next().await {
            order.push(request_id);
        }
    }
    assert_eq!(order, [quick, slow]);
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_worked_on_at_once_than_announced() {
    let store = Late::new();
    let most_lists = Arc::clone(&store.most_lists);
    let server = Server::over(store, |_| {}, |config| config.in_flight = 4).await;
    let mut peer = server.connect();
    assert_eq!(peer.hello(None, None).await.limits.in_flight, 4);
    peer.enter(register("ada")).await.expect("a new account");
    let mut last = 0;
    for _ in 0..50 {
        last = peer.begin(Request::Devices).await;
    }
    assert!(matches!(peer.reply_after_others(last).await, Ok(Reply::Devices(_))));
    assert_eq!(most_lists.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn commands_wait_for_each_other_so_that_one_peer_does_not_hold_all_of_a_store_and_sends_do_not() {
    let store = Late::new();
    let most_lists = Arc::clone(&store.most_lists);
    let server = Server::over(store, |_| {}, |_| {}).await;
    let (mut ada_peer, ada) = server.join("ada").await;
    let (_bob_peer, bob) = server.join("bob").await;
    let conversation = direct(ada.session, bob.session);
    ada_peer.ask(text(0, conversation, "first")).await.expect("sent");
    let sent: Vec<_> = {
        let mut sent = Vec::new();
        for n in 1..=8 {
            ada_peer.begin(Request::Devices).await;
            sent.push(ada_peer.begin(text(n, conversation, "text")).await);
        }
        sent
    };
    let mut seqs = Vec::new();
    for id in sent {
        let Ok(Reply::Receipt(receipt)) = ada_peer.reply_after_others(id).await else { panic!("a receipt") };
        seqs.push(receipt.seq);
    }
    assert!(seqs.is_sorted());
    assert_eq!(most_lists.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_leaves_during_its_log_in_leaves_nothing_behind() {
    let server = server().await;
    server.join("ada").await.0.leave().await;
    let mut peer = server.connect();
    peer.hello(None, None).await;
    peer.begin(login("ada", crate::harness::PASSWORD)).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    // It is noticed when the log-in is through and its reply cannot be written.
    assert!(matches!(peer.leave().await, Ending::PeerLeft | Ending::Broken(_)));

    let mut observer = server.connect();
    observer.hello(None, None).await;
    observer.enter(login("ada", crate::harness::PASSWORD)).await.expect("the password is right");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let Ok(Reply::Devices(devices)) = observer.ask(Request::Devices).await else { panic!("devices") };
    assert_eq!(devices.iter().filter(|device| device.online).count(), 1, "{devices:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_commits_that_are_under_way() {
    let server = server().await;
    let (mut ada_peer, ada) = server.join("ada").await;
    let (_bob_peer, bob) = server.join("bob").await;
    let id = ada_peer.begin(text(1, direct(ada.session, bob.session), "hi")).await;
    tokio::task::yield_now().await;
    server.stop();
    assert!(matches!(ada_peer.reply(id).await, Ok(Reply::Receipt(_))));
    assert_eq!(ada_peer.closed().await.code, CloseCode::SHUTTING_DOWN);
}
