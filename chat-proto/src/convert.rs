//! The one place where generated types and chat-core's meet.
//!
//! Reading parses: what comes out of here has well-formed ids, names and numbers. Requests are read
//! with all checks, since a client sends them; names in what a server says were checked when they
//! were written.

mod account;
mod conversation;
mod entry;
mod group;
mod login;
mod reply;
mod request;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use chat_core::{ClientId, MAX_ID, Seq, UserId};

pub(crate) use entry::put_chunk;
pub(crate) use reply::{error_body, push_to_wire, reply_to_wire, server_frame_from_wire};
pub(crate) use request::{request_from_wire, request_to_wire};

/// A field of a frame that is not what the schema says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Malformed {
    field: &'static str,
    reason: Cow<'static, str>,
}

impl Malformed {
    /// Says what is wrong with a field.
    pub(crate) fn new(field: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { field, reason: reason.into() }
    }

    /// The same in the words of the error that parsing ended with.
    fn at<E: fmt::Display>(field: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::new(field, error.to_string())
    }

    fn missing(field: &'static str) -> Self {
        Self::new(field, "missing")
    }

    /// Which field.
    pub fn field(&self) -> &'static str {
        self.field
    }
}

/// A type of chat-core's and the generated one that stands for it.
trait Wire: Sized {
    /// The generated type.
    type Form;

    fn write(&self) -> Self::Form;

    fn read(form: Self::Form) -> Result<Self, Malformed>;

    /// Reads a field that must be there.
    fn required(field: &'static str, form: Option<Self::Form>) -> Result<Self, Malformed> {
        form.ok_or_else(|| Malformed::missing(field)).and_then(Self::read)
    }

    fn read_all(forms: Vec<Self::Form>) -> Result<Vec<Self>, Malformed> {
        forms.into_iter().map(Self::read).collect()
    }

    fn write_all(values: &[Self]) -> Vec<Self::Form> {
        values.iter().map(Self::write).collect()
    }
}

fn client_id(bytes: &Bytes) -> Result<ClientId, Malformed> {
    ClientId::from_slice(bytes).map_err(|_| Malformed::new("client_id", "16 bytes expected"))
}

fn write_client_id(id: ClientId) -> Bytes {
    Bytes::copy_from_slice(&id.0)
}

fn user(field: &'static str, number: u64) -> Result<UserId, Malformed> {
    UserId::new(number).map_err(Malformed::at(field))
}

fn users(field: &'static str, numbers: Vec<u64>) -> Result<Vec<UserId>, Malformed> {
    numbers.into_iter().map(|number| user(field, number)).collect()
}

fn user_numbers(users: &[UserId]) -> Vec<u64> {
    users.iter().map(|user| user.number()).collect()
}

/// A seq or 0.
fn position(field: &'static str, number: u64) -> Result<Seq, Malformed> {
    if number < MAX_ID { Ok(number) } else { Err(Malformed::new(field, "2^53 or above")) }
}

/// The seq of an entry.
fn seq(field: &'static str, number: u64) -> Result<Seq, Malformed> {
    if number == 0 { Err(Malformed::missing(field)) } else { position(field, number) }
}

fn optional_seq(field: &'static str, number: u64) -> Result<Option<Seq>, Malformed> {
    position(field, number).map(|seq| (seq != 0).then_some(seq))
}

/// An enum's number on the wire and in chat-core.
fn number<T, E>(
    field: &'static str,
    number: i32,
    known: impl Fn(u64) -> Result<T, E>,
) -> Result<T, Malformed> {
    u64::try_from(number).ok().and_then(|number| known(number).ok()).ok_or_else(|| {
        if number == 0 { Malformed::missing(field) } else { Malformed::new(field, "unknown number") }
    })
}

/// chat-core's numbers of enums are small and stable; the schema has the same.
fn enum_number(number: u64) -> i32 {
    i32::try_from(number).expect("numbers of enums are small")
}

fn size(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn count(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
