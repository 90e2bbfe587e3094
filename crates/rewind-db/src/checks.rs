//! One query of somebody's, asked so that it can only read: what a check and a row count are made of.
//!
//! The guard is the database's own read-only transaction. Somebody's SQL is put where it cannot leave it: the protocol
//! takes one statement only, which has to answer a column (so no `COMMIT`, `SET`, `CALL` or `DO`). On PostgreSQL it runs
//! within a subtransaction whose parent is read-only, which no statement and no function can make writable again. On
//! MySQL a transaction that began read-only stays so to its end, and DDL, which would end it, is refused within. What
//! acts outside the database, such as `dblink` or `aws_lambda`, no transaction holds back.

use crate::engine::Dialect;
use crate::error::Failure;
use crate::session::Session;
use rewind_core::{Answer, StepError};
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
pub(crate) async fn ask(session: &Session, sql: &str, bounds: Bounds) -> Result<Answer, StepError> {
    let started = Instant::now();
    begin(session, bounds).await?;
    let asked = ask_within(session, sql, bounds).await;
    let seconds = started.elapsed().as_secs_f64();
    let value = match asked {
        Ok(value) => value,
        Err(failure) => Err(failure.into_reason(bounds.statement)?),
    };
    end(session).await?;
    Ok(Answer { value, seconds })
}

async fn ask_within(session: &Session, sql: &str, bounds: Bounds) -> Result<Result<String, String>, Failure> {
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
