//! What a server may answer to a stream of bytes, whatever they are.

use std::collections::BTreeMap;

use bytes::BytesMut;
use chat_proto::frame::{self, HANDSHAKE_FRAME_BYTES, MAX_FRAME_BYTES};
use chat_proto::message::{ClientFrame, CloseCode, Push, Rejected, Request, ServerFrame};

use crate::honest::SECRET;

/// The longest frame that a client may send with the defaults: a body, and what is around it.
const CLIENT_FRAME_BYTES: usize = 64 * 1024 + 16 * 1024;

/// After so many frames that cannot be decoded a connection is closed.
const MALFORMED_FRAMES: usize = 32;

/// Whether a peer hears everything that is said to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hearing {
    /// To the end.
    Whole,
    /// It hangs up before.
    Cut,
}

/// What a peer has said, as a server understands it.
struct Said {
    /// Replies that are due, by request.
    replies: BTreeMap<u64, usize>,
    undecodable: usize,
    longest: usize,
}

impl Said {
    fn of(stream: &[u8]) -> Self {
        let mut said = Self { replies: BTreeMap::new(), undecodable: 0, longest: 0 };
        let mut stream = BytesMut::from(stream);
        loop {
            match frame::take(&mut stream, CLIENT_FRAME_BYTES) {
                Ok(None) => break,
                Ok(Some(payload)) => {
                    said.longest = said.longest.max(payload.len());
                    said.hear(ClientFrame::decode(payload));
                }
                Err(oversized) => {
                    said.longest = oversized.len;
                    break;
                }
            }
        }
        // Of a frame that is not there as a whole the length counts already.
        if let Ok(Some(missing)) = frame::missing(&stream, CLIENT_FRAME_BYTES) {
            said.longest = said.longest.max(stream.len() + missing - frame::HEADER_BYTES);
        }
        said
    }

    fn hear(&mut self, frame: Result<ClientFrame, Rejected>) {
        let request_id = match frame {
            Ok(ClientFrame { request: Request::Pong, .. }) => return,
            Ok(ClientFrame { request_id, .. }) => request_id,
            Err(rejected) => {
                self.undecodable += usize::from(matches!(rejected, Rejected::Undecodable { .. }));
                rejected.request_id()
            }
        };
        *self.replies.entry(request_id).or_default() += 1;
    }
}

/// Compares what a peer said with what it heard; says how it was closed, if it was.
pub(super) fn judge(said: &[u8], heard: &[u8], hearing: Hearing) -> Option<CloseCode> {
    assert!(!heard.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "heard what others said");
    let mut said = Said::of(said);
    let mut heard = BytesMut::from(heard);
    let mut closed = None;
    while let Some(payload) = frame::take(&mut heard, MAX_FRAME_BYTES).expect("a server keeps to the limit") {
        assert_eq!(closed, None, "something follows a close");
        match ServerFrame::decode(payload).expect("a server makes sense") {
            ServerFrame::Reply { request_id, reply } => {
                let due = said.replies.get_mut(&request_id).filter(|due| **due > 0);
                *due.unwrap_or_else(|| panic!("an answer to {request_id}, which was not asked")) -= 1;
                if let Err(error) = reply {
                    let words = error.message().to_lowercase();
                    assert!(
                        !["sql", "constraint", "panic"].iter().any(|word| words.contains(word)),
                        "{words}"
                    );
                }
            }
            ServerFrame::Push(Push::Close(close)) => closed = Some(close.code),
            ServerFrame::Push(_) => {}
            ServerFrame::Unknown { .. } => panic!("a frame of another version"),
        }
    }
    if hearing == Hearing::Whole {
        assert!(heard.is_empty(), "the stream ends within a frame");
    }
    match closed {
        None if hearing == Hearing::Whole => {
            assert!(said.longest <= CLIENT_FRAME_BYTES, "an oversized frame was passed over");
            let unanswered: Vec<_> = said.replies.iter().filter(|(_, due)| **due > 0).collect();
            assert!(unanswered.is_empty(), "neither answered nor closed: {unanswered:?}");
        }
        None => {}
        Some(CloseCode::OVERSIZED) => assert!(said.longest > HANDSHAKE_FRAME_BYTES),
        Some(CloseCode::MALFORMED) => assert!(said.undecodable >= MALFORMED_FRAMES),
        Some(
            CloseCode::TOO_MANY_ATTEMPTS
            | CloseCode::UNSUPPORTED_VERSION
            | CloseCode::LOGGED_OUT
            | CloseCode::SUPERSEDED
            | CloseCode::DEVICE_REVOKED
            | CloseCode::ACCOUNT_DELETED,
        ) => {}
        Some(other) => panic!("closed with {other:?}"),
    }
    closed
}
