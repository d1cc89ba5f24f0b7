//! A session: one device of a user, connected. Commands go in, events come out.

use std::collections::BTreeSet;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::committer::store_error;
use super::outbox::Outbox;
use super::planted::Defect;
use super::presence::Lasting;
use super::rate::Bucket;
use super::sync::AtomicBool;
use super::{Core, Settled};
use crate::bus::Topic;
use crate::store::{Digest, Once, Store};
use crate::{
    Attachment, ConversationId, DeviceId, EndReason, Error, ErrorKind, Event, Head, Member, Relation, Seq,
    TokenHash, UserId,
};

/// What a logged-in device can do. Cheap to clone; ends when its [`Events`] are dropped.
///
/// Every command that changes durable state carries a client id of the caller's choice: repeating it
/// returns the first result and changes nothing. All methods answer [`ErrorKind::Ended`] once the
/// session has ended, and [`ErrorKind::Unavailable`] while the store is away.
#[derive(Clone)]
pub struct Session {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) core: Arc<Core>,
    pub(super) outbox: Arc<Outbox>,
    commands: Mutex<Bucket>,
    reads: Mutex<Bucket>,
    left: AtomicBool,
}

/// So many memberships are read at a time.
const PAGE: usize = 512;

impl Session {
    /// Whose it is.
    pub fn user(&self) -> UserId {
        self.shared.outbox.user
    }

    /// Which device it is.
    pub fn device(&self) -> DeviceId {
        self.shared.outbox.device
    }

    /// Ends it, since its connection is gone. Harmless when it has ended.
    pub fn end(&self) {
        self.leave(Lasting::Unknown);
    }

    /// Answers a command, and counts it if it is refused.
    pub(super) fn answer<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        self.core().count_refused(answer)
    }

    pub(super) fn core(&self) -> &Core {
        &self.shared.core
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.core().store
    }

    /// That it goes on.
    pub(super) fn alive(&self) -> Result<(), Error> {
        match self.shared.outbox.ended() {
            None if !self.shared.left.load(Ordering::Acquire) => Ok(()),
            _ => Err(Error::new(ErrorKind::Ended, "the session has ended")),
        }
    }

    /// That it goes on, and is not too fast.
    pub(super) fn admit(&self) -> Result<(), Error> {
        self.alive()?;
        spend(&self.shared.commands)
    }

    /// The same for what only reads.
    pub(super) fn admit_read(&self) -> Result<(), Error> {
        self.alive()?;
        spend(&self.shared.reads)
    }

    /// As [`Session::admit`] for a command with an id: when it was carried out before, the result of
    /// then, however fast it is repeated.
    pub(super) async fn admit_new(&self, once: Once, digest: Digest) -> Result<Option<Settled>, Error> {
        match self.admit() {
            Ok(()) => Ok(None),
            Err(refusal) if refusal.kind() == ErrorKind::Ended => Err(refusal),
            Err(refusal) => self.core().first_result(once, digest).await?.ok_or(refusal).map(Some),
        }
    }

    pub(super) fn leave(&self, lasting: Lasting) {
        if self.shared.left.swap(true, Ordering::AcqRel) {
            return;
        }
        let (core, outbox) = (self.core(), &self.shared.outbox);
        // Whoever consumes the events may notice first that the device is gone for good.
        let lasting = match outbox.ended() {
            Some(EndReason::LoggedOut | EndReason::Device(_) | EndReason::AccountDeleted) => Lasting::Yes,
            _ => lasting,
        };
        outbox.end(EndReason::LoggedOut);
        if core.hub.remove_session(outbox) {
            core.presence.went(outbox.user, lasting);
        }
        core.release_slot(outbox);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outbox = &self.shared.outbox;
        f.debug_struct("Session").field("user", &outbox.user).field("device", &outbox.device).finish()
    }
}

/// What a session hears. Has one consumer; dropping it ends the session.
pub struct Events {
    session: Session,
}

impl Events {
    /// The next event; `None` after [`Event::Ended`].
    ///
    /// # Cancel safety
    /// A dropped future has taken nothing.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next event if there is one already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.session.shared.outbox.take().flatten()
    }

    /// Polls for the next event; `None` after [`Event::Ended`].
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.session.shared.outbox.poll_take(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.session.end();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Events").field(&self.session).finish()
    }
}

fn spend(bucket: &Mutex<Bucket>) -> Result<(), Error> {
    let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
    let spent = bucket.take(Instant::now());
    spent.map_err(|delay| Error::new(ErrorKind::RateLimited, "too fast").retry_after(delay))
}

