//! Queries: each a function of a connection, for those that read and for those that write.
//!
//! A call of several statements sees each of them at a moment of its own. What could fall between
//! them is named where it matters; heads only move forward, which makes most orders safe.

pub(super) mod accounts;
pub(super) mod archive;
pub(super) mod heads;
pub(super) mod journal;
pub(super) mod log;
pub(super) mod members;

use std::vec::IntoIter;

use chat_core::ConversationId;
use mysql_async::{Row, Value};

use super::error::Failure;

/// How a conversation stands in a column.
pub(super) fn key(of: ConversationId) -> Value {
    Value::Bytes(of.key().to_vec())
}

/// How a limit of a page, which is at least 1, stands in a query.
fn limit(number: usize) -> u64 {
    number.max(1) as u64
}

/// The columns of a row, taken from left to right.
#[derive(Debug)]
pub(super) struct Fields(IntoIter<Value>);

impl Fields {
    pub(super) fn of(row: Row) -> Self {
        Self(row.unwrap().into_iter())
    }

    pub(super) fn number(&mut self) -> Result<u64, Failure> {
        self.optional_number()?.ok_or(Failure::Damaged("a number expected"))
    }

    pub(super) fn optional_number(&mut self) -> Result<Option<u64>, Failure> {
        match self.0.next() {
            Some(Value::NULL) => Ok(None),
            Some(Value::UInt(number)) => Ok(Some(number)),
            Some(Value::Int(number)) => {
                number.try_into().map(Some).map_err(|_| Failure::Damaged("a negative number"))
            }
            _ => Err(Failure::Damaged("a number expected")),
        }
    }

    pub(super) fn is_set(&mut self) -> Result<bool, Failure> {
        Ok(self.number()? != 0)
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, Failure> {
        self.optional_bytes()?.ok_or(Failure::Damaged("bytes expected"))
    }

    pub(super) fn optional_bytes(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self.0.next() {
            Some(Value::NULL) => Ok(None),
            Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
            _ => Err(Failure::Damaged("bytes expected")),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        self.bytes()?.try_into().map_err(|_| Failure::Damaged("bytes of another length"))
    }

    pub(super) fn text(&mut self) -> Result<String, Failure> {
        self.optional_text()?.ok_or(Failure::Damaged("text expected"))
    }

    pub(super) fn optional_text(&mut self) -> Result<Option<String>, Failure> {
        let bytes = self.optional_bytes()?;
        bytes.map(String::from_utf8).transpose().map_err(|_| Failure::Damaged("text expected"))
    }

    pub(super) fn conversation(&mut self) -> Result<ConversationId, Failure> {
        Ok(ConversationId::from_key(&self.bytes()?)?)
    }
}
