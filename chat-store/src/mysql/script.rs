//! Several statements in one round trip: what is left of a batch to be written, and its commit.
//!
//! Nothing that a batch writes needs an answer once its heads are locked and its items evaluated. Where
//! that is little, it travels as one text of several statements, whose last is the commit, so that a
//! batch waits for its server once where it had waited for each table. Values stand in the text then.
//!
//! The server runs the statements in their order, answers each of them, and stops at the first that
//! fails. So the place of an error says what became of the transaction: ahead of the commit nothing is
//! committed. Whoever hears nothing more, of the first statement or of the last, does not know: the
//! commit may have run.
//!
//! Not on Galera. A transaction there can be beaten by another server's at any moment, and then a script
//! was seen to stay without an answer (MariaDB 10.11): who waits for it waits until its deadline, and
//! has to take the batch for ambiguous. There each statement has a packet of its own, and is answered.

use std::fmt::Write as _;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};

use super::error::{Failure, Remedy};

/// Bytes that the values take in a text at most: some ninety short messages, and with what stands
/// between them far below the megabytes of a packet. More is better read as parameters.
const MOST_BYTES: usize = 64 << 10;

/// How what a batch has changed gets to its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packets {
    /// One for each statement, and one for the commit.
    Each,
    /// One for all, where they are small.
    Together,
}

impl Packets {
    /// Whether values that take so many bytes in a text go into a script.
    pub(super) fn are_joined(self, bytes: usize) -> bool {
        self == Self::Together && bytes <= MOST_BYTES
    }
}

/// Statements that are to run with the commit, and in their order.
#[derive(Debug, Default)]
pub(super) struct Script {
    text: String,
    statements: usize,
}

/// A script that came to nothing, or of which it is not known.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) failure: Failure,
    at: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The server refused a statement ahead of the commit.
    BeforeCommit,
    /// It refused the commit, or did not say what became of it.
    Commit,
}

impl Script {
    /// Adds a statement, in which each `?` stands for one of the values.
    pub(super) fn add(&mut self, statement: &str, values: &[Value]) {
        let mut values = values.iter();
        for (index, part) in statement.split('?').enumerate() {
            if index > 0 {
                write_literal(&mut self.text, values.next().unwrap_or(&Value::NULL));
            }
            self.text.push_str(part);
        }
        debug_assert!(values.next().is_none(), "each value has its place");
        self.text.push_str(";\n");
        self.statements += 1;
    }

    /// Runs it, and commits. The connection is in order afterwards unless the failure is that of a link.
    ///
    /// # Cancel safety
    /// Dropped before its end, it leaves the connection in the middle of the answers, and the outcome
    /// unknown: the connection is to be closed.
    pub(super) async fn commit(self, conn: &mut Conn) -> Result<(), Stopped> {
        let Self { mut text, statements } = self;
        text.push_str("COMMIT");
        let mut answered = 0;
        let Err(failure) = run(conn, text, &mut answered).await else {
            // Each statement has one answer, none of which has rows.
            let is_whole = answered == statements + 1;
            return if is_whole { Ok(()) } else { Err(Stopped::at_commit(Failure::Unanswered)) };
        };
        // What is no error of the server's says nothing about what it did.
        let is_told = matches!(&failure, Failure::Database(mysql_async::Error::Server(_)));
        let at = if is_told && answered < statements { Place::BeforeCommit } else { Place::Commit };
        Err(Stopped { failure, at })
    }
}

/// Runs statements and counts those that the server has said to have run.
async fn run(conn: &mut Conn, text: String, answered: &mut usize) -> Result<(), Failure> {
    let mut answers = conn.query_iter(text).await?;
    loop {
        // An error counts as the last too, and is told when the answer is taken.
        let is_last = answers.is_empty();
        answers.collect::<Row>().await?;
        *answered += 1;
        if is_last {
            return Ok(());
        }
    }
}

impl Stopped {
    /// It is not known what became of the commit, unless the failure says so.
    pub(super) fn at_commit(failure: Failure) -> Self {
        Self { failure, at: Place::Commit }
    }

    pub(super) fn remedy(&self) -> Remedy {
        match self.at {
            Place::BeforeCommit => self.failure.remedy(),
            Place::Commit => self.failure.remedy_of_commit(),
        }
    }

    /// Whether the connection is as good as before, once it is rolled back.
    pub(super) fn spares_connection(&self) -> bool {
        match self.at {
            Place::BeforeCommit => self.failure.spares_connection(),
            // Certification failed.
            Place::Commit => self.remedy() == Remedy::Retry,
        }
    }
}

/// The bytes that a value takes in a text, or some more.
pub(super) fn literal_bytes(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => 3 + 2 * bytes.len(),
        _ => 20,
    }
}

/// Bytes stand in hexadecimal: no quoting that could be wrong in some mode or character set of the
/// server, and no character that means anything.
fn write_literal(text: &mut String, value: &Value) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    match value {
        Value::NULL => text.push_str("NULL"),
        Value::Bytes(bytes) => {
            text.push_str("x'");
            for byte in bytes {
                text.push(DIGITS[usize::from(byte >> 4)]);
                text.push(DIGITS[usize::from(byte & 15)]);
            }
            text.push('\'');
        }
        Value::UInt(number) => write!(text, "{number}").expect("text takes everything"),
        Value::Int(number) => write!(text, "{number}").expect("text takes everything"),
        // Numbers and times, none of which a batch has; no strings.
        other => text.push_str(&other.as_sql(true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(value: impl Into<Value>) -> String {
        let (mut text, value) = (String::new(), value.into());
        write_literal(&mut text, &value);
        assert!(text.len() <= literal_bytes(&value), "{text}");
        text
    }

    #[test]
    fn literals_are_numbers_hexadecimal_or_null() {
        assert_eq!(literal(Value::NULL), "NULL");
        assert_eq!((literal(0u64), literal(u64::MAX)), ("0".into(), "18446744073709551615".into()));
        assert_eq!((literal(-1), literal(i64::MIN)), ("-1".into(), "-9223372036854775808".into()));
        assert_eq!((literal(true), literal(None::<u64>)), ("1".into(), "NULL".into()));
        assert_eq!(literal(Vec::<u8>::new()), "x''");
        assert_eq!(literal("'\\\"?;\0é"), "x'275c223f3b00c3a9'");
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let text = literal(all.clone());
        let digits = text.strip_prefix("x'").and_then(|text| text.strip_suffix('\'')).expect("bytes");
        let read = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
        assert_eq!((0..digits.len()).step_by(2).map(read).collect::<Vec<u8>>(), all);
    }

    #[test]
    fn statements_stand_in_their_order_with_each_value_in_its_place() {
        let mut script = Script::default();
        script.add("INSERT INTO a VALUES (?, 7, ?)", &[1.into(), "?".into()]);
        script.add("DELETE FROM b", &[]);
        assert_eq!(script.text, "INSERT INTO a VALUES (1, 7, x'3f');\nDELETE FROM b;\n");
        assert_eq!(script.statements, 2);
    }
}
