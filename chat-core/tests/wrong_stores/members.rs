//! Faults of members' rows, totals, rosters and memberships.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use chat_core::memory::MemoryStore;
use chat_core::store::{Batch, Item, Outcome, SeqRef, Store, Write};
use chat_core::{ConversationId, Head, Member, Relation, Seq, Standing, UserId};

use crate::store::{Answer, Fault, Rewrites, WrongStore, alone, with};

pub(crate) const FAULTS: &[WrongStore] = &[
    WrongStore {
        fault: "sets what a change of standing does not name",
        case: "standing_creates_a_blank_row_and_sets_what_it_names",
        fresh: || {
            with(Rewrites(|item| {
                for write in &mut item.write {
                    if let Write::Standing(change) = write {
                        change.relation = change.relation.or(Some(Relation::None));
                    }
                }
            }))
        },
    },
    WrongStore {
        fault: "leaves the positions where they were when somebody joins",
        case: "joined_clears_left_and_moves_both_positions_to_the_join",
        fresh: || with(LeavesPositions),
    },
    WrongStore {
        fault: "keeps left_seq of who comes back",
        case: "left_is_the_last_entry_that_may_be_read",
        fresh: || with(KeepsLeft::default()),
    },
    WrongStore {
        fault: "counts entries by the batch, not by the item, for references",
        case: "seq_refs_stand_for_entries_of_their_own_item",
        fresh: || with(RefersToTheBatch),
    },
    WrongStore {
        fault: "counts one own entry for an item of several",
        case: "own_total_grows_with_countable_entries_only",
        fresh: || with(CountsItems::default()),
    },
    WrongStore {
        fault: "answers members in the order of keys",
        case: "single_members_come_in_the_order_asked_for",
        fresh: || with(SortsMembers),
    },
    WrongStore {
        fault: "lists a roster in the order of ids",
        case: "roster_is_in_the_order_of_joining",
        fresh: || with(RosterById),
    },
    WrongStore {
        fault: "cuts a page of the roster before it filters",
        case: "roster_pages_are_gapless_under_every_filter",
        fresh: || with(FiltersLate),
    },
    WrongStore {
        fault: "lists memberships in no order of keys",
        case: "memberships_are_in_the_order_of_keys_with_their_heads",
        fresh: || with(LastMembershipFirst),
    },
    WrongStore {
        fault: "forgets what a user has left",
        case: "memberships_hold_what_a_user_has_left",
        fresh: || with(ForgetsFormer),
    },
    WrongStore {
        fault: "skips a membership between pages",
        case: "memberships_pages_are_gapless",
        fresh: || with(SkipsMemberships),
    },
];

struct LeavesPositions;

impl Fault for LeavesPositions {
    fn spoil_member(&self, member: &mut Member) {
        if member.joined_seq == member.read.seq {
            member.read = chat_core::Cursor::default();
        }
    }
}

#[derive(Default)]
struct KeepsLeft(Mutex<BTreeMap<(ConversationId, UserId), Seq>>);

#[async_trait]
impl Fault for KeepsLeft {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let outcome = alone(right, batch, item.clone()).await?;
        for write in &item.write {
            if let Write::Standing(change) = write
                && change.left.is_some()
                && let Some(row) = right.members(&[(change.conversation, change.user)]).await?.remove(0)
            {
                let left = row.left_seq.expect("set by this change");
                self.0.lock().expect("no panic").insert((row.conversation, row.user), left);
            }
        }
        Ok(outcome)
    }

    fn spoil_member(&self, member: &mut Member) {
        let kept = self.0.lock().expect("no panic").get(&(member.conversation, member.user)).copied();
        member.left_seq = member.left_seq.or(kept);
    }
}

/// The entry with an index may stand in an earlier item.
struct RefersToTheBatch;

