//! Faults of the log's numbers: seqs, ordinals, times, rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use chat_core::memory::MemoryStore;
use chat_core::store::{Append, Batch, Item, Outcome, Placed, Store, StoreError, StoreErrorKind, Write};
use chat_core::{ConversationId, Entry, Epoch, Head, Range, Seq, Timestamp};

use crate::store::{Answer, Fault, Rewrites, WrongStore, alone, with};

pub(crate) const FAULTS: &[WrongStore] = &[
    WrongStore {
        fault: "draws its epoch anew with every question",
        case: "epoch_is_one_and_stays",
        fresh: || with(DrawsEpochs::default()),
    },
    WrongStore {
        fault: "takes writes and fails probes",
        case: "probes_pass_while_writes_do",
        fresh: || with(FailsProbes),
    },
    WrongStore {
        fault: "loses the last entry of an item",
        case: "entries_get_the_seqs_after_the_head_in_the_order_of_the_batch",
        fresh: || with(LosesEntries),
    },
    WrongStore {
        fault: "reuses a seq within an item",
        case: "entries_get_the_seqs_after_the_head_in_the_order_of_the_batch",
        fresh: || with(ReusesSeqs::default()),
    },
    WrongStore {
        fault: "appends a batch in the opposite order",
        case: "entries_get_the_seqs_after_the_head_in_the_order_of_the_batch",
        fresh: || with(ReversesBatches),
    },
    WrongStore {
        fault: "leaves a hole where an item was refused or repeated",
        case: "gapless_refused_and_repeated_items_take_no_seq",
        fresh: || with(LeavesHoles::default()),
    },
    WrongStore {
        fault: "reads the head before it locks it",
        case: "racing_writers_leave_gapless_seqs",
        fresh: || with(ReadsHeadsUnlocked),
    },
    WrongStore {
        fault: "counts uncountable entries in ordinals",
        case: "ordinals_count_countable_entries_only",
        fresh: || with(CountsEverything),
    },
    WrongStore {
        fault: "lets time run back",
        case: "time_never_runs_back",
        fresh: || with(LetsTimeRunBack::default()),
    },
    WrongStore {
        fault: "says of an empty log that it begins with 0",
        case: "head_of_a_conversation_into_which_nothing_was_written_is_empty",
        fresh: || with(SpoilsHeads(|head| head.first_seq = head.first_seq.min(head.seq))),
    },
    WrongStore {
        fault: "answers heads in the order of keys",
        case: "heads_come_in_the_order_asked_for",
        fresh: || with(SortsHeads),
    },
    WrongStore {
        fault: "cuts contents at 64 KiB",
        case: "entries_come_back_as_they_were_written",
        fresh: || {
            with(Rewrites(|item| {
                for append in &mut item.append {
                    append.content.truncate(1 << 16);
                }
            }))
        },
    },
    WrongStore {
        fault: "does not raise rules_seq for an entry",
        case: "changes_of_rules_raise_rules_seq_to_their_seq",
        fresh: || {
            with(Rewrites(|item| item.append.iter_mut().for_each(|append| append.changes_rules = false)))
        },
    },
    WrongStore {
        fault: "does not raise rules_seq without an entry",
        case: "raise_rules_raises_by_one_or_to_the_head",
        fresh: || with(Rewrites(|item| item.write.retain(|write| !matches!(write, Write::RaiseRules(_))))),
    },
];

struct FailsProbes;

#[async_trait]
impl Fault for FailsProbes {
    async fn probe(&self, _: &MemoryStore) -> Answer<()> {
        Err(StoreError::new(StoreErrorKind::ReadOnly, "being probed"))
    }
}

#[derive(Default)]
struct DrawsEpochs(Mutex<u64>);

#[async_trait]
impl Fault for DrawsEpochs {
    async fn epoch(&self, _: &MemoryStore) -> Answer<Epoch> {
        let mut drawn = self.0.lock().expect("no panic");
        *drawn += 1;
        Ok(Epoch(*drawn))
    }
}

/// Only where the item names no entry by its index: those would say that one is missing.
struct LosesEntries;

#[async_trait]
impl Fault for LosesEntries {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let mut kept = item.clone();
        let lost = if kept.write.is_empty() && kept.append.len() > 1 { kept.append.pop() } else { None };
        let mut outcome = alone(right, batch, kept).await?;
        if let (Some(lost), Outcome::Committed(placed)) = (lost, &mut outcome) {
            let mut head = right.heads(&[lost.conversation]).await?.remove(0);
            placed.push(head.place(&lost, batch.now));
        }
        Ok(outcome)
    }
}

/// The second entry of an item gets the seq of the first.
#[derive(Default)]
struct ReusesSeqs(Mutex<BTreeSet<(ConversationId, Seq)>>);

