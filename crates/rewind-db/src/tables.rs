//! Finding the tables that a query reads, and counting their rows.

use crate::engine::{QueryLimits, QueryOperations, Table};
use crate::read_only::query_one;
use crate::session::{Session, on_engine};
use rewind_core::StepError;

/// The tables that `sql` reads, partitions as the table that they are parts of, without the system's own.
pub(crate) async fn tables_read_by(session: &Session, sql: &str, limits: QueryLimits) -> Result<Vec<Table>, StepError> {
    on_engine!(session, connection => connection.tables_read_by(sql, limits).await)
}

/// The tables of people that a session sees.
pub(crate) async fn tables(session: &Session) -> Result<Vec<Table>, StepError> {
    Ok(on_engine!(session, connection => connection.tables().await)?)
}

/// Counts the rows of `table`, or returns the reason why they could not be counted.
pub(crate) async fn count_rows(
    session: &Session,
    table: &Table,
    limits: QueryLimits,
) -> Result<Result<u64, String>, StepError> {
    let name = on_engine!(session, connection => connection.quoted(table));
    // In the read-only transaction of a check: a table may well be a view by now, with functions in it.
    let answer = query_one(session, &format!("SELECT count(*) FROM {name}"), limits).await?;
    Ok(answer.value.and_then(|value| {
        let text = value.unwrap_or_default();
        text.parse().map_err(|_| format!("its count is \"{text}\""))
    }))
}