#[async_trait]
impl Fault for RefersToTheBatch {
    async fn commit(&self, right: &MemoryStore, batch: &Batch) -> Answer<Vec<Outcome>> {
        let mut appended = Vec::new();
        let mut outcomes = Vec::new();
        for item in &batch.items {
            let mut item = item.clone();
            for write in &mut item.write {
                if let Write::Standing(change) = write {
                    for seq in
                        [&mut change.joined, &mut change.visible_from, &mut change.left].into_iter().flatten()
                    {
                        if let SeqRef::Appended(index) = *seq
                            && let Some(of_batch) = appended.get(index)
                        {
                            *seq = SeqRef::At(*of_batch);
                        }
                    }
                }
            }
            let outcome = alone(right, batch, item).await?;
            if let Outcome::Committed(placed) = &outcome {
                appended.extend(placed.iter().map(|placed| placed.seq));
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}

/// As a statement does that raises each sender's total once: `unread` drifts.
#[derive(Default)]
struct CountsItems(Mutex<BTreeMap<(ConversationId, UserId), u64>>);

#[async_trait]
impl Fault for CountsItems {
    async fn item(&self, right: &MemoryStore, batch: &Batch, item: &Item) -> Answer<Outcome> {
        let outcome = alone(right, batch, item.clone()).await?;
        if matches!(outcome, Outcome::Committed(_)) {
            let mut written = BTreeMap::<_, u64>::new();
            for append in item.append.iter().filter(|append| append.countable) {
                *written.entry((append.conversation, append.sender)).or_default() += 1;
            }
            let mut uncounted = self.0.lock().expect("no panic");
            for (place, count) in written {
                *uncounted.entry(place).or_default() += count - 1;
            }
        }
        Ok(outcome)
    }

    fn spoil_member(&self, member: &mut Member) {
        let uncounted = self.0.lock().expect("no panic").get(&(member.conversation, member.user)).copied();
        member.own -= uncounted.unwrap_or(0);
    }
}

struct SortsMembers;

#[async_trait]
impl Fault for SortsMembers {
    async fn members(
        &self,
        right: &MemoryStore,
        of: &[(ConversationId, UserId)],
    ) -> Answer<Vec<Option<Member>>> {
        let mut sorted = of.to_vec();
        sorted.sort();
        right.members(&sorted).await
    }
}

struct RosterById;

#[async_trait]
impl Fault for RosterById {
    async fn roster(
        &self,
        right: &MemoryStore,
        of: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Answer<Vec<Member>> {
        let mut all = right.roster(of, standing, None, usize::MAX).await?;
        all.sort_by_key(|member| member.user);
        let is_later = |member: &Member| after.is_none_or(|(_, user)| member.user > user);
        Ok(all.into_iter().filter(is_later).take(limit).collect())
    }
}

/// A page of others is an empty one.
struct FiltersLate;

#[async_trait]
impl Fault for FiltersLate {
    async fn roster(
        &self,
        right: &MemoryStore,
        of: ConversationId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Answer<Vec<Member>> {
        let Some(standing) = standing.filter(|standing| standing.is_member()) else {
            return right.roster(of, standing, after, limit).await;
        };
        let mut page = right.roster(of, None, after, limit).await?;
        page.retain(|member| member.standing == standing);
        Ok(page)
    }
}

struct LastMembershipFirst;

#[async_trait]
impl Fault for LastMembershipFirst {
    async fn memberships(
        &self,
        right: &MemoryStore,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Answer<Vec<(Head, Member)>> {
        let mut all = right.memberships(user, None, usize::MAX).await?;
        all.reverse();
        let is_later = |(head, _): &(Head, Member)| after.is_none_or(|after| head.conversation < after);
        Ok(all.into_iter().filter(is_later).take(limit).collect())
    }
}

struct ForgetsFormer;

#[async_trait]
impl Fault for ForgetsFormer {
    async fn memberships(
        &self,
        right: &MemoryStore,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Answer<Vec<(Head, Member)>> {
        let mut all = right.memberships(user, after, usize::MAX).await?;
        let has_left = |member: &Member| member.joined_seq > 0 && member.standing == Standing::Former;
        all.retain(|(_, member)| !has_left(member));
        all.truncate(limit);
        Ok(all)
    }
}

struct SkipsMemberships;

#[async_trait]
impl Fault for SkipsMemberships {
    async fn memberships(
        &self,
        right: &MemoryStore,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Answer<Vec<(Head, Member)>> {
        let mut all = right.memberships(user, after, usize::MAX).await?;
        if after.is_some() && !all.is_empty() {
            all.remove(0);
        }
        all.truncate(limit);
        Ok(all)
    }
}
