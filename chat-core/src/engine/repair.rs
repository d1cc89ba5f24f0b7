//! The tasks around the gates: delivery to large groups, holes, and listeners that come later.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Inner;
use super::outbox::Outbox;
use super::planted::Defect;
use crate::bus::Topic;
use crate::store::StoreError;
use crate::{ConversationId, Direction, EndReason, GroupId, Range, Seq, Standing, UserId};

/// A repair reads pages of so many bytes.
const PAGE_BYTES: usize = 256 * 1024;

/// Runs the turns that were left to the fan-out tasks.
pub(super) async fn fan_out(inner: Arc<Inner>) {
    loop {
        while inner.hub.run_turn().await {
            tokio::task::yield_now().await;
        }
        inner.hub.turns_wake.notified().await;
    }
}

/// Reads from the store what gates have missed, once they have waited for it.
pub(super) async fn fill_holes(inner: Arc<Inner>) {
    let patience = inner.config.gate_patience;
    if inner.planted.is(Defect::HolesNeverRead) {
        return;
    }
    loop {
        let now = Instant::now();
        let (due, next) = inner.hub.take_holes(now.checked_sub(patience).unwrap_or(now));
        for conversation in due {
            fill(&inner, conversation).await;
        }
        let wake = inner.hub.holes_wake.notified();
        match next {
            // Cancel-safe: a wake that is dropped with the future stands for a hole that the next
            // look finds.
            Some(since) => drop(tokio::time::timeout_at(since + patience, wake).await),
            None => wake.await,
        }
    }
}

async fn fill(inner: &Inner, conversation: ConversationId) {
    let mut reached = 0;
    // The gate is looked up each time: what is offered may close it, and nothing gets through a
    // closed one.
    while let Some(gate) = inner.hub.gate(&conversation) {
        let Some((from, to)) = gate.missing().filter(|(from, _)| *from > reached) else { return };
        reached = from;
        if to - from >= inner.config.gate_repair_limit {
            return inner.hub.skip(&gate);
        }
        let range = Range {
            from,
            to,
            direction: Direction::Forward,
            limit: (to - from + 1) as usize,
            limit_bytes: PAGE_BYTES,
        };
        match inner.store.entries(conversation, &range).await {
            Ok(entries) if entries.is_empty() => return,
            Ok(entries) => {
                inner.counts.holes_read.one();
                for chunk in inner.hub.cut(conversation, entries) {
                    inner.hub.offer(chunk);
                }
            }
            Err(error) if error.kind() == crate::store::StoreErrorKind::Trimmed => {
                return inner.hub.skip(&gate);
            }
            Err(error) => {
                tracing::warn!(%error, ?conversation, "a gap in a conversation cannot be read yet");
                tokio::time::sleep(Duration::from_millis(100)).await;
                inner.hub.note(&conversation, to);
                return;
            }
        }
    }
}

/// Lets the sessions of users who entered a group listen to it.
pub(super) async fn attach_entered(inner: Arc<Inner>) {
    loop {
        for ((user, group), told) in inner.hub.take_entered() {
            if let Err(error) = attach(&inner, user, group, told).await {
                tracing::warn!(%error, ?group, "a group's new member cannot be attached yet");
                tokio::time::sleep(Duration::from_millis(100)).await;
                inner.hub.enter(user, group, told);
            }
        }
        inner.hub.entered_wake.notified().await;
    }
}

/// What of a group is a user's.
#[derive(Clone, Copy)]
enum Share {
    /// What is there, up to this entry, and what comes.
    GoesOn(Seq),
    /// What is there, up to this entry: it was dissolved, or the user has left.
    Ends(Seq),
    Nothing,
}

