//! The half of a client that hears: from events and pages it makes the logs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::access::{Answer, Connection, Question};
use super::super::draw::Draw;
use super::super::record::{Flaw, Source, What};
use super::super::report::Fault;
use super::World;
use super::mind::{Mind, Stalls};
use crate::{
    ConversationId, ConversationState, Direction, Entry, Error, ErrorKind, Event, Range, Seq, Standing, Sync,
};

pub(super) struct Reader<'a> {
    world: &'a World,
    mind: &'a Mind,
    connection: &'a dyn Connection,
    draw: &'a mut Draw,
    /// The last entry of each conversation that came as an event on this connection.
    told: BTreeMap<ConversationId, Seq>,
}

/// The connection is over.
#[derive(Debug)]
struct Over;

/// In how many of a hundred events a reader stalls that does.
const STALL_PERCENT: u64 = 2;

/// After a failure it is asked again this much later.
const PAUSE: Duration = Duration::from_millis(100);

/// Outboxes smaller than this may drop ephemeral events of readers that are not slow.
const ROOM_FOR_EPHEMERALS_BYTES: usize = 64 * 1024;

impl<'a> Reader<'a> {
    pub(super) fn new(
        world: &'a World,
        mind: &'a Mind,
        connection: &'a dyn Connection,
        draw: &'a mut Draw,
    ) -> Self {
        Self { world, mind, connection, draw, told: BTreeMap::new() }
    }

    /// Hears until the connection is over.
    pub(super) async fn run(&mut self) {
        let Err(Over) = self.hear().await else { return };
    }

    async fn hear(&mut self) -> Result<(), Over> {
        if self.world.settings.engine.session_queue_bytes < ROOM_FOR_EPHEMERALS_BYTES {
            self.mind.sees_dimly();
        }
        self.sync().await?;
        // Now, since the inbox told of contacts that ended long ago.
        if let Ok(Answer::Contacts(contacts)) = self.ask(Question::Contacts).await? {
            self.mind.sees_at_first(&contacts);
        }
        self.mind.is_synced();
        loop {
            let event = self.connection.hear().await.ok_or(Over)?;
            self.mind.takes();
            self.take(event).await?;
            self.mind.has_taken();
            if self.world.suffers(Fault::Stall) && self.draw.happens(STALL_PERCENT) {
                let length = self.draw.millis(300, 6_000);
                self.put(What::Fault(Fault::Stall, None, length));
                self.mind.stalls(Stalls::Begin);
                tokio::time::sleep(length).await;
                self.mind.stalls(Stalls::End);
            }
        }
    }

    async fn take(&mut self, event: Event) -> Result<(), Over> {
        let client = self.mind.number;
        match event {
            Event::Entries(chunk) => {
                self.is_told(chunk.conversation(), chunk.last());
                self.append_all(chunk.conversation(), chunk.entries()).await
            }
            Event::Behind { conversation, upto } => {
                self.put(What::Behind(client, Some((conversation, upto))));
                if matches!(conversation, ConversationId::Inbox(_)) {
                    self.mind.sees_dimly();
                }
                self.read(conversation, upto).await
            }
            Event::BehindEverywhere => {
                self.put(What::Behind(client, None));
                self.mind.sees_dimly();
                self.sync().await
            }
            Event::Ephemeral(ephemeral) => {
                self.put(What::Heard(client, ephemeral));
                self.mind.hears(ephemeral);
                Ok(())
            }
            Event::Ended(_) => Err(Over),
        }
    }

    /// Each event of a connection tells something new, though what was read to fill a hole may begin with
    /// what came meanwhile. Marks may cover what is told after them, as where somebody is only just
    /// entering, and pages show what is asked for.
    fn is_told(&mut self, conversation: ConversationId, last: Seq) {
        let before = self.told.insert(conversation, last);
        if let Some(before) = before.filter(|before| last <= *before) {
            self.flaw(conversation, Flaw::Repeated(before, last));
        }
    }

