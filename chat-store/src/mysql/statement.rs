//! Statements over many rows, all values as parameters.
//!
//! A statement is prepared for a number of rows, and connections keep those that they prepared. So
//! that few numbers occur, lists are filled up by repeating their last element where that changes
//! nothing, and else are cut into powers of two.

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, Params, Value};

use super::error::Failure;

/// Rows of one statement at most: with 16 columns it stays within the 65,535 parameters that the
/// protocol allows.
const MOST_ROWS: usize = 1 << 11;
/// Bytes of one statement at most, unless one row has more; servers take 16 MiB or more by default.
const MOST_BYTES: usize = 4 << 20;

/// Whether repeating a row changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeatable {
    Yes,
    No,
}

/// `VALUES` of an insert under construction.
#[derive(Debug)]
pub(super) struct Rows {
    /// A row as it stands in the statement.
    row: String,
    /// The parameters of a row.
    parameters: usize,
    values: Vec<Value>,
}

impl Rows {
    /// All columns of which are parameters.
    pub(super) fn of_columns(columns: usize) -> Self {
        Self::like(format!("({})", vec!["?"; columns].join(", ")))
    }

    /// Some columns of which are the same in all rows: a parameter costs more than what is written out.
    pub(super) fn like(row: String) -> Self {
        Self { parameters: row.matches('?').count(), row, values: Vec::new() }
    }

    pub(super) fn push<const N: usize>(&mut self, row: [Value; N]) {
        debug_assert_eq!(N, self.parameters, "each row has all parameters");
        self.values.extend(row);
    }

    /// Runs `before VALUES (?, …), … after` over all of them, in their order.
    pub(super) async fn write(
        mut self,
        conn: &mut Conn,
        before: &str,
        after: &str,
        repeatable: Repeatable,
    ) -> Result<(), Failure> {
        while !self.values.is_empty() {
            let (take, pad) = self.next_chunk(repeatable);
            let rest = self.values.split_off(take * self.parameters);
            let mut values = std::mem::replace(&mut self.values, rest);
            for _ in 0..pad {
                values.extend_from_within(values.len() - self.parameters..);
            }
            let tuples = vec![&*self.row; take + pad].join(", ");
            let statement = format!("{before} VALUES {tuples} {after}");
            conn.exec_drop(statement, Params::Positional(values)).await?;
        }
        Ok(())
    }

    /// How many rows go into the next statement, and how often the last is repeated.
    fn next_chunk(&self, repeatable: Repeatable) -> (usize, usize) {
        let mut bytes = 0;
        let within = self
            .values
            .chunks(self.parameters)
            .take_while(|row| {
                bytes += row.iter().map(|value| value.bin_len() as usize).sum::<usize>();
                bytes <= MOST_BYTES
            })
            .take(MOST_ROWS)
            .count()
            .max(1);
        match repeatable {
            Repeatable::Yes => (within, within.next_power_of_two() - within),
            Repeatable::No => (1 << within.ilog2(), 0),
        }
    }
}

/// Runs `before (term, …) after` over all `keys`, each of which fills one `term`, joined by `between`.
/// Keys that are in order are looked up, and locked, in that order.
pub(super) async fn select<Row: FromRow + Send + 'static, const N: usize>(
    conn: &mut Conn,
    (before, term, between, after): (&str, &str, &str, &str),
    keys: Vec<[Value; N]>,
) -> Result<Vec<Row>, Failure> {
    let mut keys = keys.into_iter();
    let mut found = Vec::new();
    while keys.len() > 0 {
        let mut chunk: Vec<[Value; N]> = keys.by_ref().take(MOST_ROWS).collect();
        if let Some(last) = chunk.last().cloned() {
            chunk.resize(chunk.len().next_power_of_two(), last);
        }
        let terms = vec![term; chunk.len()].join(between);
        let values = chunk.into_iter().flatten().collect();
        let rows = conn.exec(format!("{before} ({terms}) {after}"), Params::Positional(values)).await?;
        found.extend::<Vec<Row>>(rows);
    }
    Ok(found)
}

/// The same where a key is one value of a list.
pub(super) async fn select_in<Row: FromRow + Send + 'static>(
    conn: &mut Conn,
    before: &str,
    keys: Vec<Value>,
    after: &str,
) -> Result<Vec<Row>, Failure> {
    select(conn, (before, "?", ", ", after), keys.into_iter().map(|key| [key]).collect()).await
}
