//! One query of somebody's, asked so that it can only read: what a check and a row count are made of.
//!
//! The guard is the database's own read-only transaction. Somebody's SQL is put where it cannot leave it: the protocol
//! takes one statement only, which has to answer a column (so no `COMMIT`, `SET`, `CALL` or `DO`). On PostgreSQL it runs
//! within a subtransaction whose parent is read-only, which no statement and no function can make writable again. On
//! MySQL a transaction that began read-only stays so to its end, and DDL, which would end it, is refused within; what is
//! not refused there does not begin as a query. What acts outside the database, such as `dblink` or `aws_lambda`, no
//! transaction holds back.

use crate::engine::Dialect;
use crate::error::Failure;
use crate::session::Session;
use rewind_core::{QueryResult, StepError};
use std::time::{Duration, Instant};

/// How long a statement may run, and wait for a lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) statement: Duration,
    pub(crate) lock: Duration,
    /// Whether row-level security may hide rows: if not, a query that it would hide rows from is refused.
    pub(crate) filtered: bool,
}

/// What the database answers to `sql`: the first column of its only row.
///
/// Whatever is wrong with the query is part of the answer; only a broken session is an error.
pub(crate) async fn ask(session: &Session, sql: &str, bounds: Bounds) -> Result<QueryResult, StepError> {
    let started = Instant::now();
    begin(session, bounds).await?;
    let asked = ask_within(session, sql, bounds).await;
    let seconds = started.elapsed().as_secs_f64();
    let value = match asked {
        Ok(value) => value,
        Err(failure) => Err(failure.into_reason(bounds.statement)?),
    };
    end(session).await?;
    Ok(QueryResult { value, seconds })
}

async fn ask_within(session: &Session, sql: &str, bounds: Bounds) -> Result<Result<String, String>, Failure> {
    if session.dialect() != Dialect::Postgres && !begins_as_a_query(sql) {
        return Ok(Err("it is no query: it has to begin with SELECT, WITH, VALUES, TABLE, SHOW or EXPLAIN".to_owned()));
    }
    if session.columns(sql, bounds.statement).await? == 0 {
        return Ok(Err("it is no query: it answers no column, and was not run".to_owned()));
    }
    let answered = session.answer(sql, 1, bounds.statement).await?;
    Ok(match (answered.total, answered.rows.into_iter().next().and_then(|row| row.into_iter().next())) {
        (0, _) => Err("it answered no row".to_owned()),
        (1, Some(Some(value))) => Ok(value),
        (1, _) => Err("it answered NULL".to_owned()),
        (total, _) => Err(format!("it answered {total} rows, and a check has one")),
    })
}

/// Whether `sql` is of a kind that only reads. MySQL's maintenance of tables answers columns too, and what it does, a
/// read-only transaction does not hold back: `OPTIMIZE TABLE` would rebuild a table.
fn begins_as_a_query(sql: &str) -> bool {
    let mut rest = sql.trim_start();
    loop {
        // What stands in `/*! */` is run.
        let comment_ends = match rest {
            _ if rest.starts_with("/*!") || rest.starts_with("/*M!") => return false,
            _ if rest.starts_with("/*") => "*/",
            _ if rest.starts_with('#') || rest.starts_with("--") => "\n",
            _ if rest.starts_with('(') => "(",
            _ => break,
        };
        let Some((_, after)) = rest.split_once(comment_ends) else { return false };
        rest = after.trim_start();
    }
    let word = rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default().to_ascii_uppercase();
    ["SELECT", "WITH", "VALUES", "TABLE", "SHOW", "EXPLAIN", "DESCRIBE", "DESC"].contains(&word.as_str())
}

/// Opens the transaction that nothing gets out of.
pub(crate) async fn begin(session: &Session, bounds: Bounds) -> Result<(), Failure> {
    let most = match session.dialect() {
        Dialect::Postgres => return begin_postgres(session, bounds).await,
        Dialect::MySql => format!("max_execution_time = {}", bounds.statement.as_millis().max(1)),
        Dialect::MariaDb => format!("max_statement_time = {}", bounds.statement.as_secs_f64().max(0.001)),
    };
    // MySQL waits for locks by the second.
    let lock = bounds.lock.as_millis().div_ceil(1000).max(1);
    for sql in [
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        &format!("SET SESSION {most}, innodb_lock_wait_timeout = {lock}, lock_wait_timeout = {lock}"),
        "START TRANSACTION READ ONLY",
    ] {
        session.run(sql).await?;
    }
    Ok(())
}

async fn begin_postgres(session: &Session, bounds: Bounds) -> Result<(), Failure> {
    let milliseconds = |limit: Duration| limit.as_millis().max(1);
    let (statement, lock) = (milliseconds(bounds.statement), milliseconds(bounds.lock));
    let filtered = if bounds.filtered { "on" } else { "off" };
    session
        .run(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = {statement}; \
             SET LOCAL lock_timeout = {lock}; SET LOCAL row_security = {filtered}; SAVEPOINT outside"
        ))
        .await
}

/// Ends it, with every setting back as it was; on MySQL the next [`begin`] sets them anew.
pub(crate) async fn end(session: &Session) -> Result<(), Failure> {
    session.run("ROLLBACK").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reads_begins_as_a_query() {
        for query in [
            "SELECT 1",
            " select/**/1",
            "-- why\n# and how\n/* oh */ (SELECT 1)",
            "with a as (select 1) select * from a",
            "((SELECT 1))",
            "SHOW TABLES",
            "VALUES(1)",
        ] {
            assert!(begins_as_a_query(query), "{query}");
        }
        for other in [
            "",
            "-- SELECT 1",
            "/* SELECT 1",
            "/*! SELECT 1 */",
            "/*M!100000 SELECT 1 */",
            "OPTIMIZE TABLE t",
            "/* SELECT */ ANALYZE TABLE t",
            "SET STATEMENT max_statement_time = 0 FOR SELECT 1",
            "SELECTED",
            "CALL p()",
        ] {
            assert!(!begins_as_a_query(other), "{other}");
        }
    }
}
