//! How far a user has read and received: state, of which the latest counts.

use super::Session;
use super::committer::store_error;
use super::rules::Place;
use super::session::visible_head;
use crate::store::{Item, Outcome, SeqRef, Write};
use crate::{ConversationId, Ephemeral, Error, Member, Seq};

impl Session {
    /// Moves the read cursor of a conversation forward to an entry; never back. The user's other
    /// devices are told, and the other members of small conversations.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`](crate::ErrorKind) where the session may not read.
    pub async fn mark_read(&self, conversation: ConversationId, seq: Seq) -> Result<(), Error> {
        self.answer(self.mark_read_uncounted(conversation, seq).await)
    }

    async fn mark_read_uncounted(&self, conversation: ConversationId, seq: Seq) -> Result<(), Error> {
        self.admit()?;
        let (head, member) = self.reader(conversation).await?;
        let seq = seq.min(visible_head(head.seq, member.left_seq));
        if seq <= member.read.seq {
            return Ok(());
        }
        let (user, to) = (member.user, SeqRef::At(seq));
        let write = vec![Write::Read { conversation, user, to }, Write::Delivered { conversation, user, to }];
        self.write_positions(&conversation, write).await?;
        self.tell_position(&member, Ephemeral::Read { conversation, user, seq }).await
    }

    /// Says up to which entry conversations have reached this device; positions only move forward. At
    /// most 1,000 conversations at a time.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind) for more;
    /// [`ErrorKind::NotAllowed`](crate::ErrorKind) when the session may not read one of them; the
    /// others are noted.
    pub async fn mark_delivered(&self, reached: &[(ConversationId, Seq)]) -> Result<(), Error> {
        self.answer(self.mark_delivered_uncounted(reached).await)
    }

    async fn mark_delivered_uncounted(&self, reached: &[(ConversationId, Seq)]) -> Result<(), Error> {
        self.admit()?;
        if reached.len() > 1_000 {
            return Err(Error::invalid("at most 1000 positions at a time"));
        }
        let user = self.user();
        let keys: Vec<_> = reached.iter().map(|(conversation, _)| (*conversation, user)).collect();
        let rows = self.store().members(&keys).await.map_err(|error| store_error(&error))?;
        let of: Vec<_> = reached.iter().map(|(conversation, _)| *conversation).collect();
        let heads = self.store().heads(&of).await.map_err(|error| store_error(&error))?;
        let mut refused = false;
        for (((conversation, seq), row), head) in reached.iter().zip(rows).zip(heads) {
            let (conversation, seq) = (*conversation, (*seq).min(head.seq));
            let Some(row) = row.filter(|row| row.may_read(seq)) else {
                refused = true;
                continue;
            };
            if seq <= row.delivered {
                continue;
            }
            let write = vec![Write::Delivered { conversation, user, to: SeqRef::At(seq) }];
            self.write_positions(&conversation, write).await?;
            self.tell_position(&row, Ephemeral::Delivered { conversation, user, seq }).await?;
        }
        if refused { Err(Error::not_allowed()) } else { Ok(()) }
    }

    /// The user's place in a conversation, where they are or were a member.
    pub(super) async fn member(&self, conversation: ConversationId) -> Result<Member, Error> {
        let user = self.user();
        let row = self.store().members(&[(conversation, user)]).await.map_err(|error| store_error(&error))?;
        let own = match conversation {
            ConversationId::Direct(pair) => pair.contains(user),
            ConversationId::Inbox(owner) => owner == user,
            ConversationId::Group(_) => false,
        };
        match row.into_iter().next().flatten() {
            Some(member) => Ok(member),
            None if own => Ok(Member::blank(conversation, user)),
            None => Err(Error::not_allowed()),
        }
    }

    async fn write_positions(&self, at: &ConversationId, write: Vec<Write>) -> Result<(), Error> {
        match self.core().commit(at, Item { write, ..Item::default() }).await? {
            Outcome::Committed(_) => Ok(()),
            // An item without conditions is committed or fails as a whole.
            _ => Err(Error::not_allowed()),
        }
    }

    /// Tells the user's other devices, and, of a member, the others where they are few.
    async fn tell_position(&self, member: &Member, ephemeral: Ephemeral) -> Result<(), Error> {
        let own = self.shared.outbox.session;
        let conversation = member.conversation;
        let small = match conversation {
            _ if !member.standing.is_member() => false,
            ConversationId::Direct(_) | ConversationId::Inbox(_) => true,
            ConversationId::Group(_) => {
                let core = self.core();
                let rules = core.rules.get(self.store(), conversation, self.user()).await;
                let limit = core.config.positions_group_limit;
                rules.map_err(|error| store_error(&error))?.is_some_and(
                    |rules| matches!(rules.place, Place::Group { members, .. } if members <= limit),
                )
            }
        };
        if small {
            self.core().tell(ephemeral, Some(own));
        } else if matches!(ephemeral, Ephemeral::Read { .. }) {
            self.core().hub.tell_user(self.user(), ephemeral, Some(own));
        }
        Ok(())
    }
}
