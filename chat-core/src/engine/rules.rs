//! Who may write into a conversation: what that depends on, and the decision, which is pure.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::config::WritePolicy;
use crate::store::{Precondition, Store, StoreError};
use crate::{ConversationId, Error, ErrorKind, Relation, Seq, Standing, Timestamp, UserId};

/// What the right of one user to write into one conversation depends on, as of `rules_seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The version of all this; a write is valid only while the head still has it.
    pub(crate) rules_seq: u64,
    pub(crate) place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Direct {
        /// Whether the other exists and was not deleted.
        peer_exists: bool,
        /// Whether the sender's or the other's row is still to be created.
        rows_missing: bool,
        blocked_by_peer: bool,
        blocked_by_self: bool,
        contacts: bool,
    },
    Group {
        dissolved: bool,
        standing: Standing,
        muted_until: Option<Timestamp>,
        members: u32,
        visible_from: Seq,
    },
}

/// What a send wants to do, as far as permission depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A message.
    Write,
    /// A message that answers an entry, of this sender if it exists and is a message that was not
    /// redacted.
    Reply { target: Seq, by: Option<UserId> },
    /// Change an entry, likewise.
    Edit { target: Seq, by: Option<UserId> },
    /// Take back an entry, likewise.
    Recall { target: Seq, by: Option<UserId> },
    /// React to an entry, likewise.
    React { target: Seq, by: Option<UserId> },
}

impl Wish {
    /// The entry that it changes.
    pub(crate) fn changed(&self) -> Option<Seq> {
        match self {
            Self::Edit { target, .. } | Self::Recall { target, .. } => Some(*target),
            Self::Write | Self::Reply { .. } | Self::React { .. } => None,
        }
    }
}

/// Decides whether `sender` may do this now.
pub(crate) fn decide(
    rules: &Rules,
    wish: Wish,
    sender: UserId,
    policy: WritePolicy,
    now: Timestamp,
) -> Result<(), Error> {
    let (staff, visible_from) = match &rules.place {
        Place::Direct { peer_exists, blocked_by_peer, blocked_by_self, contacts, .. } => {
            let refused = !peer_exists || *blocked_by_peer || *blocked_by_self;
            if refused || (policy == WritePolicy::ContactsOnly && !contacts) {
                return Err(Error::not_allowed());
            }
            (false, 1)
        }
        Place::Group { dissolved, standing, muted_until, visible_from, .. } => {
            if *dissolved || !standing.is_member() {
                return Err(Error::not_allowed());
            }
            if let Some(until) = muted_until.filter(|until| *until > now) {
                let muted = Error::new(ErrorKind::NotAllowed, "you are muted in this group");
                return Err(muted.retry_after(until.since(now)));
            }
            (standing.is_staff(), *visible_from)
        }
    };
    let no_target = || Error::invalid("the target is not a message of this conversation");
    let target = match wish {
        Wish::Write => None,
        Wish::Reply { target, by }
        | Wish::Edit { target, by }
        | Wish::Recall { target, by }
        | Wish::React { target, by } => {
            by.ok_or_else(no_target)?;
            Some(target)
        }
    };
    if target.is_some_and(|target| target < visible_from) {
        return Err(no_target());
    }
    match wish {
        Wish::Edit { by, .. } if by != Some(sender) => {
            Err(Error::new(ErrorKind::NotAllowed, "only its sender may edit a message"))
        }
        Wish::Recall { by, .. } if by != Some(sender) && !staff => Err(Error::new(
            ErrorKind::NotAllowed,
            "only its sender, or staff of the group, may recall a message",
        )),
        _ => Ok(()),
    }
}

impl Rules {
    /// What a write decided on these rules requires of the store.
    pub(crate) fn precondition(&self, conversation: ConversationId) -> Precondition {
        Precondition::Rules(conversation, self.rules_seq)
    }
}

