//! The opening of a connection: what may be said before there is a session. Decisions only.

use chat_core::{Credentials, Epoch, Error, ErrorKind, Register, Token};

use super::ConnectionConfig;
use crate::message::{CloseCode, Hello, PROTOCOL, Reply, Request};

/// How far a connection without a session has got.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// What the client said of itself.
    hello: Option<Greeting>,
    /// The log-in that is under way.
    entering: Option<Entrance>,
    requests: u32,
    failures: u32,
}

#[derive(Clone, Copy, Debug)]
struct Greeting {
    epoch: Option<Epoch>,
}

/// Which reply a log-in is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    /// `Welcome`.
    Hello { request_id: u64 },
    /// `LoggedIn`.
    Login { request_id: u64 },
}

/// What follows from a request.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing.
    Pass,
    /// A reply.
    Answer(Result<Reply, Error>),
    /// A welcome without a session.
    Welcome,
    /// A log-in with the token of a hello.
    EnterByToken(Token),
    /// A registration.
    Register(Register),
    /// A log-in.
    Login(Credentials),
    /// The end.
    Close(CloseCode),
}

impl Opening {
    /// Whether a log-in is under way: until it is through, nothing further is read.
    pub(super) fn is_entering(&self) -> bool {
        self.entering.is_some()
    }

    /// Decides about a request.
    pub(super) fn request(&mut self, request_id: u64, request: Request, config: &ConnectionConfig) -> Step {
        if let Some(code) = self.count(config) {
            return Step::Close(code);
        }
        match request {
            Request::Ping => Step::Answer(Ok(Reply::Pong)),
            Request::Pong => Step::Pass,
            Request::Hello(_) if self.hello.is_some() => {
                Step::Answer(Err(Error::invalid("hello was said before")))
            }
            Request::Hello(hello) => self.greet(request_id, &hello),
            Request::Register(_) | Request::Login(_) if self.hello.is_none() => {
                Step::Answer(Err(Error::invalid("hello comes first")))
            }
            Request::Register(register) => {
                self.entering = Some(Entrance::Login { request_id });
                Step::Register(register)
            }
            Request::Login(credentials) => {
                self.entering = Some(Entrance::Login { request_id });
                Step::Login(credentials)
            }
            _ => Step::Answer(Err(Error::new(ErrorKind::Unauthenticated, "log in first"))),
        }
    }

    /// Counts a request, also one that cannot be carried out; the connection is closed when there
    /// were too many.
    pub(super) fn count(&mut self, config: &ConnectionConfig) -> Option<CloseCode> {
        self.requests += 1;
        (self.requests > config.handshake_requests).then_some(CloseCode::TOO_MANY_ATTEMPTS)
    }

    fn greet(&mut self, request_id: u64, hello: &Hello) -> Step {
        if !(hello.protocol_min..=hello.protocol_max).contains(&PROTOCOL) {
            return Step::Close(CloseCode::UNSUPPORTED_VERSION);
        }
        self.hello = Some(Greeting { epoch: hello.epoch });
        let Some(token) = hello.token else { return Step::Welcome };
        self.entering = Some(Entrance::Hello { request_id });
        Step::EnterByToken(token)
    }

    /// The log-in that was under way, which is over.
    pub(super) fn entered(&mut self) -> Option<Entrance> {
        self.entering.take()
    }

    /// Counts a log-in that failed; the connection is closed when there were too many.
    pub(super) fn failed(&mut self, error: &Error, config: &ConnectionConfig) -> Option<CloseCode> {
        if error.kind() == ErrorKind::Unauthenticated {
            self.failures += 1;
        }
        (self.failures >= config.login_attempts).then_some(CloseCode::TOO_MANY_ATTEMPTS)
    }

    /// Whether the client's cursors are of another history than this.
    pub(super) fn is_of_other_epoch(&self, epoch: Epoch) -> bool {
        self.hello.and_then(|hello| hello.epoch).is_some_and(|of_client| of_client != epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(token: Option<Token>) -> Request {
        Request::Hello(Hello {
            protocol_min: 1,
            protocol_max: 1,
            features: 0,
            token,
            epoch: Some(Epoch(7)),
            client: String::new(),
        })
    }

    fn ask(opening: &mut Opening, request: Request) -> Step {
        opening.request(1, request, &ConnectionConfig::default())
    }

    #[test]
    fn hello_comes_first_and_once() {
        let mut opening = Opening::default();
        let login = || Request::Login(Credentials::Token(Token([1; 32])));
        assert!(matches!(ask(&mut opening, login()), Step::Answer(Err(_))));
        assert!(!opening.is_entering());
        assert!(matches!(ask(&mut opening, hello(None)), Step::Welcome));
        assert!(matches!(ask(&mut opening, hello(None)), Step::Answer(Err(_))));
        assert!(matches!(ask(&mut opening, login()), Step::Login(_)));
        assert_eq!(opening.entered(), Some(Entrance::Login { request_id: 1 }));
    }

    #[test]
    fn commands_before_log_in_are_refused_as_unauthenticated() {
        let step = ask(&mut Opening::default(), Request::Devices);
        assert!(matches!(step, Step::Answer(Err(error)) if error.kind() == ErrorKind::Unauthenticated));
    }

    #[test]
    fn an_unknown_version_is_turned_away() {
        let request = Request::Hello(Hello {
            protocol_min: 2,
            protocol_max: 9,
            features: 0,
            token: None,
            epoch: None,
            client: String::new(),
        });
        let step = ask(&mut Opening::default(), request);
        assert!(matches!(step, Step::Close(CloseCode::UNSUPPORTED_VERSION)));
    }

    #[test]
    fn requests_and_failures_are_counted() {
        let config = ConnectionConfig::default();
        let mut opening = Opening::default();
        for _ in 0..config.handshake_requests {
            assert!(matches!(ask(&mut opening, Request::Ping), Step::Answer(Ok(Reply::Pong))));
        }
        assert!(matches!(ask(&mut opening, Request::Ping), Step::Close(CloseCode::TOO_MANY_ATTEMPTS)));

        let wrong = Error::new(ErrorKind::Unauthenticated, "wrong");
        for _ in 1..config.login_attempts {
            assert_eq!(opening.failed(&wrong, &config), None);
        }
        assert_eq!(opening.failed(&wrong, &config), Some(CloseCode::TOO_MANY_ATTEMPTS));
    }

    #[test]
    fn another_epoch_is_noticed() {
        let mut opening = Opening::default();
        assert!(!opening.is_of_other_epoch(Epoch(7)));
        ask(&mut opening, hello(None));
        assert!(!opening.is_of_other_epoch(Epoch(7)));
        assert!(opening.is_of_other_epoch(Epoch(8)));
    }
}
