//! Contacts: how two users stand to each other. A relation lives in their direct conversation, on
//! both sides; what happens to it is told in both inboxes, in one commit.

use super::committer::store_error;
use super::config::ContactPolicy;
use super::login::{Rules, notice};
use super::{Session, accounts::profile, inbox_once};
use crate::store::{Append, Digest, Item, Precondition, StandingChange, Write};
use crate::{
    ClientId, Contact, ContactAction, ContactEvent, Content, ConversationId, Error, ErrorKind, Member, Pair,
    Receipt, Relation, UserId,
};

/// Memberships are read in pages of so many.
const PAGE: usize = 512;

/// The most contacts of a page, whatever is asked for.
const CONTACTS_LIMIT: usize = 500;

impl Session {
    /// Does something about another user, see [`ContactAction`].
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`] where the other does not exist, has blocked the user, or there is
    /// nothing to be answered; [`ErrorKind::LimitReached`] for too many contacts.
    pub async fn contact(
        &self,
        client_id: ClientId,
        peer: UserId,
        action: ContactAction,
    ) -> Result<Receipt, Error> {
        self.answer(self.contact_uncounted(client_id, peer, action).await)
    }

    async fn contact_uncounted(
        &self,
        client_id: ClientId,
        peer: UserId,
        action: ContactAction,
    ) -> Result<Receipt, Error> {
        self.alive()?;
        let user = self.user();
        let pair =
            Pair::new(user, peer).ok_or_else(|| Error::invalid("nobody is a contact of themselves"))?;
        if let ContactAction::Request { note } = &action {
            check_note(note)?;
        }
        let once = inbox_once(client_id, user);
        let digest = digest(peer, &action);
        if let Some(known) = self.admit_new(once, digest).await? {
            return Ok(known.receipt());
        }
        let settled = self.core().settle(once, digest, || self.decide_contact(pair, peer, &action)).await?;
        Ok(settled.receipt())
    }

    /// The user's contacts, requests and blocks, in the order of the others' ids; an empty page ends
    /// them.
    ///
    /// # Errors
    /// As all commands.
    pub async fn contacts(&self, after: Option<UserId>, limit: usize) -> Result<Vec<Contact>, Error> {
        self.answer(self.contacts_uncounted(after, limit).await)
    }

    async fn contacts_uncounted(&self, after: Option<UserId>, limit: usize) -> Result<Vec<Contact>, Error> {
        self.admit_read()?;
        let limit = limit.clamp(1, CONTACTS_LIMIT);
        let mut rows: Vec<(UserId, Member)> = self.bonds().await?;
        rows.retain(|(peer, _)| after.is_none_or(|after| *peer > after));
        rows.sort_by_key(|(peer, _)| *peer);
        rows.truncate(limit);
        let peers: Vec<_> = rows.iter().map(|(peer, _)| *peer).collect();
        let accounts = self.store().accounts(&peers).await.map_err(|error| store_error(&error))?;
        Ok(rows
            .into_iter()
            .zip(accounts)
            .filter_map(|((peer, member), account)| {
                let contact = member.relation == Relation::Contact;
                Some(Contact {
                    profile: profile(account?),
                    relation: member.relation,
                    blocked: member.blocked,
                    online: contact.then(|| self.core().presence.is_online(peer)),
                })
            })
            .collect())
    }

    /// The user's rows of direct conversations with a relation or a block.
    async fn bonds(&self) -> Result<Vec<(UserId, Member)>, Error> {
        let user = self.user();
        let (mut bonds, mut after) = (Vec::new(), None);
        loop {
            let page =
                self.store().memberships(user, after, PAGE).await.map_err(|error| store_error(&error))?;
            let Some((last, _)) = page.last() else { return Ok(bonds) };
            after = Some(last.conversation);
            let full = page.len() == PAGE;
            for (head, member) in page {
                // Direct conversations sort before all others.
                let ConversationId::Direct(pair) = head.conversation else { return Ok(bonds) };
                let bound = member.relation != Relation::None || member.blocked;
                if let Some(peer) = pair.peer_of(user).filter(|_| bound) {
                    bonds.push((peer, member));
                }
            }
            if !full {
                return Ok(bonds);
            }
        }
    }

    async fn decide_contact(&self, pair: Pair, peer: UserId, action: &ContactAction) -> Result<Item, Error> {
        let (core, user) = (self.core(), self.user());
        let at = ConversationId::Direct(pair);
        let rules = core.rules_seq(&[at]).await?[0];
        let rows = core.store.members(&[(at, user), (at, peer)]).await.map_err(|e| store_error(&e))?;
        let mut rows = rows.into_iter().zip([user, peer]);
        let mut next = || rows.next().map(|(row, of)| row.unwrap_or_else(|| Member::blank(at, of)));
        let (Some(own), Some(other)) = (next(), next()) else { return Err(Error::not_allowed()) };
        let accounts = core.store.accounts(&[peer]).await.map_err(|error| store_error(&error))?;
        let exists = accounts.into_iter().flatten().any(|account| account.deleted.is_none());
        let change = decide(&own, &other, exists, action, core.config.contacts)?;
        if change.own_relation != Relation::None && own.relation == Relation::None && !own.blocked {
            // Counting is dear and happens only where the count grows.
            if self.bonds().await?.len() >= core.config.contacts_limit {
                return Err(Error::new(ErrorKind::LimitReached, "too many contacts and requests"));
            }
        }
        Ok(change.item(at, rules, user, peer, action))
    }
}

/// What an action makes of a pair.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    event: ContactEvent,
    own_relation: Relation,
    peer_relation: Relation,
    own_blocked: bool,
    /// Whether the other is told; a block tells the other nothing but the end of a contact.
    tell_peer: Option<ContactEvent>,
}

fn decide(
    own: &Member,
    other: &Member,
    exists: bool,
    action: &ContactAction,
    policy: ContactPolicy,
) -> Result<Change, Error> {
    let both = |event, own_relation, peer_relation| Change {
        event,
        own_relation,
        peer_relation,
        own_blocked: own.blocked,
        tell_peer: Some(event),
    };
    match action {
        ContactAction::Request { .. } => {
            if !exists || other.blocked {
                return Err(Error::not_allowed());
            }
            if own.blocked {
                return Err(Error::new(ErrorKind::NotAllowed, "unblock this user first"));
            }
            match own.relation {
                Relation::Contact => Err(Error::new(ErrorKind::NotAllowed, "you are contacts already")),
                Relation::Outgoing => Err(Error::new(ErrorKind::NotAllowed, "you have asked already")),
                Relation::Incoming => Ok(both(ContactEvent::Accepted, Relation::Contact, Relation::Contact)),
                Relation::None if policy == ContactPolicy::Immediate => {
                    Ok(both(ContactEvent::Accepted, Relation::Contact, Relation::Contact))
                }
                Relation::None => Ok(both(ContactEvent::Requested, Relation::Outgoing, Relation::Incoming)),
            }
        }
        ContactAction::Accept if own.relation == Relation::Incoming && exists => {
            Ok(both(ContactEvent::Accepted, Relation::Contact, Relation::Contact))
        }
        ContactAction::Decline if own.relation == Relation::Incoming => {
            Ok(both(ContactEvent::Declined, Relation::None, Relation::None))
        }
        ContactAction::Withdraw if own.relation == Relation::Outgoing => {
            Ok(both(ContactEvent::Withdrawn, Relation::None, Relation::None))
        }
        ContactAction::Remove if own.relation == Relation::Contact => {
            Ok(both(ContactEvent::Removed, Relation::None, Relation::None))
        }
        ContactAction::Block if !own.blocked => Ok(Change {
            event: ContactEvent::Blocked,
            own_relation: Relation::None,
            peer_relation: Relation::None,
            own_blocked: true,
            tell_peer: match own.relation {
                Relation::Contact => Some(ContactEvent::Removed),
                Relation::Incoming => Some(ContactEvent::Declined),
                Relation::Outgoing => Some(ContactEvent::Withdrawn),
                Relation::None => None,
            },
        }),
        ContactAction::Unblock if own.blocked => Ok(Change {
            event: ContactEvent::Unblocked,
            own_relation: own.relation,
            peer_relation: other.relation,
            own_blocked: false,
            tell_peer: None,
        }),
        _ => Err(Error::new(ErrorKind::NotAllowed, "there is nothing of the kind to be done")),
    }
}

impl Change {
    fn item(
        &self,
        at: ConversationId,
        rules: u64,
        user: UserId,
        peer: UserId,
        action: &ContactAction,
    ) -> Item {
        let note = match action {
            ContactAction::Request { note } => note.clone(),
            _ => String::new(),
        };
        let told = |event, peer, note: &String| Content::Contact { event, peer, note: note.clone() };
        let mut append: Vec<Append> = vec![notice(user, user, &told(self.event, peer, &note), Rules::Stay)];
        if let Some(event) = self.tell_peer {
            append.push(notice(peer, user, &told(event, user, &note), Rules::Stay));
        }
        let standing = |of, relation, blocked| {
            Write::Standing(StandingChange {
                relation: Some(relation),
                blocked,
                ..StandingChange::of(at, of)
            })
        };
        Item {
            once: None,
            require: vec![Precondition::Rules(at, rules)],
            append,
            write: vec![
                standing(user, self.own_relation, Some(self.own_blocked)),
                standing(peer, self.peer_relation, None),
                Write::RaiseRules(at),
            ],
        }
    }
}

fn check_note(note: &str) -> Result<(), Error> {
    if note.len() <= ContactAction::NOTE_LIMIT_BYTES {
        Ok(())
    } else {
        Err(Error::invalid(format!("the note is longer than {} bytes", ContactAction::NOTE_LIMIT_BYTES)))
    }
}

fn digest(peer: UserId, action: &ContactAction) -> Digest {
    let (name, note): (&[u8], &str) = match action {
        ContactAction::Request { note } => (b"request", note),
        ContactAction::Accept => (b"accept", ""),
        ContactAction::Decline => (b"decline", ""),
        ContactAction::Withdraw => (b"withdraw", ""),
        ContactAction::Remove => (b"remove", ""),
        ContactAction::Block => (b"block", ""),
        ContactAction::Unblock => (b"unblock", ""),
    };
    Digest::of(&[b"contact", &peer.number().to_le_bytes(), name, note.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(own: Relation, blocked: bool, peer_blocked: bool) -> (Member, Member) {
        let user = |number| UserId::new(number).expect("valid");
        let at = ConversationId::direct(user(1), user(2)).expect("two users");
        let own = Member { relation: own, blocked, ..Member::blank(at, user(1)) };
        (own, Member { blocked: peer_blocked, ..Member::blank(at, user(2)) })
    }

    fn outcome(own: Relation, action: &ContactAction) -> Option<(ContactEvent, Relation)> {
        let (own, other) = pair(own, false, false);
        let change = decide(&own, &other, true, action, ContactPolicy::AskFirst).ok()?;
        Some((change.event, change.own_relation))
    }

    #[test]
    fn a_request_is_answered_once() {
        let request = ContactAction::Request { note: String::new() };
        assert_eq!(outcome(Relation::None, &request), Some((ContactEvent::Requested, Relation::Outgoing)));
        assert_eq!(outcome(Relation::Outgoing, &request), None);
        assert_eq!(
            outcome(Relation::Incoming, &request),
            Some((ContactEvent::Accepted, Relation::Contact)),
            "two who ask each other are contacts"
        );
        assert_eq!(
            outcome(Relation::Incoming, &ContactAction::Accept),
            Some((ContactEvent::Accepted, Relation::Contact))
        );
        for nothing_to_answer in [Relation::None, Relation::Outgoing, Relation::Contact] {
            assert_eq!(outcome(nothing_to_answer, &ContactAction::Accept), None);
            assert_eq!(outcome(nothing_to_answer, &ContactAction::Decline), None);
        }
    }

    #[test]
    fn a_block_tells_the_other_no_more_than_the_end_of_the_contact() {
        let (own, other) = pair(Relation::None, false, false);
        let change = decide(&own, &other, true, &ContactAction::Block, ContactPolicy::AskFirst);
        assert_eq!(change.expect("blocked").tell_peer, None);
        let (own, other) = pair(Relation::Contact, false, false);
        let change = decide(&own, &other, true, &ContactAction::Block, ContactPolicy::AskFirst);
        assert_eq!(change.expect("blocked").tell_peer, Some(ContactEvent::Removed));
    }

    #[test]
    fn who_was_blocked_gets_the_answer_of_who_asks_for_nobody() {
        let request = ContactAction::Request { note: String::new() };
        let answer = |exists, peer_blocked| {
            let (own, other) = pair(Relation::None, false, peer_blocked);
            let refused = decide(&own, &other, exists, &request, ContactPolicy::Immediate);
            format!("{:?}", refused.expect_err("refused"))
        };
        assert_eq!(answer(true, true), answer(false, false));
    }
}