/// Loads the rules of several (conversation, user). An inbox has none: nobody writes there by hand.
pub(crate) async fn load(
    store: &dyn Store,
    wanted: &[(ConversationId, UserId)],
) -> Result<Vec<Option<Rules>>, StoreError> {
    let conversations: Vec<_> = wanted.iter().map(|(conversation, _)| *conversation).collect();
    let mut places = Vec::with_capacity(wanted.len() * 2);
    let mut peers = Vec::new();
    for (conversation, user) in wanted {
        places.push((*conversation, *user));
        if let ConversationId::Direct(pair) = conversation
            && let Some(peer) = pair.peer_of(*user)
        {
            places.push((*conversation, peer));
            peers.push(peer);
        }
    }
    // The heads first: rules that change between the reads then fail the comparison under the lock.
    let heads = store.heads(&conversations).await?;
    let mut rows = store.members(&places).await?.into_iter();
    let mut accounts = store.accounts(&peers).await?.into_iter();
    let mut loaded = Vec::with_capacity(wanted.len());
    for ((conversation, user), head) in wanted.iter().zip(heads) {
        let own = rows.next().flatten();
        let place = match conversation {
            ConversationId::Inbox(_) => None,
            ConversationId::Direct(pair) => pair.peer_of(*user).map(|_| {
                let peer = rows.next().flatten();
                let account = accounts.next().flatten();
                Place::Direct {
                    peer_exists: account.is_some_and(|account| account.deleted.is_none()),
                    rows_missing: own.is_none() || peer.is_none(),
                    blocked_by_peer: peer.is_some_and(|peer| peer.blocked),
                    blocked_by_self: own.as_ref().is_some_and(|own| own.blocked),
                    contacts: own.is_some_and(|own| own.relation == Relation::Contact),
                }
            }),
            ConversationId::Group(_) => head.group.map(|group| Place::Group {
                dissolved: group.dissolved,
                standing: own.as_ref().map_or(Standing::Former, |own| own.standing),
                muted_until: own.as_ref().and_then(|own| own.muted_until),
                members: group.members,
                visible_from: own.map_or(Seq::MAX, |own| own.visible_from),
            }),
        };
        loaded.push(place.map(|place| Rules { rules_seq: head.rules_seq, place }));
    }
    Ok(loaded)
}

/// Rules seen lately. A hint: the store compares `rules_seq` before anything is written on them.
pub(crate) struct RulesCache(Mutex<Generations>);

/// Two generations: when the younger is full it becomes the older, whose content is dropped.
#[derive(Default)]
struct Generations {
    young: BTreeMap<(ConversationId, UserId), Rules>,
    old: BTreeMap<(ConversationId, UserId), Rules>,
}

/// The most entries of one generation; some 200 bytes each.
const GENERATION: usize = 65_536;

impl RulesCache {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    pub(crate) fn find(&self, conversation: ConversationId, user: UserId) -> Option<Rules> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (conversation, user);
        if let Some(rules) = generations.young.get(&key) {
            return Some(rules.clone());
        }
        let rules = generations.old.remove(&key)?;
        generations.insert(key, rules.clone());
        Some(rules)
    }

    pub(crate) fn insert(&self, conversation: ConversationId, user: UserId, rules: Rules) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((conversation, user), rules);
    }

    pub(crate) fn forget(&self, conversation: ConversationId, user: UserId) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.young.remove(&(conversation, user));
        generations.old.remove(&(conversation, user));
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Generations::default();
    }

    /// The rules, from here or from the store.
    pub(crate) async fn get(
        &self,
        store: &dyn Store,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<Option<Rules>, StoreError> {
        if let Some(rules) = self.find(conversation, user) {
            return Ok(Some(rules));
        }
        let rules = load(store, &[(conversation, user)]).await?.pop().flatten();
        if let Some(rules) = &rules {
            self.insert(conversation, user, rules.clone());
        }
        Ok(rules)
    }
}

