//! What a client makes of a session: it keeps the logs that it was sent, drops overlaps, reads where
//! it is told that it is behind, and fails on any gap.

use std::collections::BTreeMap;
use std::time::Duration;

use chat_core::{
    Content, ConversationId, Direction, EndReason, Engine, Entry, Ephemeral, Event, Events, LoggedIn, Range,
    Seq, Session, Sync, Token,
};
use tokio::time::Instant;

pub(crate) struct Client {
    pub(crate) session: Session,
    pub(crate) engine: Engine,
    pub(crate) token: Option<Token>,
    pub(crate) logs: BTreeMap<ConversationId, Vec<Entry>>,
    pub(crate) ephemerals: Vec<Ephemeral>,
    pub(crate) ended: Option<EndReason>,
    /// How often it was told that it is behind.
    pub(crate) behind: usize,
    pub(crate) behind_everywhere: usize,
    positions: BTreeMap<ConversationId, Seq>,
    events: Events,
}

impl std::ops::Deref for Client {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Client {
    /// Starts with what there is to sync.
    pub(crate) async fn begin(new: LoggedIn, engine: &Engine) -> Self {
        let mut client = Self::unsynced(new, engine);
        client.sync().await;
        client
    }

    /// Starts without having asked anything yet.
    pub(crate) fn unsynced(new: LoggedIn, engine: &Engine) -> Self {
        Self {
            session: new.session,
            engine: engine.clone(),
            token: new.token,
            logs: BTreeMap::new(),
            ephemerals: Vec::new(),
            ended: None,
            behind: 0,
            behind_everywhere: 0,
            positions: BTreeMap::new(),
            events: new.events,
        }
    }

    pub(crate) fn inbox(&self) -> ConversationId {
        ConversationId::Inbox(self.user())
    }

    pub(crate) fn token(&self) -> Token {
        self.token.expect("a new device has a token")
    }

    /// Goes on with what an earlier connection had received.
    pub(crate) fn inherit(&mut self, mut earlier: Self) {
        self.logs = std::mem::take(&mut earlier.logs);
        self.positions = std::mem::take(&mut earlier.positions);
    }

    /// Takes in all events that are there.
    pub(crate) async fn drain(&mut self) {
        while let Some(event) = self.events.try_next() {
            self.take(event).await;
            if self.ended.is_some() {
                return;
            }
        }
    }

    /// Takes in events until this holds.
    ///
    /// # Panics
    /// When it does not hold within a time that is generous to what is promised within 2 s.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        self.within(Duration::from_secs(10), what, holds).await;
    }

    pub(crate) async fn within(&mut self, time: Duration, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + time;
        loop {
            self.drain().await;
            if holds(self) {
                return;
            }
            match tokio::time::timeout_at(deadline, self.events.next()).await {
                Ok(Some(event)) => self.take(event).await,
                Ok(None) => panic!("the session ended ({:?}) before {what}", self.ended),
                Err(_) => panic!("in vain waited {time:?} for {what}; has {:?}", self.positions),
            }
        }
    }

    pub(crate) async fn reaches(&mut self, conversation: ConversationId, seq: Seq) {
        let what = format!("{conversation:?} {seq}");
        self.until(&what, |client| client.position(&conversation) >= seq).await;
    }

    pub(crate) fn position(&self, of: &ConversationId) -> Seq {
        self.positions.get(of).copied().unwrap_or(0)
    }

    /// What it was told in a conversation, in words.
    pub(crate) fn texts(&self, of: ConversationId) -> Vec<String> {
        self.logs.get(&of).map_or_else(Vec::new, |log| log.iter().filter_map(words).collect())
    }

    pub(crate) fn contents(&self, of: ConversationId) -> Vec<Content> {
        let log = self.logs.get(&of).map_or(&[][..], Vec::as_slice);
        log.iter().map(|entry| entry.decode_content().expect("well formed")).collect()
    }

