//! Why a store could not do what it was asked.

use std::fmt;
use std::sync::Arc;

/// What the caller can do about a [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It cannot be reached or is shutting down; nothing was written. Try again later.
    Unavailable,
    /// It does not accept writes at present; nothing was written.
    ReadOnly,
    /// Whether the batch was committed is unknown. Running it again settles it.
    Ambiguous,
    /// The range begins before what retention has kept.
    Trimmed,
    /// What it holds is not what this version writes: foreign, newer, or damaged. Or a batch is not
    /// what [`Batch::check`](super::Batch::check) accepts; nothing was written then.
    Invalid,
}

/// An error of a store: its kind, what was attempted, and the cause.
#[derive(Clone, Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    attempted: &'static str,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// An error of this kind in what was attempted, a fragment like `"reading heads"`.
    pub fn new(kind: StoreErrorKind, attempted: &'static str) -> Self {
        Self { kind, attempted, source: None }
    }

    /// The same with its cause, which is for logs and never reaches a peer.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            StoreErrorKind::Unavailable => "store unavailable",
            StoreErrorKind::ReadOnly => "store is read-only",
            StoreErrorKind::Ambiguous => "outcome unknown",
            StoreErrorKind::Trimmed => "entries were trimmed",
            StoreErrorKind::Invalid => "invalid data",
        };
        write!(f, "{kind} while {}", self.attempted)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}
