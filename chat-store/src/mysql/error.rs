//! What goes wrong in the database, in the store's terms: the one place that knows its codes.

use chat_core::MalformedId;
use chat_core::content::fields::Malformed;
use chat_core::store::archive::ImportRefused;
use chat_core::store::{StoreError, StoreErrorKind};
use thiserror::Error;

/// Why work on the database was given up. Says nothing yet about who asked for it.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("the database failed")]
    Database(#[from] mysql_async::Error),
    #[error("the database did not answer in time")]
    Late,
    #[error("damaged row: {0}")]
    Damaged(&'static str),
    #[error("the database left out an answer")]
    Unanswered,
    #[error("the store is closed")]
    Closed,
    #[error("the range was trimmed")]
    Trimmed,
    #[error(transparent)]
    Refused(#[from] ImportRefused),
}

/// What can be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Others were in the way, and the transaction was rolled back: run it again.
    Retry,
    /// The link is gone: run it again on another one, unless it was being committed.
    Reconnect,
    /// Nothing, here.
    Report(StoreErrorKind),
}

/// A row of the same key is there already.
const DUPLICATE: u16 = 1062;
/// Deadlock, which is also what Galera calls a failed certification; lock wait timeout; a row of the
/// same key that was not there when it was looked for; "record has changed since last read".
const CONFLICTS: [u16; 4] = [1213, 1205, DUPLICATE, 1020];
/// `read_only`, a transaction that is, `innodb_read_only`.
const READ_ONLY: [u16; 3] = [1290, 1792, 1836];
/// The server goes down, or has ended the connection or the statement; too many connections; a node
/// that is not part of its cluster (Galera); a full table or disk; a statement past its time; too many
/// prepared statements; then what an operator has to set right: who may log in, to which database, from where, and do what.
const PASSING: [u16; 22] = [
    1053, 1927, 1317, 1040, 1203, 1226, 1047, 1114, 1021, 1028, 1969, 3024, 4031, 1152, 1159, 1461, 1044,
    1045, 1049, 1129, 1130, 1142,
];
/// After these the connection is of no use.
const ENDING: [u16; 4] = [1053, 1927, 4031, 1152];

impl Failure {
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Database(mysql_async::Error::Server(error)) => {
                if CONFLICTS.contains(&error.code) {
                    Remedy::Retry
                } else if ENDING.contains(&error.code) {
                    Remedy::Reconnect
                } else if READ_ONLY.contains(&error.code) {
                    Remedy::Report(StoreErrorKind::ReadOnly)
                } else if PASSING.contains(&error.code) {
                    Remedy::Report(StoreErrorKind::Unavailable)
                } else {
                    Remedy::Report(StoreErrorKind::Invalid)
                }
            }
            Self::Database(mysql_async::Error::Io(_) | mysql_async::Error::Driver(_)) => Remedy::Reconnect,
            Self::Database(_) => Remedy::Report(StoreErrorKind::Invalid),
            Self::Late | Self::Closed => Remedy::Report(StoreErrorKind::Unavailable),
            Self::Damaged(_) | Self::Unanswered | Self::Refused(_) => Remedy::Report(StoreErrorKind::Invalid),
            Self::Trimmed => Remedy::Report(StoreErrorKind::Trimmed),
        }
    }

    /// Whether a row of the same key was there already: a conflict with others, unless there are none.
    pub(super) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Database(mysql_async::Error::Server(error)) if error.code == DUPLICATE)
    }

    /// Whether the connection is as good as before.
    pub(super) fn spares_connection(&self) -> bool {
        match self {
            Self::Database(mysql_async::Error::Server(error)) => !ENDING.contains(&error.code),
            Self::Database(_) | Self::Late | Self::Unanswered => false,
            Self::Damaged(_) | Self::Closed | Self::Trimmed | Self::Refused(_) => true,
        }
    }

    /// What a failed `COMMIT` says: a conflict and a refusal for being read-only are told before
    /// anything is committed; after everything else it is not known.
    pub(super) fn remedy_of_commit(&self) -> Remedy {
        match self.remedy() {
            certain @ (Remedy::Retry | Remedy::Report(StoreErrorKind::ReadOnly)) => certain,
            _ => Remedy::Report(StoreErrorKind::Ambiguous),
        }
    }

    /// The error of work that wrote nothing.
    pub(super) fn during(self, attempted: &'static str) -> StoreError {
        if let Self::Refused(refused) = self {
            return refused.during(attempted);
        }
        let kind = match self.remedy() {
            Remedy::Retry | Remedy::Reconnect => StoreErrorKind::Unavailable,
            Remedy::Report(StoreErrorKind::Trimmed) => {
                return StoreError::new(StoreErrorKind::Trimmed, attempted);
            }
            Remedy::Report(kind) => kind,
        };
        self.of_kind(kind, attempted)
    }

    pub(super) fn of_kind(self, kind: StoreErrorKind, attempted: &'static str) -> StoreError {
        StoreError::new(kind, attempted).with_source(self)
    }
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

#[cfg(test)]
mod tests {
    use mysql_async::{Error, ServerError};

    use super::*;

    fn server(code: u16) -> Failure {
        let error = ServerError { code, message: "as told".into(), state: "HY000".into() };
        Failure::Database(Error::Server(error))
    }

    #[test]
    fn conflicts_are_run_again_even_when_the_commit_tells_them() {
        for code in CONFLICTS {
            assert_eq!(server(code).remedy(), Remedy::Retry);
            assert_eq!(server(code).remedy_of_commit(), Remedy::Retry);
        }
    }

    #[test]
    fn lost_link_is_ambiguous_only_while_committing() {
        let lost = || Failure::Database(Error::Io(std::io::Error::other("reset").into()));
        assert_eq!(lost().remedy(), Remedy::Reconnect);
        assert_eq!(lost().during("writing").kind(), StoreErrorKind::Unavailable);
        for failure in [lost(), Failure::Late, Failure::Unanswered, server(1053), server(1180)] {
            assert_eq!(failure.remedy_of_commit(), Remedy::Report(StoreErrorKind::Ambiguous));
        }
    }

    #[test]
    fn read_only_server_is_said_to_be_one() {
        for code in READ_ONLY {
            assert_eq!(server(code).during("writing").kind(), StoreErrorKind::ReadOnly);
            assert_eq!(server(code).remedy_of_commit(), Remedy::Report(StoreErrorKind::ReadOnly));
        }
    }
}