impl Generations {
    fn insert(&mut self, key: (ConversationId, UserId), rules: Rules) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, rules);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000);
    const POLICY: WritePolicy = WritePolicy::Everyone;

    fn user(number: u64) -> UserId {
        UserId::new(number).expect("valid")
    }

    fn group(standing: Standing) -> Rules {
        let place =
            Place::Group { dissolved: false, standing, muted_until: None, members: 3, visible_from: 5 };
        Rules { rules_seq: 1, place }
    }

    fn direct(blocked_by_peer: bool, contacts: bool) -> Rules {
        let place = Place::Direct {
            peer_exists: true,
            rows_missing: false,
            blocked_by_peer,
            blocked_by_self: false,
            contacts,
        };
        Rules { rules_seq: 1, place }
    }

    fn kind(result: Result<(), Error>) -> Option<ErrorKind> {
        result.err().map(|error| error.kind())
    }

    const WRITE: Wish = Wish::Write;

    #[test]
    fn only_members_write_to_a_group() {
        for (standing, allowed) in [
            (Standing::Owner, true),
            (Standing::Admin, true),
            (Standing::Member, true),
            (Standing::Invited, false),
            (Standing::Asking, false),
            (Standing::Former, false),
        ] {
            assert_eq!(
                decide(&group(standing), WRITE, user(1), POLICY, NOW).is_ok(),
                allowed,
                "{standing:?}"
            );
        }
    }

    #[test]
    fn unknown_blocked_and_contacts_only_get_one_answer() {
        let unknown = Rules {
            place: Place::Direct {
                peer_exists: false,
                rows_missing: true,
                blocked_by_peer: false,
                blocked_by_self: false,
                contacts: false,
            },
            ..direct(false, false)
        };
        let answers = [
            decide(&unknown, WRITE, user(1), POLICY, NOW),
            decide(&direct(true, true), WRITE, user(1), POLICY, NOW),
            decide(&direct(false, false), WRITE, user(1), WritePolicy::ContactsOnly, NOW),
            decide(&group(Standing::Former), WRITE, user(1), POLICY, NOW),
        ];
        let texts: Vec<_> = answers.iter().map(|answer| format!("{:?}", answer.as_ref().err())).collect();
        assert!(texts.iter().all(|text| *text == texts[0] && text.contains("NotAllowed")), "{texts:?}");
        assert!(decide(&direct(false, true), WRITE, user(1), WritePolicy::ContactsOnly, NOW).is_ok());
    }

    #[test]
    fn a_mute_ends_by_itself() {
        let mut rules = group(Standing::Member);
        if let Place::Group { muted_until, .. } = &mut rules.place {
            *muted_until = Some(Timestamp(1_500));
        }
        let refused = decide(&rules, WRITE, user(1), POLICY, NOW).expect_err("muted");
        assert_eq!(refused.retry_delay(), Some(Duration::from_millis(500)));
        assert!(decide(&rules, WRITE, user(1), POLICY, Timestamp(1_500)).is_ok());
    }

    #[test]
    fn only_the_sender_edits_and_staff_may_recall() {
        let edit = Wish::Edit { target: 7, by: Some(user(2)) };
        let recall = Wish::Recall { target: 7, by: Some(user(2)) };
        assert_eq!(
            kind(decide(&group(Standing::Owner), edit, user(1), POLICY, NOW)),
            Some(ErrorKind::NotAllowed)
        );
        assert_eq!(kind(decide(&group(Standing::Member), edit, user(2), POLICY, NOW)), None);
        assert_eq!(
            kind(decide(&group(Standing::Member), recall, user(1), POLICY, NOW)),
            Some(ErrorKind::NotAllowed)
        );
        assert_eq!(kind(decide(&group(Standing::Admin), recall, user(1), POLICY, NOW)), None);
        assert_eq!(
            kind(decide(&direct(false, false), recall, user(1), POLICY, NOW)),
            Some(ErrorKind::NotAllowed)
        );
    }

    #[test]
    fn what_one_may_not_read_cannot_be_answered_or_reacted_to() {
        let early = Wish::React { target: 4, by: Some(user(2)) };
        assert_eq!(
            kind(decide(&group(Standing::Member), early, user(1), POLICY, NOW)),
            Some(ErrorKind::Invalid)
        );
        let reply = Wish::Reply { target: 4, by: Some(user(2)) };
        assert_eq!(
            kind(decide(&group(Standing::Member), reply, user(1), POLICY, NOW)),
            Some(ErrorKind::Invalid)
        );
        let gone = Wish::React { target: 9, by: None };
        assert_eq!(
            kind(decide(&group(Standing::Member), gone, user(1), POLICY, NOW)),
            Some(ErrorKind::Invalid)
        );
        assert_eq!(
            kind(decide(&group(Standing::Former), gone, user(1), POLICY, NOW)),
            Some(ErrorKind::NotAllowed)
        );
    }
}
