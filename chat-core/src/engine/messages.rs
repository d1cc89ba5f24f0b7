//! Sending: what a session writes into a conversation.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::committer::{SendWork, Work, store_error};
use super::rules::Wish;
use super::{Inner, Session, Settled, Verdict};
use crate::bus::Topic;
use crate::store::{
    Append, Digest, Once, Outcome, RedactTarget, SeqRef, Store, StoreError, StoreErrorKind, Write,
};
use crate::{
    Body, Content, ConversationId, Direction, Entry, Ephemeral, Error, ErrorKind, Outgoing, Range, Receipt,
    Send, Seq, UserId,
};

/// The most bytes of a media type.
const MEDIA_TYPE_LIMIT_BYTES: usize = 255;

/// The most bytes of a reaction.
const SYMBOL_LIMIT_BYTES: usize = 64;

/// A send that is queued: resolves once it is stored, or refused.
///
/// Dropping it does not withdraw the send.
#[derive(Debug)]
pub struct PendingSend(Kind);

#[derive(Debug)]
enum Kind {
    Queued(oneshot::Receiver<Result<Outcome, Error>>),
    /// It was stored before.
    Known(Receipt),
}

impl Future for PendingSend {
    type Output = Result<Receipt, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Kind::Known(receipt) => Poll::Ready(Ok(*receipt)),
            Kind::Queued(outcome) => Pin::new(outcome).poll(cx).map(|outcome| {
                receipt(outcome.unwrap_or_else(|_| Err(Error::new(ErrorKind::Ended, "shutting down"))))
            }),
        }
    }
}

fn receipt(outcome: Result<Outcome, Error>) -> Result<Receipt, Error> {
    match outcome? {
        Outcome::Committed(placed) => Ok(Settled::Now(placed).receipt()),
        Outcome::Duplicate(stored) => Ok(Settled::Before(stored).receipt()),
        Outcome::Conflict => Err(Error::new(ErrorKind::Conflict, "the id was used for another message")),
        // A send names no name and is decided again while it is stale.
        Outcome::Stale | Outcome::Taken => Err(Error::not_allowed()),
    }
}

impl Session {
    /// Sends and waits until it is stored.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`] where the session may not write, [`ErrorKind::Invalid`] for what is
    /// out of bounds, [`ErrorKind::Overloaded`] and [`ErrorKind::RateLimited`] for too much at once,
    /// [`ErrorKind::OutcomeUnknown`] when it may have been stored: retry with the same id.
    ///
    /// # Cancel safety
    /// A dropped future may or may not have sent.
    pub async fn send(&self, send: Send) -> Result<Receipt, Error> {
        self.begin_send(send).await?.await
    }

    /// Queues a send. Sends of one session to one conversation are stored in the order in which they
    /// were queued.
    ///
    /// # Errors
    /// As [`Session::send`], as far as it shows at once.
    ///
    /// # Cancel safety
    /// A dropped future may or may not have queued it.
    pub async fn begin_send(&self, send: Send) -> Result<PendingSend, Error> {
        self.answer(self.begin_send_uncounted(send).await)
    }

    async fn begin_send_uncounted(&self, send: Send) -> Result<PendingSend, Error> {
        let sender = self.user();
        let once = Once { client_id: send.client_id, sender, conversation: send.conversation };
        let digest = digest(&send);
        // A repetition of what was stored succeeds before anything else is looked at: where looking
        // costs nothing it waits for the commit, which looks anyway.
        if let Err(refusal) = self.admit() {
            if refusal.kind() == ErrorKind::Ended {
                return Err(refusal);
            }
            let known = self.core().first_result(once, digest).await?;
            return known.map(|known| self.known(known.receipt())).ok_or(refusal);
        }
        match self.prepare(send, once, digest).await {
            Ok(Prepared::Known(known)) => Ok(self.known(known)),
            Ok(Prepared::New(work)) => {
                let outcome = self.core().committers.submit(&once.conversation, Work::Send(work))?;
                Ok(PendingSend(Kind::Queued(outcome)))
            }
            Err(refusal) => {
                let known = self.core().first_result(once, digest).await?;
                known.map(|known| self.known(known.receipt())).ok_or(refusal)
            }
        }
    }

    /// A send that turned out to be stored before.
    fn known(&self, receipt: Receipt) -> PendingSend {
        self.core().counts.known.one();
        PendingSend(Kind::Known(receipt))
    }

    /// Tells the others in a conversation that the user is typing. Says nothing where that is not
    /// possible; at most a hint.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`] where the session may not read.
    pub fn typing(&self, conversation: ConversationId) -> Result<(), Error> {
        self.answer(self.typing_uncounted(conversation))
    }

