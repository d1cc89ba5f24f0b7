//! Making almost correct protocol of a correct script.

use bytes::{BufMut, BytesMut};
use chat_proto::frame::{self, HANDSHAKE_FRAME_BYTES, HEADER_BYTES};
use chat_proto::message::{ClientFrame, Hello, PROTOCOL, Reply, Request, ServerFrame};

use super::random::Random;
use crate::requests::{hello, register, text};

/// The frames of a script, some of them changed, in an order that may be.
pub(super) fn mutated(random: &mut Random, script: Vec<Request>) -> Vec<BytesMut> {
    let mut frames: Vec<_> =
        (1..).zip(script).map(|(id, request)| said(request_id(random, id), request)).collect();
    if random.once_in(5) {
        return frames;
    }
    for _ in 0..=random.below(4) {
        let at = random.below(frames.len() + 1);
        if at == frames.len() || random.once_in(3) {
            frames.insert(at, strange(random));
        } else {
            change(random, &mut frames, at);
        }
    }
    frames
}

/// Mostly the next one; also those that are taken, or mean something else.
fn request_id(random: &mut Random, next: u64) -> u64 {
    match random.below(40) {
        0 => 0,
        1 => u64::MAX,
        2 => next.saturating_sub(1),
        _ => next,
    }
}

fn said(request_id: u64, request: Request) -> BytesMut {
    let mut out = BytesMut::new();
    ClientFrame { request_id, request }.encode(&mut out);
    out
}

fn framed(payload: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    frame::put(&mut out, |out| out.put_slice(payload));
    out
}

fn change(random: &mut Random, frames: &mut Vec<BytesMut>, at: usize) {
    let other = random.below(frames.len());
    let frame = &mut frames[at];
    if frame.len() <= HEADER_BYTES {
        // It was cut short before.
        return;
    }
    let inside = random.below(frame.len());
    match random.below(8) {
        // Left out, said twice, said at another time.
        0 => drop(frames.remove(at)),
        1 => {
            let again = frame.clone();
            frames.insert(other, again);
        }
        2 => frames.swap(at, other),
        // Shorter than it says: what follows is taken for the rest.
        3 => frame.truncate(inside),
        // A part of it that says its own length.
        4 => *frame = framed(&frame[HEADER_BYTES.min(inside)..inside]),
        5 => frame[inside] ^= 1 << random.below(8),
        6 => frame[inside] = random.draw() as u8,
        // A length that does not fit.
        _ => {
            let lengths = [0, 1, HANDSHAKE_FRAME_BYTES as u32 + 1, 1 << 20, u32::MAX, random.draw() as u32];
            let length = *random.one_of(&lengths);
            frame[..HEADER_BYTES].copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// Something that nobody says.
fn strange(random: &mut Random) -> BytesMut {
    let long = |length: usize| "long ".repeat(length / 5);
    match random.below(12) {
        0 => framed(&[]),
        1 => framed(&random.junk(400)),
        2 => BytesMut::from(&random.junk(200)[..]),
        // A request of no known kind, an answer instead of a request, a second greeting.
        3 => framed(b"\x08\x07\xfa\x7f\x00"),
        4 => {
            let mut out = BytesMut::new();
            ServerFrame::Reply { request_id: 3, reply: Ok(Reply::Pong) }.encode(&mut out);
            out
        }
        5 => said(random.draw(), hello(None)),
        6 => said(
            90,
            Request::Hello(Hello {
                protocol_min: PROTOCOL + random.below(3) as u32,
                protocol_max: PROTOCOL + 5,
                features: u64::MAX,
                token: None,
                epoch: Some(chat_core::Epoch(random.draw())),
                client: long(random.below(15_000)),
            }),
        ),
        7 => {
            let mut register = register("overlong");
            if let Request::Register(register) = &mut register {
                register.device_label = long(random.below(15_000));
            }
            said(91, register)
        }
        8 => said(92, text(random.draw(), anywhere(random), long(66_000))),
        9 => said(93, text(random.draw(), anywhere(random), long(200_000))),
        10 => said(94, Request::MarkDelivered(vec![(anywhere(random), 1); 2_000])),
        _ => (0..40).fold(BytesMut::new(), |mut all, _| {
            all.unsplit(framed(b"\xff"));
            all
        }),
    }
}

fn anywhere(random: &mut Random) -> chat_core::ConversationId {
    chat_core::ConversationId::Group(chat_core::GroupId::from_random(random.draw()))
}
