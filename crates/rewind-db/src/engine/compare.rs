//! Reading a table for its comparison with the other side: its shape, the hashes of its rows, and the rows as digests. No value of a
//! row leaves the database.

use super::connection::Row;
use super::queries::{QueryLimits, QueryOperations, Table};
use crate::error::StatementError;
use rewind_core::comparison::{Column, TableShape};
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// A table of one side, as it is to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) table: &'a Table,
    /// True if the rows lie in partitions, which are read with the table.
    pub(crate) partitioned: bool,
    /// The columns that are compared, of the types that they have on this side.
    pub(crate) columns: &'a [Column],
    /// The columns of the key; empty where there is none.
    pub(crate) key: &'a [Column],
    /// The transactions before this one are the same on both sides, so that their rows need not be read by their values; none where
    /// that is not known, or the engine does not show who wrote a row.
    pub(crate) settled_before: Option<u64>,
    /// A number that nobody knows before, and the same on both sides, goes into each hash: whoever writes rows cannot choose two that
    /// are hashed alike.
    pub(crate) salt: u64,
}

/// The side of an engine that compares tables.
///
/// Statements on a table of people run in a transaction of their own, from [`Self::begin_comparing`] to
/// [`QueryOperations::end_read_only`], after [`Self::denial_of_reading`] has let them.
pub(crate) trait CompareOperations: QueryOperations {
    /// The first `most` tables of people behind `after` in this database, on MySQL in all; from the first one where it is none. By bytes,
    /// as Rust orders them: the lists of two sides are cut at the same place.
    fn compared_tables(
        &self,
        after: Option<&Table>,
        most: usize,
    ) -> impl Future<Output = Result<Vec<Table>, StatementError>> + Send;

    /// The shape of a table; without columns where it is gone.
    fn shape(&self, table: &Table) -> impl Future<Output = Result<TableShape, StatementError>> + Send;

    /// The id that two servers share if the data of one was copied from the other; none where the server does not tell.
    fn history_id(&self) -> impl Future<Output = Result<Option<String>, StatementError>> + Send;

    /// The first transaction id that the server has not given out yet; none where the engine has none that rows show.
    fn next_transaction(&self) -> impl Future<Output = Result<Option<u64>, StatementError>> + Send;

    /// Opens a transaction that can only read, with all settings that change how a value is written.
    fn begin_comparing(&self, limits: QueryLimits) -> impl Future<Output = Result<(), StatementError>> + Send;

    /// The reason why `sql`, which is our own, must not read `table`: it would run what somebody planted there. None where it may.
    fn denial_of_reading(
        &self,
        table: &Table,
        sql: &str,
    ) -> impl Future<Output = Result<Option<String>, StatementError>> + Send;

    /// A query of the rows of each bucket: its number, how many there are, and the sum of their hashes.
    fn hashes_of(&self, reading: &Reading<'_>) -> String;

    /// A query of the rows in some buckets, or in all: digests of key and values and a count, in the order of the first.
    fn rows_of(&self, reading: &Reading<'_>, buckets: Option<&[u32]>) -> String;

    /// A query of the number of rows.
    fn count_of(&self, table: &Table, partitioned: bool) -> String;

    /// Runs `sql`, which was let in this transaction, and returns the first `keep` rows.
    fn read_compared(
        &self,
        sql: &str,
        keep: usize,
        limit: Duration,
    ) -> impl Future<Output = Result<Vec<Row>, StatementError>> + Send;

    /// Runs `sql`, which was let in this transaction, and sends each row on. Rows that nobody takes any more are read and dropped.
    fn send_compared(
        &self,
        sql: &str,
        limit: Duration,
        rows: &Sender<Row>,
    ) -> impl Future<Output = Result<(), StatementError>> + Send;
}