#[async_trait]
impl Fault for ReusesSeqs {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let outcome = alone(right, batch, item.clone()).await?;
        if let (Outcome::Committed(placed), [first, second, ..]) = (&outcome, &item.append[..])
            && first.conversation == second.conversation
        {
            self.0.lock().expect("no panic").insert((second.conversation, placed[1].seq));
        }
        Ok(outcome)
    }

    fn spoil_placed(&self, of: ConversationId, placed: &mut Placed) {
        placed.seq -= u64::from(self.0.lock().expect("no panic").contains(&(of, placed.seq)));
    }

    fn spoil_entry(&self, of: ConversationId, entry: &mut Entry) {
        entry.seq -= u64::from(self.0.lock().expect("no panic").contains(&(of, entry.seq)));
    }
}

struct ReversesBatches;

#[async_trait]
impl Fault for ReversesBatches {
    async fn commit(&self, right: &MemoryStore, batch: &Batch) -> Answer<Vec<Outcome>> {
        let reversed = Batch { items: batch.items.iter().rev().cloned().collect(), ..batch.clone() };
        let mut outcomes = right.commit(&reversed).await?;
        outcomes.reverse();
        Ok(outcomes)
    }
}

/// As a counter does that a rollback leaves as it is. What fills the hole is never shown.
#[derive(Default)]
struct LeavesHoles(Mutex<BTreeSet<(ConversationId, Seq)>>);

#[async_trait]
impl Fault for LeavesHoles {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let outcome = alone(right, batch, item.clone()).await?;
        if let (false, Some(append)) = (matches!(outcome, Outcome::Committed(_)), item.append.first()) {
            let filler = Append { countable: false, target: None, ..append.clone() };
            let filling = Item { append: vec![filler], ..Item::default() };
            if let Outcome::Committed(placed) = alone(right, batch, filling).await? {
                self.0.lock().expect("no panic").insert((append.conversation, placed[0].seq));
            }
        }
        Ok(outcome)
    }

    async fn entries(&self, right: &MemoryStore, of: ConversationId, range: &Range) -> Answer<Vec<Entry>> {
        let mut entries = right.entries(of, range).await?;
        entries.retain(|entry| !self.0.lock().expect("no panic").contains(&(of, entry.seq)));
        Ok(entries)
    }
}

/// Another writer comes between the reading and the lock.
struct ReadsHeadsUnlocked;

#[async_trait]
impl Fault for ReadsHeadsUnlocked {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let conversations: Vec<_> = item.append.iter().map(|append| append.conversation).collect();
        let heads = right.heads(&conversations).await?;
        tokio::task::yield_now().await;
        let mut outcome = alone(right, batch, item.clone()).await?;
        let mut read: BTreeMap<_, _> = conversations.iter().zip(heads).collect();
        if let Outcome::Committed(placed) = &mut outcome {
            for (placed, append) in placed.iter_mut().zip(&item.append) {
                let head = read.get_mut(&append.conversation).expect("read above");
                *placed = head.place(append, batch.now);
            }
        }
        Ok(outcome)
    }
}

struct CountsEverything;

impl Fault for CountsEverything {
    fn spoil_placed(&self, _: ConversationId, placed: &mut Placed) {
        placed.ordinal = placed.seq;
    }

    fn spoil_entry(&self, _: ConversationId, entry: &mut Entry) {
        entry.ordinal = entry.seq;
    }

    fn spoil_head(&self, head: &mut Head) {
        head.ordinal = head.seq;
    }
}

/// The batch's `now`, whatever the head says.
#[derive(Default)]
struct LetsTimeRunBack(Mutex<BTreeMap<(ConversationId, Seq), Timestamp>>);

impl LetsTimeRunBack {
    fn of(&self, of: ConversationId, seq: Seq) -> Option<Timestamp> {
        self.0.lock().expect("no panic").get(&(of, seq)).copied()
    }
}

#[async_trait]
impl Fault for LetsTimeRunBack {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let outcome = alone(right, batch, item.clone()).await?;
        if let Outcome::Committed(placed) = &outcome {
            let mut times = self.0.lock().expect("no panic");
            times.extend(
                item.append
                    .iter()
                    .zip(placed)
                    .map(|(append, placed)| ((append.conversation, placed.seq), batch.now)),
            );
        }
        Ok(outcome)
    }

    fn spoil_placed(&self, of: ConversationId, placed: &mut Placed) {
        placed.time = self.of(of, placed.seq).unwrap_or(placed.time);
    }

    fn spoil_entry(&self, of: ConversationId, entry: &mut Entry) {
        entry.time = self.of(of, entry.seq).unwrap_or(entry.time);
    }

    fn spoil_head(&self, head: &mut Head) {
        head.time = self.of(head.conversation, head.seq).unwrap_or(head.time);
    }
}

struct SpoilsHeads(fn(&mut Head));

impl Fault for SpoilsHeads {
    fn spoil_head(&self, head: &mut Head) {
        self.0(head);
    }
}

struct SortsHeads;

#[async_trait]
impl Fault for SortsHeads {
    async fn heads(&self, right: &MemoryStore, of: &[ConversationId]) -> Answer<Vec<Head>> {
        let mut sorted = of.to_vec();
        sorted.sort();
        right.heads(&sorted).await
    }
}