    fn typing_uncounted(&self, conversation: ConversationId) -> Result<(), Error> {
        self.admit()?;
        let user = self.user();
        if !self.shared.outbox.is_attached(&conversation) {
            // Of a direct conversation without any entry nobody can be told.
            return match conversation {
                ConversationId::Direct(pair) if pair.contains(user) => Ok(()),
                _ => Err(Error::not_allowed()),
            };
        }
        self.core().tell(Ephemeral::Typing { conversation, user }, Some(self.shared.outbox.session));
        Ok(())
    }

    async fn prepare(&self, send: Send, once: Once, digest: Digest) -> Result<Prepared, Error> {
        let mut send = send;
        self.check(&send)?;
        if let Some(hooks) = self.core().hooks.clone() {
            if let Some(known) = self.core().first_result(once, digest).await? {
                return Ok(Prepared::Known(known.receipt()));
            }
            match hooks.before_send(self.user(), &send).await {
                Verdict::Allow => {}
                Verdict::Refuse(words) => return Err(Error::new(ErrorKind::NotAllowed, words)),
                Verdict::Rewrite(new) => {
                    if let Outgoing::Message { body, .. } | Outgoing::Edit { body, .. } = &mut send.message {
                        *body = new;
                    }
                    self.check(&send)?;
                }
            }
        }
        let conversation = send.conversation;
        let mut write = Vec::new();
        if let Some(seq) = send.read_up_to {
            write.push(Write::Read { conversation, user: once.sender, to: SeqRef::At(seq) });
        }
        let (wish, content, target) = match send.message {
            Outgoing::Message { body, reply_to: None } => (Wish::Write, Content::Message(body), None),
            Outgoing::Message { body, reply_to: Some(target) } => {
                let by = self.target(conversation, target).await?.by();
                (Wish::Reply { target, by }, Content::Message(body), Some(target))
            }
            // What these find is looked at in the committer's turn.
            Outgoing::Edit { target, body } => {
                (Wish::Edit { target, by: None }, Content::Edit(body), Some(target))
            }
            Outgoing::Recall { target } => (Wish::Recall { target, by: None }, Content::Recall, Some(target)),
            Outgoing::Reaction { target, symbol, set } => {
                let by = self.target(conversation, target).await?.by();
                (Wish::React { target, by }, Content::Reaction { symbol, set }, Some(target))
            }
        };
        let append = Append {
            conversation,
            sender: once.sender,
            kind: content.kind().expect("what is sent has a kind"),
            countable: content.is_countable(),
            target,
            content: content.encode(),
            // Both are decided on what the other left.
            changes_rules: matches!(wish, Wish::Edit { .. } | Wish::Recall { .. }),
        };
        Ok(Prepared::New(Box::new(SendWork {
            once,
            digest,
            wish,
            append,
            write,
            redact: Vec::new(),
            attempts: 0,
        })))
    }

    fn check(&self, send: &Send) -> Result<(), Error> {
        if !may_concern(send.conversation, self.user()) {
            return Err(Error::not_allowed());
        }
        match &send.message {
            Outgoing::Message { body, .. } | Outgoing::Edit { body, .. } => {
                check_body(body, self.core().config.body_limit_bytes)
            }
            Outgoing::Reaction { symbol, .. } => {
                let fits = !symbol.is_empty() && symbol.len() <= SYMBOL_LIMIT_BYTES;
                if fits && !symbol.chars().any(char::is_control) {
                    Ok(())
                } else {
                    Err(Error::invalid(format!("a reaction has 1 to {SYMBOL_LIMIT_BYTES} bytes")))
                }
            }
            Outgoing::Recall { .. } => Ok(()),
        }
    }

    /// What is known of a target. Who wrote it, and that it is a message, never changes.
    async fn target(&self, conversation: ConversationId, seq: Seq) -> Result<Target, Error> {
        look(self.store(), conversation, seq).await.map_err(|error| store_error(&error))
    }
}

/// Looks at the target of a send.
pub(super) async fn look(
    store: &dyn Store,
    conversation: ConversationId,
    seq: Seq,
) -> Result<Target, StoreError> {
    let range =
        Range { from: seq, to: seq, direction: Direction::Forward, limit: 1, limit_bytes: usize::MAX };
    if seq == 0 {
        return Ok(Target::default());
    }
    match store.history(conversation, &range).await {
        Ok(mut page) => {
            let edits = page.referring.iter().filter(|entry| is_edit(entry)).map(|entry| entry.seq);
            Ok(Target { edits: edits.collect(), message: page.entries.pop() })
        }
        Err(error) if error.kind() == StoreErrorKind::Trimmed => Ok(Target::default()),
        Err(error) => Err(error),
    }
}

enum Prepared {
    New(Box<SendWork>),
    Known(Receipt),
}

/// A message that a send refers to, as far as it exists.
#[derive(Default)]
pub(super) struct Target {
    message: Option<Entry>,
    edits: Vec<Seq>,
}

