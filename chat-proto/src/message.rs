//! What the two ends say to each other, in chat-core's terms: the content of every frame.

mod close;
mod push;
mod reply;
mod request;

use bytes::{Bytes, BytesMut};
use prost::Message;

use crate::convert::{self, Malformed};
use crate::{frame, wire};

pub use close::{Close, CloseCode, Comeback};
pub use push::{Push, chunk_frames};
pub use reply::{Identity, Limits, LoggedIn, Rate, Reply, Welcome};
pub use request::{Hello, Request};

/// The version of the protocol that this crate speaks.
pub const PROTOCOL: u32 = 1;

/// What a client sends.
#[derive(Clone, Debug)]
pub struct ClientFrame {
    /// Echoed by the reply; 0 only for [`Request::Pong`].
    pub request_id: u64,
    /// What it asks for.
    pub request: Request,
}

/// A frame from a client that cannot be carried out. Both name the request to answer, 0 when that
/// could not be read either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is no protobuf, or not of this schema.
    #[error("the frame cannot be decoded")]
    Undecodable {
        /// What the refusal answers.
        request_id: u64,
    },
    /// A field does not hold what it should, or the request is one of a newer version.
    #[error("{malformed}")]
    Malformed {
        /// What the refusal answers.
        request_id: u64,
        /// What is wrong.
        malformed: Malformed,
    },
}

impl Rejected {
    /// The request that the refusal answers, 0 when that could not be read.
    pub fn request_id(&self) -> u64 {
        match self {
            Self::Undecodable { request_id } | Self::Malformed { request_id, .. } => *request_id,
        }
    }
}

impl From<Rejected> for chat_core::Error {
    fn from(rejected: Rejected) -> Self {
        Self::invalid(rejected.to_string())
    }
}

/// What a server sends.
#[derive(Clone, Debug)]
pub enum ServerFrame {
    /// The answer to a request.
    Reply {
        /// Which; 0 for an error that answers a frame without a readable id.
        request_id: u64,
        /// What it is told.
        reply: Result<Reply, chat_core::Error>,
    },
    /// Something that was not asked for.
    Push(Push),
    /// Something of a newer server.
    Unknown {
        /// The request that it answers, 0 for a push.
        request_id: u64,
    },
}

impl ClientFrame {
    /// Appends it as a frame, header included.
    pub fn encode(&self, out: &mut BytesMut) {
        encode_request(self.request_id, &self.request, out);
    }

    /// Reads a frame's payload.
    ///
    /// # Errors
    /// Says which field is wrong, and whom to tell.
    pub fn decode(payload: Bytes) -> Result<Self, Rejected> {
        let Ok(frame) = wire::ClientFrame::decode(payload.clone()) else {
            return Err(Rejected::Undecodable { request_id: readable_id(payload) });
        };
        let request_id = frame.request_id;
        let request = convert::request_from_wire(frame.request)
            .and_then(|request| match (request_id, &request) {
                (0, Request::Pong) | (1.., _) => Ok(request),
                (0, _) => Err(Malformed::new("request_id", "0 is for what has no reply")),
            })
            .map_err(|malformed| Rejected::Malformed { request_id, malformed })?;
        Ok(Self { request_id, request })
    }
}

impl ServerFrame {
    /// Appends it as a frame, header included. [`ServerFrame::Unknown`] has nothing to append.
    pub fn encode(&self, out: &mut BytesMut) {
        let (request_id, body) = match self {
            Self::Reply { request_id, reply: Ok(reply) } => (*request_id, convert::reply_to_wire(reply)),
            Self::Reply { request_id, reply: Err(error) } => (*request_id, convert::error_body(error)),
            Self::Push(push) => (0, convert::push_to_wire(push)),
            Self::Unknown { .. } => return,
        };
        put(out, &wire::ServerFrame { request_id, body: Some(body) });
    }

    /// Reads a frame's payload; entries share its memory.
    ///
    /// # Errors
    /// Says which field is wrong.
    pub fn decode(payload: Bytes) -> Result<Self, Malformed> {
        let frame = wire::ServerFrame::decode(payload)
            .map_err(|_| Malformed::new("frame", "not a protobuf ServerFrame"))?;
        convert::server_frame_from_wire(frame)
    }
}

/// As [`ClientFrame::encode`], of a request that somebody keeps.
pub(crate) fn encode_request(request_id: u64, request: &Request, out: &mut BytesMut) {
    let request = Some(convert::request_to_wire(request));
    put(out, &wire::ClientFrame { request_id, request });
}

fn put(out: &mut BytesMut, message: &impl Message) {
    out.reserve(frame::HEADER_BYTES + message.encoded_len());
    frame::put(out, |out| message.encode(out).expect("BytesMut grows as needed"));
}

/// The request id of a payload that is malformed further on: the field stands first.
fn readable_id(mut payload: Bytes) -> u64 {
    match chat_core::content::fields::take_field(&mut payload) {
        Ok(Some((1, value))) => value.uint().unwrap_or(0),
        _ => 0,
    }
}
