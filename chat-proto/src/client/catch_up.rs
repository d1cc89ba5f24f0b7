//! Brings the application up to date after a log-in and repairs what live pushes leave out.

use chat_core::{
    ConversationId, Direction, Entry, Epoch, Error, ErrorKind, Range, Seq, Sync, SyncPage, SyncedConversation,
};

use super::deliveries::Delivery;
use super::event::ClientEvent;
use super::positions::{Advance, Contradiction, Positions, Repair};
use crate::message::{Reply, Request};

/// The most cursors of one sync request.
const CURSORS_LIMIT: usize = 500;
/// The most conversations of one page.
const PAGE_CONVERSATIONS: usize = 100;
/// The most entries of one conversation in a page; longer absences are read on their own.
const PAGE_CONVERSATION_ENTRIES: usize = 50;
/// The most entries read at once.
const READ_ENTRIES: usize = 500;
/// The most bytes read at once.
const READ_BYTES: usize = 256 * 1024;
/// So many questions are open at the same time: enough to hide the way there and back, few enough
/// that their answers together stay small.
const OPEN_LIMIT: usize = 4;

/// What the client itself asked the server for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Answers to what was asked before history started over are passed over.
    generation: u64,
    about: About,
}

/// What a question needs to know when its answer is there.
#[derive(Clone, Debug, PartialEq, Eq)]
enum About {
    /// A page of what changed.
    Sync { after: Option<ConversationId>, until: Option<ConversationId>, fresh: bool },
    /// A part of a log.
    Read { conversation: ConversationId },
    /// How a conversation stands.
    Settle { conversation: ConversationId },
}

/// The way to the present, and the watch over it.
#[derive(Debug)]
pub(super) struct CatchUp {
    positions: Positions,
    /// Whose seqs the positions are.
    epoch: Option<Epoch>,
    paging: Paging,
    /// Whether another sync is to follow the one under way.
    again: bool,
    /// Whether the application is to be told when it has everything.
    announce: bool,
    open: usize,
    generation: u64,
    /// Whether the server has yet to be shown that no cursors are left of a history before.
    starting_over: bool,
    /// What is to be delivered; the owner takes it after each call.
    out: Vec<Delivery>,
}

#[derive(Debug, PartialEq, Eq)]
enum Paging {
    Idle,
    Next { after: Option<ConversationId> },
    Asked,
}

impl CatchUp {
    pub(super) fn new(
        cursors: impl IntoIterator<Item = (ConversationId, Seq)>,
        epoch: Option<Epoch>,
    ) -> Self {
        Self {
            positions: Positions::new(cursors),
            epoch,
            paging: Paging::Idle,
            again: false,
            announce: false,
            open: 0,
            generation: 0,
            starting_over: false,
            out: Vec::new(),
        }
    }

    /// Whose seqs the positions are.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// A connection was welcomed in this epoch.
    pub(super) fn welcomed(&mut self, epoch: Epoch) {
        match self.epoch {
            Some(known) if known != epoch => self.start_over(epoch),
            _ => self.epoch = Some(epoch),
        }
    }

    /// A session has begun: everything is synced.
    pub(super) fn begin(&mut self) {
        self.announce = true;
        self.sync();
    }

