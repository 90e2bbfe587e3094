//! Reading by somebody else's SQL: a transaction that can only read, the tables that a query reads, and what the server is.

use super::connection::{Connection, QueryResult, Row};
use super::identity::ServerIdentity;
use crate::error::StatementError;
use rewind_core::{DatabaseTables, StepError, TableEstimate};
use std::time::Duration;

/// How long a query may run, and wait for a lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryLimits {
    pub(crate) statement: Duration,
    pub(crate) lock: Duration,
    /// True if row-level security may hide rows; if not, a query that it would hide rows from is refused.
    pub(crate) row_security: bool,
}

/// A table, as the catalogue names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
}

impl Table {
    /// The name as a person reads it.
    pub(crate) fn display(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

/// A counter of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counter {
    /// The name as it stands in SQL, with its schema.
    pub(crate) name: String,
    /// The value that it issued last, or will issue next; none where it has issued none.
    pub(crate) value: Option<i128>,
    /// The step from one value to the next; negative where it counts down.
    pub(crate) increment: i128,
}

/// The read-only side of an engine.
pub(crate) trait QueryOperations: Connection {
    /// Opens a transaction that no statement within it can make writable or leave.
    fn begin_read_only(&self, limits: QueryLimits) -> impl Future<Output = Result<(), StatementError>> + Send;

    /// Ends that transaction, and drops whatever was done in it.
    fn end_read_only(&self) -> impl Future<Output = Result<(), StatementError>> + Send {
        // Never COMMIT: a query has nothing to keep, and a failed transaction can only be rolled back.
        self.execute("ROLLBACK")
    }

    /// True for a statement that the read-only transaction holds back if it writes; others are not even parsed.
    fn is_guarded(&self, sql: &str) -> bool;

    /// The reason why the server must not even parse `sql`, from what is known without its help; none where it may. It is asked within
    /// the transaction of the query, before the server is shown anything of it: a server may evaluate parts of a query while it
    /// parses and prepares it.
    fn denial_of_text(&self, sql: &str) -> impl Future<Output = Result<Option<String>, StatementError>> + Send;

    /// The reason why `sql`, which was parsed alone, must not run; none where it may. It is asked within the transaction in which the
    /// statement is to run, and runs nothing of it.
    fn denial_of_tree(&self, sql: &str) -> impl Future<Output = Result<Option<String>, StatementError>> + Send;

    /// Runs `sql`, which [`Self::denial_of_text`] and [`Self::denial_of_tree`] allowed in this transaction: as it was examined, as far
    /// as the engine keeps that.
    fn query_examined(
        &self,
        sql: &str,
        keep: usize,
        limit: Duration,
    ) -> impl Future<Output = Result<QueryResult, StatementError>> + Send {
        self.query(sql, keep, limit)
    }

    /// The tables that `sql` reads, partitions as the table that they are parts of, without the system's own.
    ///
    /// A query that the database cannot plan reads none. Tables that functions read are not seen.
    fn tables_read_by(
        &self,
        sql: &str,
        limits: QueryLimits,
    ) -> impl Future<Output = Result<Vec<Table>, StepError>> + Send;

    /// The tables of people in all databases, the first ten thousand; none where the engine cannot be backtracked.
    fn tables(&self) -> impl Future<Output = Result<Vec<Table>, StatementError>> + Send;

    /// The table's name as it stands in SQL.
    fn quoted(&self, table: &Table) -> String;

    /// The databases whose drop was interrupted, by name.
    fn invalid_databases(&self) -> impl Future<Output = Result<Vec<String>, StatementError>> + Send;

    /// The databases whose counters of ids have to be read in a session of their own; none where one session sees all.
    fn databases_with_counters(&self) -> impl Future<Output = Result<Option<Vec<String>>, StatementError>> + Send;

    /// The counters of ids that this session sees: sequences, or AUTO_INCREMENT of tables.
    fn counters(&self) -> impl Future<Output = Result<Vec<Counter>, StatementError>> + Send;

    /// The databases of people that take connections, by name.
    fn user_databases(&self) -> impl Future<Output = Result<Vec<String>, StatementError>> + Send;

    /// The first [`TABLES_MAX`] tables of people in the database of this connection, with the server's estimates of their rows. It reads
    /// the catalogue alone, within `limit`, and waits for no lock on a table.
    fn table_estimates(&self, limit: Duration) -> impl Future<Output = Result<DatabaseTables, StatementError>> + Send;

    /// Identifies the server of this connection.
    fn identity(&self) -> impl Future<Output = Result<ServerIdentity, StepError>> + Send;
}

/// Reads rows of name, value and increment as counters; a row that is none is left out.
pub(crate) fn read_counters(rows: Vec<Row>) -> Vec<Counter> {
    let one = |row: Row| {
        let [name, value, increment] = <[Option<String>; 3]>::try_from(row).ok()?;
        let value = value.and_then(|value| value.parse().ok());
        Some(Counter { name: name?, value, increment: increment?.parse().ok()? })
    };
    rows.into_iter().filter_map(one).collect()
}

/// The most tables of a database whose estimates are read: a list of more is told to be a part.
pub(crate) const TABLES_MAX: usize = 20_000;

/// Reads rows of name and estimate, of which there is one more than [`TABLES_MAX`] where the list is a part.
pub(crate) fn read_estimates(rows: Vec<Row>) -> DatabaseTables {
    let has_more = rows.len() > TABLES_MAX;
    let one = |row: Row| {
        let [table, rows] = <[Option<String>; 2]>::try_from(row).ok()?;
        Some(TableEstimate { table: table?, rows: rows.and_then(|rows| rows.parse().ok()) })
    };
    DatabaseTables { tables: rows.into_iter().take(TABLES_MAX).filter_map(one).collect(), has_more }
}

/// Sorts what finding tables came to: a query that cannot be planned reads none, a lost session is an error.
pub(crate) fn tables_or_none<T: Default>(found: Result<T, StatementError>) -> Result<T, StepError> {
    match found {
        Ok(found) => Ok(found),
        Err(StatementError::Disconnected(error)) => Err(error),
        Err(StatementError::Refused(_) | StatementError::TimedOut) => Ok(T::default()),
    }
}
