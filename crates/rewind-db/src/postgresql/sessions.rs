//! The sessions of others on PostgreSQL. It never touches our own, or those of superusers: on RDS those are AWS's.

use super::connection::PostgresqlConnection;
use super::quote::{literal, literals};
use crate::engine::reserved;
use crate::engine::sessions::{NAMED, StartingSessions};
use crate::engine::{ClientSession, Connection, Row, SessionOperations};
use crate::error::StatementError;
use rewind_core::StepError;
use tokio_postgres::error::SqlState;

/// Everybody who can write: clients, and replication connections to a database, which take SQL too.
///
/// A backend that is not shown in full, for lack of `pg_monitor`, counts. One that has not got in yet ('starting', from
/// PostgreSQL 18) does not.
///
/// Sessions that forward the writes of readers count: each writes what a client of a reader asked for.
fn client_backends() -> String {
    let reserved = literals(reserved::postgresql_sessions());
    format!(
        "FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid \
         WHERE a.pid <> pg_catalog.pg_backend_pid() AND NOT coalesce(r.rolsuper, false) \
         AND coalesce(r.rolname, '') NOT IN ({reserved}) \
         AND (coalesce(a.backend_type, 'client backend') = 'client backend' \
         OR a.backend_type = 'walsender' AND a.datid IS NOT NULL) AND a.state IS DISTINCT FROM 'starting'"
    )
}

impl SessionOperations for PostgresqlConnection {
    async fn own_user(&self) -> Result<String, StepError> {
        Ok(self.values("SELECT session_user").await?.into_iter().next().unwrap_or_default())
    }

    /// Nobody: a connection limit of zero holds for the master user too.
    async fn unlockable_users(&self) -> Result<Vec<String>, StepError> {
        Ok(Vec::new())
    }

    /// Backends between the moment at which they looked for their database and the one at which they show as sessions.
    ///
    /// A backend takes this lock on its database before it reads the connection limit, and holds it until it shows in
    /// `pg_stat_activity`. So one that read the limit before it was changed is either a session already, or here: no backend
    /// can slip through between the two.
    async fn starting_sessions(&self) -> Result<StartingSessions, StatementError> {
        let pids = self
            .values(
                "SELECT pid FROM pg_catalog.pg_locks WHERE locktype = 'object' AND pid <> pg_catalog.pg_backend_pid() \
                 AND classid = 'pg_catalog.pg_database'::pg_catalog.regclass AND mode = 'RowExclusiveLock'",
            )
            .await?;
        Ok(pids.into_iter().collect())
    }

    async fn client_sessions(&self, _: &[String]) -> Result<Vec<ClientSession>, StatementError> {
        let backends = client_backends();
        let rows = self
            .rows(&format!(
                "SELECT a.pid, a.backend_start, coalesce(a.usename, ''), coalesce(a.datname, '') {backends}"
            ))
            .await?;
        let read = |row: Row| match <[_; 4]>::try_from(row) {
            Ok([Some(pid), started, user, database]) => Some(ClientSession {
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

    async fn terminate(&self, sessions: &[ClientSession]) -> Result<Vec<ClientSession>, StatementError> {
        let is_denied = |error: &StatementError| error.has_code(SqlState::INSUFFICIENT_PRIVILEGE.code());
        let pids: Vec<&str> = sessions.iter().map(|session| session.pid.as_str()).collect();
        match terminate_backends(self, &pids).await {
            // One that may not be ended fails the statement, and the others with it: then one by one.
            Err(error) if is_denied(&error) => {}
            done => return done.map(|()| Vec::new()),
        }
        let mut refused = Vec::new();
        for session in sessions {
            match terminate_backends(self, &[&session.pid]).await {
                Err(error) if is_denied(&error) => refused.push(session.clone()),
                done => done?,
            }
        }
        Ok(refused)
    }

    async fn replication(&self) -> Result<Vec<String>, StatementError> {
        let databases = self
            .values(
                "SELECT DISTINCT a.datname FROM pg_catalog.pg_stat_activity a WHERE a.datid IS NOT NULL \
                 AND a.backend_type LIKE 'logical replication%' ORDER BY 1",
            )
            .await?;
        Ok(databases.into_iter().map(|database| format!("a subscription's worker in {database}")).collect())
    }

    /// None: only Aurora MySQL can be backtracked.
    async fn writers_without_session(&self) -> Result<Vec<String>, StatementError> {
        Ok(Vec::new())
    }

    async fn unfenced_writers(&self) -> Result<Vec<String>, StatementError> {
        let mut notes = Vec::new();
        let prepared =
            self.rows("SELECT gid, owner, database FROM pg_catalog.pg_prepared_xacts ORDER BY prepared").await?;
        let more = prepared.len().saturating_sub(NAMED);
        for row in prepared.into_iter().take(NAMED) {
            let [gid, owner, database] = <[_; 3]>::try_from(row).unwrap_or_default().map(Option::unwrap_or_default);
            notes.push(format!(
                "transaction \"{gid}\" of {owner} in {database} is prepared: it holds its locks, and was neither committed \
                 nor rolled back"
            ));
        }
        if more > 0 {
            notes.push(format!("{more} more transactions are prepared"));
        }
        let workers = self
            .rows(
                "SELECT coalesce(a.backend_type, 'unknown'), a.datname, count(*) FROM pg_catalog.pg_stat_activity a \
                 WHERE a.datid IS NOT NULL AND a.backend_type NOT IN \
                 ('client backend', 'walsender', 'autovacuum worker', 'parallel worker') GROUP BY 1, 2 ORDER BY 1, 2",
            )
            .await?;
        for row in workers {
            let [kind, database, count] = <[_; 3]>::try_from(row).unwrap_or_default().map(Option::unwrap_or_default);
            let meaning = if kind.starts_with("logical replication") {
                "a subscription's worker: what its publisher sends is still written"
            } else {
                "a background worker: a fence has no hold on what it writes"
            };
            notes.push(format!("{count} x {kind} in {database} is {meaning}"));
        }
        Ok(notes)
    }
}

/// Ends backends that are client sessions still: a process id may have gone to somebody else meanwhile.
async fn terminate_backends(connection: &PostgresqlConnection, pids: &[&str]) -> Result<(), StatementError> {
    let list = literal(&format!("{{{}}}", pids.join(",")));
    let backends = client_backends();
    connection
        .rows(&format!("SELECT pg_catalog.pg_terminate_backend(a.pid) {backends} AND a.pid = ANY ({list}::int[])"))
        .await?;
    Ok(())
}
