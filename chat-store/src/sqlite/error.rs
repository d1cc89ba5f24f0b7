//! What goes wrong in SQLite, in the store's terms: the one place that knows SQLite's codes.

use chat_core::MalformedId;
use chat_core::content::fields::Malformed;
use chat_core::store::archive::ImportRefused;
use chat_core::store::{StoreError, StoreErrorKind};
use rusqlite::ErrorCode;
use thiserror::Error;

/// Why work on the database was given up. Says nothing yet about who asked for it.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("sqlite failed")]
    Sqlite(#[from] rusqlite::Error),
    #[error("damaged row: {0}")]
    Damaged(&'static str),
    #[error("the range was trimmed")]
    Trimmed,
    #[error(transparent)]
    Refused(#[from] ImportRefused),
}

impl From<MalformedId> for Failure {
    fn from(MalformedId(what): MalformedId) -> Self {
        Self::Damaged(what)
    }
}

impl From<Malformed> for Failure {
    fn from(Malformed(what): Malformed) -> Self {
        Self::Damaged(what)
    }
}

impl Failure {
    /// The error of work that wrote nothing.
    pub(super) fn during(self, attempted: &'static str) -> StoreError {
        let kind = match &self {
            Self::Trimmed => return StoreError::new(StoreErrorKind::Trimmed, attempted),
            Self::Refused(refused) => return refused.during(attempted),
            Self::Damaged(_) => StoreErrorKind::Invalid,
            Self::Sqlite(error) => kind(error),
        };
        StoreError::new(kind, attempted).with_source(self)
    }

    /// The error of a `COMMIT` that failed.
    ///
    /// Busy: it was not begun. Full: the page that did not fit is the last of the transaction or
    /// before it, so that the write-ahead log holds no whole transaction. Anything else, above all
    /// a sync that failed, may have left a whole transaction in the file, which the next recovery
    /// would take for committed: that is not known until the batch runs again.
    pub(super) fn during_commit(self) -> StoreError {
        let certain = matches!(&self, Self::Sqlite(error) if matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DiskFull | ErrorCode::ReadOnly)
        ));
        if certain {
            self.during("committing a batch")
        } else {
            StoreError::new(StoreErrorKind::Ambiguous, "committing a batch").with_source(self)
        }
    }
}

fn kind(error: &rusqlite::Error) -> StoreErrorKind {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied,
        ) => StoreErrorKind::ReadOnly,
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted
            | ErrorCode::OperationAborted
            | ErrorCode::FileLockingProtocolFailed,
        ) => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Invalid,
    }
}

/// The answer to calls after `close`, or when the thread that should have answered is gone.
pub(super) fn closed(attempted: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, attempted)
}