/// Starts to listen for a device whose slot was taken.
///
/// Listening comes first and reading second: what is written in between arrives as an event and is
/// found by reading too; it cannot be missed.
pub(super) async fn begin(
    core: &Arc<Core>,
    user: UserId,
    device: DeviceId,
    token: &TokenHash,
    slot: Attachment,
) -> Result<(Session, Events), Error> {
    let limits = Arc::clone(&core.outbox_limits);
    let outbox = Arc::new(Outbox::new(user, device, slot.session, limits));
    for older in core.hub.sessions(user).iter().filter(|older| older.device == device) {
        older.end(EndReason::Superseded);
    }
    let config = &core.config;
    let now = Instant::now();
    let shared = Shared {
        core: Arc::clone(core),
        outbox: Arc::clone(&outbox),
        commands: Mutex::new(Bucket::new(config.commands_per_second, config.commands_burst, now)),
        reads: Mutex::new(Bucket::new(config.reads_per_second, config.reads_burst, now)),
        left: AtomicBool::new(false),
    };
    let session = Session { shared: Arc::new(shared) };
    // From here on a failure ends the session by dropping its events.
    let events = Events { session: session.clone() };
    core.hub.add_session(&outbox);
    if core.committers.is_closed() {
        // A shutdown that began meanwhile may have looked for sessions before this one was there.
        outbox.end(EndReason::ShuttingDown);
        return Err(Error::new(ErrorKind::Ended, "shutting down"));
    }
    let inbox = ConversationId::Inbox(user);
    let inbox_known = core.hub.attach(inbox, &outbox);
    core.subscribe(&[Topic::User(user)]).await;
    if !inbox_known {
        // Before contacts are read: notices up to this head are seen in what is read then, later ones are
        // delivered.
        let heads = core.store.heads(&[inbox]).await.map_err(|error| store_error(&error))?;
        core.hub.begin(&inbox, &outbox, heads.first().map_or(0, |head| head.seq));
    }
    if !core.planted.is(Defect::SubscribedAfterSnapshot) {
        attach_all(core, &outbox).await?;
    }
    let opened: Vec<_> = outbox.take_opened().into_iter().collect();
    if !opened.is_empty() {
        let heads = core.store.heads(&opened).await.map_err(|error| store_error(&error))?;
        for conversation in opened {
            let head = heads.iter().find(|head| head.conversation == conversation);
            core.hub.begin(&conversation, &outbox, head.map_or(0, |head| head.seq));
        }
    }
    // A revocation between the log-in and the listening told nobody.
    let still = core.store.device_with_token(token).await.map_err(|error| store_error(&error))?;
    match still {
        None => return Err(Error::new(ErrorKind::Unauthenticated, "the device was revoked")),
        Some(device) if device.attached != Some(slot) => {
            return Err(Error::new(ErrorKind::Ended, "the device has connected again meanwhile"));
        }
        Some(_) => {}
    }
    core.presence.came(user);
    Ok((session, events))
}

/// Listens to every conversation of the user; to the inbox, it does so already.
pub(super) async fn attach_all(core: &Core, outbox: &Arc<Outbox>) -> Result<(), Error> {
    let (mut contacts, mut blocked) = (BTreeSet::new(), BTreeSet::new());
    let mut after = None;
    loop {
        let page = core.store.memberships(outbox.user, after, PAGE).await.map_err(|e| store_error(&e))?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.conversation);
        let goes_on = |head: &Head| !head.group.as_ref().is_some_and(|group| group.dissolved);
        let mine: Vec<_> = page
            .iter()
            .filter(|(head, member)| listens(member) && goes_on(head))
            .map(|(_, member)| member)
            .collect();
        contacts.extend(mine.iter().filter_map(|member| contact(member)));
        blocked.extend(mine.iter().filter(|member| member.blocked).filter_map(|member| peer(member)));
        let group = |member: &&Member| match member.conversation {
            ConversationId::Group(group) => Some(group),
            _ => None,
        };
        let groups: Vec<_> = mine.iter().filter_map(group).collect();
        #[cfg(feature = "planted-defects")]
        core.hesitate_to_listen().await;
        let mut begins = Vec::new();
        for member in mine {
            let inbox = matches!(member.conversation, ConversationId::Inbox(_));
            if matches!(member.conversation, ConversationId::Group(_)) {
                outbox.hold(member.conversation);
            }
            let known = inbox || core.hub.attach(member.conversation, outbox);
            if !known {
                begins.push(member.conversation);
            }
        }
        if !groups.is_empty() {
            core.subscribe(&groups.iter().copied().map(Topic::Group).collect::<Vec<_>>()).await;
        }
        // Membership of groups is read again as well: who was removed after the page was read and
        // before listening began must not listen, and was told nothing meanwhile.
        let groups: Vec<_> = groups.into_iter().map(ConversationId::Group).collect();
        let keys: Vec<_> = groups.iter().map(|group| (*group, outbox.user)).collect();
        let rows = core.store.members(&keys).await.map_err(|e| store_error(&e))?;
        let heads = core.store.heads(&begins).await.map_err(|e| store_error(&e))?;
        for head in heads {
            core.hub.begin(&head.conversation, outbox, head.seq);
        }
        for (group, row) in groups.iter().zip(rows) {
            let unread = core.planted.is(Defect::MembershipReadBeforeListening);
            if unread || row.is_some_and(|row| listens(&row)) {
                outbox.release_held(*group, 0);
            } else {
                core.hub.leave(group, outbox);
                outbox.drop_held(group);
            }
        }
        if page.len() < PAGE {
            break;
        }
    }
    core.hub.add_bonds(outbox.user, contacts, blocked);
    Ok(())
}

fn listens(member: &Member) -> bool {
    member.standing.is_member()
}

fn contact(member: &Member) -> Option<UserId> {
    peer(member).filter(|_| member.relation == Relation::Contact)
}

fn peer(member: &Member) -> Option<UserId> {
    match member.conversation {
        ConversationId::Direct(pair) => pair.peer_of(member.user),
        _ => None,
    }
}

/// The head of a conversation for somebody who may read up to `left`.
pub(super) fn visible_head(head: Seq, left: Option<Seq>) -> Seq {
    left.map_or(head, |left| left.min(head))
}