async fn attach(inner: &Inner, user: UserId, group: GroupId, told: Seq) -> Result<(), StoreError> {
    let conversation = ConversationId::Group(group);
    let mut sessions = inner.hub.sessions(user);
    sessions.retain(|session| !session.is_attached(&conversation));
    if sessions.is_empty() {
        return Ok(());
    }
    // Nothing more comes, and what there was may be unknown to them.
    let end = |session: &Outbox, upto| {
        if upto > told {
            session.push_behind(conversation, upto);
        }
    };
    match share(inner, conversation, user).await? {
        Share::GoesOn(_) => {}
        Share::Ends(upto) => {
            sessions.iter().for_each(|session| end(session, upto));
            return Ok(());
        }
        Share::Nothing => return Ok(()),
    }
    #[cfg(feature = "planted-defects")]
    inner.hesitate_to_listen().await;
    let begins: Vec<_> = sessions
        .iter()
        .map(|session| {
            session.hold(conversation);
            !inner.hub.attach(conversation, session)
        })
        .collect();
    let confirmed = if inner.planted.is(Defect::MembershipReadBeforeListening) {
        inner.store.heads(&[conversation]).await.map(|heads| Share::GoesOn(heads[0].seq))
    } else {
        confirm(inner, conversation, user).await
    };
    for (session, begins) in sessions.iter().zip(begins) {
        if let Ok(Share::GoesOn(head)) = confirmed {
            if begins {
                inner.hub.begin(&conversation, session, head);
            }
            session.release_held(conversation, head);
            continue;
        }
        inner.hub.leave(&conversation, session);
        session.drop_held(&conversation);
        if let Ok(Share::Ends(upto)) = confirmed {
            end(session, upto);
        }
    }
    confirmed.map(drop)
}

/// Listening first, then reading: what is written in between arrives twice, never not at all; and who
/// was removed in between was told nothing.
async fn confirm(inner: &Inner, conversation: ConversationId, user: UserId) -> Result<Share, StoreError> {
    if let ConversationId::Group(group) = conversation {
        inner.subscribe(&[Topic::Group(group)]).await;
    }
    share(inner, conversation, user).await
}

async fn share(inner: &Inner, conversation: ConversationId, user: UserId) -> Result<Share, StoreError> {
    let head = inner.store.heads(&[conversation]).await?.pop();
    let row = inner.store.members(&[(conversation, user)]).await?.pop().flatten();
    let (Some(head), Some(row)) = (head, row) else { return Ok(Share::Nothing) };
    Ok(match &head.group {
        Some(group) if row.standing.is_member() && group.dissolved => Share::Ends(head.seq),
        Some(_) if row.standing.is_member() => Share::GoesOn(head.seq),
        Some(_) if row.standing == Standing::Former => {
            row.left_seq.filter(|left| *left > 0).map_or(Share::Nothing, Share::Ends)
        }
        _ => Share::Nothing,
    })
}

/// Ends sessions whose devices have connected to another node.
pub(super) async fn end_superseded(inner: Arc<Inner>) {
    loop {
        for user in inner.hub.take_moved() {
            match inner.store.devices(user).await {
                Ok(devices) => {
                    for session in inner.hub.sessions(user) {
                        let device = devices.iter().find(|device| device.id == session.device);
                        let own = inner.slot_of(&session);
                        if device.is_some_and(|device| device.attached.as_ref() != Some(&own)) {
                            session.end(EndReason::Superseded);
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "devices cannot be read yet");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    inner.hub.suspect(user);
                }
            }
        }
        inner.hub.moved_wake.notified().await;
    }
}

/// Ends the subscriptions of conversations to which nobody listens any more. Who listens has a gate
/// before it subscribes: whoever began just now is found here, or subscribes after this.
pub(super) async fn release_topics(inner: Arc<Inner>) {
    loop {
        for conversation in inner.hub.take_closed() {
            let topic = match conversation {
                ConversationId::Group(group) => Topic::Group(group),
                ConversationId::Inbox(user) => Topic::User(user),
                ConversationId::Direct(_) => continue,
            };
            let Some(bus) = inner.bus.as_ref().filter(|_| inner.hub.gate(&conversation).is_none()) else {
                continue;
            };
            bus.unsubscribe(&[topic]);
            if inner.hub.gate(&conversation).is_some() {
                inner.subscribe(&[topic]).await;
                inner.journal_wake.notify_one();
            }
        }
        inner.hub.closed_wake.notified().await;
    }
}

impl Inner {
    /// Subscribes to topics, if there is a bus. One that cannot be reached remembers them and says
    /// when it is back; until then the journal serves.
    pub(super) async fn subscribe(&self, topics: &[Topic]) {
        if let Some(bus) = &self.bus
            && let Err(error) = bus.subscribe(topics).await
        {
            tracing::debug!(%error, "subscribing");
        }
    }
}
