//! Why a server closes a connection, and whether the client shall come back.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use chat_core::{DeviceEvent, EndReason};

/// The last thing that a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// Why.
    pub code: CloseCode,
    /// The same in words, for logs.
    pub reason: Cow<'static, str>,
    /// Not to come back before this time, if the server has a wish.
    pub retry_after: Option<Duration>,
}

/// What a client does after a [`Close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comeback {
    /// It connects again after a while.
    Reconnect,
    /// It connects again once somebody has logged in; its token is void.
    LogIn,
    /// It stays away.
    Never,
}

/// Why a server closes a connection. The range of a code says whether to come back, also of codes
/// that a client does not know.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(u32);

impl CloseCode {
    /// The server is being stopped or restarted.
    pub const SHUTTING_DOWN: Self = Self(1000);
    /// Nothing was heard from the client for two ping intervals.
    pub const SILENT: Self = Self(1001);
    /// The client did not read what the server sent.
    pub const SLOW_READER: Self = Self(1002);
    /// No session was begun in time.
    pub const HANDSHAKE_TIMEOUT: Self = Self(1003);
    /// The server has too many connections, or too much waits in them.
    pub const OVERLOADED: Self = Self(1004);
    /// The node lost track of what concerns the session.
    pub const RESET: Self = Self(1005);
    /// The session logged out.
    pub const LOGGED_OUT: Self = Self(2000);
    /// The device was revoked by another one.
    pub const DEVICE_REVOKED: Self = Self(2001);
    /// A newer device took this one's place.
    pub const DEVICE_REPLACED: Self = Self(2002);
    /// Too many log-ins failed on this connection.
    pub const TOO_MANY_ATTEMPTS: Self = Self(2003);
    /// The same device has connected again.
    pub const SUPERSEDED: Self = Self(3000);
    /// The account was deleted.
    pub const ACCOUNT_DELETED: Self = Self(3001);
    /// The server speaks no version that the client does.
    pub const UNSUPPORTED_VERSION: Self = Self(3002);
    /// Too many frames made no sense.
    pub const MALFORMED: Self = Self(3003);
    /// A frame was longer than is admitted.
    pub const OVERSIZED: Self = Self(3004);

    /// The code with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// What a client does about it.
    pub const fn comeback(self) -> Comeback {
        match self.0 {
            0..2000 => Comeback::Reconnect,
            2000..3000 => Comeback::LogIn,
            _ => Comeback::Never,
        }
    }

    /// The end of the session that it stands for, if it is about a session.
    pub const fn end_reason(self) -> Option<EndReason> {
        Some(match self {
            Self::SHUTTING_DOWN => EndReason::ShuttingDown,
            Self::RESET => EndReason::Reset,
            Self::LOGGED_OUT => EndReason::LoggedOut,
            Self::DEVICE_REVOKED => EndReason::Device(DeviceEvent::Revoked),
            Self::DEVICE_REPLACED => EndReason::Device(DeviceEvent::Replaced),
            Self::SUPERSEDED => EndReason::Superseded,
            Self::ACCOUNT_DELETED => EndReason::AccountDeleted,
            _ => return None,
        })
    }

    const fn words(self) -> &'static str {
        match self {
            Self::SHUTTING_DOWN => "the server is shutting down",
            Self::SILENT => "nothing was heard for two ping intervals",
            Self::SLOW_READER => "what was sent is not being read",
            Self::HANDSHAKE_TIMEOUT => "no session was begun in time",
            Self::OVERLOADED => "too many connections, or too much waits in them",
            Self::RESET => "the session has to begin anew",
            Self::LOGGED_OUT => "logged out",
            Self::DEVICE_REVOKED => "the device was revoked",
            Self::DEVICE_REPLACED => "a newer device took this one's place",
            Self::TOO_MANY_ATTEMPTS => "too many failed log-ins",
            Self::SUPERSEDED => "the same device has connected again",
            Self::ACCOUNT_DELETED => "the account was deleted",
            Self::UNSUPPORTED_VERSION => "no common version of the protocol",
            Self::MALFORMED => "too many frames made no sense",
            Self::OVERSIZED => "a frame was longer than is admitted",
            _ => "closed",
        }
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl From<EndReason> for CloseCode {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::ShuttingDown => Self::SHUTTING_DOWN,
            // A device is logged out by nobody but itself.
            EndReason::LoggedOut | EndReason::Device(DeviceEvent::LoggedOut) => Self::LOGGED_OUT,
            EndReason::Superseded => Self::SUPERSEDED,
            EndReason::AccountDeleted => Self::ACCOUNT_DELETED,
            EndReason::Device(DeviceEvent::Revoked) => Self::DEVICE_REVOKED,
            EndReason::Device(DeviceEvent::Replaced) => Self::DEVICE_REPLACED,
            // Reset, and what a later engine may add: to come back is right unless it says otherwise.
            _ => Self::RESET,
        }
    }
}

impl From<CloseCode> for Close {
    fn from(code: CloseCode) -> Self {
        Self { code, reason: code.words().into(), retry_after: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_session_reads_back_from_its_code() {
        for reason in [
            EndReason::LoggedOut,
            EndReason::Superseded,
            EndReason::Device(DeviceEvent::Revoked),
            EndReason::Device(DeviceEvent::Replaced),
            EndReason::AccountDeleted,
            EndReason::Reset,
            EndReason::ShuttingDown,
        ] {
            assert_eq!(CloseCode::from(reason).end_reason(), Some(reason));
        }
    }

    #[test]
    fn the_range_says_whether_to_come_back() {
        assert_eq!(CloseCode::SHUTTING_DOWN.comeback(), Comeback::Reconnect);
        assert_eq!(CloseCode::new(1999).comeback(), Comeback::Reconnect);
        assert_eq!(CloseCode::DEVICE_REVOKED.comeback(), Comeback::LogIn);
        assert_eq!(CloseCode::new(2999).comeback(), Comeback::LogIn);
        assert_eq!(CloseCode::SUPERSEDED.comeback(), Comeback::Never);
        assert_eq!(CloseCode::new(u32::MAX).comeback(), Comeback::Never);
    }
}
