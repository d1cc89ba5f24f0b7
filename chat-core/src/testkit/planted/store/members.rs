//! Defects of what is known of members: who they are, and how far they have read.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;

use super::{Answer, Wrong, committed};
use crate::store::{Batch, Outcome, StandingChange, Store, Write};
use crate::{ConversationId, Member, Seq, Standing, UserId};

type Place = (ConversationId, UserId);

/// [`Defect::UnreadAsCounter`](super::Defect::UnreadAsCounter): raised for each message to each member
/// but its sender, and set to zero by reading.
#[derive(Default)]
pub(super) struct Counter(Mutex<BTreeMap<Place, u64>>);

/// More members than a simulated group has.
const EVERYBODY: usize = 1_000;

#[async_trait]
impl Wrong for Counter {
    async fn commit(&self, right: &dyn Store, batch: &Batch) -> Answer<Vec<Outcome>> {
        let outcomes = right.commit(batch).await?;
        for (item, _) in committed(batch, &outcomes) {
            for append in item.append.iter().filter(|append| append.countable) {
                let at = append.conversation;
                let users = match at {
                    ConversationId::Direct(pair) => vec![pair.low(), pair.high()],
                    _ => {
                        let members = right.roster(at, None, None, EVERYBODY).await.unwrap_or_default();
                        members.into_iter().map(|member| member.user).collect()
                    }
                };
                let mut counters = self.0.lock().expect("no panic");
                for user in users.into_iter().filter(|user| *user != append.sender) {
                    *counters.entry((at, user)).or_default() += 1;
                }
            }
            let mut counters = self.0.lock().expect("no panic");
            for write in &item.write {
                if let Write::Read { conversation, user, .. }
                | Write::Standing(StandingChange { conversation, user, joined: Some(_), .. }) = write
                {
                    counters.insert((*conversation, *user), 0);
                }
            }
        }
        Ok(outcomes)
    }

    async fn spoil_members(&self, right: &dyn Store, rows: &mut [&mut Member]) -> Answer<()> {
        let conversations: Vec<_> = rows.iter().map(|row| row.conversation).collect();
        let heads = right.heads(&conversations).await?;
        let counters = self.0.lock().expect("no panic");
        for (row, head) in rows.iter_mut().zip(heads) {
            let counter = counters.get(&(row.conversation, row.user)).copied().unwrap_or(0);
            let own = row.own - row.read.own;
            row.read.ordinal = head.ordinal.saturating_sub(own + counter);
        }
        Ok(())
    }
}

/// [`Defect::CursorMovesBack`](super::Defect::CursorMovesBack).
#[derive(Default)]
pub(super) struct LastWritten(Mutex<BTreeMap<Place, Seq>>);

#[async_trait]
impl Wrong for LastWritten {
    async fn commit(&self, right: &dyn Store, batch: &Batch) -> Answer<Vec<Outcome>> {
        let outcomes = right.commit(batch).await?;
        let mut cursors = self.0.lock().expect("no panic");
        for (item, placed) in committed(batch, &outcomes) {
            for write in &item.write {
                match write {
                    Write::Read { conversation, user, to } => {
                        cursors.insert((*conversation, *user), to.resolve(placed));
                    }
                    Write::Standing(StandingChange { conversation, user, joined: Some(_), .. }) => {
                        cursors.remove(&(*conversation, *user));
                    }
                    _ => {}
                }
            }
        }
        Ok(outcomes)
    }

    async fn spoil_members(&self, _: &dyn Store, rows: &mut [&mut Member]) -> Answer<()> {
        let cursors = self.0.lock().expect("no panic");
        for row in rows {
            // Nobody has read past the end.
            let written = cursors.get(&(row.conversation, row.user)).copied();
            row.read.seq = written.map_or(row.read.seq, |seq| seq.min(row.read.seq));
        }
        Ok(())
    }
}

/// [`Defect::PagesNotCutToMembership`](super::Defect::PagesNotCutToMembership).
pub(super) struct Uncut;

#[async_trait]
impl Wrong for Uncut {
    async fn spoil_members(&self, _: &dyn Store, rows: &mut [&mut Member]) -> Answer<()> {
        for row in rows {
            row.visible_from = 1;
            row.left_seq = row.left_seq.filter(|left| *left == 0).or(row.left_seq.map(|_| Seq::MAX - 1));
        }
        Ok(())
    }
}

/// [`Defect::MembershipCached`](super::Defect::MembershipCached): members as they were first seen by
/// this run of the node.
#[derive(Default)]
pub(super) struct Cached(Mutex<BTreeMap<Place, Member>>);

#[async_trait]
impl Wrong for Cached {
    fn member(&self, of: ConversationId, user: UserId) -> Option<Member> {
        self.0.lock().expect("no panic").get(&(of, user)).cloned()
    }

    async fn spoil_members(&self, _: &dyn Store, rows: &mut [&mut Member]) -> Answer<()> {
        let mut known = self.0.lock().expect("no panic");
        for row in rows {
            let is_group = matches!(row.conversation, ConversationId::Group(_));
            if is_group && matches!(row.standing, Standing::Owner | Standing::Admin | Standing::Member) {
                known.entry((row.conversation, row.user)).or_insert_with(|| row.clone());
            }
        }
        Ok(())
    }
}
