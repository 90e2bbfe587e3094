//! One connection to one database: statements in, rows of text out, and never a wait without an end.

use crate::error::StatementError;
use rewind_core::timeouts;
use std::time::Duration;

/// A row, each value as the text that the database writes for it.
pub(crate) type Row = Vec<Option<String>>;

/// The rows of a result that are kept, and how many there were.
#[derive(Default)]
pub(crate) struct QueryResult {
    pub(crate) rows: Vec<Row>,
    pub(crate) total: u64,
}

/// A connection that is logged in.
pub(crate) trait Connection: Sync {
    /// Runs `sql`, for which the database was given `limit`, and keeps the first `keep` rows.
    fn query(
        &self,
        sql: &str,
        keep: usize,
        limit: Duration,
    ) -> impl Future<Output = Result<QueryResult, StatementError>> + Send;

    /// Runs a statement of our own; on PostgreSQL several, one after the other.
    fn execute(&self, sql: &str) -> impl Future<Output = Result<(), StatementError>> + Send;

    /// Has the database parse one statement without running it, and returns how many columns its result would have.
    ///
    /// Both protocols take exactly one statement here: two are refused, and nothing of either is run.
    fn count_columns(&self, sql: &str, limit: Duration) -> impl Future<Output = Result<usize, StatementError>> + Send;

    /// Ends the connection and waits, not for long, until the server has been told.
    fn close(self) -> impl Future<Output = ()> + Send;

    /// Returns all rows of a statement of our own.
    fn rows(&self, sql: &str) -> impl Future<Output = Result<Vec<Row>, StatementError>> + Send {
        async move { Ok(self.query(sql, usize::MAX, timeouts::STATEMENT).await?.rows) }
    }

    /// Returns the first value of each row, without NULLs.
    fn values(&self, sql: &str) -> impl Future<Output = Result<Vec<String>, StatementError>> + Send {
        async move { Ok(self.rows(sql).await?.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()) }
    }
}