    /// The next raw event if there is one, for tests that are about events themselves.
    pub(crate) fn try_event(&mut self) -> Option<Event> {
        self.events.try_next()
    }

    /// What a client becomes whose connection is gone.
    pub(crate) fn into_token(self) -> Token {
        self.token()
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Entries(chunk) => {
                let conversation = chunk.conversation();
                self.find_start(conversation).await;
                self.pass_hidden(conversation, chunk.first()).await;
                for entry in chunk.entries() {
                    self.append(conversation, entry.clone());
                }
            }
            Event::Behind { conversation, upto } => {
                self.behind += 1;
                self.find_start(conversation).await;
                self.read(conversation, upto).await;
            }
            Event::BehindEverywhere => {
                self.behind_everywhere += 1;
                Box::pin(self.sync()).await;
            }
            Event::Ephemeral(ephemeral) => self.ephemerals.push(ephemeral),
            Event::Ended(reason) => self.ended = Some(reason),
            other => panic!("unexpected {other:?}"),
        }
    }

    /// Where a conversation begins that it did not know.
    async fn find_start(&mut self, conversation: ConversationId) {
        if !self.positions.contains_key(&conversation) {
            let state = self.session.conversation(conversation).await;
            let first = state.map_or(1, |state| state.first_seq);
            self.positions.insert(conversation, first - 1);
        }
    }

    /// Passes over what was written while the user was no member.
    async fn pass_hidden(&mut self, conversation: ConversationId, next: Seq) {
        if next > self.position(&conversation) + 1 {
            let first = self.session.conversation(conversation).await.map_or(1, |state| state.first_seq);
            let position = self.positions.entry(conversation).or_insert(0);
            *position = (first - 1).max(*position);
        }
    }

    fn append(&mut self, conversation: ConversationId, entry: Entry) {
        let position = self.positions.entry(conversation).or_insert(0);
        if entry.seq > *position {
            assert_eq!(entry.seq, *position + 1, "a gap in {conversation:?}");
            *position = entry.seq;
            self.logs.entry(conversation).or_default().push(entry);
        }
    }

    async fn read(&mut self, conversation: ConversationId, upto: Seq) {
        loop {
            let from = self.position(&conversation) + 1;
            if from > upto {
                return;
            }
            let range =
                Range { from, to: upto, direction: Direction::Forward, limit: 1_000, limit_bytes: 1 << 20 };
            let page = self.session.entries(conversation, &range).await.expect("readable");
            if page.is_empty() {
                return;
            }
            self.pass_hidden(conversation, page[0].seq).await;
            page.into_iter().for_each(|entry| self.append(conversation, entry));
        }
    }

    /// Syncs everything, page by page.
    pub(crate) async fn sync(&mut self) {
        let mut after = None;
        loop {
            let cursors = self.positions.iter().map(|(of, seq)| (*of, *seq)).collect();
            let sync = Sync { cursors, after, until: None, limit: 7, entries_limit: 50 };
            let page = self.session.sync(&sync).await.expect("synced");
            for synced in page.conversations {
                let (conversation, head) = (synced.state.conversation, synced.state.head);
                self.positions.entry(conversation).or_insert_with(|| {
                    let first = synced.entries.first().map_or(head + 1, |entry| entry.seq);
                    first.max(synced.state.first_seq) - 1
                });
                if let Some(next) = synced.entries.first() {
                    self.pass_hidden(conversation, next.seq).await;
                }
                synced.entries.into_iter().for_each(|entry| self.append(conversation, entry));
                if synced.more {
                    self.read(conversation, head).await;
                }
            }
            after = page.next;
            if after.is_none() {
                return;
            }
        }
    }
}

pub(crate) fn words(entry: &Entry) -> Option<String> {
    match entry.decode_content() {
        Ok(Content::Message(chat_core::Body::Text(text))) => Some(text),
        _ => None,
    }
}
