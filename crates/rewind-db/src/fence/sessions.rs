//! The sessions of others: which there are, and their end. It never touches our own, or those of superusers.

use super::mysql;
use crate::engine::Dialect;
use crate::error::Failure;
use crate::quote::literal;
use crate::session::Session;
use rewind_core::StepError;
use std::collections::BTreeSet;
use tokio_postgres::error::SqlState;

/// A session: a process id is used again, its start is not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Other {
    pub(super) pid: String,
    pub(super) started: String,
    /// Whether it is of the user that the fence works as, which it cannot lock out on MySQL.
    pub(super) master: bool,
    pub(super) user: String,
    pub(super) database: String,
}

/// Backends that are being started, each by its process id.
pub(super) type Starting = BTreeSet<String>;

/// Connections that are being made, and may have been let in before the logins were closed. On PostgreSQL:
///
/// Backends between the moment at which they looked for their database and the one at which they show as sessions.
///
/// A backend takes this lock on its database before it reads the connection limit, and holds it until it shows in
/// `pg_stat_activity`. So one that read the limit before it was changed is either a session already, or here: no
/// backend can slip through between the two. To be read before the sessions are.
pub(super) async fn starting(session: &Session) -> Result<Starting, Failure> {
    if session.dialect() != Dialect::Postgres {
        return mysql::starting(session).await;
    }
    let rows = session
        .rows(
            "SELECT pid FROM pg_catalog.pg_locks WHERE locktype = 'object' AND pid <> pg_catalog.pg_backend_pid() \
             AND classid = 'pg_catalog.pg_database'::pg_catalog.regclass AND mode = 'RowExclusiveLock'",
        )
        .await?;
    Ok(rows.into_iter().flatten().flatten().collect())
}

/// Everybody who can write: clients, and replication connections to a database, which take SQL too.
///
/// A backend that is not shown in full, for lack of `pg_monitor`, counts. One that has not got in yet ('starting', from
/// PostgreSQL 18) does not.
const OTHERS: &str = "FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid \
     WHERE a.pid <> pg_catalog.pg_backend_pid() AND NOT coalesce(r.rolsuper, false) \
     AND coalesce(r.rolname, '') NOT IN ('rdsadmin', 'rdsrepladmin', 'rdstopmgr', 'rdswriteforwarduser', 'rdsproxyadmin') \
     AND (coalesce(a.backend_type, 'client backend') = 'client backend' \
     OR a.backend_type = 'walsender' AND a.datid IS NOT NULL) AND a.state IS DISTINCT FROM 'starting'";

/// The sessions of others; `own` is the user that the fence works as.
pub(super) async fn others(session: &Session, own: &str) -> Result<Vec<Other>, Failure> {
    if session.dialect() != Dialect::Postgres {
        return mysql::others(session, own).await;
    }
    let rows = session
        .rows(&format!("SELECT a.pid, a.backend_start, coalesce(a.usename, ''), coalesce(a.datname, '') {OTHERS}"))
        .await?;
    let read = |row: Vec<Option<String>>| match <[_; 4]>::try_from(row) {
        Ok([Some(pid), started, user, database]) => Some(Other {
            pid,
            started: started.unwrap_or_default(),
            master: false,
            user: user.unwrap_or_default(),
            database: database.unwrap_or_default(),
        }),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Tells the sessions of others to end. They have ended when [`others`] no longer shows them.
///
/// Answers those that may not be ended: the server would have ended them all at once, but for one of them.
pub(super) async fn end(session: &Session, others: &[Other]) -> Result<Vec<Other>, Failure> {
    if session.dialect() != Dialect::Postgres {
        return mysql::end(session, others).await;
    }
    let pids: Vec<&str> = others.iter().map(|other| other.pid.as_str()).collect();
    match end_all(session, &pids).await {
        Err(failure) if failure.is(SqlState::INSUFFICIENT_PRIVILEGE.code()) => {}
        done => return done.map(|()| Vec::new()),
    }
    let mut refused = Vec::new();
    for other in others {
        match end_all(session, &[&other.pid]).await {
            Err(failure) if failure.is(SqlState::INSUFFICIENT_PRIVILEGE.code()) => refused.push(other.clone()),
            done => done?,
        }
    }
    Ok(refused)
}

/// The process has to be one of [`OTHERS`] still: its id may have gone to somebody else meanwhile.
async fn end_all(session: &Session, pids: &[&str]) -> Result<(), Failure> {
    let list = literal(&format!("{{{}}}", pids.join(",")));
    session
        .rows(&format!("SELECT pg_catalog.pg_terminate_backend(a.pid) {OTHERS} AND a.pid = ANY ({list}::int[])"))
        .await?;
    Ok(())
}

/// What writes to a MySQL without a session: replication from elsewhere, and events. No fence ends it, and what it writes
/// between the clone of a cluster and its backtrack would be on neither.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`]: a database that does not answer.
pub async fn writers_without_session(session: &Session) -> Result<Vec<String>, StepError> {
    Ok(mysql::writers(session).await?)
}

/// What may still write and is nobody's session.
pub(super) async fn leftovers(session: &Session) -> Result<Vec<String>, Failure> {
    if session.dialect() != Dialect::Postgres {
        return mysql::leftovers(session).await;
    }
    let mut notes = Vec::new();
    let prepared = session
        .rows("SELECT gid, owner, database FROM pg_catalog.pg_prepared_xacts ORDER BY prepared LIMIT 20")
        .await?;
    for row in prepared {
        let [gid, owner, database] = <[_; 3]>::try_from(row).unwrap_or_default().map(Option::unwrap_or_default);
        notes.push(format!(
            "transaction \"{gid}\" of {owner} in {database} is prepared: it holds its locks, and was neither committed nor rolled back"
        ));
    }
    let workers = session
        .rows(
            "SELECT coalesce(a.backend_type, 'unknown'), a.datname, count(*) FROM pg_catalog.pg_stat_activity a \
             WHERE a.datid IS NOT NULL AND a.backend_type NOT IN \
             ('client backend', 'walsender', 'autovacuum worker', 'parallel worker') GROUP BY 1, 2 ORDER BY 1, 2",
        )
        .await?;
    for row in workers {
        let [kind, database, count] = <[_; 3]>::try_from(row).unwrap_or_default().map(Option::unwrap_or_default);
        let what = if kind.starts_with("logical replication") {
            "a subscription's worker: what its publisher sends is still written"
        } else {
            "a background worker: a fence has no hold on what it writes"
        };
        notes.push(format!("{count} x {kind} in {database} is {what}"));
    }
    Ok(notes)
}
