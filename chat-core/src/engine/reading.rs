//! Reading: history, what changed since, and how conversations stand.

use super::Session;
use super::committer::store_error;
use super::planted::Defect;
use super::session::{self, visible_head};
use crate::{
    ConversationId, ConversationState, Direction, Entry, Error, ErrorKind, Head, History, Member,
    PeerPosition, Range, Standing, Sync, SyncPage, SyncedConversation, Timestamp, UserId,
};

/// The most entries of a page, whatever is asked for.
const PAGE_LIMIT: usize = 1_000;

/// The most conversations of a sync page, whatever is asked for.
const CONVERSATIONS_LIMIT: usize = 500;

/// The most bytes of entries of one page, and again of those that refer to them.
const PAGE_BYTES: usize = 512 * 1024;

impl Session {
    /// A page of a conversation's messages, each with the edits, recalls and reactions that refer to
    /// it, cut to what the user may read.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`] where the user may not read, [`ErrorKind::Trimmed`] for what is no
    /// longer kept.
    pub async fn history(&self, conversation: ConversationId, range: &Range) -> Result<History, Error> {
        self.answer(self.history_uncounted(conversation, range).await)
    }

    async fn history_uncounted(&self, conversation: ConversationId, range: &Range) -> Result<History, Error> {
        self.admit_read()?;
        let (head, member) = self.reader(conversation).await?;
        let Some(range) = readable(&head, &member, range)? else {
            return Ok(History::default());
        };
        let mut page =
            self.store().history(conversation, &range).await.map_err(|error| store_error(&error))?;
        let visible = visible_head(head.seq, member.left_seq);
        page.referring.retain(|entry| entry.seq <= visible);
        // The newest count: they say how a message reads now.
        let mut budget = PAGE_BYTES;
        let kept = page.referring.iter().rev().take_while(|entry| {
            let fits = entry.size_bytes() <= budget;
            budget = budget.saturating_sub(entry.size_bytes());
            fits
        });
        let dropped = page.referring.len() - kept.count();
        page.referring.drain(..dropped);
        Ok(page)
    }

    /// A page of a conversation's entries of every kind, without holes, cut to what the user may
    /// read.
    ///
    /// # Errors
    /// As [`Session::history`].
    pub async fn entries(&self, conversation: ConversationId, range: &Range) -> Result<Vec<Entry>, Error> {
        self.answer(self.entries_uncounted(conversation, range).await)
    }

    async fn entries_uncounted(
        &self,
        conversation: ConversationId,
        range: &Range,
    ) -> Result<Vec<Entry>, Error> {
        self.admit_read()?;
        let (head, member) = self.reader(conversation).await?;
        let Some(range) = readable(&head, &member, range)? else {
            return Ok(Vec::new());
        };
        self.store().entries(conversation, &range).await.map_err(|error| store_error(&error))
    }

    /// How one conversation stands.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`] where the user may not read.
    pub async fn conversation(&self, conversation: ConversationId) -> Result<ConversationState, Error> {
        self.answer(self.conversation_uncounted(conversation).await)
    }

    async fn conversation_uncounted(&self, conversation: ConversationId) -> Result<ConversationState, Error> {
        self.admit_read()?;
        let (head, member) = self.reader(conversation).await?;
        let peers = self.peers(&[conversation]).await?;
        Ok(state(head, &member, peers.into_iter().next().flatten()))
    }

    /// A page of what changed since the client's cursors, in all conversations of the user.
    ///
    /// Former memberships appear while the client's cursor has not reached their end.
    ///
    /// # Errors
    /// [`ErrorKind::EpochChanged`] for a cursor beyond the end of its conversation: the store was
    /// replaced by an earlier state, start over.
    pub async fn sync(&self, sync: &Sync) -> Result<SyncPage, Error> {
        self.answer(self.sync_uncounted(sync).await)
    }

    async fn sync_uncounted(&self, sync: &Sync) -> Result<SyncPage, Error> {
        self.admit_read()?;
        let limit = sync.limit.clamp(1, CONVERSATIONS_LIMIT);
        let page = self
            .store()
            .memberships(self.user(), sync.after, limit)
            .await
            .map_err(|error| store_error(&error))?;
        let full = page.len() == limit;
        let mut next = page.last().filter(|_| full).map(|(head, _)| head.conversation);
        let mut rows = page;
        if let Some(until) = sync.until
            && rows.last().is_none_or(|(head, _)| head.conversation >= until || !full)
        {
            rows.retain(|(head, _)| head.conversation <= until);
            next = Some(until);
        }
        let ids: Vec<_> = rows.iter().map(|(head, _)| head.conversation).collect();
        let on_page = |of: &ConversationId| {
            sync.after.is_none_or(|after| *of > after) && next.is_none_or(|next| *of <= next)
        };
        // Rows are kept for ever: who has read something has one, or another history.
        if sync.cursors.iter().any(|(of, seq)| *seq > 0 && on_page(of) && ids.binary_search(of).is_err()) {
            return Err(beyond_the_end());
        }
        let peers = self.peers(&ids).await?;
        let mut conversations = Vec::with_capacity(rows.len());
        let mut budget = PAGE_BYTES;
        for ((head, member), peer) in rows.into_iter().zip(peers) {
            if let Some(synced) = self.synced(sync, head, &member, peer, budget).await? {
                let used: usize = synced.entries.iter().map(Entry::size_bytes).sum();
                budget = budget.saturating_sub(used);
                conversations.push(synced);
            }
        }
        if next.is_none() && self.core().planted.is(Defect::SubscribedAfterSnapshot) {
            session::attach_all(self.core(), &self.shared.outbox).await?;
        }
        Ok(SyncPage { conversations, next })
    }

