//! One query of somebody's, run so that it can only read: what a check and a row count are made of.
//!
//! The guard is the database's own read-only transaction. Somebody's SQL is put where it cannot leave it: the protocol
//! takes one statement only, whose result has to have a column (so no `COMMIT`, `SET`, `CALL` or `DO`). On PostgreSQL it
//! runs within a subtransaction whose parent is read-only, which no statement and no function can make writable again. On
//! MySQL a transaction that began read-only stays so to its end, and DDL, which would end it, is refused within; what is
//! not refused there does not begin as a query. What acts outside the transaction, such as ending a session or `aws_lambda`, no
//! transaction holds back: such a function is refused before anything of the query is planned or run, and on MySQL, which may
//! evaluate while it prepares, before it is prepared.

use crate::engine::{QueryLimits, QueryOperations};
use crate::error::StatementError;
use crate::session::{Session, on_engine};
use rewind_core::{QueryResult, StepError};
use std::time::Instant;

/// Runs `sql` and returns the first column of its only row; none for NULL.
///
/// Whatever is wrong with the query is part of the answer; only a lost session is an error.
pub(crate) async fn query_one(session: &Session, sql: &str, limits: QueryLimits) -> Result<QueryResult, StepError> {
    on_engine!(session, connection => query_one_on(connection, sql, limits).await)
}

async fn query_one_on<C: QueryOperations>(
    connection: &C,
    sql: &str,
    limits: QueryLimits,
) -> Result<QueryResult, StepError> {
    let started = Instant::now();
    connection.begin_read_only(limits).await?;
    let result = value_of(connection, sql, limits).await;
    let seconds = started.elapsed().as_secs_f64();
    // A query that fails has failed the check; only where the session is lost is there nobody to ask the next one.
    let value = match result {
        Ok(value) => value,
        Err(error) => Err(error.into_reason(limits.statement)?),
    };
    connection.end_read_only().await?;
    Ok(QueryResult { value, seconds })
}

/// The denial to a query that calls `functions`.
pub(crate) fn calls_what_it_may_not(functions: &[String]) -> String {
    format!(
        "it calls {}: a check may call only functions that act on nothing, for its login may often do more than read, and \
         those that the deployment names (parameter CheckFunctions)",
        functions.join(", ")
    )
}

async fn value_of<C: QueryOperations>(
    connection: &C,
    sql: &str,
    limits: QueryLimits,
) -> Result<Result<Option<String>, String>, StatementError> {
    if !connection.is_guarded(sql) {
        return Ok(Err("it is no query: it has to begin with SELECT, WITH, VALUES, TABLE, SHOW or EXPLAIN".to_owned()));
    }
    if let Some(denial) = connection.denial_of_text(sql).await? {
        return Ok(Err(denial));
    }
    // Parsed alone first: this refuses two statements in one text, the second of which could end the transaction.
    if connection.count_columns(sql, limits.statement).await? == 0 {
        return Ok(Err("it is no query: it answers no column, and was not run".to_owned()));
    }
    if let Some(denial) = connection.denial_of_tree(sql).await? {
        return Ok(Err(denial));
    }
    // One row is kept and all are counted: a check without a LIMIT must not fill the function's memory.
    let result = connection.query_examined(sql, 1, limits.statement).await?;
    Ok(match (result.total, result.rows.into_iter().next().and_then(|row| row.into_iter().next())) {
        (0, _) => Err("it answered no row".to_owned()),
        (1, Some(value)) => Ok(value),
        (1, None) => Err("it answered a row without a column".to_owned()),
        (total, _) => Err(format!("it answered {total} rows, and a check has one")),
    })
}