impl Target {
    /// Who wrote it, if it is a message that was not taken back.
    fn by(&self) -> Option<UserId> {
        self.message.as_ref().filter(|message| message.content.is_some()).map(|message| message.sender)
    }

    /// Makes an edit or a recall of it depend on what was found.
    pub(super) fn concern(&self, send: &mut SendWork) {
        match &mut send.wish {
            Wish::Edit { by, .. } => *by = self.by(),
            Wish::Recall { target, by } => {
                *by = self.by();
                let conversation = send.append.conversation;
                let emptied = std::iter::once(*target).chain(self.edits.iter().copied());
                send.redact = emptied
                    .map(|seq| Write::Redact { conversation, target: RedactTarget::Entry(seq) })
                    .collect();
            }
            _ => {}
        }
    }
}

impl Inner {
    /// Tells an ephemeral event to all who listen to its conversation, here and on other nodes.
    pub(super) fn tell(&self, ephemeral: Ephemeral, except: Option<u64>) {
        self.tell_here(ephemeral, except);
        if let (Some(bus), Some(conversation)) = (&self.bus, place(ephemeral)) {
            let to_peer = |peer| !self.hub.has_blocked(ephemeral.user(), peer);
            for topic in super::committer::topics(conversation) {
                if matches!(topic, Topic::User(peer) if !to_peer(peer)) {
                    continue;
                }
                let payload = crate::bus::Payload::Ephemeral(ephemeral);
                let message = crate::bus::Message { origin: self.origin.clone(), payload };
                let _ = bus.publish(topic, message);
            }
        }
    }

    /// Tells it to those on this node.
    pub(super) fn tell_here(&self, ephemeral: Ephemeral, except: Option<u64>) {
        if let Some(conversation) = place(ephemeral) {
            self.hub.tell(&conversation, ephemeral, except);
        }
    }
}

fn place(ephemeral: Ephemeral) -> Option<ConversationId> {
    match ephemeral {
        Ephemeral::Presence { .. } => None,
        Ephemeral::Typing { conversation, .. }
        | Ephemeral::Read { conversation, .. }
        | Ephemeral::Delivered { conversation, .. } => Some(conversation),
    }
}

/// Whether a conversation can be a user's to write to at all.
pub(super) fn may_concern(conversation: ConversationId, user: UserId) -> bool {
    match conversation {
        ConversationId::Direct(pair) => pair.contains(user),
        ConversationId::Group(_) => true,
        ConversationId::Inbox(_) => false,
    }
}

fn is_edit(entry: &Entry) -> bool {
    matches!(entry.decode_content(), Ok(Content::Edit(_)))
}

fn check_body(body: &Body, limit_bytes: usize) -> Result<(), Error> {
    let (size, media_type) = match body {
        Body::Text(text) => (text.len(), None),
        Body::Data { media_type, bytes } => (bytes.len(), Some(media_type)),
    };
    if size == 0 {
        return Err(Error::invalid("the message is empty"));
    }
    if size > limit_bytes {
        return Err(Error::invalid(format!("the message has {size} bytes; the limit is {limit_bytes}")));
    }
    let well_formed = |media_type: &String| {
        (1..=MEDIA_TYPE_LIMIT_BYTES).contains(&media_type.len())
            && media_type.contains('/')
            && media_type.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    };
    if media_type.is_some_and(|media_type| !well_formed(media_type)) {
        return Err(Error::invalid("the media type is malformed"));
    }
    Ok(())
}

/// The digest of what the client sent, before any hook.
fn digest(send: &Send) -> Digest {
    let (name, target, media_type, bytes): (&[u8], _, &str, &[u8]) = match &send.message {
        Outgoing::Message { body: Body::Text(text), reply_to } => (b"text", *reply_to, "", text.as_bytes()),
        Outgoing::Message { body: Body::Data { media_type, bytes }, reply_to } => {
            (b"data", *reply_to, media_type, bytes)
        }
        Outgoing::Edit { target, body: Body::Text(text) } => {
            (b"edit to text", Some(*target), "", text.as_bytes())
        }
        Outgoing::Edit { target, body: Body::Data { media_type, bytes } } => {
            (b"edit to data", Some(*target), media_type, bytes)
        }
        Outgoing::Recall { target } => (b"recall", Some(*target), "", b""),
        Outgoing::Reaction { target, symbol, set: true } => (b"react", Some(*target), "", symbol.as_bytes()),
        Outgoing::Reaction { target, symbol, set: false } => {
            (b"take off", Some(*target), "", symbol.as_bytes())
        }
    };
    let seq = |seq: Option<Seq>| seq.unwrap_or(0).to_le_bytes();
    Digest::of(&[name, &seq(target), media_type.as_bytes(), bytes, &seq(send.read_up_to)])
}