    async fn synced(
        &self,
        sync: &Sync,
        head: Head,
        member: &Member,
        peer: Option<Member>,
        limit_bytes: usize,
    ) -> Result<Option<SyncedConversation>, Error> {
        let conversation = head.conversation;
        let cursor = sync
            .cursors
            .binary_search_by_key(&conversation, |(of, _)| *of)
            .ok()
            .map(|found| sync.cursors[found].1);
        let visible = visible_head(head.seq, member.left_seq);
        // Of others it would tell how far the log has got.
        if member.standing.is_member() && cursor.is_some_and(|cursor| cursor > head.seq) {
            return Err(beyond_the_end());
        }
        let former = member.standing == Standing::Former;
        if former && cursor.is_none_or(|cursor| cursor >= visible) {
            return Ok(None);
        }
        let first = head.first_seq.max(member.visible_from);
        let mut from = cursor.unwrap_or(member.read.seq).saturating_add(1).max(first);
        if self.core().planted.is(Defect::OfflineRowsDeletedEarly) {
            from = from.max(member.delivered + 1);
        }
        let mut entries = Vec::new();
        let due = from <= visible && !matches!(member.standing, Standing::Invited | Standing::Asking);
        // Once a page is full its other conversations are told without entries: they are read next.
        if due && limit_bytes > 0 {
            let range = Range {
                from,
                to: visible,
                direction: Direction::Forward,
                limit: sync.entries_limit.clamp(1, PAGE_LIMIT),
                limit_bytes,
            };
            let page = self.store().entries(conversation, &range).await;
            entries = page.map_err(|error| store_error(&error))?;
            #[cfg(feature = "planted-defects")]
            self.take_for_delivered(member, &entries).await?;
        }
        let more = due && entries.last().is_none_or(|last| last.seq < visible);
        let state = state(head, member, peer);
        Ok(Some(SyncedConversation { state, entries, more }))
    }

    /// The other users' places in those that are direct.
    async fn peers(&self, of: &[ConversationId]) -> Result<Vec<Option<Member>>, Error> {
        let peer = |conversation: &ConversationId| match conversation {
            ConversationId::Direct(pair) => pair.peer_of(self.user()).map(|peer| (*conversation, peer)),
            _ => None,
        };
        let keys: Vec<(ConversationId, UserId)> = of.iter().filter_map(peer).collect();
        let mut found = if keys.is_empty() {
            Vec::new()
        } else {
            self.store().members(&keys).await.map_err(|error| store_error(&error))?
        }
        .into_iter();
        Ok(of.iter().map(|conversation| peer(conversation).and_then(|_| found.next().flatten())).collect())
    }

    /// A conversation that the user may read some of, and their place in it. The head is read first:
    /// whoever was removed before an entry up to it shows as removed.
    pub(super) async fn reader(&self, conversation: ConversationId) -> Result<(Head, Member), Error> {
        let heads = self.store().heads(&[conversation]).await.map_err(|error| store_error(&error))?;
        let head = heads.into_iter().next().unwrap_or_else(|| Head::empty(conversation));
        let member = self.member(conversation).await?;
        match member.standing {
            Standing::Invited | Standing::Asking => Err(Error::not_allowed()),
            Standing::Former if member.left_seq.unwrap_or(0) == 0 => Err(Error::not_allowed()),
            _ => Ok((head, member)),
        }
    }
}

fn beyond_the_end() -> Error {
    Error::new(ErrorKind::EpochChanged, "a cursor is beyond the end of its conversation")
}

fn state(head: Head, member: &Member, peer: Option<Member>) -> ConversationState {
    let invited = matches!(member.standing, Standing::Invited | Standing::Asking);
    let current = member.standing.is_member();
    ConversationState {
        conversation: head.conversation,
        head: if invited { 0 } else { visible_head(head.seq, member.left_seq) },
        time: if current { head.time } else { Timestamp(0) },
        first_seq: head.first_seq.max(member.visible_from),
        read: member.read.seq,
        // A former member's would count what was written after they left.
        unread: if current { member.unread(&head) } else { 0 },
        delivered: member.delivered,
        standing: member.standing,
        relation: member.relation,
        blocked: member.blocked,
        muted_until: member.muted_until,
        peer: peer.map(|peer| PeerPosition { read: peer.read.seq, delivered: peer.delivered }),
        // How the group goes on is no longer a former member's business.
        group: head.group.filter(|_| member.standing != Standing::Former),
    }
}

/// What of a range the user may read; `None` when nothing is left.
fn readable(head: &Head, member: &Member, range: &Range) -> Result<Option<Range>, Error> {
    if range.from > head.seq.saturating_add(1) && member.standing.is_member() {
        // Who holds what is beyond the end holds another history.
        return Err(Error::new(ErrorKind::EpochChanged, "the range begins beyond the end"));
    }
    let from = range.from.max(member.visible_from).max(1);
    let to = range.to.min(visible_head(head.seq, member.left_seq));
    let trimmed = match range.direction {
        Direction::Forward => from < head.first_seq,
        Direction::Backward => to < head.first_seq,
    };
    if from <= to && trimmed {
        return Err(Error::new(ErrorKind::Trimmed, "older than what is kept"));
    }
    let from = from.max(head.first_seq);
    Ok((from <= to).then_some(Range {
        from,
        to,
        direction: range.direction,
        limit: range.limit.clamp(1, PAGE_LIMIT),
        limit_bytes: range.limit_bytes.clamp(1, PAGE_BYTES),
    }))
}