    /// Takes pushed entries. Without room for them only their existence is remembered.
    pub(super) fn pushed(&mut self, conversation: ConversationId, entries: Vec<Entry>, room: Room) {
        match room {
            Room::Free => {
                let advance = self.positions.pushed(conversation, entries);
                self.deliver(conversation, advance);
            }
            Room::Full => {
                if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
                    self.positions.hear_of(conversation, Some(first.seq), last.seq);
                }
            }
        }
        self.settle();
    }

    /// Entries up to this one were not pushed.
    pub(super) fn behind(&mut self, conversation: ConversationId, upto: Seq) {
        self.positions.hear_of(conversation, None, upto);
    }

    /// Entries of any conversation were not pushed.
    pub(super) fn behind_everywhere(&mut self) {
        if self.paging == Paging::Idle { self.sync() } else { self.again = true }
    }

    /// The next question, if there is one and not too many are open.
    pub(super) fn next_question(&mut self) -> Option<(Request, Question)> {
        if self.open >= OPEN_LIMIT {
            return None;
        }
        let (request, about) =
            self.next_page().or_else(|| self.positions.next_repair().map(repair_request))?;
        self.open += 1;
        Some((request, Question { generation: self.generation, about }))
    }

    /// Takes the answer to a question.
    pub(super) fn answered(
        &mut self,
        question: Question,
        answer: Result<Reply, Error>,
    ) -> Result<(), Contradiction> {
        if question.generation != self.generation {
            return Ok(());
        }
        self.open -= 1;
        match (question.about, answer) {
            (About::Sync { after, until, .. }, Ok(Reply::SyncPage(page))) => self.page(after, until, page)?,
            (About::Sync { fresh, .. }, Err(error)) if error.kind() == ErrorKind::EpochChanged => {
                let Some(epoch) = self.epoch.filter(|_| !fresh) else {
                    return Err(Contradiction("a sync without cursors is of another epoch"));
                };
                self.start_over(epoch);
                self.begin();
            }
            (About::Read { conversation }, Ok(Reply::Entries(entries))) => {
                let advance = self.positions.read(conversation, entries)?;
                self.deliver(conversation, advance);
            }
            (About::Read { conversation }, Err(error)) if is_unreadable(&error) => {
                self.positions.read(conversation, Vec::new())?;
            }
            (About::Settle { conversation }, Ok(Reply::Conversation(state))) => {
                if state.conversation != conversation {
                    return Err(Contradiction("the state of another conversation"));
                }
                let advance = self.positions.settled(&state);
                self.out.push(Delivery::Event(ClientEvent::Conversation(state)));
                self.deliver(conversation, advance);
            }
            (About::Settle { conversation }, Err(error)) if is_unreadable(&error) => {
                self.positions.out_of_reach(conversation);
            }
            (_, Ok(_)) => return Err(Contradiction("an answer that does not fit its question")),
            (_, Err(_)) => return Err(Contradiction("the log is refused to who may read it")),
        }
        self.settle();
        Ok(())
    }

    /// The connection is gone, and all questions with it.
    pub(super) fn disconnected(&mut self) {
        self.positions.disconnected();
        self.paging = Paging::Idle;
        self.again = false;
        self.announce = false;
        self.open = 0;
        self.generation += 1;
    }

    /// Takes what is to be delivered.
    pub(super) fn take_deliveries(&mut self) -> std::vec::Drain<'_, Delivery> {
        self.out.drain(..)
    }

    fn sync(&mut self) {
        self.positions.sync_began();
        self.paging = Paging::Next { after: None };
        self.again = false;
    }

    fn start_over(&mut self, epoch: Epoch) {
        let generation = self.generation + 1;
        *self = Self { generation, starting_over: true, ..Self::new([], Some(epoch)) };
        self.out.push(Delivery::Epoch(epoch));
    }

    fn next_page(&mut self) -> Option<(Request, About)> {
        let Paging::Next { after } = self.paging else { return None };
        self.paging = Paging::Asked;
        let (cursors, until) = match self.starting_over {
            true => (Vec::new(), None),
            false => self.positions.cursors(after, CURSORS_LIMIT),
        };
        let fresh = cursors.is_empty();
        let sync = Sync {
            cursors,
            after,
            until,
            limit: PAGE_CONVERSATIONS,
            entries_limit: PAGE_CONVERSATION_ENTRIES,
        };
        Some((Request::Sync(sync), About::Sync { after, until, fresh }))
    }

    fn page(
        &mut self,
        after: Option<ConversationId>,
        until: Option<ConversationId>,
        page: SyncPage,
    ) -> Result<(), Contradiction> {
        for SyncedConversation { state, entries, more: _ } in page.conversations {
            let conversation = state.conversation;
            let advance = self.positions.synced(&state, entries)?;
            self.out.push(Delivery::Event(ClientEvent::Conversation(Box::new(state))));
            self.deliver(conversation, advance);
        }
        self.starting_over = false;
        // A page that stops where the cursors do may be the last for the server, not for us.
        let next = page.next.or(until);
        if next.is_some() && next <= after {
            return Err(Contradiction("a sync that does not get on"));
        }
        if next.is_some() {
            self.paging = Paging::Next { after: next };
        } else if self.again {
            self.sync();
        } else {
            self.paging = Paging::Idle;
            self.positions.sync_ended();
        }
        Ok(())
    }

    fn deliver(&mut self, conversation: ConversationId, advance: Advance) {
        if let Some(upto) = advance.passed {
            self.out.push(Delivery::Passed { conversation, upto });
        }
        let event = |entry| Delivery::Event(ClientEvent::Entry { conversation, entry });
        self.out.extend(advance.entries.into_iter().map(event));
    }

    fn settle(&mut self) {
        if self.announce && self.positions.is_caught_up() {
            self.announce = false;
            self.out.push(Delivery::Event(ClientEvent::CaughtUp));
        }
    }
}

/// Whether there is room for entries on their way to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// There is.
    Free,
    /// There is none.
    Full,
}

fn repair_request(repair: Repair) -> (Request, About) {
    match repair {
        Repair::Read { conversation, from, to } => {
            let direction = Direction::Forward;
            let range = Range { from, to, direction, limit: READ_ENTRIES, limit_bytes: READ_BYTES };
            (Request::Entries { conversation, range }, About::Read { conversation })
        }
        Repair::Settle { conversation } => {
            (Request::Conversation(conversation), About::Settle { conversation })
        }
    }
}

/// Refusals that say something about the conversation rather than about the moment.
fn is_unreadable(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Trimmed | ErrorKind::NotAllowed)
}
