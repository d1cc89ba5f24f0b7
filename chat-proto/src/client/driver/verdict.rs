//! What follows from the end of a connection: come back, and when, or not at all.

use std::time::Duration;

use chat_core::{EndReason, Error, ErrorKind};

use super::super::config::ClientConfig;
use super::super::error::ClientError;
use super::super::event::ClientEvent;
use super::super::link::Break;
use crate::message::{Close, Comeback};

/// What to do after a connection.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// The application wants no other one.
    Close,
    /// There shall be no other one; the application is told this last.
    End(ClientEvent),
    /// Make another one, not before so long.
    Again { not_before: Option<Duration> },
}

/// Whether the client acts for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acting {
    /// It has logged in or holds a token.
    ForSomebody,
    /// It has not logged in yet.
    ForNobody,
}

/// What follows from the end of a connection.
pub(super) fn of_break(broken: Break, acting: Acting) -> Verdict {
    let close = match broken {
        Break::Lost(ClientError::Refused(error)) => return of_refusal(error),
        Break::Lost(_) => return Verdict::Again { not_before: None },
        Break::Closed(close) => close,
    };
    let again = after(close.retry_after);
    match (close.code.comeback(), close.code.end_reason()) {
        (Comeback::Reconnect, _) => again,
        (_, Some(reason)) => Verdict::End(ClientEvent::Ended(reason)),
        // There is no token that could be void: somebody is about to log in.
        (Comeback::LogIn, None) if acting == Acting::ForNobody => again,
        (Comeback::LogIn | Comeback::Never, None) => Verdict::End(ClientEvent::GaveUp(of_close(close))),
    }
}

/// What follows when the token was not accepted.
fn of_refusal(error: Error) -> Verdict {
    use ErrorKind::{AlreadyOnline, Ended, OutcomeUnknown, Overloaded, RateLimited, Unavailable};
    match error.kind() {
        // The session that is in the way may be the one that just broke; one that ended before it had
        // begun met a server that is being stopped, or a log-in of ours that was on its way still.
        AlreadyOnline | Ended | RateLimited | Overloaded | Unavailable | OutcomeUnknown => {
            after(error.retry_delay())
        }
        _ => Verdict::End(ClientEvent::GaveUp(error.into())),
    }
}

/// The same as an error, for an application that waits for its first connection.
pub(super) fn error(broken: Break) -> ClientError {
    match broken {
        Break::Lost(error) => error,
        Break::Closed(close) => of_close(close),
    }
}

/// The end that a farewell command asked for, when the token is void after it.
pub(super) fn voids_token(event: &ClientEvent) -> bool {
    match event {
        ClientEvent::GaveUp(error) => error.kind() == Some(ErrorKind::Unauthenticated),
        ClientEvent::Ended(reason) => matches!(reason, EndReason::LoggedOut | EndReason::AccountDeleted),
        _ => false,
    }
}

fn after(wish: Option<Duration>) -> Verdict {
    Verdict::Again { not_before: wish.map(|wish| wish.min(ClientConfig::LONGEST_WAIT)) }
}

fn of_close(close: Close) -> ClientError {
    ClientError::Protocol { reason: close.reason.into_owned(), close: Some(close.code) }
}

#[cfg(test)]
mod tests {
    use chat_core::DeviceEvent;

    use super::*;
    use crate::message::CloseCode;

    fn after(code: CloseCode, acting: Acting) -> Verdict {
        of_break(Break::Closed(code.into()), acting)
    }

    #[test]
    fn a_server_that_restarts_is_come_back_to() {
        for code in
            [CloseCode::SHUTTING_DOWN, CloseCode::SILENT, CloseCode::SLOW_READER, CloseCode::new(1999)]
        {
            assert!(matches!(after(code, Acting::ForSomebody), Verdict::Again { .. }), "{code:?}");
        }
    }

    #[test]
    fn a_client_that_was_superseded_or_logged_out_stays_away() {
        let reason = |code| match after(code, Acting::ForSomebody) {
            Verdict::End(ClientEvent::Ended(reason)) => reason,
            other => panic!("{code:?}: {other:?}"),
        };
        assert_eq!(reason(CloseCode::SUPERSEDED), EndReason::Superseded);
        assert_eq!(reason(CloseCode::LOGGED_OUT), EndReason::LoggedOut);
        assert_eq!(reason(CloseCode::DEVICE_REVOKED), EndReason::Device(DeviceEvent::Revoked));
        assert_eq!(reason(CloseCode::DEVICE_REPLACED), EndReason::Device(DeviceEvent::Replaced));
        assert_eq!(reason(CloseCode::ACCOUNT_DELETED), EndReason::AccountDeleted);
    }

    #[test]
    fn codes_without_a_reason_go_by_their_range() {
        for code in [CloseCode::UNSUPPORTED_VERSION, CloseCode::new(2999), CloseCode::new(3999)] {
            let Verdict::End(ClientEvent::GaveUp(ClientError::Protocol { close, .. })) =
                after(code, Acting::ForSomebody)
            else {
                panic!("{code:?} is final")
            };
            assert_eq!(close, Some(code));
        }
    }

    #[test]
    fn somebody_who_mistyped_a_password_too_often_may_try_again() {
        assert!(matches!(after(CloseCode::TOO_MANY_ATTEMPTS, Acting::ForNobody), Verdict::Again { .. }));
        assert!(matches!(after(CloseCode::TOO_MANY_ATTEMPTS, Acting::ForSomebody), Verdict::End(_)));
    }

    #[test]
    fn the_servers_wish_is_honoured() {
        let retry_after = Some(Duration::from_secs(9));
        let close = Close { retry_after, ..CloseCode::SHUTTING_DOWN.into() };
        let Verdict::Again { not_before } = of_break(Break::Closed(close), Acting::ForSomebody) else {
            panic!("it comes back")
        };
        assert_eq!(not_before, retry_after);
    }

    #[test]
    fn a_token_that_is_refused_for_the_moment_is_shown_again() {
        for kind in [ErrorKind::AlreadyOnline, ErrorKind::Ended, ErrorKind::Overloaded] {
            assert!(matches!(of_refusal(Error::new(kind, "busy")), Verdict::Again { .. }), "{kind:?}");
        }
        let revoked = Error::new(ErrorKind::Unauthenticated, "revoked");
        assert!(matches!(of_refusal(revoked), Verdict::End(ClientEvent::GaveUp(_))));
    }
}
