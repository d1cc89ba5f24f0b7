//! Why a command was refused: one error for everything a session is asked to do.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::content::fields::Malformed;
use crate::content::numbered;

/// What the one who asked can do about an [`Error`]. The numbers are stable and go over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command is malformed or out of bounds; repeating it does not help.
    Invalid,
    /// Name, password or token is wrong, or the token was revoked: log in again.
    Unauthenticated,
    /// Not allowed, or there is no such user or conversation, or they do not want it: one answer, so
    /// that nothing secret can be told from it.
    NotAllowed,
    /// The account name or group handle belongs to somebody.
    Taken,
    /// The same client id was used for another command.
    Conflict,
    /// A limit of the installation: members of a group, devices of a user, contacts.
    LimitReached,
    /// Too fast; retry after the time given.
    RateLimited,
    /// More is asked for than can be queued; retry after the time given.
    Overloaded,
    /// Something behind the server is away; retry after the time given.
    Unavailable,
    /// Whether it was done is not known: retry with the same client id to find out.
    OutcomeUnknown,
    /// The entries asked for are older than what is kept.
    Trimmed,
    /// The store's history is another one than the client knows: start over.
    EpochChanged,
    /// The account is in use elsewhere, and the installation admits one session at a time.
    AlreadyOnline,
    /// The session has ended.
    Ended,
}

impl ErrorKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: &[Self] = &[
        Self::Invalid,
        Self::Unauthenticated,
        Self::NotAllowed,
        Self::Taken,
        Self::Conflict,
        Self::LimitReached,
        Self::RateLimited,
        Self::Overloaded,
        Self::Unavailable,
        Self::OutcomeUnknown,
        Self::Trimmed,
        Self::EpochChanged,
        Self::AlreadyOnline,
        Self::Ended,
    ];

    /// A stable word for it, in snake case.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unauthenticated => "unauthenticated",
            Self::NotAllowed => "not_allowed",
            Self::Taken => "taken",
            Self::Conflict => "conflict",
            Self::LimitReached => "limit_reached",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Trimmed => "trimmed",
            Self::EpochChanged => "epoch_changed",
            Self::AlreadyOnline => "already_online",
            Self::Ended => "ended",
        }
    }
}

numbered!(ErrorKind {
    Invalid = 1, Unauthenticated = 2, NotAllowed = 3, Taken = 4, Conflict = 5, LimitReached = 6,
    RateLimited = 7, Overloaded = 8, Unavailable = 9, OutcomeUnknown = 10, Trimmed = 11,
    EpochChanged = 12, AlreadyOnline = 13, Ended = 14,
});

/// A refused command.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A refusal with words for the person who asked; they must hold nothing of a backend.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), retry_after: None, source: None }
    }

    /// The one answer for everything that is not the asker's business.
    pub fn not_allowed() -> Self {
        Self::new(ErrorKind::NotAllowed, "not allowed")
    }

    /// A malformed command, in words for whoever wrote it.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// The same with the time after which a retry has a chance.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// The same with its cause, which is for logs and never reaches a peer.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What the one who asked can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What is wrong, for the person who asked; without the cause.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// After which time a retry has a chance, if the error tells.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

impl From<crate::NameError> for Error {
    fn from(error: crate::NameError) -> Self {
        Self::invalid(error.to_string())
    }
}
