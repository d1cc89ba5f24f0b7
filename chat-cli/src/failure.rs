//! Why a command was not carried out: one line that says what to do, and an exit code.

use std::io;
use std::process::ExitCode;

use chat_core::ErrorKind;
use thiserror::Error;

use crate::sanitise;

/// A command that was not carried out.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The server refused.
    #[error("{}", refusal(.0))]
    Refused(chat_core::Error),
    /// What was asked for cannot be: wrong words, a missing log-in, a profile in use.
    #[error("{0}")]
    Usage(String),
    /// The server cannot be reached, or was lost while it was asked.
    #[error("cannot reach the server {server}: {reason}; is it running, and is --server right?")]
    Unreachable {
        /// Which server.
        server: String,
        /// What happened.
        reason: String,
    },
    /// The profile's files cannot be used.
    #[error("cannot use the profile folder {folder}: {source}")]
    Profile {
        /// Where.
        folder: String,
        /// Why.
        source: io::Error,
    },
    /// What was to be printed cannot be.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl Failure {
    /// The exit code: 1 refused, 2 usage, 3 unreachable. A reader of our output who went away is no
    /// failure.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Refused(_) => ExitCode::from(1),
            Self::Unreachable { .. } => ExitCode::from(3),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Usage(_) | Self::Profile { .. } | Self::Output(_) => ExitCode::from(2),
        }
    }

    /// The kind of the server's refusal, `None` when it refused nothing.
    pub(crate) fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Refused(error) => Some(error.kind()),
            _ => None,
        }
    }

    /// Whether there is nobody to tell.
    pub(crate) fn is_quiet(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn refusal(error: &chat_core::Error) -> String {
    let advice = match error.kind() {
        ErrorKind::Unauthenticated => "log in again with `login NAME`",
        ErrorKind::NotAllowed => "there is no such user or conversation, or they do not admit it",
        ErrorKind::Taken => "choose another name",
        ErrorKind::RateLimited | ErrorKind::Overloaded | ErrorKind::Unavailable => "try again later",
        ErrorKind::OutcomeUnknown => "look whether it was done before you try again",
        ErrorKind::Trimmed => "ask for newer entries",
        ErrorKind::AlreadyOnline => "log out on the other device first",
        _ => "",
    };
    let mut line = format!("refused: {}", sanitise::name(error.message()));
    if !advice.is_empty() {
        line += &format!(" ({advice})");
    }
    if let Some(delay) = error.retry_delay() {
        line += &format!("; a retry has a chance after {:.1} s", delay.as_secs_f64());
    }
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_refusal_is_one_line_with_what_to_do() {
        let error = chat_core::Error::new(ErrorKind::RateLimited, "too fast\n\u{1b}[2J");
        let line = Failure::Refused(error.retry_after(Duration::from_millis(1500))).to_string();
        assert_eq!(
            line,
            "refused: too fast ⏎ \u{fffd}[2J (try again later); a retry has a chance after 1.5 s"
        );
    }

    #[test]
    fn a_reader_who_went_away_is_no_failure() {
        let failure = Failure::Output(io::ErrorKind::BrokenPipe.into());
        assert!(failure.is_quiet());
        assert_eq!(format!("{:?}", failure.exit_code()), format!("{:?}", ExitCode::SUCCESS));
    }
}