    /// Adds entries to a log: consecutive ones, the first of which may be ahead of the log where the
    /// user was no member meanwhile.
    async fn append_all(&mut self, conversation: ConversationId, entries: &[Entry]) -> Result<(), Over> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
        let position = self.mind.position(conversation);
        if position.is_some_and(|position| last.seq <= position) {
            return Ok(());
        }
        if position.is_none_or(|position| first.seq > position + 1) {
            self.find_start(conversation, first.seq).await?;
        }
        for entry in entries {
            let (new, flaw) = self.mind.append(conversation, entry);
            let client = self.mind.number;
            if let Some(flaw) = flaw {
                self.put(What::Flaw { client, conversation, flaw });
            }
            if new {
                self.put(What::Received { client, conversation, entry: entry.clone() });
            }
        }
        Ok(())
    }

    /// Moves a log to where the user may read, at most to what comes next.
    async fn find_start(&mut self, conversation: ConversationId, next: Seq) -> Result<(), Over> {
        let unknown = self.mind.position(conversation).is_none();
        let start = match self.state(conversation).await? {
            // Of a group that was left before a sync told of it, only what comes is known.
            Some(state) if unknown && state.standing == Standing::Former => next - 1,
            Some(state) => (state.first_seq - 1).min(next - 1),
            // No member any more: the oracle judges whether this was theirs.
            None => next - 1,
        };
        let position = self.mind.position(conversation).unwrap_or(0);
        self.mind.set_position(conversation, start.max(position));
        Ok(())
    }

    async fn state(&mut self, of: ConversationId) -> Result<Option<ConversationState>, Over> {
        let since = self.world.record.len();
        Ok(match self.ask(Question::Conversation(of)).await? {
            Ok(Answer::Conversation(state)) => {
                let client = self.mind.number;
                self.put(What::State { client, since, source: Source::Single, state: state.clone() });
                Some(*state)
            }
            _ => None,
        })
    }

    /// Reads what was passed over, up to an entry.
    async fn read(&mut self, conversation: ConversationId, upto: Seq) -> Result<(), Over> {
        if self.mind.position(conversation).is_none() {
            self.find_start(conversation, upto + 1).await?;
        }
        loop {
            let position = self.mind.position(conversation).unwrap_or(0);
            if position >= upto {
                return Ok(());
            }
            let range = Range {
                from: position + 1,
                to: upto,
                direction: Direction::Forward,
                limit: 1 + self.draw.below(20),
                limit_bytes: 1 << 20,
            };
            match self.ask(Question::Entries(conversation, range)).await? {
                Ok(Answer::Entries(page)) if page.is_empty() => return Ok(()),
                Ok(Answer::Entries(page)) => self.append_all(conversation, &page).await?,
                Err(error) if error.kind() == ErrorKind::EpochChanged => {
                    self.flaw(conversation, Flaw::Epoch);
                    return Ok(());
                }
                _ => return Ok(()),
            }
            if self.mind.position(conversation) == Some(position) {
                self.flaw(conversation, Flaw::Nothing(position, upto));
                return Ok(());
            }
        }
    }

    /// Syncs everything, page by page.
    async fn sync(&mut self) -> Result<(), Over> {
        let mut after = None;
        loop {
            let cursors = self.mind.look().log.positions.iter().map(|(of, seq)| (*of, *seq)).collect();
            let (limit, entries_limit) = (1 + self.draw.below(7), 1 + self.draw.below(20));
            let since = self.world.record.len();
            let sync = Sync { cursors, after, until: None, limit, entries_limit };
            let Ok(Answer::Sync(page)) = self.ask(Question::Sync(sync)).await? else {
                let user = self.mind.look().user.ok_or(Over)?;
                self.flaw(ConversationId::Inbox(user), Flaw::Epoch);
                return Ok(());
            };
            for synced in page.conversations {
                let (conversation, head) = (synced.state.conversation, synced.state.head);
                let start = synced.state.read.max(synced.state.first_seq - 1);
                // Who is invited holds nothing yet.
                let readable = !matches!(synced.state.standing, Standing::Invited | Standing::Asking);
                let client = self.mind.number;
                let state = Box::new(synced.state);
                self.put(What::State { client, since, source: Source::Sync, state });
                if readable && self.mind.position(conversation).is_none() {
                    self.mind.set_position(conversation, start.min(head));
                }
                self.append_all(conversation, &synced.entries).await?;
                if synced.more {
                    self.read(conversation, head).await?;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Asks until there is an answer: what was asked for, or a refusal.
    async fn ask(&mut self, question: Question) -> Result<Result<Answer, Error>, Over> {
        loop {
            match self.connection.ask(question.clone()).await {
                Err(error) if error.kind() == ErrorKind::Ended => return Err(Over),
                Err(error) if super::writer::is_passing(error.kind()) => tokio::time::sleep(PAUSE).await,
                answer => return Ok(answer),
            }
        }
    }

    fn flaw(&self, conversation: ConversationId, flaw: Flaw) {
        self.put(What::Flaw { client: self.mind.number, conversation, flaw });
    }

    fn put(&self, what: What) {
        self.world.record.put(what);
    }
}
