//! Statements over many rows, all values as parameters.
//!
//! A statement is prepared for a number of rows, and connections keep those that they prepared. So
//! that few numbers occur, lists are filled up where that changes nothing, and else are cut: numbers
//! with at most three significant bits remain.

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, Params, Value};

use super::error::Failure;
use super::script::{Script, literal_bytes};

/// Keys of one query at most.
const MOST_KEYS: usize = 1 << 11;
/// Parameters of one insert at most. The protocol allows 65,535; servers keep some hundred bytes for
/// each as long as a statement is prepared, and beyond some thousand nothing is gained.
const MOST_PARAMETERS: usize = 6 << 10;
/// Bytes of one statement at most, unless one row has more; servers take 16 MiB or more by default.
const MOST_BYTES: usize = 4 << 20;

/// What a list of rows may be filled up with, without changing anything.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filling {
    /// Nothing: each row counts once.
    None,
    /// The last row again.
    Last,
    /// This one.
    Row(Vec<Value>),
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
        filling: &Filling,
    ) -> Result<(), Failure> {
        while !self.values.is_empty() {
            let (take, rows) = self.next_chunk(filling);
            let rest = self.values.split_off(take * self.parameters);
            let mut values = std::mem::replace(&mut self.values, rest);
            for _ in take..rows {
                match filling {
                    Filling::Row(row) => values.extend_from_slice(row),
                    Filling::Last | Filling::None => {
                        values.extend_from_within(values.len() - self.parameters..);
                    }
                }
            }
            let tuples = vec![&*self.row; rows].join(", ");
            let statement = format!("{before} VALUES {tuples} {after}");
            conn.exec_drop(statement, Params::Positional(values)).await?;
        }
        Ok(())
    }

    /// How many rows go into the next statement, and how many it has when it is filled up.
    fn next_chunk(&self, filling: &Filling) -> (usize, usize) {
        let mut bytes = 0;
        let within = self
            .values
            .chunks(self.parameters)
            .take_while(|row| {
                bytes += row.iter().map(|value| value.bin_len() as usize).sum::<usize>();
                bytes <= MOST_BYTES
            })
            .take(rounded_down(MOST_PARAMETERS / self.parameters))
            .count()
            .max(1);
        match filling {
            Filling::None => (rounded_down(within), rounded_down(within)),
            Filling::Last | Filling::Row(_) => (within, rounded_up(within)),
        }
    }
}

/// An insert of rows that a batch has ready: `before VALUES (…), … after`.
#[derive(Debug)]
pub(super) struct Insert {
    pub(super) before: &'static str,
    pub(super) rows: Rows,
    pub(super) after: &'static str,
    pub(super) filling: Filling,
}

impl Insert {
    /// Runs it now.
    pub(super) async fn write(self, conn: &mut Conn) -> Result<(), Failure> {
        self.rows.write(conn, self.before, self.after, &self.filling).await
    }

    /// Adds it to what runs with the commit, as one statement without filling.
    pub(super) fn add_to(&self, script: &mut Script) {
        let Self { before, rows, after, .. } = self;
        if !rows.values.is_empty() {
            let tuples = vec![&*rows.row; rows.values.len() / rows.parameters].join(", ");
            script.add(&format!("{before} VALUES {tuples} {after}"), &rows.values);
        }
    }

    /// About how many bytes its values take in a script.
    pub(super) fn script_bytes(&self) -> usize {
        self.rows.values.iter().map(literal_bytes).sum()
    }
}

/// The greatest number with at most three significant bits that is not greater.
fn rounded_down(number: usize) -> usize {
    let cut = number.ilog2().saturating_sub(2);
    number >> cut << cut
}

/// The least number with at most three significant bits that is not less.
fn rounded_up(number: usize) -> usize {
    let cut = number.ilog2().saturating_sub(2);
    number.div_ceil(1 << cut) << cut
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
        let mut chunk: Vec<[Value; N]> = keys.by_ref().take(MOST_KEYS).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_rows_are_few_and_near() {
        let numbers = 1..=MOST_PARAMETERS;
        for number in numbers.clone() {
            let (down, up) = (rounded_down(number), rounded_up(number));
            assert!(down <= number && number <= up && up - down <= number / 4, "{down}, {number}, {up}");
            assert_eq!((rounded_down(up), rounded_up(down)), (up, down));
        }
        let all: std::collections::BTreeSet<_> = numbers.map(rounded_up).collect();
        assert!(all.len() < 50, "{}", all.len());
    }

    #[test]
    fn rows_that_count_once_are_cut_and_others_filled_up() {
        let rows_of = |count: usize| {
            let mut rows = Rows::of_columns(2);
            (0..count).for_each(|number| rows.push([number.into(), 0.into()]));
            rows
        };
        assert_eq!(rows_of(1_000).next_chunk(&Filling::None), (896, 896));
        assert_eq!(rows_of(1_000).next_chunk(&Filling::Last), (1_000, 1_024));
        assert_eq!(rows_of(10).next_chunk(&Filling::None), (10, 10));
        let most = MOST_PARAMETERS / 2;
        assert_eq!(rows_of(most + 1).next_chunk(&Filling::Last), (most, most));
    }
}
