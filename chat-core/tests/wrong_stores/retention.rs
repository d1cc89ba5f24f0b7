//! Faults of redaction and trimming.

use async_trait::async_trait;
use chat_core::memory::MemoryStore;
use chat_core::store::{Batch, Item, Outcome, RedactTarget, Store, StoreErrorKind, Write};
use chat_core::{ConversationId, Cursor, Entry, Head, History, Member, Range, Seq};
use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::store::{Answer, Fault, Rewrites, WrongStore, alone, with};

pub(crate) const FAULTS: &[WrongStore] = &[
    WrongStore {
        fault: "drops an entry when it is redacted",
        case: "redaction_empties_the_content_and_keeps_the_entry",
        fresh: || with(DropsRedacted),
    },
    WrongStore {
        fault: "keeps the content of what is redacted",
        case: "redaction_empties_the_content_and_keeps_the_entry",
        fresh: || with(Rewrites(|item| item.write.retain(|write| !matches!(write, Write::Redact { .. })))),
    },
    WrongStore {
        fault: "leaves nothing but the seq of what is redacted",
        case: "redaction_empties_the_content_and_keeps_the_entry",
        fresh: || with(ForgetsClientIds),
    },
    WrongStore {
        fault: "redacts of a sender what is later, too",
        case: "redaction_of_a_sender_spares_others_and_what_is_later",
        fresh: || {
            with(Rewrites(|item| {
                for write in &mut item.write {
                    if let Write::Redact { target: RedactTarget::SentBy(_, up_to), .. } = write {
                        *up_to = Seq::MAX;
                    }
                }
            }))
        },
    },
    WrongStore {
        fault: "redacts an entry before it is written",
        case: "redaction_of_what_does_not_exist_changes_nothing",
        fresh: || with(RedactsAhead::default()),
    },
    WrongStore {
        fault: "answers a trimmed range with a short page",
        case: "trimmed_is_said_where_a_range_begins_below_first_seq",
        fresh: || with(ShortPages),
    },
    WrongStore {
        fault: "answers trimmed history with an empty page",
        case: "trimmed_history_is_said_only_when_all_of_it_is_gone",
        fresh: || with(EmptyHistory),
    },
    WrongStore {
        fault: "says trimmed of history of which some is kept",
        case: "trimmed_history_is_said_only_when_all_of_it_is_gone",
        fresh: || with(RefusesHistory),
    },
    WrongStore {
        fault: "lowers first_seq",
        case: "trimming_only_moves_forward_and_at_most_one_past_the_head",
        fresh: || with(FollowsTrims::so(|first, asked, _| if asked > 0 { asked.min(first) } else { first })),
    },
    WrongStore {
        fault: "raises first_seq past the head",
        case: "trimming_only_moves_forward_and_at_most_one_past_the_head",
        fresh: || with(FollowsTrims::so(|first, asked, seq| if asked > seq + 1 { asked } else { first })),
    },
    WrongStore {
        fault: "begins with seq 1 again when all is trimmed",
        case: "trimmed_conversation_goes_on_with_its_numbers",
        fresh: || with(BeginsAgain),
    },
    WrongStore {
        fault: "counts for a cursor only what is kept",
        case: "cursors_over_trimmed_entries_stay_exact",
        fresh: || with(CountsKept),
    },
];

struct DropsRedacted;

#[async_trait]
impl Fault for DropsRedacted {
    async fn entries(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<Vec<Entry>> {
        let mut entries = right.entries(of, range).await?;
        entries.retain(|entry| entry.content.is_some());
        Ok(entries)
    }
}

struct ForgetsClientIds;

impl Fault for ForgetsClientIds {
    fn spoil_entry(&self, _: ConversationId, entry: &mut Entry) {
        if entry.content.is_none() {
            entry.client_id = None;
        }
    }
}

#[derive(Default)]
struct RedactsAhead(Mutex<Vec<(ConversationId, Seq)>>);

#[async_trait]
impl Fault for RedactsAhead {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        for write in &item.write {
            if let Write::Redact { conversation, target: RedactTarget::Entry(seq) } = write {
                self.0.lock().expect("no panic").push((*conversation, *seq));
            }
        }
        alone(right, batch, item.clone()).await
    }

    fn spoil_entry(&self, of: ConversationId, entry: &mut Entry) {
        if self.0.lock().expect("no panic").contains(&(of, entry.seq)) {
            entry.content = None;
        }
    }
}

struct ShortPages;

#[async_trait]
impl Fault for ShortPages {
    async fn entries(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<Vec<Entry>> {
        let first = right.heads(&[of]).await?[0].first_seq;
        right.entries(of, &Range { from: range.from.max(first), ..*range }).await
    }
}

struct EmptyHistory;

#[async_trait]
impl Fault for EmptyHistory {
    async fn history(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<History> {
        match right.history(of, range).await {
            Err(error) if error.kind() == StoreErrorKind::Trimmed => Ok(History::default()),
            answer => answer,
        }
    }
}

struct RefusesHistory;

#[async_trait]
impl Fault for RefusesHistory {
    async fn history(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<History> {
        right.entries(of, range).await?;
        right.history(of, range).await
    }
}

/// What a trim makes of `first_seq`, given what it is, what was asked for, and the head's seq.
type Trimming = fn(Seq, Seq, Seq) -> Seq;

struct FollowsTrims {
    how: Trimming,
    first: Mutex<BTreeMap<ConversationId, Seq>>,
}

impl FollowsTrims {
    fn so(how: Trimming) -> Self {
        Self { how, first: Mutex::default() }
    }
}

#[async_trait]
impl Fault for FollowsTrims {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let outcome = alone(right, batch, item.clone()).await?;
        for write in &item.write {
            if let Write::Trim { conversation, first_seq } = write {
                let head = right.heads(&[*conversation]).await?.remove(0);
                let first = (self.how)(head.first_seq, *first_seq, head.seq);
                self.first.lock().expect("no panic").insert(*conversation, first);
            }
        }
        Ok(outcome)
    }

    fn spoil_head(&self, head: &mut Head) {
        if let Some(first) = self.first.lock().expect("no panic").get(&head.conversation) {
            head.first_seq = *first;
        }
    }
}

/// The numbers are those of the last entry that is kept.
struct BeginsAgain;

impl Fault for BeginsAgain {
    fn spoil_head(&self, head: &mut Head) {
        if head.first_seq > head.seq {
            (head.seq, head.ordinal) = (0, 0);
        }
    }
}

struct CountsKept;

#[async_trait]
impl Fault for CountsKept {
    async fn members(
        &self,
        right: &MemoryStore,
        of: &[(ConversationId, chat_core::UserId)],
    ) -> Answer<Vec<Option<Member>>> {
        let mut members = right.members(of).await?;
        for member in members.iter_mut().flatten() {
            let head = right.heads(&[member.conversation]).await?.remove(0);
            if head.first_seq > 1 {
                let kept = member.read.ordinal.saturating_sub(head.first_seq - 1);
                member.read = Cursor { ordinal: kept, ..member.read };
            }
        }
        Ok(members)
    }
}
