//! Who was what in a group at which entry: the log of a group, replayed.

use std::collections::{BTreeMap, BTreeSet};

use super::super::record::{Evidence, Log, What};
use super::super::report::ClientNumber;
use crate::{Content, ConversationId, Entry, HistoryPolicy, Seq, Standing, UserId};

/// What a group's log says of its members.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// The first and the last entry that each user may read, for each time that they were a member.
    pub(super) readable: BTreeMap<UserId, Vec<(Seq, Option<Seq>)>>,
    /// The members in the end.
    pub(super) standings: BTreeMap<UserId, Standing>,
    /// How often each user became a member, and ceased to be one by themselves or by others.
    pub(super) joins: BTreeMap<UserId, usize>,
    pub(super) leaves: BTreeMap<UserId, usize>,
    /// Entries that somebody wrote who was not entitled to.
    pub(super) wrong: Vec<(Seq, String)>,
    muted: BTreeSet<UserId>,
    history: HistoryPolicy,
    dissolved: bool,
}

impl Membership {
    /// Replays the log of a group.
    pub(super) fn replay(log: &Log) -> Self {
        let mut membership = Self::default();
        for entry in &log.entries {
            membership.take(entry);
        }
        membership
    }

    /// Whether a user may have read an entry at some time.
    pub(super) fn may_read(&self, user: UserId, seq: Seq) -> bool {
        let readable = self.readable.get(&user).into_iter().flatten();
        readable.into_iter().any(|(from, to)| *from <= seq && to.is_none_or(|to| seq <= to))
    }

    /// Whether a user's log may go on with this entry, whatever it held before: it is the first that
    /// they may read since they joined.
    pub(super) fn begins_anew(&self, user: UserId, seq: Seq) -> bool {
        self.readable.get(&user).is_some_and(|readable| readable.iter().any(|(from, _)| *from == seq))
    }

    fn take(&mut self, entry: &Entry) {
        let (seq, sender) = (entry.seq, entry.sender);
        let content = entry.decode_content();
        let entitled = match &content {
            Ok(Content::GroupCreated { .. }) => seq == 1,
            Ok(Content::Joined) => !self.standings.contains_key(&sender),
            Ok(Content::Left) => matches!(self.standing(sender), Some(Standing::Admin | Standing::Member)),
            Ok(Content::MembersAdded(_) | Content::GroupChanged(_)) => {
                self.standing(sender).is_some_and(Standing::is_staff)
            }
            Ok(Content::MemberRemoved(user) | Content::Muted { user, .. }) => {
                self.standing(sender).is_some_and(Standing::is_staff)
                    && self.standing(*user).is_some_and(|other| Some(other) > self.standing(sender))
            }
            Ok(Content::RoleChanged { user, .. }) => {
                self.standing(sender) == Some(Standing::Owner) && self.standing(*user).is_some()
            }
            Ok(Content::Dissolved) => self.standing(sender) == Some(Standing::Owner),
            _ => self.standing(sender).is_some() && !self.muted.contains(&sender),
        };
        if !entitled || self.dissolved {
            let was = self.standing(sender);
            self.wrong.push((seq, format!("user {sender} wrote {content:?} at {seq}, being {was:?}")));
        }
        if let Ok(content) = content {
            self.apply(seq, sender, &content);
        }
    }

    fn apply(&mut self, seq: Seq, sender: UserId, content: &Content) {
        match content {
            Content::GroupCreated { profile, members } => {
                self.history = profile.history;
                for member in members {
                    let owner = *member == sender;
                    self.enter(*member, if owner { Standing::Owner } else { Standing::Member }, seq);
                }
            }
            Content::GroupChanged(profile) => self.history = profile.history,
            Content::Joined => self.enter(sender, Standing::Member, seq),
            Content::MembersAdded(users) => {
                for user in users {
                    // Staff that takes somebody in lets them write.
                    self.muted.remove(user);
                    self.enter(*user, Standing::Member, seq);
                }
            }
            Content::Left => self.leave(sender, seq),
            Content::MemberRemoved(user) => self.leave(*user, seq),
            Content::RoleChanged { user, role } => {
                self.standings.insert(*user, *role);
                if *role == Standing::Owner {
                    self.standings.insert(sender, Standing::Admin);
                }
            }
            Content::Muted { user, until } if *until >= Evidence::FAR => drop(self.muted.insert(*user)),
            Content::Muted { user, .. } => drop(self.muted.remove(user)),
            Content::Dissolved => self.dissolved = true,
            _ => {}
        }
    }

    fn standing(&self, user: UserId) -> Option<Standing> {
        self.standings.get(&user).copied()
    }

    fn enter(&mut self, user: UserId, standing: Standing, seq: Seq) {
        self.standings.insert(user, standing);
        let from = match self.history {
            HistoryPolicy::SinceJoin => seq,
            HistoryPolicy::All => 1,
        };
        self.readable.entry(user).or_default().push((from, None));
        *self.joins.entry(user).or_default() += 1;
    }

    fn leave(&mut self, user: UserId, seq: Seq) {
        self.standings.remove(&user);
        if let Some(last) = self.readable.get_mut(&user).and_then(|readable| readable.last_mut()) {
            last.1 = Some(seq);
        }
        *self.leaves.entry(user).or_default() += 1;
    }
}

/// The memberships of all groups.
pub(super) fn of_groups(evidence: &Evidence) -> BTreeMap<ConversationId, Membership> {
    let groups = evidence.logs.iter().filter(|(of, _)| matches!(of, ConversationId::Group(_)));
    groups.map(|(of, log)| (*of, Membership::replay(log))).collect()
}

/// Whose each client is.
pub(super) fn users(evidence: &Evidence) -> BTreeMap<ClientNumber, UserId> {
    let entered = evidence.facts.iter().filter_map(|fact| match &fact.what {
        What::Entered { client, user, .. } => Some((*client, *user)),
        _ => None,
    });
    entered.collect()
}
